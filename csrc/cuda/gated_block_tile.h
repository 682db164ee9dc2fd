#pragma once

#include "gated_block.h"
#include "lanes.h"
#include "vectors.h"

// What the two kinds of kernels share: which tile a block has, and the depthwise convolution in shared memory.
namespace imgrestore {

// A tile of TY x TX pixels, and with one more on every side.
template <int TY, int TX>
struct Tile {
  static constexpr int kRows = TY + 2, kColumns = TX + 2, kPixels = kRows * kColumns;

  int64_t picture;
  int y0, x0, height, width;

  __device__ __forceinline__ static Tile of(const GatedBlockPlanes& p) {
    const int across = (p.width + TX - 1) / TX, down = (p.height + TY - 1) / TY;
    const int64_t tile = blockIdx.x;
    return {tile / (int64_t(across) * down), int(tile / across % down) * TY, int(tile % across) * TX, p.height,
            p.width};
  }
  static int64_t count(const GatedBlockPlanes& p) {
    return p.pictures * blocks_for(p.height, TY) * blocks_for(p.width, TX);
  }

  __device__ __forceinline__ int row(int pixel) const { return y0 - 1 + pixel / kColumns; }
  __device__ __forceinline__ int column(int pixel) const { return x0 - 1 + pixel % kColumns; }
  // Whether a pixel of the larger tile is one of the picture's.
  __device__ __forceinline__ bool inside(int pixel) const {
    const int y = row(pixel), x = column(pixel);
    return pixel < kPixels && y >= 0 && y < height && x >= 0 && x < width;
  }
  __device__ __forceinline__ int64_t place(int pixel) const { return int64_t(row(pixel)) * width + column(pixel); }
};

// Nine taps and a bias, from device memory.
struct Taps {
  float w[kTapRoom];

  __device__ __forceinline__ explicit Taps(const float* from) {
    IMGR_UNROLL
    for (int i = 0; i < kTapRoom; i += 4) {
      const float4 four = __ldg(reinterpret_cast<const float4*>(from + i));
      w[i] = four.x, w[i + 1] = four.y, w[i + 2] = four.z, w[i + 3] = four.w;
    }
  }
};

// A column of a tile from top to bottom: two channels filtered, and their product put. `a` and `b` point to the pixel
// to the upper left of the first.
template <int Rows, int Stride, class Put>
__device__ __forceinline__ void gate_column(const float* a, const float* b, const float* taps_a, const float* taps_b,
                                            const Put& put) {
  const Taps u(taps_a), v(taps_b);
  // The sums of three rows at a time: what is finished, what has its middle row, what begins.
  float sa[3], sb[3];
  IMGR_UNROLL
  for (int r = 0; r < Rows + 2; ++r) {
    float pa[3], pb[3];
    IMGR_UNROLL
    for (int i = 0; i < 3; ++i) pa[i] = a[r * Stride + i], pb[i] = b[r * Stride + i];
    sa[r % 3] = u.w[9], sb[r % 3] = v.w[9];
    IMGR_UNROLL
    for (int back = 0; back < 3; ++back) {
      if (back > r) continue;
      const int slot = (r - back) % 3;
      IMGR_UNROLL
      for (int i = 0; i < 3; ++i) sa[slot] += u.w[3 * back + i] * pa[i], sb[slot] += v.w[3 * back + i] * pb[i];
    }
    if (r >= 2) put(r - 2, sa[(r - 2) % 3] * sb[(r - 2) % 3]);
  }
}

}  // namespace imgrestore
