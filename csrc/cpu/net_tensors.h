#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <algorithm>
#include <vector>

#include "../tensors.h"
#include "depthwise_gate.h"
#include "large_pages.h"
#include "scratch.h"

// What the ops of the nets share: planes (N, C, H, W) in either layout, small parameters, and a picture cut into tiles.
namespace imgrestore {

inline void use_large_pages(const torch::stable::Tensor& fresh) {
  use_large_pages(fresh.const_data_ptr(), size_t(fresh.numel()) * (is_bfloat16(fresh) ? 2 : 4));
}

template <class T>
Pixels<const T> pixels_of(const torch::stable::Tensor& t, int64_t picture) {
  const int64_t count = t.size(2) * t.size(3), channels = t.size(1);
  return {static_cast<const T*>(t.const_data_ptr()) + picture * count * channels, count, channels, is_channels_last(t)};
}

// A parameter's numbers as float, whatever it is stored as.
inline std::vector<float> numbers(const torch::stable::Tensor& parameter) {
  const torch::stable::Tensor t = torch::stable::contiguous(parameter);
  std::vector<float> values(t.numel());
  if (is_bfloat16(t)) {
    const Bfloat16* from = static_cast<const Bfloat16*>(t.const_data_ptr());
    std::transform(from, from + values.size(), values.begin(), [](Bfloat16 v) { return to_float(v); });
  } else {
    const float* from = static_cast<const float*>(t.const_data_ptr());
    std::copy(from, from + values.size(), values.begin());
  }
  return values;
}

// Nine taps and a bias for each channel, as the kernels take them.
inline std::vector<float> depthwise_taps(const torch::stable::Tensor& weight, const torch::stable::Tensor& bias) {
  const std::vector<float> w = numbers(weight), b = numbers(bias);
  std::vector<float> taps(b.size() * kTaps);
  for (size_t c = 0; c < b.size(); ++c) {
    std::copy(w.begin() + 9 * c, w.begin() + 9 * (c + 1), taps.begin() + kTaps * c);
    taps[kTaps * c + 9] = b[c];
  }
  return taps;
}

// Tiles of a picture: as wide as the working memory allows, all about equally wide, and so high that the two rows which
// neighbours compute twice do not matter but every thread has some. How a picture is cut changes no bit of the result.
struct Tiling {
  int64_t height, width, tall, wide, down, across;

  Tiling(int64_t height, int64_t width, int64_t widest, int64_t pictures, int lanes) : height(height), width(width) {
    across = (width + widest - 1) / widest;
    wide = ((width + across - 1) / across + lanes - 1) / lanes * lanes;
    // A tile between others computes a column of each neighbour, which must not cost a vector of its own.
    if (across > 1) wide = std::max<int64_t>(wide - 2, 1);
    across = (width + wide - 1) / wide;
    const int64_t threads = torch::stable::get_num_threads(), columns = pictures * across;
    const auto shared = [&](int64_t wanted) { return (wanted + columns - 1) / columns; };
    const int64_t parts = std::max(std::min(shared(4 * threads), height / 32), std::min(shared(threads), (height + 7) / 8));
    tall = std::min<int64_t>((height + parts - 1) / parts, 256);
    tall = (tall + kRingStep - 1) / kRingStep * kRingStep;
    down = (height + tall - 1) / tall;
  }

  int64_t count() const { return down * across; }
  Tile at(int64_t index) const {
    const int64_t y = index / across * tall, x = index % across * wide;
    return {y, std::min(y + tall, height), x, std::min(x + wide, width)};
  }
};

}  // namespace imgrestore
