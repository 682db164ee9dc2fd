#pragma once

#include <stdint.h>

#include "../math/boundary.h"
#include "isa.h"
#include "window_margin.h"

namespace imgrestore {

// One plane. The kernel knows nothing of tensors or threads. First down(): sums over the columns of each window, for
// any rows that begin at a multiple of the window's height, and any columns; then along(), where down() has been for the
// whole width: a group of rows to their results.
struct BoxPlane {
  const float* image;
  int64_t image_stride;  // from row to row
  float* out;            // rows follow each other
  const float* zeros;    // width of them
  int64_t height, width;
  int64_t radius_y, radius_x;
  const float *row_factors, *column_factors;  // one over the number of pixels that count, by row and by column
  Boundary boundary;
  const int64_t* edge_columns;  // which columns stand for the radius_x before the first and after the last; -1: zeros
};

// Where the sums of down() stand, and scratch for one thread, aligned to 64 bytes.
struct BoxWork {
  float* sums;        // rows of box_sums_stride() floats
  int64_t first_row;  // that of the picture which sums begin with
  float* lanes;       // box_lanes_size() floats
  const float** rows;  // rows of one down() and 2 radius_y pointers
};

struct BoxKernels {
  int group;    // rows of along(), columns of down(), at most or a multiple of
  void (*down)(const BoxPlane&, const BoxWork&, int64_t row, int64_t row_end, int64_t column, int64_t column_end);
  void (*along)(const BoxPlane&, const BoxWork&, int64_t row, int64_t rows);
  // The rows of a band by running sums, in box_band_size() doubles. False where the values do not allow it: then what
  // it has written is of no worth.
  bool (*band)(const BoxPlane&, double* work, int64_t row, int64_t row_end);
};

IMGR_HD int64_t box_sums_stride(int64_t width, int64_t radius_x) { return (width + 2 * radius_x + 47) / 16 * 16; }
// Columns that along() finishes before it turns to the next: whole windows, few enough for the first cache.
IMGR_HD int64_t box_segment(int64_t n) { return n >= 64 ? n : 64 / n * n; }
IMGR_HD int64_t box_ends_size(int64_t radius_y, int64_t radius_x, int group) {
  return (2 * (radius_y > radius_x ? radius_y : radius_x) + 1) * group;
}
IMGR_HD int64_t box_lanes_size(int64_t radius_y, int64_t radius_x, int group) {
  const int64_t n = 2 * radius_x + 1;
  return box_ends_size(radius_y, radius_x, group) + (2 * box_segment(n) + n + 2 * group) * group;
}
IMGR_HD int64_t box_columns_size(int64_t width) { return (width + 7) / 8 * 8; }
IMGR_HD int64_t box_row_size(int64_t width, int64_t radius_x) {
  return (width + 15) / 16 * 16 + 2 * window_margin(radius_x);
}
IMGR_HD int64_t box_band_size(int64_t width, int64_t radius_x) {
  return box_columns_size(width) + box_row_size(width, radius_x) + (width + 15) / 16 * 8;
}

namespace baseline {
extern const BoxKernels box_f32;
}
#if IMGR_X86
namespace avx2 {
extern const BoxKernels box_f32;
}
namespace avx512 {
extern const BoxKernels box_f32;
}
#endif

}  // namespace imgrestore
