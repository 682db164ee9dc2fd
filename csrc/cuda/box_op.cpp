#include "box.h"

#include "filter_op.h"

namespace imgrestore {
namespace {

using torch::stable::Tensor;

Tensor box(const Tensor& image_in, int64_t radius_y, int64_t radius_x, int64_t boundary) {
  STD_TORCH_CHECK(image_in.dim() >= 2 && is_float(image_in), "box: image must be float32 with 2 dimensions or more");
  STD_TORCH_CHECK(radius_y >= 0 && radius_x >= 0 && radius_y < (int64_t(1) << 24) && radius_x < (int64_t(1) << 24),
                  "box: radius must be from 0 to 2^24");
  STD_TORCH_CHECK(boundary >= 0 && boundary < kBoundaries, "box: unknown boundary");
  const Tensor image = dense_rows(image_in);
  Tensor out = torch::stable::new_empty(image, leading_sizes(image, 0));
  if (!out.numel()) return out;
  const OnDevice device(image);
  BoxPlanes planes = {filter_planes(image, out, boundary), int(radius_y), int(radius_x), nullptr};
  Tensor room = torch::stable::new_empty(image, {box_room(planes)});
  planes.room = room_of<float>(room);
  launch_box(planes, device.stream());
  return out;
}

}  // namespace

IMGR_DEVICE_OPS(m) { m.impl("box", TORCH_BOX(&box)); }

}  // namespace imgrestore
