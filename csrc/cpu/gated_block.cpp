#include "gated_block.h"

#include <torch/csrc/stable/library.h>

#include <optional>

#include "net_tensors.h"
#include "packed_matrix.h"

namespace imgrestore {
namespace {

using torch::stable::Tensor;

// The working memory of a tile, about 1.6 MiB, is more than most second caches have: narrower tiles would stay there, but
// memory gives their short rows more slowly than the third cache gives the ring's, and their edges are computed twice.
constexpr int64_t kTileFloats = 420000;

struct Parameters {
  bool normed;
  std::vector<float> expand, expand_bias, taps, project, project_bias;
};

// The norm's weight and bias go into the convolution after it, the residual's scale into the one before it.
Parameters fold(const std::optional<Tensor>& norm_weight, const std::optional<Tensor>& norm_bias,
                const Tensor& expand_weight, const Tensor& expand_bias, const Tensor& depthwise_weight,
                const Tensor& depthwise_bias, const Tensor& project_weight, const Tensor& project_bias,
                const Tensor& scale) {
  Parameters p = {norm_weight.has_value(),     numbers(expand_weight), numbers(expand_bias),
                  depthwise_taps(depthwise_weight, depthwise_bias), numbers(project_weight), numbers(project_bias)};
  if (p.normed) {
    const std::vector<float> w = numbers(*norm_weight), b = numbers(*norm_bias);
    for (size_t o = 0; o < p.expand_bias.size(); ++o) {
      float* row = p.expand.data() + o * w.size();
      for (size_t c = 0; c < w.size(); ++c) {
        p.expand_bias[o] += row[c] * b[c];
        row[c] *= w[c];
      }
    }
  }
  const std::vector<float> s = numbers(scale);
  const size_t half = s.empty() ? 0 : p.project.size() / s.size();
  for (size_t o = 0; o < s.size(); ++o) {
    p.project_bias[o] *= s[o];
    for (size_t c = 0; c < half; ++c) p.project[o * half + c] *= s[o];
  }
  return p;
}

template <class T>
void run(const Tensor& x, const Parameters& p, float eps, bool narrow, Tensor& out, const GatedBlockKernels<T>& kernels) {
  const int64_t channels = x.size(1), height = x.size(2), width = x.size(3), half = p.taps.size() / (2 * kTaps);
  const bool paired = narrow && kernels.tile_pairs && processor_has_pairs();
  const auto tile = paired ? kernels.tile_pairs : kernels.tile;
  const Packed expand(p.expand, p.expand_bias, channels, kernels.rows, paired);
  const Packed project(p.project, p.project_bias, half, kernels.rows, paired);
  const int64_t column = kRingRows * 2 * half + (kRingStep + 1) * channels;
  const Tiling tiling(height, width, std::max<int64_t>(kTileFloats / column, 64), x.size(0), kernels.lanes);
  const int64_t tiles = tiling.count(), pixels = height * width;
  const GatedBlockWork size =
      gated_block_work(channels, half, tiling.wide, kernels.lanes, kernels.rows, kernels.columns);
  T* outs = static_cast<T*>(out.mutable_data_ptr());
  const int64_t work_of_tile = tiling.tall * tiling.wide * channels * half;
  torch::stable::parallel_for(0, x.size(0) * tiles, std::max<int64_t>(1, 100000 / work_of_tile),
                              [&](int64_t begin, int64_t end) {
    const Scratch work(sizeof(float) * size.total);
    for (int64_t i = begin; i < end; ++i) {
      const Pixels<const T> from = pixels_of<T>(x, i / tiles);
      const Pixels<T> to = {outs + i / tiles * pixels * channels, pixels, channels, from.channels_last};
      tile({from, to, height, width, half, p.normed, eps, expand.matrix, project.matrix, p.taps.data()},
           tiling.at(i % tiles), work.as<float>());
    }
  });
}

void gated_block_into(const Tensor& x_in, const std::optional<Tensor>& norm_weight,
                      const std::optional<Tensor>& norm_bias, const Tensor& expand_weight, const Tensor& expand_bias,
                      const Tensor& depthwise_weight, const Tensor& depthwise_bias, const Tensor& project_weight,
                      const Tensor& project_bias, const Tensor& scale, double eps, bool narrow, Tensor out) {
  STD_TORCH_CHECK(x_in.dim() == 4 && expand_bias.numel() > 1, "gated_block: x needs 4 dimensions, expand some outputs");
  STD_TORCH_CHECK(norm_weight.has_value() == norm_bias.has_value(), "gated_block: norm_weight and norm_bias go together");
  const int64_t channels = x_in.size(1), half = expand_bias.numel() / 2;
  const auto fits = [](const Tensor& t, int64_t count) { return is_float_or_bfloat16(t) && t.numel() == count; };
  const bool norm_fits = !norm_weight.has_value() || (fits(*norm_weight, channels) && fits(*norm_bias, channels));
  STD_TORCH_CHECK(is_float_or_bfloat16(x_in) && norm_fits && fits(expand_weight, 2 * half * channels) &&
                      fits(expand_bias, 2 * half) && fits(depthwise_weight, 18 * half) &&
                      fits(depthwise_bias, 2 * half) && fits(project_weight, half * channels) &&
                      fits(project_bias, channels) && fits(scale, channels),
                  "gated_block: a parameter's shape or dtype does not go with x");
  const Tensor x = dense_planes(x_in);
  STD_TORCH_CHECK(out.scalar_type() == x.scalar_type() && same_planes(x, out) && !overlap(x, out),
                  "gated_block: out needs x's shape, dtype and layout, and memory of its own");
  if (out.numel() == 0) return;
  const Parameters p = fold(norm_weight, norm_bias, expand_weight, expand_bias, depthwise_weight, depthwise_bias,
                            project_weight, project_bias, scale);
  if (is_bfloat16(x)) {
    run<Bfloat16>(x, p, float(eps), true, out, IMGR_KERNELS(gated_block_bf16));
  } else {
    run<float>(x, p, float(eps), narrow, out, IMGR_KERNELS(gated_block_f32));
  }
}

Tensor gated_block(const Tensor& x_in, const std::optional<Tensor>& norm_weight, const std::optional<Tensor>& norm_bias,
                   const Tensor& expand_weight, const Tensor& expand_bias, const Tensor& depthwise_weight,
                   const Tensor& depthwise_bias, const Tensor& project_weight, const Tensor& project_bias,
                   const Tensor& scale, double eps) {
  STD_TORCH_CHECK(x_in.dim() == 4, "gated_block: x needs 4 dimensions");
  const Tensor x = dense_planes(x_in);
  Tensor out = torch::stable::empty_like(x);
  use_large_pages(out);
  gated_block_into(x, norm_weight, norm_bias, expand_weight, expand_bias, depthwise_weight, depthwise_bias,
                   project_weight, project_bias, scale, eps, false, out);
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(imgrestore, CPU, m) {
  m.impl("gated_block", TORCH_BOX(&gated_block));
  m.impl("gated_block_into", TORCH_BOX(&gated_block_into));
}

}  // namespace imgrestore
