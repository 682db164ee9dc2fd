#include <optional>

#include "gated_block.h"
#include "op_support.h"

namespace imgrestore {
namespace {

using torch::stable::Tensor;

void gated_block_into(const Tensor& x_in, const std::optional<Tensor>& norm_weight,
                      const std::optional<Tensor>& norm_bias, const Tensor& expand_weight, const Tensor& expand_bias,
                      const Tensor& depthwise_weight, const Tensor& depthwise_bias, const Tensor& project_weight,
                      const Tensor& project_bias, const Tensor& scale, double eps, bool narrow, Tensor out) {
  STD_TORCH_CHECK(x_in.dim() == 4 && expand_bias.numel() > 1, "gated_block: x needs 4 dimensions, expand some outputs");
  STD_TORCH_CHECK(norm_weight.has_value() == norm_bias.has_value(),
                  "gated_block: norm_weight and norm_bias go together");
  const int64_t channels = x_in.size(1), half = expand_bias.numel() / 2;
  STD_TORCH_CHECK(channels <= kGatedBlockMost, "gated_block: at most 192 channels are supported on a device");
  const auto fits = [](const Tensor& t, int64_t count) { return is_float_or_bfloat16(t) && t.numel() == count; };
  const bool norm_fits = !norm_weight.has_value() || (fits(*norm_weight, channels) && fits(*norm_bias, channels));
  STD_TORCH_CHECK(is_float_or_bfloat16(x_in) && norm_fits && fits(expand_weight, 2 * half * channels) &&
                      fits(expand_bias, 2 * half) && fits(depthwise_weight, 18 * half) &&
                      fits(depthwise_bias, 2 * half) && fits(project_weight, half * channels) &&
                      fits(project_bias, channels) && fits(scale, channels),
                  "gated_block: a parameter's shape or dtype does not go with x");
  STD_TORCH_CHECK(x_in.size(2) < INT32_MAX / 4 && x_in.size(3) < INT32_MAX / 4 && half < INT32_MAX / 32,
                  "gated_block: a side of x or the number of inner channels is too large");
  const Tensor x = dense_planes(x_in);
  STD_TORCH_CHECK(out.scalar_type() == x.scalar_type() && same_planes(x, out) && !overlap(x, out),
                  "gated_block: out needs x's shape, dtype and layout, and memory of its own");
  if (out.numel() == 0) return;
  const OnDevice device(x);
  const Tensor expand = dense_floats(expand_weight), expand_b = dense_floats(expand_bias);
  const Tensor depthwise = dense_floats(depthwise_weight), depthwise_b = dense_floats(depthwise_bias);
  const Tensor project = dense_floats(project_weight), project_b = dense_floats(project_bias);
  const Tensor scales = dense_floats(scale);
  const std::optional<Tensor> norm_w = norm_weight ? std::optional<Tensor>(dense_floats(*norm_weight)) : std::nullopt;
  const std::optional<Tensor> norm_b = norm_bias ? std::optional<Tensor>(dense_floats(*norm_bias)) : std::nullopt;
  const bool paired = narrow || is_bfloat16(x);
  Tensor scratch = torch::stable::new_empty(x, {gated_block_scratch(int(channels), int(half), paired)},
                                            torch::headeronly::ScalarType::Float);
  const GatedBlockWeights weights = {norm_w ? data_of<float>(*norm_w) : nullptr,
                                     norm_b ? data_of<float>(*norm_b) : nullptr,
                                     data_of<float>(expand),
                                     data_of<float>(expand_b),
                                     data_of<float>(depthwise),
                                     data_of<float>(depthwise_b),
                                     data_of<float>(project),
                                     data_of<float>(project_b),
                                     data_of<float>(scales)};
  launch_gated_block({x.const_data_ptr(), out.mutable_data_ptr(), is_bfloat16(x), is_channels_last(x), float(eps),
                      x.size(0), int(x.size(2)), int(x.size(3)), int(channels), int(half)},
                     weights, paired, room_of<float>(scratch), device.stream());
}

Tensor gated_block(const Tensor& x_in, const std::optional<Tensor>& norm_weight, const std::optional<Tensor>& norm_bias,
                   const Tensor& expand_weight, const Tensor& expand_bias, const Tensor& depthwise_weight,
                   const Tensor& depthwise_bias, const Tensor& project_weight, const Tensor& project_bias,
                   const Tensor& scale, double eps) {
  STD_TORCH_CHECK(x_in.dim() == 4, "gated_block: x needs 4 dimensions");
  const Tensor x = dense_planes(x_in);
  Tensor out = torch::stable::empty_like(x);
  gated_block_into(x, norm_weight, norm_bias, expand_weight, expand_bias, depthwise_weight, depthwise_bias,
                   project_weight, project_bias, scale, eps, false, out);
  return out;
}

}  // namespace

IMGR_DEVICE_OPS(m) {
  m.impl("gated_block", TORCH_BOX(&gated_block));
  m.impl("gated_block_into", TORCH_BOX(&gated_block_into));
}

}  // namespace imgrestore
