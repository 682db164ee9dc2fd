#include "bilateral.h"

#include <algorithm>
#include <cmath>

#include "filter_op.h"

namespace imgrestore {
namespace {

using torch::stable::Tensor;

constexpr double kLog2E = 1.4426950408889634074;

// The image may be given as its own guide.
Tensor bilateral(const Tensor& image_in, const Tensor& guide_in, double sigma_space, double sigma_range, int64_t radius,
                 int64_t boundary, bool channels) {
  const int64_t skip = channels ? 3 : 2;
  STD_TORCH_CHECK(is_float(image_in) && is_float(guide_in), "bilateral: image and guide must be float32");
  STD_TORCH_CHECK(image_in.dim() >= skip && guide_in.dim() >= skip, "bilateral: too few dimensions");
  STD_TORCH_CHECK(radius >= 0 && radius <= 4096, "bilateral: radius must be from 0 to 4096");
  STD_TORCH_CHECK(boundary >= 0 && boundary <= static_cast<int64_t>(Boundary::kZero), "bilateral: unknown boundary");
  const int64_t last = image_in.dim() - 1, guide_last = guide_in.dim() - 1;
  const int64_t h = image_in.size(last - 1), w = image_in.size(last);
  STD_TORCH_CHECK(w == guide_in.size(guide_last) && h == guide_in.size(guide_last - 1),
                  "bilateral: image and guide must be of one height and width");
  STD_TORCH_CHECK(h < kLongestSide && w < kLongestSide, "bilateral: height and width must be below 2^30");
  const Tensor image = dense_rows(image_in), guide = dense_rows(guide_in);
  std::vector<int64_t> sizes;
  STD_TORCH_CHECK(broadcast_sizes(leading_sizes(image, skip), leading_sizes(guide, skip), &sizes),
                  "bilateral: leading dimensions of image and guide do not broadcast");
  BilateralPictures p = {};
  p.image = data_of<float>(image);
  p.guide = data_of<float>(guide);
  p.image_walk = walk_of(image, sizes, skip);
  p.guide_walk = walk_of(guide, sizes, skip);
  p.image_stride = image.stride(last - 1);
  p.guide_stride = guide.stride(guide_last - 1);
  p.image_channels = channels ? int(image.size(last - 2)) : 1;
  p.guide_channels = channels ? int(guide.size(guide_last - 2)) : 1;
  p.image_channel_stride = channels ? image.stride(last - 2) : 0;
  p.guide_channel_stride = channels ? guide.stride(guide_last - 2) : 0;
  p.pictures = count_of(sizes);
  p.height = int(h);
  p.width = int(w);
  p.radius = int(radius);
  p.boundary = static_cast<Boundary>(boundary);
  for (int64_t k = skip; k > 0; --k) sizes.push_back(image.size(image.dim() - k));
  Tensor out = torch::stable::new_empty(image, sizes);
  if (!out.numel()) return out;
  STD_TORCH_CHECK(p.guide_channels > 0, "bilateral: guide has no channels");
  p.out = room_of<float>(out);
  p.self = p.image == p.guide && p.image_channels == p.guide_channels && p.image_stride == p.guide_stride &&
           p.image_channel_stride == p.guide_channel_stride && same_walk(p.image_walk, p.guide_walk);
  // Within what a float holds, or equal pixels would have the weight NaN.
  p.range = float(-std::min(std::max(kLog2E / (2 * sigma_range * sigma_range), 1e-37), 1e37));
  p.space = float(-std::min(std::max(kLog2E / (2 * sigma_space * sigma_space), 1e-37), 1e37));
  const OnDevice device(image);
  launch_bilateral(p, device.stream());
  return out;
}

}  // namespace

IMGR_DEVICE_OPS(m) { m.impl("bilateral", TORCH_BOX(&bilateral)); }

}  // namespace imgrestore
