#include "separable.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <vector>

#include "../planes.h"
#include "scratch.h"

namespace imgrestore {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

SeparableTaps taps_of(const Tensor& taps) {
  SeparableTaps t = {static_cast<const float*>(taps.const_data_ptr()), taps.numel(), true};
  for (int64_t i = 0; i < t.count / 2; ++i) t.symmetric = t.symmetric && t.at[i] == t.at[t.count - 1 - i];
  return t;
}

void run(const Tensor& image, const SeparableTaps& along_rows, const SeparableTaps& along_columns, Boundary boundary,
         Tensor& out) {
  const SeparableKernels& kernels = IMGR_KERNELS(separable_f32);
  const int64_t h = image.size(image.dim() - 2), w = image.size(image.dim() - 1);
  const std::vector<int64_t> offsets = plane_offsets(image, leading_sizes(image, 2), 2);
  const std::vector<float> zeros(w, 0.0f);
  const float* images = static_cast<const float*>(image.const_data_ptr());
  float* outs = static_cast<float*>(out.mutable_data_ptr());
  const int64_t blocks = (h + kernels.lanes - 1) / kernels.lanes;
  // As many blocks as make it worth waking a thread.
  const int64_t block_work = w * kernels.lanes * (along_rows.count + along_columns.count + 16);
  const int64_t grain = 500000 / block_work + 1;
  torch::stable::parallel_for(0, blocks * offsets.size(), grain, [&](int64_t begin, int64_t end) {
    const Scratch lanes(sizeof(float) * separable_lanes_size(w, along_rows.count, kernels.lanes));
    const Scratch ring(sizeof(float) * separable_ring_size(w, along_columns.count, kernels.lanes));
    std::vector<const float*> rows(along_columns.count + kernels.lanes - 1);
    const SeparableWork work = {lanes.as<float>(), ring.as<float>(), rows.data()};
    for (int64_t i = begin; i < end; ++i) {
      const int64_t plane = i / blocks, block = i % blocks;
      const SeparablePlane p = {images + offsets[plane], image.stride(image.dim() - 2), outs + plane * h * w,
                                zeros.data(), h, w, along_rows, along_columns, boundary};
      kernels.block(p, work, block, i > begin && block > 0);
    }
  });
}

Tensor separable(const Tensor& image_in, const Tensor& row_taps_in, const Tensor& column_taps_in, int64_t boundary) {
  STD_TORCH_CHECK(image_in.dim() >= 2 && image_in.scalar_type() == ScalarType::Float,
                  "separable: image must be float32 with 2 dimensions or more");
  STD_TORCH_CHECK(boundary >= 0 && boundary <= static_cast<int64_t>(Boundary::kZero), "separable: unknown boundary");
  for (const Tensor* taps : {&row_taps_in, &column_taps_in}) {
    STD_TORCH_CHECK(taps->dim() == 1 && taps->numel() > 0 && taps->scalar_type() == ScalarType::Float,
                    "separable: taps must be float32 with 1 dimension, not empty");
  }
  const bool dense = image_in.stride(image_in.dim() - 1) == 1 || image_in.size(image_in.dim() - 1) == 1;
  const Tensor image = dense ? image_in : torch::stable::contiguous(image_in);
  const Tensor row_taps = torch::stable::contiguous(row_taps_in);
  const Tensor column_taps = torch::stable::contiguous(column_taps_in);
  Tensor out = torch::stable::new_empty(image, leading_sizes(image, 0));
  if (out.numel()) run(image, taps_of(row_taps), taps_of(column_taps), static_cast<Boundary>(boundary), out);
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(imgrestore, CPU, m) { m.impl("separable", TORCH_BOX(&separable)); }

}  // namespace imgrestore
