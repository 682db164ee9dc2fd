#pragma once

#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <vector>

namespace imgrestore {

// Where each plane of an output finds its data in a tensor whose dimensions but the last `skip` broadcast to `sizes`.
inline std::vector<int64_t> plane_offsets(const torch::stable::Tensor& t, const std::vector<int64_t>& sizes,
                                          int64_t skip) {
  const int64_t dims = sizes.size(), own = t.dim() - skip;
  std::vector<int64_t> stride(dims, 0), index(dims, 0), offsets;
  int64_t planes = 1;
  for (int64_t d = 0; d < dims; ++d) {
    planes *= sizes[d];
    const int64_t k = d - (dims - own);
    if (k >= 0 && t.size(k) != 1) stride[d] = t.stride(k);
  }
  offsets.reserve(planes);
  for (int64_t plane = 0; plane < planes; ++plane) {
    int64_t offset = 0;
    for (int64_t d = 0; d < dims; ++d) offset += index[d] * stride[d];
    offsets.push_back(offset);
    for (int64_t d = dims - 1; d >= 0 && ++index[d] == sizes[d]; --d) index[d] = 0;
  }
  return offsets;
}

inline std::vector<int64_t> leading_sizes(const torch::stable::Tensor& t, int64_t skip) {
  std::vector<int64_t> sizes;
  for (int64_t d = 0; d + skip < t.dim(); ++d) sizes.push_back(t.size(d));
  return sizes;
}

// False where two lists of sizes do not broadcast.
inline bool broadcast_sizes(const std::vector<int64_t>& a, const std::vector<int64_t>& b, std::vector<int64_t>* out) {
  const size_t dims = std::max(a.size(), b.size());
  out->assign(dims, 1);
  for (const auto* sizes : {&a, &b}) {
    for (size_t k = 0; k < sizes->size(); ++k) {
      int64_t& size = (*out)[dims - sizes->size() + k];
      if ((*sizes)[k] == 1) continue;
      if (size != 1 && size != (*sizes)[k]) return false;
      size = (*sizes)[k];
    }
  }
  return true;
}

}  // namespace imgrestore
