#pragma once

#include <stdint.h>

#include "fft_plan.h"
#include "isa.h"

namespace imgrestore {

// A run of rows of the domain that one thread takes, and its memory.
struct SparseChunk {
  int64_t first, end;  // rows
  float* memory;       // sparse_steps_memory_size() floats, aligned to 64 bytes, zero at first
};

// One picture of 1 or 3 channels on its periodic domain. Domain rows of `scene` and `blurred` follow each other; those of
// the duals are `pitch` apart, and the frame's rows `frame_pitch`, each a multiple of 16 with working space at its end.
// Channel by channel everywhere.
struct SparseSteps {
  int channels;
  int64_t height, width, pitch;                      // of the domain
  int64_t top, left, rows, columns, frame_pitch;     // of the frame in it
  float *scene, *blurred;                            // RGB
  float* dual_gradient;                              // (channel, down or along, row), luma and chroma
  float* dual_data;                                  // on the frame, RGB
  float* dual_bound;                                 // on the domain, RGB; null where the scene has no bound
  float* known;                                      // on the frame; null where every pixel counts 1
  const float* observed;                             // the frame, RGB
  int64_t observed_plane, observed_row;              // from channel to channel, and from row to row
  float lower[3];                                    // for each channel
  float inverse_outlier[3];                          // for each channel
  float penalty, tie, data_penalty, bound_penalty, threshold, chroma_weight;
  float pull, dead;                                  // of the hyper-Laplacian
  bool hyper_laplacian, dark_outside;
  bool from_planes, reweigh;                         // of the step at hand
  const float* otf;                                  // (re, im) pairs
  int64_t otf_stride;                                // pairs from row to row
  float* spectrum;                                   // sparse_steps_spectrum_size() floats, aligned to 64 bytes
  float* response;                                   // sparse_steps_response_size() floats, aligned to 64 bytes
  const SparseChunk* chunk;
  int chunks;
  const FftPlan<float>*along_rows, *along_columns;
};

// A step is: enter() for each chunk; rows() for each chunk; columns() for each block of columns; each round complete
// before the next. respond() for each block of columns comes before the first step, leave() for each chunk after the last.
struct SparseStepsKernels {
  int lanes;
  void (*respond)(const SparseSteps&, int64_t block);
  void (*enter)(const SparseSteps&, int chunk);
  void (*rows)(const SparseSteps&, int chunk);
  void (*columns)(const SparseSteps&, int64_t block);
  void (*leave)(const SparseSteps&, int chunk);
};

IMGR_HD int64_t sparse_steps_blocks(int64_t width, int lanes) { return (width / 2 + lanes) / lanes; }
// An odd number of rows, so that blocks of columns do not all fall on the same sets of the cache.
IMGR_HD int64_t sparse_steps_spectrum_size(int channels, int64_t height, int64_t width, int lanes) {
  return channels * sparse_steps_blocks(width, lanes) * (height | 1) * 4 * lanes;
}
IMGR_HD int64_t sparse_steps_response_size(int64_t height, int64_t width, int lanes) {
  return sparse_steps_blocks(width, lanes) * (height + 1) * 2 * lanes + (height + lanes) / lanes * lanes;
}
IMGR_HD int64_t sparse_steps_row_size(int64_t width, int lanes) { return (width / lanes + 4) * lanes; }
IMGR_HD int64_t sparse_steps_memory_size(int channels, int64_t width, int lanes) {
  return width * 2 * lanes + channels * (2 * (lanes + 1) + 2) * sparse_steps_row_size(width, lanes) +
         channels * sparse_steps_blocks(width, lanes) * 4 * lanes;
}

namespace baseline {
extern const SparseStepsKernels sparse_steps_f32;
}
#if IMGR_X86
namespace avx2 {
extern const SparseStepsKernels sparse_steps_f32;
}
namespace avx512 {
extern const SparseStepsKernels sparse_steps_f32;
}
#endif

}  // namespace imgrestore
