#pragma once

#include "depthwise_gate.h"
#include "depthwise_gate_lanes.h"

namespace imgrestore {
namespace IMGR_ISA {

template <class T>
struct DepthwiseGate {
  typedef DepthwiseGatePicture<T> Picture;
  static constexpr int L = Lanes::L;

  static void load_row(const Picture& p, const Ring& ring, const Tile& t, int64_t y, int64_t c0, int64_t c1) {
    if (y < 0 || y >= p.height) return ring.clear(y);
    const int64_t pixel = y * p.width + t.x0 - ring.left, half = p.out.channels;
    float* to = ring.row(y);
    if (p.x.channels_last) {
      Lanes::load(p.x, pixel, ring.columns, to, ring.stride);
    } else {
      for (int part = 0; part < 2; ++part) {
        const Pixels<const T> planes = {p.x.data + (part * half + c0) * p.x.count, p.x.count, c1 - c0, false};
        Lanes::load(planes, pixel, ring.columns, to + part * (c1 - c0) * ring.stride, ring.stride);
      }
    }
  }

  static void tile(const Picture& p, const Tile& t, int64_t c0, int64_t c1, float* work) {
    const int64_t channels = c1 - c0, half = p.out.channels, columns = t.x1 - t.x0;
    const Ring ring = Ring::begin(t, p.width, 2 * channels, work);
    float* gated = work + kRingRows * 2 * channels * ring.stride;
    const Pixels<T> out = {p.out.channels_last ? p.out.data : p.out.data + c0 * p.out.count, p.out.count, channels,
                           p.out.channels_last};
    // The taps of the second half do not follow those of the first where only some channels are written.
    const float *a = p.taps + c0 * kTaps, *b = p.taps + (half + c0) * kTaps;
    int64_t next = t.y0 - 1;
    for (int64_t y = t.y0; y < t.y1; y += Ring::R) {
      const int64_t end = y + Ring::R < t.y1 ? y + Ring::R : t.y1;
      for (; next <= end; ++next) load_row(p, ring, t, next, c0, c1);
      ring.gate(y, 0, (columns + L - 1) / L, channels, a, b, gated, ring.stride);
      for (int64_t r = y; r < end; ++r) {
        Lanes::store(out, r * p.width + t.x0, columns, gated + (r - y) * channels * ring.stride, ring.stride,
                     (const T*)nullptr);
      }
    }
  }
};

extern const DepthwiseGateKernels<float> depthwise_gate_f32 = {Lanes::L, DepthwiseGate<float>::tile};
extern const DepthwiseGateKernels<Bfloat16> depthwise_gate_bf16 = {Lanes::L, DepthwiseGate<Bfloat16>::tile};

}  // namespace IMGR_ISA
}  // namespace imgrestore
