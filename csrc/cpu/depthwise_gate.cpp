#include "depthwise_gate.h"

#include <torch/csrc/stable/library.h>

#include "net_tensors.h"

namespace imgrestore {
namespace {

using torch::stable::Tensor;

template <class T>
void run(const Tensor& x, const std::vector<float>& taps, Tensor& out, const DepthwiseGateKernels<T>& kernels) {
  const int64_t height = x.size(2), width = x.size(3), half = out.size(1);
  // Planes go pair by pair; where the channels lie together, all of them go along.
  const bool together = is_channels_last(x);
  const int64_t step = together ? half : 1, steps = half / step;
  const int64_t floats = 65536 / ((2 * kRingRows + kRingStep) * step);
  const Tiling tiling(height, width, std::clamp<int64_t>(floats, 64, 1024), x.size(0) * steps, kernels.lanes);
  const int64_t tiles = tiling.count(), pixels = height * width;
  T* outs = static_cast<T*>(out.mutable_data_ptr());
  const int64_t grain = std::max<int64_t>(1, 32768 / (tiling.tall * tiling.wide * step));
  torch::stable::parallel_for(0, x.size(0) * steps * tiles, grain, [&](int64_t begin, int64_t end) {
    const Scratch work(sizeof(float) * depthwise_gate_floats(step, tiling.wide, kernels.lanes));
    for (int64_t i = begin; i < end; ++i) {
      const int64_t picture = i / (steps * tiles), c = i / tiles % steps * step;
      const Pixels<const T> from = pixels_of<T>(x, picture);
      const Pixels<T> to = {outs + picture * pixels * half, pixels, half, together};
      kernels.tile({from, to, height, width, taps.data()}, tiling.at(i % tiles), c, c + step, work.as<float>());
    }
  });
}

Tensor depthwise_gate(const Tensor& x_in, const Tensor& weight, const Tensor& bias) {
  STD_TORCH_CHECK(x_in.dim() == 4 && x_in.size(1) % 2 == 0, "depthwise_gate: x needs 4 dimensions, the second even");
  STD_TORCH_CHECK(is_float_or_bfloat16(x_in) && is_float_or_bfloat16(weight) && is_float_or_bfloat16(bias),
                  "depthwise_gate: x, weight and bias must be float32 or bfloat16");
  STD_TORCH_CHECK(weight.numel() == 9 * x_in.size(1) && bias.numel() == x_in.size(1),
                  "depthwise_gate: weight and bias need nine numbers and one for each channel");
  Tensor x = dense_planes(x_in);
  // Made like a part of x, so that it has x's layout.
  Tensor out = torch::stable::empty_like(torch::stable::narrow(x, 1, 0, x.size(1) / 2));
  if (out.numel() == 0) return out;
  use_large_pages(out);
  const std::vector<float> taps = depthwise_taps(weight, bias);
  if (is_bfloat16(x)) {
    run<Bfloat16>(x, taps, out, IMGR_KERNELS(depthwise_gate_bf16));
  } else {
    run<float>(x, taps, out, IMGR_KERNELS(depthwise_gate_f32));
  }
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(imgrestore, CPU, m) { m.impl("depthwise_gate", TORCH_BOX(&depthwise_gate)); }

}  // namespace imgrestore
