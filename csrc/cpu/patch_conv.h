#pragma once

#include "gated_block.h"

namespace imgrestore {

// One picture through a convolution with zeros beyond the frame. `out` and `plus` are dense planes: `outputs` of them, or
// with `shuffle` a quarter as many of twice the height and width.
struct PatchConvPicture {
  const float* x;  // planes, one after the other
  int64_t channels, height, width;
  float* out;
  const float* plus;  // may be null, or `out`
  int64_t outputs, out_height, out_width;  // before shuffling
  int64_t kernel, stride, padding;         // stride 1 or 2
  bool shuffle;
  PackedMatrix matrix;  // depth: channels * kernel * kernel, in the order of the weights
};

struct PatchConvKernels {
  int rows;     // of a block of PackedMatrix
  int columns;  // pixels of a row that are computed together
  // Writes the results of one row; `work` is patch_conv_floats(), aligned to 64 bytes.
  void (*row)(const PatchConvPicture&, int64_t y, float* work);
  // The same with products of bfloat16, or null.
  void (*row_pairs)(const PatchConvPicture&, int64_t y, float* work);
};

// Inputs and results of a group of columns, and a piece of a row with what is beyond the frame.
IMGR_HD int64_t patch_conv_line(const PatchConvPicture& p, int columns) {
  return (p.stride * columns + p.kernel + 16 + 15) / 16 * 16;
}
IMGR_HD int64_t patch_conv_floats(const PatchConvPicture& p, int rows, int columns) {
  return (p.matrix.depth + 1 + p.matrix.blocks * rows) * columns + patch_conv_line(p, columns);
}

#define IMGR_DECLARE_PATCH_CONV extern const PatchConvKernels patch_conv_f32;

namespace baseline {
IMGR_DECLARE_PATCH_CONV
}
#if IMGR_X86
namespace avx2 {
IMGR_DECLARE_PATCH_CONV
}
namespace avx512 {
IMGR_DECLARE_PATCH_CONV
}
#endif

}  // namespace imgrestore
