#pragma once

#include <stdint.h>

#include "fft_plan.h"
#include "isa.h"

namespace imgrestore {

// One real plane times one half-spectrum response. The kernel knows nothing of tensors or threads: three rounds of
// independent blocks, rows_forward, columns, rows_inverse, each round complete before the next.
template <class S>
struct FftFilterPlane {
  const S* image;
  int64_t image_stride;  // from row to row
  S* out;                // rows follow each other
  const S* response;     // (re, im) pairs
  int64_t response_stride;  // pairs from row to row
  S* spectrum;              // fft_filter_spectrum_size() scalars, aligned to 64 bytes
  int64_t height, width;
  const FftPlan<S>*along_rows, *along_columns;
};

template <class S>
struct FftFilterKernels {
  int lanes;
  // row is scratch for one block at a time: 2 lanes width scalars, aligned to 64 bytes
  void (*rows_forward)(const FftFilterPlane<S>&, int64_t block, S* row);
  // column likewise: 2 height scalars
  void (*columns)(const FftFilterPlane<S>&, int64_t block, S* column);
  void (*rows_inverse)(const FftFilterPlane<S>&, int64_t block, S* row);
};

// Rows go in blocks of 2 lanes (each lane packs two real rows into one complex one), columns in blocks of lanes. An even
// width has the real columns 0 and width / 2 packed into one.
IMGR_HD int64_t fft_filter_row_blocks(int64_t height, int lanes) { return (height + 2 * lanes - 1) / (2 * lanes); }
IMGR_HD int64_t fft_filter_column_blocks(int64_t width, int lanes) { return ((width + 1) / 2 + lanes - 1) / lanes; }
IMGR_HD int64_t fft_filter_spectrum_size(int64_t height, int64_t width, int lanes) {
  return fft_filter_column_blocks(width, lanes) * fft_filter_row_blocks(height, lanes) * 4 * lanes * lanes;
}

#define IMGR_DECLARE_FFT_FILTER                        \
  extern const FftFilterKernels<float> fft_filter_f32; \
  extern const FftFilterKernels<double> fft_filter_f64;

namespace baseline {
IMGR_DECLARE_FFT_FILTER
}
#if IMGR_X86
namespace avx2 {
IMGR_DECLARE_FFT_FILTER
}
namespace avx512 {
IMGR_DECLARE_FFT_FILTER
}
#endif

}  // namespace imgrestore
