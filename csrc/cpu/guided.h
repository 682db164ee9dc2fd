#pragma once

#include <stdint.h>

#include "../math/host_device.h"
#include "isa.h"
#include "window_margin.h"

namespace imgrestore {

// One plane with its guide of 1 or 3 channels. The kernel knows nothing of tensors or threads. First fit(): from rows
// of the picture to the sums, along the rows of each window, of the model's coefficients. Then blend(), where fit() has
// been for all rows it sees: the sums down the columns, and the result.
struct GuidedPlane {
  const float *image, *guide[3];
  int64_t image_stride, guide_stride;  // from row to row
  float* out;                          // rows follow each other
  int64_t height, width, radius;
  float eps;
  float image_shift, guide_shift[3];  // taken off before squares are formed: variance does not change, rounding does
  float image_limit, guide_limit[3];  // running sums do where nothing is further from these shifts
  const float *edge_image, *edge_guide[3];  // rows of these shifts, which stand for rows that do not count
  const float* zeros;                       // guided_row_stride() of them
  const float *row_factors, *column_factors;  // one over the number of rows or columns that count
  float* coefficients[4];  // a, b: planes of height rows, guided_row_stride() from row to row
};

// Scratch for one thread, aligned to 64 bytes.
struct GuidedWork {
  float* sums;         // guided_sums_size() floats
  float* lanes;        // guided_lanes_size() floats
  const float** rows;  // GuidedModel::pointers times 4 radius + 1
};

struct GuidedModel {
  int quantities, coefficients, pointers;
  // rows from a multiple of 2 radius + 1 on
  void (*fit)(const GuidedPlane&, const GuidedWork&, int64_t row, int64_t row_end);
  void (*blend)(const GuidedPlane&, const GuidedWork&, int64_t row, int64_t row_end);
  // Both at once for a band of rows by running sums, in guided_band_size() doubles. False where the values do not allow
  // it: then what it has written is of no worth.
  bool (*band)(const GuidedPlane&, double* work, int64_t row, int64_t row_end);
};

struct GuidedKernels {
  int lanes;
  GuidedModel self, gray, color;  // the image is its own guide; a guide of 1 channel; of 3
};

// Never a multiple of 4 KiB.
IMGR_HD int64_t guided_row_stride(int64_t width, int64_t radius) {
  const int64_t stride = (width + 2 * radius + 47) / 16 * 16;
  return stride % 1024 ? stride : stride + 16;
}
// One window and a group of lanes.
IMGR_HD int64_t guided_sums_rows(int64_t radius, int lanes) { return 2 * radius + 1 + lanes; }
IMGR_HD int64_t guided_sums_size(int64_t width, int64_t radius, int lanes, const GuidedModel& model) {
  return guided_row_stride(width, radius) * guided_sums_rows(radius, lanes) * model.quantities;
}
IMGR_HD int64_t guided_segment(int64_t n) { return n >= 64 ? n : 64 / n * n; }
IMGR_HD int64_t guided_lanes_size(int64_t width, int64_t radius, int lanes, const GuidedModel& model) {
  const int64_t n = 2 * radius + 1;
  const int64_t elements = n + guided_segment(n) + n + lanes;
  const int64_t columns = width + 4 * radius + 2 * lanes;
  return (elements * model.quantities + columns * model.coefficients) * lanes;
}
IMGR_HD int64_t guided_columns_size(int64_t width) { return (width + 7) / 8 * 8 + 24; }
IMGR_HD int64_t guided_row_size(int64_t width, int64_t radius) {
  return (width + 15) / 16 * 16 + 2 * window_margin(radius);
}
IMGR_HD int64_t guided_band_size(int64_t width, int64_t radius, const GuidedModel& model) {
  const int64_t all = model.quantities + model.coefficients;
  return all * (guided_columns_size(width) + guided_row_size(width, radius) / 2) +
         (model.quantities + (2 * radius + 3) * model.coefficients) * guided_row_stride(width, 0) / 2;
}

namespace baseline {
extern const GuidedKernels guided_f32;
}
#if IMGR_X86
namespace avx2 {
extern const GuidedKernels guided_f32;
}
namespace avx512 {
extern const GuidedKernels guided_f32;
}
#endif

}  // namespace imgrestore
