#pragma once

#include <stdint.h>

#include "../math/boundary.h"
#include "isa.h"

namespace imgrestore {

struct SeparableTaps {
  const float* at;
  int64_t count;
  bool symmetric;  // the same read backwards
};

// One plane. The kernel knows nothing of tensors or threads: independent blocks of `lanes` rows.
struct SeparablePlane {
  const float* image;
  int64_t image_stride;  // from row to row
  float* out;            // rows follow each other
  const float* zeros;    // width of them
  int64_t height, width;
  SeparableTaps along_rows, along_columns;
  Boundary boundary;
};

// Scratch for one thread, aligned to 64 bytes.
struct SeparableWork {
  float* lanes;        // separable_lanes_size() floats
  float* ring;         // separable_ring_size() floats
  const float** rows;  // along_columns.count + lanes - 1
};

struct SeparableKernels {
  int lanes;
  // next: the block before was this one's predecessor, with the same scratch
  void (*block)(const SeparablePlane&, const SeparableWork&, int64_t block, bool next);
};

IMGR_HD int64_t separable_lanes_size(int64_t width, int64_t row_taps, int lanes) {
  return (width + row_taps - 1 + lanes) * lanes;
}
// Never a multiple of 4 KiB.
IMGR_HD int64_t separable_ring_stride(int64_t width) {
  const int64_t stride = (width + 31) / 16 * 16;
  return stride % 1024 ? stride : stride + 16;
}
IMGR_HD int64_t separable_ring_size(int64_t width, int64_t column_taps, int lanes) {
  return separable_ring_stride(width) * (column_taps + lanes - 1);
}

namespace baseline {
extern const SeparableKernels separable_f32;
}
#if IMGR_X86
namespace avx2 {
extern const SeparableKernels separable_f32;
}
namespace avx512 {
extern const SeparableKernels separable_f32;
}
#endif

}  // namespace imgrestore
