#include "guided.h"

#include "filter_op.h"

namespace imgrestore {
namespace {

using torch::stable::Tensor;

Tensor guided(const Tensor& image_in, const Tensor& guide_in, int64_t radius, double eps, bool channels) {
  const int64_t skip = channels ? 3 : 2;
  STD_TORCH_CHECK(is_float(image_in) && is_float(guide_in), "guided: image and guide must be float32");
  STD_TORCH_CHECK(image_in.dim() >= 2 && guide_in.dim() >= skip, "guided: too few dimensions");
  STD_TORCH_CHECK(radius >= 0 && radius < (int64_t(1) << 24), "guided: radius must be from 0 to 2^24");
  const int64_t last = image_in.dim() - 1, guide_last = guide_in.dim() - 1;
  const int64_t h = image_in.size(last - 1), w = image_in.size(last);
  STD_TORCH_CHECK(w == guide_in.size(guide_last) && h == guide_in.size(guide_last - 1),
                  "guided: image and guide must be of one height and width");
  STD_TORCH_CHECK(h < kLongestSide && w < kLongestSide, "guided: height and width must be below 2^30");
  STD_TORCH_CHECK(!channels || guide_in.size(guide_last - 2) == 3, "guided: a guide with channels has 3 of them");
  const Tensor image = dense_rows(image_in), guide = dense_rows(guide_in);
  // The channels of the guide stand for themselves: each channel of the image has all of them.
  const bool shared = channels && image.dim() > 2;
  std::vector<int64_t> guide_sizes = leading_sizes(guide, skip), sizes;
  if (shared) guide_sizes.push_back(1);
  STD_TORCH_CHECK(broadcast_sizes(leading_sizes(image, 2), guide_sizes, &sizes),
                  "guided: leading dimensions of image and guide do not broadcast");
  STD_TORCH_CHECK(sizes.size() <= PlaneWalk::kMost, "guided: at most 8 leading dimensions are supported");
  GuidedPlanes p = {};
  p.image = data_of<float>(image);
  p.guide = data_of<float>(guide);
  p.image_walk = walk_of(image, sizes, 2);
  p.image_stride = image.stride(last - 1);
  p.guide_stride = guide.stride(guide_last - 1);
  p.channels = channels ? 3 : 1;
  p.channel_stride = channels ? guide.stride(guide_last - 2) : 0;
  if (shared) {
    p.guide_walk = walk_of(guide, {sizes.begin(), sizes.end() - 1}, 3);
    p.guide_walk.size[p.guide_walk.dims] = sizes.back();
    p.guide_walk.stride[p.guide_walk.dims++] = 0;
  } else {
    p.guide_walk = walk_of(guide, sizes, skip);
  }
  p.planes = count_of(sizes);
  p.height = int(h);
  p.width = int(w);
  p.radius = int(radius);
  p.eps = float(eps);
  p.self = !channels && p.image == p.guide && p.image_stride == p.guide_stride && same_walk(p.image_walk, p.guide_walk);
  sizes.push_back(h);
  sizes.push_back(w);
  Tensor out = torch::stable::new_empty(image, sizes);
  if (!out.numel()) return out;
  const OnDevice device(image);
  Tensor room = torch::stable::new_empty(image, {guided_room(p)});
  p.out = room_of<float>(out);
  p.room = room_of<float>(room);
  launch_guided(p, device.stream());
  return out;
}

}  // namespace

IMGR_DEVICE_OPS(m) { m.impl("guided", TORCH_BOX(&guided)); }

}  // namespace imgrestore
