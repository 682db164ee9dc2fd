#include "sparse_steps.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <optional>
#include <vector>

#include "fft_plan_cache.h"
#include "scratch.h"

namespace imgrestore {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::parallel_for;
using torch::stable::Tensor;

// Below this many values of a picture threads cost more than they save.
constexpr int64_t kWorthwhile = 32768;

void check(const Tensor& tensor, ScalarType type, std::initializer_list<int64_t> sizes) {
  STD_TORCH_CHECK(tensor.scalar_type() == type, "sparse_steps: a tensor of the wrong dtype");
  STD_TORCH_CHECK(tensor.dim() == int64_t(sizes.size()), "sparse_steps: a tensor of the wrong dimension");
  int64_t stride = 1;
  for (int64_t d = tensor.dim() - 1; d >= 0; --d) {
    STD_TORCH_CHECK(tensor.size(d) == sizes.begin()[d], "sparse_steps: tensors whose sizes do not go together");
    STD_TORCH_CHECK(tensor.size(d) == 1 || tensor.stride(d) == stride, "sparse_steps: a tensor that is not contiguous");
    stride *= tensor.size(d);
  }
}

float* data_of(const Tensor& tensor) { return static_cast<float*>(tensor.mutable_data_ptr()); }

// Chunks of rows with their memory.
struct Chunks {
  std::vector<SparseChunk> chunk;
  std::vector<std::unique_ptr<Scratch>> memory;

  Chunks(const SparseSteps& p, int lanes, int64_t count) {
    const int64_t blocks = (p.height + lanes - 1) / lanes, size = sparse_steps_memory_size(p.channels, p.width, lanes);
    count = std::min(count, blocks);
    for (int64_t t = 0; t < count; ++t) {
      memory.push_back(std::make_unique<Scratch>(size * sizeof(float)));
      float* floats = memory.back()->as<float>();
      std::fill(floats, floats + size, 0.0f);
      chunk.push_back({blocks * t / count * lanes, std::min(p.height, blocks * (t + 1) / count * lanes), floats});
    }
  }
};

struct Steps {
  int64_t first, count, reweigh_every;
  const SparseStepsKernels& kernels;
};

void run_picture(SparseSteps p, const Steps& steps, int64_t threads) {
  const SparseStepsKernels& k = steps.kernels;
  const Scratch response(sizeof(float) * sparse_steps_response_size(p.height, p.width, k.lanes));
  const Chunks chunks(p, k.lanes, threads);
  p.response = response.as<float>();
  p.chunk = chunks.chunk.data();
  p.chunks = int(chunks.chunk.size());
  const auto each_chunk = [&](void (*work)(const SparseSteps&, int)) {
    parallel_for(0, p.chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) work(p, int(t));
    });
  };
  const auto each_block = [&](void (*work)(const SparseSteps&, int64_t)) {
    parallel_for(0, sparse_steps_blocks(p.width, k.lanes), threads > 1 ? 1 : INT64_MAX, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) work(p, b);
    });
  };
  each_block(k.respond);
  for (int64_t step = steps.first; step < steps.first + steps.count; ++step) {
    p.from_planes = step == steps.first;
    p.reweigh = steps.reweigh_every && step && step % steps.reweigh_every == 0;
    each_chunk(k.enter);
    each_chunk(k.rows);
    each_block(k.columns);
  }
  p.from_planes = false;
  each_chunk(k.leave);
}

// levels: a row for each picture of penalty, tie, 3 lower bounds, 3 levels of outliers.
constexpr int64_t kLevels = 8;

void sparse_steps(const Tensor scene, const Tensor blurred, const Tensor dual_gradient, const Tensor dual_data,
                  const std::optional<Tensor> dual_bound, const std::optional<Tensor> known, const Tensor work,
                  const Tensor observed, const Tensor otf, const Tensor levels, int64_t top, int64_t left, int64_t first,
                  int64_t steps, int64_t reweigh_every, bool hyper_laplacian, bool dark_outside, double data_penalty,
                  double bound_penalty, double stiffness, double chroma_weight) {
  STD_TORCH_CHECK(scene.dim() == 4 && observed.dim() == 4 && otf.dim() == 3, "sparse_steps: wrong dimensions");
  const int64_t n = scene.size(0), c = scene.size(1), h = scene.size(2), w = scene.size(3);
  const int64_t rows = observed.size(2), columns = observed.size(3);
  const int64_t pitch = (w + 15) / 16 * 16, frame_pitch = (columns + 15) / 16 * 16;
  STD_TORCH_CHECK(c == 1 || c == 3, "sparse_steps: 1 or 3 channels are expected");
  STD_TORCH_CHECK(fft_supported(h) && fft_supported(w), "sparse_steps: sizes must be of the form 2^a 3^b 5^c");
  STD_TORCH_CHECK(top >= 0 && left >= 0 && rows >= 1 && columns >= 1 && top + rows <= h && left + columns <= w,
                  "sparse_steps: the frame is not inside the domain");
  STD_TORCH_CHECK(first >= 0 && steps >= 0 && reweigh_every >= 0, "sparse_steps: a count below 0");
  STD_TORCH_CHECK(!reweigh_every || known.has_value(), "sparse_steps: no weights to change");
  const ScalarType real = ScalarType::Float;
  check(scene, real, {n, c, h, w});
  check(blurred, real, {n, c, h, w});
  check(dual_gradient, real, {n, c, 2, h, pitch});
  check(dual_data, real, {n, c, rows, frame_pitch});
  STD_TORCH_CHECK(observed.scalar_type() == real && observed.size(0) == n && observed.size(1) == c &&
                      (columns == 1 || observed.stride(3) == 1),
                  "sparse_steps: observed must be float32, go with the scene, and have dense rows");
  check(levels, ScalarType::Double, {n, kLevels});
  check(otf, ScalarType::ComplexFloat, {otf.size(0), h, w / 2 + 1});
  STD_TORCH_CHECK(otf.size(0) == 1 || otf.size(0) == n, "sparse_steps: otf must be one, or one for each picture");
  if (dual_bound) check(*dual_bound, real, {n, c, h, pitch});
  if (known) check(*known, real, {n, c, rows, frame_pitch});
  const SparseStepsKernels& kernels = IMGR_KERNELS(sparse_steps_f32);
  const int64_t spectrum_size = sparse_steps_spectrum_size(int(c), h, w, kernels.lanes);
  check(work, real, {work.numel()});
  STD_TORCH_CHECK(work.numel() >= spectrum_size, "sparse_steps: too little working memory");
  if (!n || !steps) return;

  const auto along_rows = fft_plan<float>(w), along_columns = fft_plan<float>(h);
  const double threshold = 1 / stiffness, power = 2.0 / 3.0, still = 2 * threshold * (1 - power);
  const double foot = pow(still, 1 / (2 - power));
  const auto picture = [&](int64_t i, float* spectrum) {
    const double* level = static_cast<const double*>(levels.const_data_ptr()) + i * kLevels;
    SparseSteps p = {};
    p.channels = int(c);
    p.height = h, p.width = w, p.pitch = pitch;
    p.top = top, p.left = left, p.rows = rows, p.columns = columns, p.frame_pitch = frame_pitch;
    p.scene = data_of(scene) + i * c * h * w;
    p.blurred = data_of(blurred) + i * c * h * w;
    p.dual_gradient = data_of(dual_gradient) + i * c * 2 * h * pitch;
    p.dual_data = data_of(dual_data) + i * c * rows * frame_pitch;
    p.dual_bound = dual_bound ? data_of(*dual_bound) + i * c * h * pitch : nullptr;
    p.known = known ? data_of(*known) + i * c * rows * frame_pitch : nullptr;
    p.observed = static_cast<const float*>(observed.const_data_ptr()) + i * observed.stride(0);
    p.observed_plane = observed.stride(1), p.observed_row = observed.stride(2);
    p.penalty = float(level[0]), p.tie = float(level[1]);
    for (int64_t j = 0; j < 3; ++j) {
      p.lower[j] = float(level[2 + j]);
      p.inverse_outlier[j] = float(1 / level[5 + j]);
    }
    p.data_penalty = float(data_penalty), p.bound_penalty = float(bound_penalty);
    p.threshold = float(threshold), p.chroma_weight = float(chroma_weight);
    p.pull = float(threshold * power);
    p.dead = float(foot + threshold * power * pow(still, (power - 1) / (2 - power)));
    p.hyper_laplacian = hyper_laplacian, p.dark_outside = dark_outside;
    p.otf = static_cast<const float*>(otf.const_data_ptr()) + (otf.size(0) == 1 ? 0 : i * 2 * h * (w / 2 + 1));
    p.otf_stride = w / 2 + 1;
    p.spectrum = spectrum;
    p.along_rows = along_rows.get(), p.along_columns = along_columns.get();
    return p;
  };
  const Steps span = {first, steps, reweigh_every, kernels};
  // Small pictures to threads whole, large ones one after the other by all threads.
  const int64_t threads = torch::stable::get_num_threads(), values = c * h * w;
  if (n > 1 && values < 4 * kWorthwhile) {
    parallel_for(0, n, kWorthwhile / values + 1, [&](int64_t begin, int64_t end) {
      const Scratch spectrum(sizeof(float) * spectrum_size);
      for (int64_t i = begin; i < end; ++i) run_picture(picture(i, spectrum.as<float>()), span, 1);
    });
  } else {
    for (int64_t i = 0; i < n; ++i) run_picture(picture(i, data_of(work)), span, values < kWorthwhile ? 1 : threads);
  }
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(imgrestore, CPU, m) { m.impl("sparse_steps", TORCH_BOX(&sparse_steps)); }

}  // namespace imgrestore
