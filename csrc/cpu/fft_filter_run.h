#pragma once

#include <torch/csrc/stable/ops.h>

#include "fft_filter.h"
#include "scratch.h"

namespace imgrestore {

// The three rounds of one plane; a thread takes at least `grain` blocks.
template <class S>
void run_fft_filter(const FftFilterPlane<S>& plane, const FftFilterKernels<S>& kernels, int64_t grain) {
  using torch::stable::parallel_for;
  const int64_t row_blocks = fft_filter_row_blocks(plane.height, kernels.lanes);
  const int64_t column_blocks = fft_filter_column_blocks(plane.width, kernels.lanes);
  const size_t row_bytes = sizeof(S) * 2 * kernels.lanes * plane.width, column_bytes = sizeof(S) * 2 * plane.height;
  parallel_for(0, row_blocks, grain, [&](int64_t begin, int64_t end) {
    const Scratch row(row_bytes);
    for (int64_t b = begin; b < end; ++b) kernels.rows_forward(plane, b, row.as<S>());
  });
  parallel_for(0, column_blocks, grain, [&](int64_t begin, int64_t end) {
    const Scratch column(column_bytes);
    for (int64_t b = begin; b < end; ++b) kernels.columns(plane, b, column.as<S>());
  });
  parallel_for(0, row_blocks, grain, [&](int64_t begin, int64_t end) {
    const Scratch row(row_bytes);
    for (int64_t b = begin; b < end; ++b) kernels.rows_inverse(plane, b, row.as<S>());
  });
}

}  // namespace imgrestore
