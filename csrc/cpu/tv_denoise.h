#pragma once

#include <stdint.h>

#include "isa.h"

namespace imgrestore {

constexpr int kTvLevels = 8;

// A few iterations of one picture or volume, of size outer, middle (1 for a picture), columns. The kernel knows nothing
// of tensors or threads: tiles are independent of each other, and a sweep is complete when all of them are.
template <class S>
struct TvSweep {
  const S* image;  // channels, outer, middle, columns
  const S* dual;   // 1, or 2 if accelerated (extrapolated, previous); ndim; channels; outer; middle; columns. Null: zero
  S* next;         // the dual after these iterations
  int64_t size[3];
  int64_t channels;  // coupled
  int ndim, levels;  // levels: the number of iterations, at most kTvLevels
  unsigned measure;  // bit i: measure the energy of level i
  bool accelerate;
  S weight, tau;
  S momentum[kTvLevels];  // of each level
};

struct TvTile {
  int64_t begin[3], end[3];
};

// Of each level that is measured, the sums over the tile of |u - image|^2 and of tau |grad u|.
struct TvEnergy {
  double distance[kTvLevels], variation[kTvLevels];
};

template <class S>
struct TvDenoiseKernels {
  int lanes;
  int64_t (*scratch_size)(const TvSweep<S>&, const TvTile&);  // in scalars
  void (*tile)(const TvSweep<S>&, const TvTile&, S* scratch, TvEnergy*);
  // image + div dual, for rows begin to end of all outer * middle, in every channel
  void (*picture)(const TvSweep<S>&, int64_t begin, int64_t end, S* out);
};

#define IMGR_DECLARE_TV_DENOISE extern const TvDenoiseKernels<float> tv_denoise_f32;

namespace baseline {
IMGR_DECLARE_TV_DENOISE
}
#if IMGR_X86
namespace avx2 {
IMGR_DECLARE_TV_DENOISE
}
namespace avx512 {
IMGR_DECLARE_TV_DENOISE
}
#endif

}  // namespace imgrestore
