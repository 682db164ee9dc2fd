#pragma once

#include "channel_norm_lanes.h"
#include "depthwise_gate.h"

namespace imgrestore {
namespace IMGR_ISA {

// The last kRingRows rows of a tile that is walked downwards, with the columns next to it where the picture has some.
struct Ring {
  typedef Vec<float> X;
  typedef X::V V;
  static constexpr int L = X::L;
  static constexpr int R = kRingStep;

  float* data;
  int64_t channels, stride;
  int64_t first;          // the row that the first slot held to begin with
  int64_t left, columns;  // columns to the left of the tile's own, and all of them

  // `data` has channels * kRingRows * ring_stride() floats.
  static Ring begin(const Tile& t, int64_t width, int64_t channels, float* data) {
    const int64_t left = t.x0 > 0, right = t.x1 < width;
    Ring r = {data, channels, ring_stride(t.x1 - t.x0, L), t.y0 - 1, left, t.x1 - t.x0 + left + right};
    const int64_t end = L + (r.columns + L - 1) / L * L;
    for (int64_t i = 0; i < channels * kRingRows; ++i) {
      X::store(data + i * r.stride, V{});
      for (int64_t j = end; j < r.stride; j += L) X::store(data + i * r.stride + j, V{});
    }
    return r;
  }

  // The first pixel of a row in the ring.
  IMGR_HD float* row(int64_t y) const { return data + (y - first) % kRingRows * channels * stride + L; }

  void clear(int64_t y) const {
    float* p = row(y) - L;
    for (int64_t i = 0; i < channels * stride; i += L) X::store(p + i, V{});
  }

  // Beyond the picture there are zeros, not what was made of nothing in the lanes to spare.
  void end_row(int64_t y, int64_t used) const {
    const int64_t whole = columns / L * L;
    if (whole == columns) return;
    float* p = row(y) + whole;
    for (int64_t c = 0; c < used; ++c) {
      for (int64_t i = columns - whole; i < L; ++i) p[c * stride + i] = 0.0f;
    }
  }

  static IMGR_HD void sweep(const float* const* rows, int64_t at, const float* w, V* acc) {
    IMGR_UNROLL
    for (int j = 0; j < R; ++j) acc[j] = V{} + w[9];
    IMGR_UNROLL
    for (int i = 0; i < R + 2; ++i) {
      const float* p = rows[i] + at;
      const V a = X::loadu(p - 1), b = X::loadu(p), c = X::loadu(p + 1);
      IMGR_UNROLL
      for (int j = 0; j < R; ++j) {
        if (i - j < 0 || i - j > 2) continue;
        const float* k = w + 3 * (i - j);
        acc[j] += a * k[0];
        acc[j] += b * k[1];
        acc[j] += c * k[2];
      }
    }
  }

  // Filters the rows from y on, kRingStep of them, columns `at` to before at + vectors * L of the tile, and multiplies
  // each of the first `half` channels by its partner in the second. Row j of channel c goes to out + (j * half + c) * out_stride.
  void gate(int64_t y, int64_t at, int64_t vectors, int64_t half, const float* taps_a, const float* taps_b, float* out,
            int64_t out_stride) const {
    const float* rows[R + 2];
    for (int i = 0; i < R + 2; ++i) rows[i] = row(y - 1 + i) + left + at;
    for (int64_t c = 0; c < half; ++c) {
      const float *wa = taps_a + c * kTaps, *wb = taps_b + c * kTaps;
      float* to = out + c * out_stride;
      // The ring lies in the second cache, and pieces of its rows are too short for the hardware to foresee the next.
      for (int i = 0; i < R + 2; ++i) {
        for (int64_t v = 0; v <= vectors; ++v) {
          __builtin_prefetch(rows[i] + (c + 2) * stride + v * L);
          __builtin_prefetch(rows[i] + (half + c + 2) * stride + v * L);
        }
      }
      for (int64_t v = 0; v < vectors; ++v) {
        V a[R], b[R];
        sweep(rows, c * stride + v * L, wa, a);
        sweep(rows, (half + c) * stride + v * L, wb, b);
        IMGR_UNROLL
        for (int j = 0; j < R; ++j) X::storeu(to + j * half * out_stride + v * L, a[j] * b[j]);
      }
    }
  }
};

}  // namespace IMGR_ISA
}  // namespace imgrestore
