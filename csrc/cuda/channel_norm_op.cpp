#include "channel_norm.h"
#include "op_support.h"

namespace imgrestore {
namespace {

using torch::stable::Tensor;

template <class T>
void run(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps, Tensor& out) {
  const OnDevice device(x);
  launch_channel_norm<T>({data_of<T>(x), room_of<T>(out), data_of<float>(weight), data_of<float>(bias), float(eps),
                          x.size(0), x.size(2) * x.size(3), int(x.size(1)), is_channels_last(x)},
                         device.stream());
}

Tensor channel_norm(const Tensor& x_in, const Tensor& weight_in, const Tensor& bias_in, double eps) {
  STD_TORCH_CHECK(x_in.dim() == 4 && is_float_or_bfloat16(x_in), "channel_norm: x must be float32 or bfloat16, in 4-D");
  STD_TORCH_CHECK(weight_in.numel() == x_in.size(1) && bias_in.numel() == x_in.size(1),
                  "channel_norm: weight and bias need a number for each channel");
  const Tensor x = dense_planes(x_in), weight = dense_floats(weight_in), bias = dense_floats(bias_in);
  Tensor out = torch::stable::empty_like(x);
  if (out.numel() == 0) return out;
  (is_bfloat16(x) ? run<Bfloat16> : run<float>)(x, weight, bias, eps, out);
  return out;
}

}  // namespace

IMGR_DEVICE_OPS(m) { m.impl("channel_norm", TORCH_BOX(&channel_norm)); }

}  // namespace imgrestore
