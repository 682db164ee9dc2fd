#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

// Tensors as the kernels of every device take them: dtypes, and planes (N, C, H, W) in either layout.
namespace imgrestore {

inline bool is_float(const torch::stable::Tensor& t) {
  return t.scalar_type() == torch::headeronly::ScalarType::Float;
}

inline bool is_bfloat16(const torch::stable::Tensor& t) {
  return t.scalar_type() == torch::headeronly::ScalarType::BFloat16;
}

inline bool is_float_or_bfloat16(const torch::stable::Tensor& t) {
  return t.scalar_type() == torch::headeronly::ScalarType::Float || is_bfloat16(t);
}

inline bool is_channels_last(const torch::stable::Tensor& t) {
  const int64_t c = t.size(1), h = t.size(2), w = t.size(3);
  return c > 1 && t.stride(1) == 1 && (w == 1 || t.stride(3) == c) && (h == 1 || t.stride(2) == w * c) &&
         (t.size(0) == 1 || t.stride(0) == h * w * c);
}

// Planes as the kernels take them: dense, in either layout.
inline torch::stable::Tensor dense_planes(const torch::stable::Tensor& t) {
  return is_channels_last(t) ? t : torch::stable::contiguous(t);
}

// Whether two dense tensors have the same shape and layout, and whether they share memory.
inline bool same_planes(const torch::stable::Tensor& a, const torch::stable::Tensor& b) {
  if (b.dim() != 4) return false;
  for (int64_t d = 0; d < 4; ++d) {
    if (a.size(d) != b.size(d)) return false;
  }
  return is_channels_last(a) == is_channels_last(b) && (is_channels_last(b) || b.is_contiguous());
}
inline bool overlap(const torch::stable::Tensor& a, const torch::stable::Tensor& b) {
  const auto bytes = [](const torch::stable::Tensor& t) { return t.numel() * (is_bfloat16(t) ? 2 : 4); };
  const char *p = static_cast<const char*>(a.const_data_ptr()), *q = static_cast<const char*>(b.const_data_ptr());
  return p < q + bytes(b) && q < p + bytes(a);
}

}  // namespace imgrestore
