#include "depthwise_gate.h"
#include "op_support.h"

namespace imgrestore {
namespace {

using torch::stable::Tensor;

template <class T>
void run(const Tensor& x, const Tensor& weight, const Tensor& bias, Tensor& out) {
  const OnDevice device(x);
  const int half = int(out.size(1));
  Tensor scratch = torch::stable::new_empty(x, {depthwise_gate_scratch(half, is_channels_last(x))},
                                            torch::headeronly::ScalarType::Float);
  launch_depthwise_gate<T>({data_of<T>(x), room_of<T>(out), data_of<float>(weight), data_of<float>(bias), x.size(0),
                            int(x.size(2)), int(x.size(3)), half, is_channels_last(x)},
                           room_of<float>(scratch), device.stream());
}

Tensor depthwise_gate(const Tensor& x_in, const Tensor& weight_in, const Tensor& bias_in) {
  STD_TORCH_CHECK(x_in.dim() == 4 && x_in.size(1) % 2 == 0, "depthwise_gate: x needs 4 dimensions, the second even");
  STD_TORCH_CHECK(is_float_or_bfloat16(x_in) && is_float_or_bfloat16(weight_in) && is_float_or_bfloat16(bias_in),
                  "depthwise_gate: x, weight and bias must be float32 or bfloat16");
  STD_TORCH_CHECK(weight_in.numel() == 9 * x_in.size(1) && bias_in.numel() == x_in.size(1),
                  "depthwise_gate: weight and bias need nine numbers and one for each channel");
  STD_TORCH_CHECK(x_in.size(1) < INT32_MAX / 10 && x_in.size(2) < INT32_MAX / 4 && x_in.size(3) < INT32_MAX / 4,
                  "depthwise_gate: a side of x is too large");
  Tensor x = dense_planes(x_in);
  const Tensor weight = dense_floats(weight_in), bias = dense_floats(bias_in);
  // Made like a part of x, so that it has x's layout.
  Tensor out = torch::stable::empty_like(torch::stable::narrow(x, 1, 0, x.size(1) / 2));
  if (out.numel() == 0) return out;
  (is_bfloat16(x) ? run<Bfloat16> : run<float>)(x, weight, bias, out);
  return out;
}

}  // namespace

IMGR_DEVICE_OPS(m) { m.impl("depthwise_gate", TORCH_BOX(&depthwise_gate)); }

}  // namespace imgrestore
