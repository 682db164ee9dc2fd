#pragma once

#include "../planes.h"
#include "filter_planes.h"
#include "op_support.h"

// Tensors of planes as the filters' kernels take them.
namespace imgrestore {

constexpr int64_t kLongestSide = int64_t(1) << 30;

inline torch::stable::Tensor dense_rows(const torch::stable::Tensor& t) {
  const int64_t last = t.dim() - 1;
  return t.stride(last) == 1 || t.size(last) == 1 ? t : torch::stable::contiguous(t);
}

inline int64_t count_of(const std::vector<int64_t>& sizes) {
  int64_t count = 1;
  for (const int64_t size : sizes) count *= size;
  return count;
}

inline bool same_walk(const PlaneWalk& a, const PlaneWalk& b) {
  bool same = a.dims == b.dims;
  for (int d = 0; same && d < a.dims; ++d) same = a.stride[d] == b.stride[d];
  return same;
}

// Planes of an image and an output of the same shape.
inline FilterPlanes filter_planes(const torch::stable::Tensor& image, torch::stable::Tensor& out, int64_t boundary) {
  const int64_t h = image.size(image.dim() - 2), w = image.size(image.dim() - 1);
  STD_TORCH_CHECK(h < kLongestSide && w < kLongestSide, "height and width must be below 2^30");
  const std::vector<int64_t> sizes = leading_sizes(image, 2);
  return {data_of<float>(image), walk_of(image, sizes, 2), image.stride(image.dim() - 2), room_of<float>(out),
          count_of(sizes),       int(h),                   int(w),                        Boundary(boundary)};
}

}  // namespace imgrestore
