#include "blur_field.h"
#include "op_support.h"

namespace imgrestore {
namespace {

using torch::stable::Tensor;

constexpr int64_t kLongest = 1 << 30;  // along an axis

Tensor blur_field(const Tensor& scene_in, const Tensor& kernels_in, const Tensor& down_in, const Tensor& right_in,
                  bool adjoint) {
  STD_TORCH_CHECK(scene_in.dim() >= 2 && is_float(scene_in),
                  "blur_field: scene must be float32 of (..., height, width)");
  STD_TORCH_CHECK(kernels_in.dim() == 4 && kernels_in.numel() > 0,
                  "blur_field: kernels must be (rows, columns, kh, kw)");
  const Tensor scene = torch::stable::contiguous(scene_in), kernels = dense_floats(kernels_in);
  const Tensor down = dense_floats(down_in), right = dense_floats(right_in);
  const int64_t height = scene.size(scene.dim() - 2), width = scene.size(scene.dim() - 1);
  const int64_t rows = kernels.size(0), columns = kernels.size(1);
  STD_TORCH_CHECK(height < kLongest && width < kLongest, "blur_field: no side of the scene may be above 2^30");
  STD_TORCH_CHECK(blur_field_covers(rows, columns, kernels.size(2), kernels.size(3)), "blur_field: a grid of ", rows,
                  " x ", columns, " kernels of ", kernels.size(2), " x ", kernels.size(3), " is too large");
  STD_TORCH_CHECK(down.dim() == 2 && down.size(0) == rows && down.size(1) == height && right.dim() == 2 &&
                      right.size(0) == columns && right.size(1) == width,
                  "blur_field: down must be (rows, height), right (columns, width)");
  Tensor out = torch::stable::empty_like(scene);
  if (out.numel() == 0) return out;
  const OnDevice device(scene);
  BlurField field = {};
  field.x = data_of<float>(scene);
  field.out = room_of<float>(out);
  field.planes = scene.numel() / (height * width);
  field.height = int(height);
  field.width = int(width);
  field.kernels = data_of<float>(kernels);
  field.down = data_of<float>(down);
  field.right = data_of<float>(right);
  field.rows = int(rows);
  field.columns = int(columns);
  field.tap_rows = int(kernels.size(2));
  field.tap_columns = int(kernels.size(3));
  field.adjoint = adjoint;
  launch_blur_field(field, device.stream());
  return out;
}

}  // namespace

IMGR_DEVICE_OPS(m) { m.impl("blur_field", TORCH_BOX(&blur_field)); }

}  // namespace imgrestore
