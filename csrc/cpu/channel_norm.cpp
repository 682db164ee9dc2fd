#include "channel_norm.h"

#include <torch/csrc/stable/library.h>

#include "net_tensors.h"

namespace imgrestore {
namespace {

using torch::stable::Tensor;

template <class T>
void run(const Tensor& x, const std::vector<float>& weight, const std::vector<float>& bias, float eps, Tensor& out,
         const ChannelNormKernels<T>& kernels) {
  const int64_t pixels = x.size(2) * x.size(3), channels = x.size(1), lanes = kernels.lanes;
  // A block of about 64 KiB is read from memory once and twice more from the cache.
  const int64_t block = std::max<int64_t>(4, (16384 / channels + lanes - 1) / lanes) / 2 * 2 * lanes + lanes;
  const int64_t blocks = (pixels + block - 1) / block;
  T* outs = static_cast<T*>(out.mutable_data_ptr());
  const int64_t grain = std::max<int64_t>(1, 32768 / (block * channels));
  torch::stable::parallel_for(0, x.size(0) * blocks, grain, [&](int64_t begin, int64_t end) {
    const Scratch work(sizeof(float) * channels * block);
    for (int64_t i = begin; i < end; ++i) {
      const Pixels<const T> from = pixels_of<T>(x, i / blocks);
      const Pixels<T> to = {outs + i / blocks * pixels * channels, pixels, channels, from.channels_last};
      const int64_t first = i % blocks * block;
      kernels.pixels({from, to, weight.data(), bias.data(), eps}, first, std::min(first + block, pixels), block,
                     work.as<float>());
    }
  });
}

Tensor channel_norm(const Tensor& x_in, const Tensor& weight, const Tensor& bias, double eps) {
  STD_TORCH_CHECK(x_in.dim() == 4, "channel_norm: x needs 4 dimensions");
  STD_TORCH_CHECK(is_float_or_bfloat16(x_in) && is_float_or_bfloat16(weight) && is_float_or_bfloat16(bias),
                  "channel_norm: x, weight and bias must be float32 or bfloat16");
  STD_TORCH_CHECK(weight.numel() == x_in.size(1) && bias.numel() == x_in.size(1),
                  "channel_norm: weight and bias need a number for each channel");
  const Tensor x = dense_planes(x_in);
  Tensor out = torch::stable::empty_like(x);
  if (out.numel() == 0) return out;
  use_large_pages(out);
  const std::vector<float> w = numbers(weight), b = numbers(bias);
  if (is_bfloat16(x)) {
    run<Bfloat16>(x, w, b, float(eps), out, IMGR_KERNELS(channel_norm_bf16));
  } else {
    run<float>(x, w, b, float(eps), out, IMGR_KERNELS(channel_norm_f32));
  }
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(imgrestore, CPU, m) { m.impl("channel_norm", TORCH_BOX(&channel_norm)); }

}  // namespace imgrestore
