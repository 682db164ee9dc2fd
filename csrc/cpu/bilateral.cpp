#include "bilateral.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "../planes.h"
#include "scratch.h"

namespace imgrestore {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

constexpr double kLog2E = 1.4426950408889634074;

// The half of the disk round a pixel whose pixels come later.
std::vector<BilateralTap> half_disk(int64_t radius, double sigma_space) {
  std::vector<BilateralTap> taps;
  for (int64_t dy = 0; dy <= radius; ++dy) {
    for (int64_t dx = dy == 0 ? 1 : -radius; dx <= radius; ++dx) {
      const int64_t square = dy * dy + dx * dx;
      if (square > radius * radius) continue;
      const double log_weight = -static_cast<double>(square) * kLog2E / (2 * sigma_space * sigma_space);
      taps.push_back({dy, dx, static_cast<float>(log_weight)});
    }
  }
  return taps;
}

struct Pictures {
  const float *images, *guides;
  std::vector<int64_t> image_offsets, guide_offsets;
  float* out;
};

void run(const BilateralPicture& shape, const Pictures& pictures) {
  const BilateralKernels& kernels = IMGR_KERNELS(bilateral_f32);
  const BilateralScratch sizes = bilateral_scratch(shape, kernels.lanes);
  const int64_t rows = std::max<int64_t>(64, 16 * shape.radius), bands = (shape.height + rows - 1) / rows;
  const int64_t strip = bilateral_strip(shape.width), strips = (shape.width + strip - 1) / strip;
  const int64_t parts = strips * bands;
  const int64_t part_work = strip * std::min(rows, shape.height) * (shape.count + 1);
  const int64_t grain = 100000 / part_work + 1;
  torch::stable::parallel_for(0, parts * pictures.image_offsets.size(), grain, [&](int64_t begin, int64_t end) {
    const Scratch ring(sizeof(float) * sizes.rows), weights(sizeof(float) * sizes.weights);
    const Scratch sums(sizeof(float) * sizes.sums);
    const BilateralWork work = {ring.as<float>(), weights.as<float>(), sums.as<float>()};
    for (int64_t i = begin; i < end; ++i) {
      const int64_t picture = i / parts, part = i % parts, row = part / strips * rows;
      BilateralPicture p = shape;
      p.image = pictures.images + pictures.image_offsets[picture];
      p.guide = pictures.guides ? pictures.guides + pictures.guide_offsets[picture] : nullptr;
      p.out = pictures.out + picture * p.image_channels * p.height * p.width;
      kernels.strip(p, work, row, std::min(row + rows, p.height), part % strips * strip);
    }
  });
}

Tensor dense(const Tensor& t) {
  return t.stride(t.dim() - 1) == 1 || t.size(t.dim() - 1) == 1 ? t : torch::stable::contiguous(t);
}

// The image may be given as its own guide.
Tensor bilateral(const Tensor& image_in, const Tensor& guide_in, double sigma_space, double sigma_range, int64_t radius,
                 int64_t boundary, bool channels) {
  const int64_t skip = channels ? 3 : 2;
  STD_TORCH_CHECK(image_in.scalar_type() == ScalarType::Float && guide_in.scalar_type() == ScalarType::Float,
                  "bilateral: image and guide must be float32");
  STD_TORCH_CHECK(image_in.dim() >= skip && guide_in.dim() >= skip, "bilateral: too few dimensions");
  STD_TORCH_CHECK(radius >= 0 && radius <= 4096, "bilateral: radius must be from 0 to 4096");
  STD_TORCH_CHECK(boundary >= 0 && boundary <= static_cast<int64_t>(Boundary::kZero), "bilateral: unknown boundary");
  const int64_t last = image_in.dim() - 1, guide_last = guide_in.dim() - 1;
  STD_TORCH_CHECK(image_in.size(last) == guide_in.size(guide_last) &&
                      image_in.size(last - 1) == guide_in.size(guide_last - 1),
                  "bilateral: image and guide must be of one height and width");
  const Tensor image = dense(image_in), guide = dense(guide_in);
  std::vector<int64_t> sizes;
  STD_TORCH_CHECK(broadcast_sizes(leading_sizes(image, skip), leading_sizes(guide, skip), &sizes),
                  "bilateral: leading dimensions of image and guide do not broadcast");
  Pictures pictures = {static_cast<const float*>(image.const_data_ptr()),
                       static_cast<const float*>(guide.const_data_ptr()), plane_offsets(image, sizes, skip),
                       plane_offsets(guide, sizes, skip), nullptr};
  for (int64_t k = skip; k > 0; --k) sizes.push_back(image.size(image.dim() - k));
  Tensor out = torch::stable::new_empty(image, sizes);
  if (!out.numel()) return out;
  pictures.out = static_cast<float*>(out.mutable_data_ptr());

  BilateralPicture p = {};
  p.image_channels = channels ? image.size(last - 2) : 1;
  p.image_channel_stride = channels ? image.stride(last - 2) : 0;
  p.image_stride = image.stride(last - 1);
  p.guide_channels = channels ? guide.size(guide_last - 2) : 1;
  p.guide_channel_stride = channels ? guide.stride(guide_last - 2) : 0;
  p.guide_stride = guide.stride(guide_last - 1);
  p.height = image.size(last - 1);
  p.width = image.size(last);
  p.radius = radius;
  p.boundary = static_cast<Boundary>(boundary);
  STD_TORCH_CHECK(p.guide_channels > 0, "bilateral: guide has no channels");
  const std::vector<BilateralTap> taps = half_disk(radius, sigma_space);
  p.taps = taps.data();
  p.count = taps.size();
  const bool self = pictures.images == pictures.guides && pictures.image_offsets == pictures.guide_offsets &&
                    p.image_channels == p.guide_channels && p.image_channel_stride == p.guide_channel_stride &&
                    p.image_stride == p.guide_stride;
  if (self) pictures.guides = nullptr;
  p.guide = pictures.guides;
  // Within what a float holds, or equal pixels would have the weight NaN.
  const double range = std::min(std::max(kLog2E / (2 * sigma_range * sigma_range), 1e-37), 1e37);
  p.range = static_cast<float>(-range);
  // Scaling pixels beforehand spares a product for each pair, but only moderate factors leave them all finite.
  if (self && p.image_channels == 1 && range > 1e-12 && range < 1e12) p.scale = static_cast<float>(std::sqrt(range));
  run(p, pictures);
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(imgrestore, CPU, m) { m.impl("bilateral", TORCH_BOX(&bilateral)); }

}  // namespace imgrestore
