#include "richardson_lucy.h"

#include <optional>

#include "fft_op.h"

namespace imgrestore {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using Sizes = std::vector<int64_t>;

void copy_three(const Sizes& from, int to[3]) {
  for (int axis = 0; axis < 3; ++axis) to[axis] = int(from[axis]);
}

bool is_dense_float(const Tensor& t) { return is_float(t) && t.is_contiguous(); }

void richardson_lucy_device(const Tensor& observed, std::optional<Tensor> status, const Tensor& levels,
                            std::optional<Tensor> share, std::optional<Tensor> window, const Tensor& kernel, Tensor scene,
                            std::optional<Tensor> previous, std::optional<Tensor> change, Tensor state, Tensor steps,
                            Sizes domain, Sizes centre, Sizes before, Sizes origin, Sizes wrap, bool mirrored, double tv_weight,
                            int64_t begin, int64_t end) {
  const char* const wrong = "richardson_lucy_device: a tensor that is not dense, or not of its dtype or size";
  STD_TORCH_CHECK(observed.dim() == 4 && scene.dim() == 4 && is_dense_float(observed) && is_dense_float(scene), wrong);
  const int64_t pictures = observed.size(0);
  STD_TORCH_CHECK(is_dense_float(levels) && levels.numel() == 5 * pictures && is_dense_float(state) &&
                      state.numel() == 2 * pictures && steps.scalar_type() == ScalarType::Int && steps.numel() == 1,
                  wrong);
  STD_TORCH_CHECK(!status || (status->scalar_type() == ScalarType::Byte && status->is_contiguous() &&
                              status->numel() == observed.numel()),
                  wrong);
  const int64_t places = scene.numel() / pictures;
  STD_TORCH_CHECK(
      !share || (is_dense_float(*share) && (share->numel() == places || share->numel() == scene.numel())), wrong);
  STD_TORCH_CHECK(is_dense_float(kernel) && kernel.dim() == 3, wrong);
  STD_TORCH_CHECK(bool(previous) == bool(change), wrong);
  for (const auto* extra : {&previous, &change}) {
    STD_TORCH_CHECK(!*extra || (is_dense_float(**extra) && (*extra)->numel() == scene.numel()), wrong);
  }
  STD_TORCH_CHECK(!window || (is_dense_float(*window) &&
                              window->numel() == observed.size(1) + observed.size(2) + observed.size(3)),
                  wrong);
  const OnDevice device(observed);
  FftTables tables;
  STD_TORCH_CHECK(tables.plan(observed, pictures, domain[0], domain[1], domain[2], device.stream()),
                  "richardson_lucy_device: a size that the kernels do not cover");

  RichardsonLucy r = {};
  r.fft = tables.fft;
  for (int axis = 0; axis < 3; ++axis) {
    r.frame[axis] = int(observed.size(axis + 1));
    r.scene_size[axis] = int(scene.size(axis + 1));
  }
  copy_three(before, r.before);
  copy_three(origin, r.origin);
  copy_three(wrap, r.wrap);
  r.mirrored = mirrored;
  r.observed = data_of<float>(observed);
  r.status = status ? data_of<uint8_t>(*status) : nullptr;
  r.levels = data_of<RichardsonLucyLevels>(levels);
  r.share = share ? data_of<float>(*share) : nullptr;
  r.share_each = share && share->numel() == scene.numel() && pictures > 1;
  r.window = window ? data_of<float>(*window) : nullptr;
  Tensor otf = tables.spectrum(observed, true);
  r.otf = data_of<float2>(otf);
  r.scene = room_of<float>(scene);
  r.previous = previous ? room_of<float>(*previous) : nullptr;
  r.change = change ? room_of<float>(*change) : nullptr;
  r.state = room_of<RichardsonLucyState>(state);
  r.steps = room_of<int>(steps);
  r.tv_weight = float(tv_weight);
  Tensor spectrum = tables.spectrum(observed);
  r.spectrum = room_of<float2>(spectrum);
  std::optional<Tensor> damped, unfolded;
  if (tv_weight > 0) {
    damped = torch::stable::empty_like(scene);
    r.damped = room_of<float>(*damped);
  }
  if (mirrored) {
    unfolded = torch::stable::new_empty(observed, {pictures, domain[0], domain[1], domain[2]});
    r.unfolded = room_of<float>(*unfolded);
  }
  Tensor sums = torch::stable::new_empty(observed, {2 * richardson_lucy_sums(r)}, ScalarType::Double);
  r.sums = room_of<double>(sums);
  int size[3], at[3];
  copy_three({kernel.size(0), kernel.size(1), kernel.size(2)}, size);
  copy_three(centre, at);
  FftPictures one = tables.fft;
  one.shape.pictures = 1;
  launch_richardson_lucy_otf(one, data_of<float>(kernel), size, at, room_of<float2>(otf), device.stream());
  launch_richardson_lucy(r, begin, end, device.stream());
}

}  // namespace

IMGR_DEVICE_OPS(m) { m.impl("richardson_lucy_device", TORCH_BOX(&richardson_lucy_device)); }

}  // namespace imgrestore
