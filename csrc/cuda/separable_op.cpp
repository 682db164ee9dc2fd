#include "separable.h"

#include "filter_op.h"

namespace imgrestore {
namespace {

using torch::stable::Tensor;

Tensor separable(const Tensor& image_in, const Tensor& row_taps_in, const Tensor& column_taps_in, int64_t boundary) {
  STD_TORCH_CHECK(image_in.dim() >= 2 && is_float(image_in),
                  "separable: image must be float32 with 2 dimensions or more");
  STD_TORCH_CHECK(boundary >= 0 && boundary <= static_cast<int64_t>(Boundary::kZero), "separable: unknown boundary");
  for (const Tensor* taps : {&row_taps_in, &column_taps_in}) {
    STD_TORCH_CHECK(taps->dim() == 1 && taps->numel() > 0 && taps->numel() < kLongestSide && is_float(*taps),
                    "separable: taps must be float32 with 1 dimension, not empty");
  }
  const Tensor image = dense_rows(image_in);
  const Tensor row_taps = torch::stable::contiguous(row_taps_in);
  const Tensor column_taps = torch::stable::contiguous(column_taps_in);
  Tensor out = torch::stable::new_empty(image, leading_sizes(image, 0));
  if (!out.numel()) return out;
  const OnDevice device(image);
  SeparablePlanes planes = {filter_planes(image, out, boundary), data_of<float>(row_taps), data_of<float>(column_taps),
                            int(row_taps.numel()), int(column_taps.numel()), nullptr};
  const bool scratch = separable_needs_scratch(planes.row_count, planes.column_count);
  Tensor room = torch::stable::new_empty(image, {scratch ? out.numel() : 0});
  planes.scratch = room_of<float>(room);
  launch_separable(planes, device.stream());
  return out;
}

}  // namespace

IMGR_DEVICE_OPS(m) { m.impl("separable", TORCH_BOX(&separable)); }

}  // namespace imgrestore
