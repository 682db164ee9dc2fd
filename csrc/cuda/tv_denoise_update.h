#pragma once

#include "../math/tv_denoise.h"
#include "lanes.h"
#include "tv_denoise.h"

namespace imgrestore {

constexpr int kTvLevels = 4;  // iterations of a pass, at most
constexpr int kTvSlots = 3;   // energies that are kept: of the first iteration, and of the last two before a check

// A few iterations of all pictures that have not stopped.
struct TvPass {
  TvShape shape;
  const float *image, *dual;
  float* next;
  const double* outcome;  // null: no picture stops
  double* energies;       // (pictures, slots, blocks)
  int levels;
  int slot[kTvLevels];  // where the energy before each iteration goes; -1: nowhere
  float weight, tau;
  float momentum[kTvLevels];
};

__device__ __forceinline__ bool tv_stopped(const double* outcome, int64_t picture) {
  return outcome && outcome[3 * picture + 2] != 0;
}

// What an iteration needs to know of a pixel, from the squares over all channels of its gradient and of its moved dual.
struct TvScale {
  float factor, weight;  // tau / weight or weight, and the weight

  // what the moved dual is multiplied by
  template <bool Accelerate>
  __device__ __forceinline__ float of(float gradients, float squares) const {
    if (Accelerate) {
      squares += tv_least();
      return tv_project(squares, rsqrtf(squares), factor);
    }
    gradients += tv_least();
    const float divisor = 1 + tv_root(gradients, rsqrtf(gradients), factor), y = rsqrtf(divisor);
    return tv_reciprocal(divisor, y * y);
  }
};

// The gradient's length.
__device__ __forceinline__ float tv_length(float squares) {
  squares += tv_least();
  return tv_root(squares, rsqrtf(squares), 1.0f);
}

// Of pictures of 1 or 3 channels, passes of kTvLevels iterations.
bool tv_in_tiles(const TvShape& shape);
int64_t tv_tile_blocks(const TvShape& shape);
void launch_tv_tiles(const TvPass& pass, Stream stream);

// Of volumes of 1 or 3 channels, passes of an iteration.
bool tv_in_slices(const TvShape& shape);
int64_t tv_volume_blocks(const TvShape& shape);
void launch_tv_slices(const TvPass& pass, Stream stream);

}  // namespace imgrestore
