#include "patch_conv.h"

#include <optional>

#include "op_support.h"

namespace imgrestore {
namespace {

using torch::stable::Tensor;

bool has_shape(const Tensor& t, int64_t n, int64_t c, int64_t h, int64_t w) {
  return is_float(t) && t.is_contiguous() && t.dim() == 4 && t.size(0) == n && t.size(1) == c && t.size(2) == h &&
         t.size(3) == w;
}

void patch_conv_into(const Tensor& x_in, const Tensor& weight, const std::optional<Tensor>& bias,
                     const std::optional<Tensor>& plus, int64_t stride, int64_t padding, bool shuffle, bool narrow,
                     Tensor out) {
  STD_TORCH_CHECK(x_in.dim() == 4 && is_float(x_in), "patch_conv: x needs 4 dimensions, float32");
  STD_TORCH_CHECK(weight.dim() == 4 && is_float_or_bfloat16(weight) && weight.size(1) == x_in.size(1) &&
                      weight.size(2) == weight.size(3) && weight.size(2) > 0 && weight.size(0) > 0,
                  "patch_conv: weight needs the shape (outputs, channels of x, k, k)");
  STD_TORCH_CHECK((stride == 1 || stride == 2) && padding >= 0,
                  "patch_conv: stride must be 1 or 2, padding at least 0");
  const int64_t outputs = weight.size(0), kernel = weight.size(2), pictures = x_in.size(0);
  STD_TORCH_CHECK(!shuffle || outputs % 4 == 0, "patch_conv: to shuffle, the outputs must be a multiple of 4");
  STD_TORCH_CHECK(!bias.has_value() || (is_float_or_bfloat16(*bias) && bias->numel() == outputs),
                  "patch_conv: bias needs a number for each output");
  STD_TORCH_CHECK(x_in.size(2) < INT32_MAX / 4 && x_in.size(3) < INT32_MAX / 4 && padding < INT32_MAX / 8 &&
                      weight.numel() / outputs < INT32_MAX - 64 && outputs < INT32_MAX - 64,
                  "patch_conv: a side of x, its padding or the weights are too large");
  const int64_t reach_y = x_in.size(2) + 2 * padding - kernel, reach_x = x_in.size(3) + 2 * padding - kernel;
  STD_TORCH_CHECK(reach_y >= 0 && reach_x >= 0, "patch_conv: the kernel is larger than the padded planes");
  const int64_t height = reach_y / stride + 1, width = reach_x / stride + 1, twice = shuffle ? 2 : 1;
  const auto fits = [&](const Tensor& t) {
    return has_shape(t, pictures, outputs / (twice * twice), twice * height, twice * width);
  };
  STD_TORCH_CHECK(fits(out) && (!plus.has_value() || fits(*plus)),
                  "patch_conv: out or plus has not the result's shape");
  const Tensor x = torch::stable::contiguous(x_in), weights = dense_floats(weight);
  STD_TORCH_CHECK(!overlap(x, out) && (!plus.has_value() || plus->const_data_ptr() == out.const_data_ptr() ||
                                       !overlap(*plus, out)),
                  "patch_conv: out needs memory of its own");
  if (out.numel() == 0) return;
  const std::optional<Tensor> biases = bias ? std::optional<Tensor>(dense_floats(*bias)) : std::nullopt;
  const OnDevice device(x);
  launch_patch_conv({data_of<float>(x), data_of<float>(weights), biases ? data_of<float>(*biases) : nullptr,
                     plus ? data_of<float>(*plus) : nullptr, room_of<float>(out), pictures, int(x.size(1)),
                     int(x.size(2)), int(x.size(3)), int(outputs), int(height), int(width), int(kernel), int(stride),
                     int(padding), shuffle},
                    narrow, device.stream());
}

}  // namespace

IMGR_DEVICE_OPS(m) { m.impl("patch_conv_into", TORCH_BOX(&patch_conv_into)); }

}  // namespace imgrestore
