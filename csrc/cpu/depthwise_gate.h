#pragma once

#include <stdint.h>

#include "channel_norm.h"

namespace imgrestore {

// The depthwise convolution runs down a tile, some rows at a time, on rows of float that lie in a ring: two more than are
// written. A row of a channel has a vector of margin on either side.
constexpr int kRingRows = 6;
constexpr int kRingStep = kRingRows - 2;
// Nine taps and the bias of each channel.
constexpr int kTaps = 10;

// A stride that is an odd number of cache lines keeps channels out of each other's cache sets.
IMGR_HD int64_t odd_lines(int64_t floats) { return ((floats + 15) / 16 | 1) * 16; }
IMGR_HD int64_t ring_stride(int64_t width, int lanes) { return odd_lines((width + 2 + lanes - 1) / lanes * lanes + 2 * lanes); }

// A part of a picture: rows y0 to before y1, columns x0 to before x1.
struct Tile {
  int64_t y0, y1, x0, x1;
};

template <class T>
struct DepthwiseGatePicture {
  Pixels<const T> x;  // 2 * half channels
  Pixels<T> out;      // half of them
  int64_t height, width;
  const float* taps;  // kTaps for each channel of x
};

template <class T>
struct DepthwiseGateKernels {
  int lanes;
  // Writes the channels from c0 to before c1 of a tile. Where the channels come one plane after the other, only those
  // planes are read; else c0 must be 0 and c1 all. `work` is depthwise_gate_floats(), aligned to 64 bytes.
  void (*tile)(const DepthwiseGatePicture<T>&, const Tile&, int64_t c0, int64_t c1, float* work);
};

IMGR_HD int64_t depthwise_gate_floats(int64_t channels, int64_t width, int lanes) {
  return (kRingRows * 2 + kRingStep) * channels * ring_stride(width, lanes);
}

#define IMGR_DECLARE_DEPTHWISE_GATE                            \
  extern const DepthwiseGateKernels<float> depthwise_gate_f32; \
  extern const DepthwiseGateKernels<Bfloat16> depthwise_gate_bf16;

namespace baseline {
IMGR_DECLARE_DEPTHWISE_GATE
}
#if IMGR_X86
namespace avx2 {
IMGR_DECLARE_DEPTHWISE_GATE
}
namespace avx512 {
IMGR_DECLARE_DEPTHWISE_GATE
}
#endif

}  // namespace imgrestore
