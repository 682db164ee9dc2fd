#include "richardson_lucy.h"

#include <optional>

#include "fft_op.h"
#include "fft_pixels.h"

namespace imgrestore {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using Sizes = std::vector<int64_t>;

void copy_three(const Sizes& from, int to[3]) {
  for (int axis = 0; axis < 3; ++axis) to[axis] = int(from[axis]);
}

bool is_dense_float(const Tensor& t) { return is_float(t) && t.is_contiguous(); }

// What an iteration needs besides the caller's tensors, tables of twiddles among them, kept until the launches are made.
class Room {
 public:
  Room(const Tensor& like, Stream stream) : like_(like), stream_(stream) {}

  // Tables of twiddles, and spectra or tiles.
  void transforms(RichardsonLucyPlan& plan, RichardsonLucy& r, const float* kernel, const int size[3], const int centre[3]) {
    if (plan.tiled) {
      tiles(plan.blur, kernel, false);
      tiles(plan.adjoint, kernel, true);
      r.quotient = floats(int64_t(r.domain.pictures) * r.frame[1] * r.frame[2]);
      return;
    }
    FftTables tables;
    tables.plan(like_, r.domain.pictures, r.domain.depth, r.domain.height, r.domain.width, stream_);
    for (const Tensor& table : {tables.along, tables.down, tables.deep}) held_.push_back(table);
    plan.fft = tables.fft;
    FftPictures one = tables.fft;
    one.shape.pictures = 1;
    float2* const otf = pairs(r.domain.picture_size());
    launch_fft_kernels("richardson_lucy kernel", one, kernel, size, centre, otf, stream_);
    r.otf = otf;
    r.spectrum = pairs(r.domain.pictures * r.domain.picture_size());
    if (r.mirrored) r.unfolded = floats(int64_t(r.domain.pictures) * r.domain.depth * r.domain.height * r.domain.width);
  }
  float* floats(int64_t count) { return static_cast<float*>(take(count, ScalarType::Float)); }
  double* doubles(int64_t count) { return static_cast<double*>(take(count, ScalarType::Double)); }

 private:
  void tiles(OverlapSave& plan, const float* kernel, bool turned) {
    plan.along.twiddles = twiddles(plan.tile_width());
    plan.down_plan.twiddles = twiddles(plan.tile_height());
    float2* const response = pairs(int64_t(plan.tile_height()) << plan.log_width);
    launch_overlap_save_response(plan, kernel, 1, turned, response, stream_);
    plan.response = response;
  }
  const float2* twiddles(int64_t n) {
    held_.push_back(twiddles_for(like_, n, stream_));
    return data_of<float2>(held_.back());
  }
  float2* pairs(int64_t count) { return reinterpret_cast<float2*>(floats(2 * count)); }
  void* take(int64_t count, ScalarType dtype) {
    held_.push_back(torch::stable::new_empty(like_, {count}, dtype));
    return held_.back().mutable_data_ptr();
  }

  const Tensor& like_;
  Stream stream_;
  std::vector<Tensor> held_;
};

void richardson_lucy_device(const Tensor& observed, std::optional<Tensor> status, const Tensor& levels,
                            std::optional<Tensor> share, std::optional<Tensor> window, const Tensor& kernel, Tensor scene,
                            std::optional<Tensor> previous, std::optional<Tensor> change, Tensor state, Tensor steps,
                            Sizes domain, Sizes centre, Sizes before, Sizes origin, Sizes wrap, bool mirrored, bool periodic,
                            double tv_weight, int64_t begin, int64_t end) {
  const char* const wrong = "richardson_lucy_device: a tensor that is not dense, or not of its dtype or size";
  STD_TORCH_CHECK(observed.dim() == 4 && scene.dim() == 4 && is_dense_float(observed) && is_dense_float(scene), wrong);
  STD_TORCH_CHECK(is_dense_float(kernel) && kernel.dim() == 3, wrong);
  const int64_t pictures = observed.size(0), places = scene.numel() / pictures;
  const int64_t lines = observed.size(1) + observed.size(2) + observed.size(3);
  const auto is_of = [](const std::optional<Tensor>& t, int64_t count) {
    return !t || (is_dense_float(*t) && t->numel() == count);
  };
  STD_TORCH_CHECK(is_of(levels, 5 * pictures) && is_of(state, 2 * pictures) && is_of(window, lines), wrong);
  STD_TORCH_CHECK(steps.scalar_type() == ScalarType::Int && steps.numel() == 1, wrong);
  STD_TORCH_CHECK(!status || (status->scalar_type() == ScalarType::Byte && status->is_contiguous() &&
                              status->numel() == observed.numel()),
                  wrong);
  STD_TORCH_CHECK(is_of(share, places) || is_of(share, scene.numel()), wrong);
  STD_TORCH_CHECK(bool(previous) == bool(change) && is_of(previous, scene.numel()) && is_of(change, scene.numel()), wrong);

  RichardsonLucy r = {};
  int inside[3], size[3], at[3];
  for (int axis = 0; axis < 3; ++axis) {
    r.frame[axis] = int(observed.size(axis + 1));
    r.scene_size[axis] = int(scene.size(axis + 1));
    size[axis] = int(kernel.size(axis));
  }
  copy_three(domain, inside);
  copy_three(centre, at);
  copy_three(before, r.before);
  copy_three(origin, r.origin);
  copy_three(wrap, r.wrap);
  r.mirrored = mirrored;
  const OnDevice device(observed);  // before the plan, which asks for this device's limits
  RichardsonLucyPlan plan;
  STD_TORCH_CHECK(richardson_lucy_plan(&r, int(pictures), inside, size, at, periodic, &plan),
                  "richardson_lucy_device: a size that the kernels do not cover");
  r.observed = data_of<float>(observed);
  r.status = status ? data_of<uint8_t>(*status) : nullptr;
  r.levels = data_of<RichardsonLucyLevels>(levels);
  r.share = share ? data_of<float>(*share) : nullptr;
  r.share_each = share && share->numel() == scene.numel() && pictures > 1;
  r.window = window ? data_of<float>(*window) : nullptr;
  r.scene = room_of<float>(scene);
  r.previous = previous ? room_of<float>(*previous) : nullptr;
  r.change = change ? room_of<float>(*change) : nullptr;
  r.state = room_of<RichardsonLucyState>(state);
  r.steps = room_of<int>(steps);
  r.tv_weight = float(tv_weight);
  Room room(observed, device.stream());
  room.transforms(plan, r, data_of<float>(kernel), size, at);
  if (tv_weight > 0) r.damped = room.floats(scene.numel());
  r.sums = room.doubles(2 * richardson_lucy_sums(plan, r));
  launch_richardson_lucy(plan, r, begin, end, device.stream());
}

}  // namespace

IMGR_DEVICE_OPS(m) { m.impl("richardson_lucy_device", TORCH_BOX(&richardson_lucy_device)); }

}  // namespace imgrestore
