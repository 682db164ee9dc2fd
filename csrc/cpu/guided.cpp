#include "guided.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "large_pages.h"
#include "../planes.h"
#include "scratch.h"
#include "window_factors.h"

namespace imgrestore {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::parallel_for;
using torch::stable::Tensor;

struct Level {
  float shift;  // about the mean
  float limit;  // how far from it pixels may be before float64 no longer carries the others beside their squares
};

// By a grid of a plane's pixels, those left out that are NaN or infinite.
Level level_of(const float* plane, int64_t height, int64_t width, int64_t stride) {
  float samples[32 * 32];
  int64_t count = 0;
  double sum = 0, spread = 0;
  const int64_t step_y = (height + 31) / 32, step_x = (width + 31) / 32;
  for (int64_t y = step_y / 2; y < height; y += step_y) {
    for (int64_t x = step_x / 2; x < width; x += step_x) {
      const float value = plane[y * stride + x];
      if (!std::isfinite(value)) continue;
      sum += value;
      samples[count++] = value;
    }
  }
  if (!count) return {0, 0};
  const float shift = static_cast<float>(sum / static_cast<double>(count));
  for (int64_t i = 0; i < count; ++i) spread += std::fabs(samples[i] - shift);
  return {shift, static_cast<float>(1024 * spread / static_cast<double>(count) + std::fabs(shift))};
}

// By running sums; false where these would not do. Bands do not depend on the number of threads, so that sums do not.
bool run_bands(const GuidedPlane& p, const GuidedModel& model) {
  const int64_t n = 2 * p.radius + 1, rows = std::max<int64_t>(64, std::min(16 * n, (p.height + 3) / 4));
  const int64_t bands = (p.height + rows - 1) / rows;
  std::vector<char> done(bands, 0);
  parallel_for(0, bands, p.height * p.width < 16384 ? INT64_MAX : 1, [&](int64_t begin, int64_t end) {
    const Scratch work(sizeof(double) * guided_band_size(p.width, p.radius, model));
    for (int64_t i = begin; i < end; ++i) {
      done[i] = model.band(p, work.as<double>(), i * rows, std::min((i + 1) * rows, p.height));
    }
  });
  return std::all_of(done.begin(), done.end(), [](char c) { return c; });
}

void run_plane(const GuidedPlane& p, const GuidedModel& model, int lanes) {
  if (run_bands(p, model)) return;
  const int64_t n = 2 * p.radius + 1, h = p.height, blocks = (h + n - 1) / n;
  const int64_t grain = h * p.width < 16384 ? INT64_MAX : 1;
  const int64_t pointers = model.pointers * (2 * n - 1);
  const size_t lanes_bytes = sizeof(float) * guided_lanes_size(p.width, p.radius, lanes, model);
  parallel_for(0, blocks, grain, [&](int64_t begin, int64_t end) {
    const Scratch sums(sizeof(float) * guided_sums_size(p.width, p.radius, lanes, model));
    const Scratch scratch(lanes_bytes);
    std::vector<const float*> rows(pointers);
    const GuidedWork work = {sums.as<float>(), scratch.as<float>(), rows.data()};
    model.fit(p, work, begin * n, std::min(end * n, h));
  });
  parallel_for(0, blocks, grain, [&](int64_t begin, int64_t end) {
    const Scratch scratch(lanes_bytes);
    std::vector<const float*> rows(pointers);
    const GuidedWork work = {nullptr, scratch.as<float>(), rows.data()};
    model.blend(p, work, begin * n, std::min(end * n, h));
  });
}

struct Guide {
  std::vector<int64_t> offsets;
  int64_t channels, channel_stride;
};

void run(const Tensor& image, const std::vector<int64_t>& image_offsets, const Tensor& guide, const Guide& guides,
         int64_t radius, double eps, Tensor& out) {
  const GuidedKernels& kernels = IMGR_KERNELS(guided_f32);
  const int64_t h = image.size(image.dim() - 2), w = image.size(image.dim() - 1);
  const float* images = static_cast<const float*>(image.const_data_ptr());
  const float* guide_data = static_cast<const float*>(guide.const_data_ptr());
  float* outs = static_cast<float*>(out.mutable_data_ptr());
  const std::vector<float> row_factors = window_factors(h, radius, true);
  std::vector<float> column_factors = window_factors(w, radius, true);
  column_factors.resize(w + 16);  // whole vectors are read
  const int64_t stride = guided_row_stride(w, radius);
  const std::vector<float> zeros(stride, 0.0f);
  std::vector<float> edges[4];
  GuidedPlane p = {};
  p.height = h;
  p.width = w;
  p.radius = radius;
  p.eps = static_cast<float>(eps);
  p.image_stride = image.stride(image.dim() - 2);
  p.guide_stride = guide.stride(guide.dim() - 2);
  p.zeros = zeros.data();
  p.row_factors = row_factors.data();
  p.column_factors = column_factors.data();
  const int64_t coefficients = guides.channels + 1;
  const Scratch planes(sizeof(float) * coefficients * h * stride);
  for (int64_t c = 0; c < coefficients; ++c) p.coefficients[c] = planes.as<float>() + c * h * stride;
  for (size_t i = 0; i < image_offsets.size(); ++i) {
    p.image = images + image_offsets[i];
    p.out = outs + i * h * w;
    for (int64_t c = 0; c < guides.channels; ++c) {
      p.guide[c] = guide_data + guides.offsets[i] + c * guides.channel_stride;
      const Level level = level_of(p.guide[c], h, w, p.guide_stride);
      p.guide_shift[c] = level.shift;
      p.guide_limit[c] = level.limit;
      edges[c].assign(w, p.guide_shift[c]);
      p.edge_guide[c] = edges[c].data();
    }
    const Level level = level_of(p.image, h, w, p.image_stride);
    p.image_shift = level.shift;
    p.image_limit = level.limit;
    edges[3].assign(w, p.image_shift);
    p.edge_image = edges[3].data();
    const bool self = guides.channels == 1 && p.image == p.guide[0] && p.image_stride == p.guide_stride;
    run_plane(p, guides.channels == 3 ? kernels.color : self ? kernels.self : kernels.gray, kernels.lanes);
  }
}

Tensor dense(const Tensor& t) {
  return t.stride(t.dim() - 1) == 1 || t.size(t.dim() - 1) == 1 ? t : torch::stable::contiguous(t);
}

Tensor guided(const Tensor& image_in, const Tensor& guide_in, int64_t radius, double eps, bool channels) {
  STD_TORCH_CHECK(image_in.scalar_type() == ScalarType::Float && guide_in.scalar_type() == ScalarType::Float,
                  "guided: image and guide must be float32");
  STD_TORCH_CHECK(image_in.dim() >= 2 && guide_in.dim() >= (channels ? 3 : 2), "guided: too few dimensions");
  STD_TORCH_CHECK(radius >= 0 && radius < (int64_t(1) << 24), "guided: radius must be from 0 to 2^24");
  const int64_t last = image_in.dim() - 1, guide_last = guide_in.dim() - 1;
  STD_TORCH_CHECK(image_in.size(last) == guide_in.size(guide_last) &&
                      image_in.size(last - 1) == guide_in.size(guide_last - 1),
                  "guided: image and guide must be of one height and width");
  STD_TORCH_CHECK(!channels || guide_in.size(guide_last - 2) == 3, "guided: a guide with channels has 3 of them");
  const Tensor image = dense(image_in), guide = dense(guide_in);
  // The channels of the guide stand for themselves: each channel of the image has all of them.
  std::vector<int64_t> guide_sizes = leading_sizes(guide, channels ? 3 : 2), sizes;
  if (channels && image.dim() > 2) guide_sizes.push_back(1);
  STD_TORCH_CHECK(broadcast_sizes(leading_sizes(image, 2), guide_sizes, &sizes),
                  "guided: leading dimensions of image and guide do not broadcast");
  Guide guides = {{}, channels ? 3 : 1, channels ? guide.stride(guide_last - 2) : 0};
  if (channels && image.dim() > 2) {
    std::vector<int64_t> outer(sizes.begin(), sizes.end() - 1);
    for (const int64_t offset : plane_offsets(guide, outer, 3)) {
      guides.offsets.insert(guides.offsets.end(), sizes.back(), offset);
    }
  } else {
    guides.offsets = plane_offsets(guide, sizes, channels ? 3 : 2);
  }
  const std::vector<int64_t> image_offsets = plane_offsets(image, sizes, 2);
  sizes.push_back(image.size(last - 1));
  sizes.push_back(image.size(last));
  Tensor out = torch::stable::new_empty(image, sizes);
  use_large_pages(out.const_data_ptr(), sizeof(float) * out.numel());
  if (out.numel()) run(image, image_offsets, guide, guides, radius, eps, out);
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(imgrestore, CPU, m) { m.impl("guided", TORCH_BOX(&guided)); }

}  // namespace imgrestore
