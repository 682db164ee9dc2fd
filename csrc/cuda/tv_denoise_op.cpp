#include "tv_denoise.h"

#include <optional>
#include <tuple>
#include <vector>

#include "op_support.h"

namespace imgrestore {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

TvShape shape_of(const Tensor& image, const std::optional<Tensor>& dual, int64_t ndim, bool accelerate) {
  STD_TORCH_CHECK(ndim == 2 || ndim == 3, "tv_denoise: ndim must be 2 or 3");
  STD_TORCH_CHECK(image.dim() == ndim + 2, "tv_denoise: image must be (pictures, channels, then ndim axes)");
  STD_TORCH_CHECK(is_float(image), "tv_denoise: image must be float32");
  STD_TORCH_CHECK(image.numel() > 0, "tv_denoise: image must not be empty");
  const int64_t middle = ndim == 3 ? image.size(3) : 1, last = image.size(ndim + 1);
  TvShape s = {image.size(0), {int(image.size(2)), int(middle), int(last)}, int(image.size(1)), int(ndim), accelerate};
  const int64_t rows = image.size(2) * middle, most = (int64_t(1) << 31) - 1;
  // A block takes 4 x 32 pixels at least; grids, rows, and the columns of up to eight rows are counted in int.
  STD_TORCH_CHECK(image.size(1) <= most && last < most / 8 && rows < most - 64 &&
                      image.size(0) * blocks_for(last, 32) * blocks_for(rows, 4) <= most,
                  "tv_denoise: image is too large");
  if (dual) {
    STD_TORCH_CHECK(is_float(*dual) && dual->dim() == ndim + 3 && dual->size(0) == image.size(0) &&
                        dual->size(1) == s.parts() && dual->numel() == s.parts() * image.numel(),
                    "tv_denoise: dual must be float32 (pictures, parts, channels, then ndim axes)");
  }
  return s;
}

std::tuple<Tensor, Tensor, Tensor> tv_denoise(const Tensor& image_in, const std::optional<Tensor>& dual_in,
                                              double weight, int64_t ndim, bool accelerate, int64_t done, int64_t count,
                                              double tol, double first_energy, bool keep) {
  TvRun run = {};
  run.shape = shape_of(image_in, dual_in, ndim, accelerate);
  STD_TORCH_CHECK(weight > 0, "tv_denoise: weight must be positive");
  STD_TORCH_CHECK(done >= 0 && count >= 0, "tv_denoise: done and count must not be negative");
  const Tensor image = torch::stable::contiguous(image_in);
  std::optional<Tensor> dual;
  if (dual_in) dual = torch::stable::contiguous(*dual_in);
  const int64_t pictures = image.size(0), passes = tv_passes(run.shape, done, count);
  const auto duals = [&](bool wanted) {
    std::vector<int64_t> shape = {wanted ? pictures : 0, run.shape.parts()};
    for (int64_t d = 1; d < image.dim(); ++d) shape.push_back(image.size(d));
    return torch::stable::new_empty(image, shape);
  };
  Tensor picture = torch::stable::empty_like(image), kept = duals(keep);
  Tensor first = duals(passes >= 2), second = duals(!keep && passes);
  Tensor outcome = torch::stable::new_empty(image, {pictures, 3}, ScalarType::Double);
  Tensor energies = torch::stable::new_empty(image, {tol > 0 ? tv_energies(run.shape) : 0}, ScalarType::Double);
  Tensor where = torch::stable::new_empty(image, {pictures}, ScalarType::Int);
  run.image = data_of<float>(image);
  run.dual = dual ? data_of<float>(*dual) : nullptr;
  run.buffers[0] = room_of<float>(first);
  run.buffers[1] = room_of<float>(keep ? kept : second);
  run.picture = room_of<float>(picture);
  run.keep = keep;
  run.outcome = room_of<double>(outcome);
  run.energies = room_of<double>(energies);
  run.where = room_of<int>(where);
  run.weight = weight;
  run.tol = tol;
  run.first_energy = first_energy;
  run.done = done;
  run.count = count;
  const OnDevice device(image);
  launch_tv_denoise(run, device.stream());
  return {picture, kept, outcome};
}

}  // namespace

IMGR_DEVICE_OPS(m) { m.impl("tv_denoise", TORCH_BOX(&tv_denoise)); }

}  // namespace imgrestore
