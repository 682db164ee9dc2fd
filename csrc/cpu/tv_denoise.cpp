#include "tv_denoise.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <tuple>
#include <vector>

#include "../math/tv_denoise.h"
#include "large_pages.h"
#include "scratch.h"

namespace imgrestore {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

constexpr int64_t kCheck = 8;  // iterations from one look at the stopping rule to the next
constexpr int64_t kWorthwhile = 65536;  // updates of a pixel that pay for waking a thread

// What all pictures of a call have in common.
struct Settings {
  int64_t size[3], channels, pixels, parts;
  int ndim;
  bool accelerate;
  double weight, tol, first_energy;
  int64_t done, count;
};

// What became of one picture, as the columns of the op's last result.
struct Outcome {
  double updates = 0, first_energy = 0, stopped = 0;
};

// Tiles depend on the picture alone, never on the threads, and so does the order in which energies are added. Their sizes
// keep what is in flight within the second cache.
std::vector<TvTile> tiles(const Settings& s) {
  const auto limit = [](int64_t n, int64_t low, int64_t high) { return std::min(std::max(n, low), high); };
  const bool flat = s.ndim == 2;
  const int64_t step[3] = {flat ? limit((s.size[0] + 7) / 8, 64, 128) : 32, flat ? 1 : 32,
                           limit((flat ? 1024 : 256) / s.channels / 64 * 64, 128, 1024)};
  std::vector<TvTile> all;
  TvTile t;
  for (t.begin[0] = 0; t.begin[0] < s.size[0]; t.begin[0] = t.end[0]) {
    t.end[0] = std::min(t.begin[0] + step[0], s.size[0]);
    for (t.begin[1] = 0; t.begin[1] < s.size[1]; t.begin[1] = t.end[1]) {
      t.end[1] = std::min(t.begin[1] + step[1], s.size[1]);
      for (t.begin[2] = 0; t.begin[2] < s.size[2]; t.begin[2] = t.end[2]) {
        // a last strip of less than half the width would be mostly rim
        const bool rest = s.size[2] - t.begin[2] < step[2] + step[2] / 2;
        t.end[2] = rest ? s.size[2] : t.begin[2] + step[2];
        all.push_back(t);
      }
    }
  }
  return all;
}

class Run {
 public:
  Run(const Settings& s, const TvDenoiseKernels<float>& kernels, const std::vector<TvTile>& tiles, bool threads)
      : s_(s), kernels_(kernels), tiles_(tiles), threads_(threads), energies_(tiles.size()) {}

  // From dual (null: zero) to the picture and, unless it is null, to kept.
  Outcome operator()(const float* image, const float* dual, float* picture, float* kept) {
    const size_t bytes = sizeof(float) * s_.parts * s_.channels * s_.pixels;
    const Scratch first(bytes), second(kept ? 64 : bytes);
    float* const buffers[2] = {first.as<float>(), kept ? kept : second.as<float>()};
    const int64_t most = s_.ndim == 2 ? 8 : 4;
    const int64_t sweeps = (s_.count + most - 1) / most;
    TvSweep<float> w = {};
    w.image = image;
    w.dual = dual;
    std::copy(s_.size, s_.size + 3, w.size);
    w.channels = s_.channels;
    w.ndim = s_.ndim;
    w.accelerate = s_.accelerate;
    w.weight = float(s_.weight);
    w.tau = float(tv_step(s_.ndim, s_.accelerate));
    double t = 1;
    for (int64_t i = 0; i < s_.done; ++i) t = tv_next_t(t);
    Outcome outcome;
    outcome.first_energy = s_.first_energy;
    int64_t updates = 0;
    for (int64_t i = 0; i < sweeps && !outcome.stopped; ++i) {
      w.levels = int(std::min(most, s_.count - updates));
      for (int level = 0; level < w.levels; ++level) {
        const double next = tv_next_t(t);
        w.momentum[level] = float((t - 1) / next);
        t = next;
      }
      w.next = buffers[(sweeps - 1 - i) % 2 == 0 ? 1 : 0];  // the last one is to end in buffers[1]
      const bool start = s_.done + updates == 0;
      updates += w.levels;
      const bool check = s_.tol > 0 && (s_.done + updates) % kCheck == 0 && w.levels >= 2;
      w.measure = s_.tol > 0 && start ? 1 : 0;
      if (check) w.measure |= 3 << (w.levels - 2);
      sweep(w);
      if (w.measure & 1 && start) outcome.first_energy = energy(w, 0);
      if (check) {
        const double change = std::fabs(energy(w, w.levels - 1) - energy(w, w.levels - 2));
        outcome.stopped = change < s_.tol * outcome.first_energy;
      }
      w.dual = w.next;
    }
    if (kept && w.dual != kept) std::memcpy(kept, w.dual ? w.dual : first.as<float>(), bytes);
    write_picture(w, picture);
    outcome.updates = double(updates);
    return outcome;
  }

 private:
  template <class F>
  void each(int64_t n, int64_t work, const F& body) {
    const bool worthwhile = threads_ && n * work >= 2 * kWorthwhile;
    torch::stable::parallel_for(0, n, worthwhile ? std::max<int64_t>(1, kWorthwhile / work) : INT64_MAX,
                                [&](int64_t begin, int64_t end) { body(begin, end); });
  }

  void sweep(const TvSweep<float>& w) {
    const int64_t n = tiles_.size();
    each(n, s_.pixels * s_.channels * w.levels / n + 1, [&](int64_t begin, int64_t end) {
      int64_t size = 0;
      for (int64_t i = begin; i < end; ++i) size = std::max(size, kernels_.scratch_size(w, tiles_[i]));
      const Scratch scratch(sizeof(float) * size);
      for (int64_t i = begin; i < end; ++i) kernels_.tile(w, tiles_[i], scratch.as<float>(), &energies_[i]);
    });
  }

  double energy(const TvSweep<float>& w, int level) const {
    double distance = 0, variation = 0;
    for (const TvEnergy& e : energies_) distance += e.distance[level], variation += e.variation[level];
    return distance + s_.weight / double(w.tau) * variation;
  }

  void write_picture(TvSweep<float> w, float* picture) {
    if (!w.dual) {
      std::memcpy(picture, w.image, sizeof(float) * s_.channels * s_.pixels);
      return;
    }
    if (s_.accelerate) w.dual += s_.ndim * s_.channels * s_.pixels;
    each(s_.size[0] * s_.size[1], 2 * s_.size[2] * s_.channels,
         [&](int64_t begin, int64_t end) { kernels_.picture(w, begin, end, picture); });
  }

  const Settings& s_;
  const TvDenoiseKernels<float>& kernels_;
  const std::vector<TvTile>& tiles_;
  const bool threads_;
  std::vector<TvEnergy> energies_;
};

Settings settings(const Tensor& image, const std::optional<Tensor>& dual, int64_t ndim, double weight, bool accelerate) {
  STD_TORCH_CHECK(ndim == 2 || ndim == 3, "tv_denoise: ndim must be 2 or 3");
  STD_TORCH_CHECK(image.dim() == ndim + 2, "tv_denoise: image must be (pictures, channels, then ndim axes)");
  STD_TORCH_CHECK(image.scalar_type() == ScalarType::Float, "tv_denoise: image must be float32");
  STD_TORCH_CHECK(image.numel() > 0, "tv_denoise: image must not be empty");
  STD_TORCH_CHECK(weight > 0, "tv_denoise: weight must be positive");
  Settings s = {};
  s.ndim = int(ndim);
  s.size[0] = image.size(2);
  s.size[1] = ndim == 3 ? image.size(3) : 1;
  s.size[2] = image.size(ndim + 1);
  s.channels = image.size(1);
  s.pixels = s.size[0] * s.size[1] * s.size[2];
  s.parts = ndim * (accelerate ? 2 : 1);
  s.accelerate = accelerate;
  s.weight = weight;
  if (dual) {
    STD_TORCH_CHECK(dual->scalar_type() == ScalarType::Float && dual->dim() == ndim + 3 &&
                        dual->size(0) == image.size(0) && dual->size(1) == s.parts &&
                        dual->numel() == s.parts * image.numel(),
                    "tv_denoise: dual must be float32 (pictures, parts, channels, then ndim axes)");
  }
  return s;
}

std::tuple<Tensor, Tensor, Tensor> tv_denoise(const Tensor& image_in, const std::optional<Tensor>& dual_in, double weight,
                                              int64_t ndim, bool accelerate, int64_t done, int64_t count, double tol,
                                              double first_energy, bool keep) {
  Settings s = settings(image_in, dual_in, ndim, weight, accelerate);
  STD_TORCH_CHECK(done >= 0 && count >= 0, "tv_denoise: done and count must not be negative");
  s.done = done;
  s.count = count;
  s.tol = tol;
  s.first_energy = first_energy;
  const Tensor image = torch::stable::contiguous(image_in);
  std::optional<Tensor> dual;
  if (dual_in) dual = torch::stable::contiguous(*dual_in);
  const int64_t pictures = image.size(0), plane = s.channels * s.pixels;
  std::vector<int64_t> shape = {keep ? pictures : 0, s.parts};
  for (int64_t d = 1; d < image.dim(); ++d) shape.push_back(image.size(d));
  Tensor picture = torch::stable::empty_like(image);
  Tensor kept = torch::stable::new_empty(image, shape);
  use_large_pages(picture.const_data_ptr(), sizeof(float) * picture.numel());
  use_large_pages(kept.const_data_ptr(), sizeof(float) * kept.numel());
  Tensor outcomes = torch::stable::new_empty(image, {pictures, 3}, ScalarType::Double);
  const float* from = static_cast<const float*>(image.const_data_ptr());
  const float* old = dual ? static_cast<const float*>(dual->const_data_ptr()) : nullptr;
  float* to = static_cast<float*>(picture.mutable_data_ptr());
  float* state = static_cast<float*>(kept.mutable_data_ptr());
  double* rows = static_cast<double*>(outcomes.mutable_data_ptr());
  const auto& kernels = IMGR_KERNELS(tv_denoise_f32);
  const std::vector<TvTile> all = tiles(s);
  // Whole pictures to threads where there are plenty, else the tiles of one after the other.
  const bool plenty = pictures >= 4 * torch::stable::get_num_threads();
  const auto run = [&](int64_t begin, int64_t end) {
    Run one(s, kernels, all, !plenty);
    for (int64_t i = begin; i < end; ++i) {
      const Outcome o = one(from + i * plane, old ? old + i * s.parts * plane : nullptr, to + i * plane,
                            keep ? state + i * s.parts * plane : nullptr);
      rows[3 * i] = o.updates, rows[3 * i + 1] = o.first_energy, rows[3 * i + 2] = o.stopped;
    }
  };
  if (plenty) {
    torch::stable::parallel_for(0, pictures, kWorthwhile / (plane * (count + 1)) + 1, run);
  } else {
    run(0, pictures);
  }
  return {picture, kept, outcomes};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(imgrestore, CPU, m) { m.impl("tv_denoise", TORCH_BOX(&tv_denoise)); }

}  // namespace imgrestore
