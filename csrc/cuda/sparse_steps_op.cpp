#include "sparse_steps.h"

#include <initializer_list>
#include <optional>

#include "fft_op.h"

namespace imgrestore {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

void check(const Tensor& tensor, ScalarType type, std::initializer_list<int64_t> sizes) {
  STD_TORCH_CHECK(tensor.scalar_type() == type, "sparse_steps: a tensor of the wrong dtype");
  STD_TORCH_CHECK(tensor.dim() == int64_t(sizes.size()), "sparse_steps: a tensor of the wrong dimension");
  for (int64_t d = 0; d < tensor.dim(); ++d) {
    STD_TORCH_CHECK(tensor.size(d) == sizes.begin()[d], "sparse_steps: tensors whose sizes do not go together");
  }
  STD_TORCH_CHECK(tensor.is_contiguous(), "sparse_steps: a tensor that is not contiguous");
}

// As on the CPU, but that work is like dual_gradient, and has the newest of it after an odd number of steps.
void sparse_steps(Tensor scene, Tensor blurred, Tensor dual_gradient, Tensor dual_data,
                  std::optional<Tensor> dual_bound, std::optional<Tensor> known, Tensor work, const Tensor& observed,
                  const Tensor& otf, const Tensor& levels, int64_t top, int64_t left, int64_t first, int64_t steps,
                  int64_t reweigh_every, bool hyper_laplacian, bool dark_outside, double data_penalty,
                  double bound_penalty, double stiffness, double chroma_weight) {
  STD_TORCH_CHECK(scene.dim() == 4 && observed.dim() == 4 && otf.dim() == 3, "sparse_steps: wrong dimensions");
  const int64_t n = scene.size(0), c = scene.size(1), h = scene.size(2), w = scene.size(3);
  const int64_t rows = observed.size(2), columns = observed.size(3);
  const int64_t pitch = (w + 15) / 16 * 16, frame_pitch = (columns + 15) / 16 * 16;
  STD_TORCH_CHECK(c == 1 || c == 3, "sparse_steps: 1 or 3 channels are expected");
  STD_TORCH_CHECK(top >= 0 && left >= 0 && rows >= 1 && columns >= 1 && top + rows <= h && left + columns <= w,
                  "sparse_steps: the frame is not inside the domain");
  STD_TORCH_CHECK(first >= 0 && steps >= 0 && reweigh_every >= 0, "sparse_steps: a count below 0");
  STD_TORCH_CHECK(!reweigh_every || known.has_value(), "sparse_steps: no weights to change");
  const ScalarType real = ScalarType::Float;
  check(scene, real, {n, c, h, w});
  check(blurred, real, {n, c, h, w});
  check(dual_gradient, real, {n, c, 2, h, pitch});
  check(work, real, {n, c, 2, h, pitch});
  check(dual_data, real, {n, c, rows, frame_pitch});
  STD_TORCH_CHECK(is_float(observed) && observed.size(0) == n && observed.size(1) == c &&
                      (columns == 1 || observed.stride(3) == 1),
                  "sparse_steps: observed must be float32, go with the scene, and have dense rows");
  check(levels, ScalarType::Double, {n, kSparseLevels});
  check(otf, ScalarType::ComplexFloat, {otf.size(0), h, w / 2 + 1});
  STD_TORCH_CHECK(otf.size(0) == 1 || otf.size(0) == n, "sparse_steps: otf must be one, or one for each picture");
  if (dual_bound) check(*dual_bound, real, {n, c, h, pitch});
  if (known) check(*known, real, {n, c, rows, frame_pitch});
  if (!n || !steps) return;

  const OnDevice device(scene);
  FftTables tables;
  STD_TORCH_CHECK(tables.plan(scene, 2 * n * c, 1, h, w, device.stream()),
                  "sparse_steps: a size that the kernels do not cover");
  const auto room = [&](int64_t count) { return torch::stable::new_empty(scene, {count}, real); };
  Tensor planes = room(2 * n * c * h * w), spectra = tables.spectrum(scene);
  Tensor steepness = room(sparse_steepness_size(int(h), int(w)));
  SparsePoints p = {};
  p.pictures = n;
  p.channels = int(c), p.height = int(h), p.width = int(w);
  p.top = int(top), p.left = int(left), p.rows = int(rows), p.columns = int(columns);
  p.next_dual_gradient = room_of<float>(work);
  p.dual_data = room_of<float>(dual_data);
  p.dual_bound = dual_bound ? room_of<float>(*dual_bound) : nullptr;
  p.known = known ? room_of<float>(*known) : nullptr;
  p.observed = data_of<float>(observed);
  p.observed_picture = observed.stride(0), p.observed_plane = observed.stride(1), p.observed_row = observed.stride(2);
  p.pitch = int(pitch), p.frame_pitch = int(frame_pitch);
  p.levels = data_of<double>(levels);
  p.data_penalty = data_penalty, p.bound_penalty = bound_penalty;
  p.stiffness = stiffness, p.chroma_weight = chroma_weight;
  p.hyper_laplacian = hyper_laplacian, p.dark_outside = dark_outside;
  launch_sparse_steps({p, room_of<float>(dual_gradient), tables.fft, room_of<float>(scene), room_of<float>(blurred),
                       data_of<float2>(otf), otf.size(0) == 1 ? 0 : h * (w / 2 + 1), room_of<float>(planes),
                       room_of<float>(steepness), room_of<float2>(spectra)},
                      first, steps, reweigh_every, device.stream());
}

}  // namespace

IMGR_DEVICE_OPS(m) { m.impl("sparse_steps", TORCH_BOX(&sparse_steps)); }

}  // namespace imgrestore
