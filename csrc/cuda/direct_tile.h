#pragma once

#include "../math/boundary.h"
#include "device.h"

// Correlation of a plane with taps that are given as numbers, tile by tile: what the direct convolutions have in
// common.
//
// A block makes 64 x 32 outputs. What they see of the plane lies in shared memory, and so do the taps. A thread makes 4
// x 4 outputs: four taps of each of four rows meet eight values, so that five loads of 16 bytes (of which four give all
// threads the same) feed 64 multiplications. Eight threads side by side read 128 bytes in a row: no two meet in a bank.
namespace imgrestore {

// The most taps along an axis.
constexpr int kDirectTaps = 31;

struct DirectTile {
  static constexpr int kEach = 4;  // outputs of a thread along each axis
  static constexpr int kAcross = 16, kDown = 8, kThreads = kAcross * kDown;
  static constexpr int kWidth = kAcross * kEach, kHeight = kDown * kEach;

  int tap_rows, tap_columns;

  IMGR_HD static int whole_vectors(int count) { return (count + 3) / 4 * 4; }
  // What the outputs see of the plane; the stride in shared memory.
  IMGR_HD int rows() const { return kHeight + tap_rows - 1; }
  IMGR_HD int columns() const { return kWidth + tap_columns - 1; }
  IMGR_HD int stride() const { return whole_vectors(columns()); }
  IMGR_HD int tap_stride() const { return whole_vectors(tap_columns); }
  // Floats of each part, all of them whole vectors.
  IMGR_HD int values() const { return rows() * stride(); }
  IMGR_HD int taps() const { return tap_rows * tap_stride(); }
  // Places in the plane, as int: of rows(), then of columns().
  IMGR_HD int places() const { return whole_vectors(rows() + columns()); }
  IMGR_HD size_t bytes() const { return sizeof(float) * size_t(values() + taps() + places()); }
};

// Where a block's tile of the outputs begins. Blocks go through the tiles of a plane, then through the planes, along
// the first side of a grid, which has 2^31 places.
struct TilePlace {
  int64_t plane;
  int top, left;

  __device__ TilePlace(int height, int width) {
    const int across = (width + DirectTile::kWidth - 1) / DirectTile::kWidth;
    const int down = (height + DirectTile::kHeight - 1) / DirectTile::kHeight;
    const int block = int(blockIdx.x), tile = block % (across * down);
    plane = block / (across * down);
    top = tile / across * DirectTile::kHeight;
    left = tile % across * DirectTile::kWidth;
  }
};
inline dim3 tile_grid(int64_t planes, int64_t height, int64_t width) {
  const int64_t blocks = blocks_for(height, DirectTile::kHeight) * blocks_for(width, DirectTile::kWidth) * planes;
  if (blocks > INT32_MAX) throw std::runtime_error("too many pictures for one call: more than 2^31 tiles");
  return dim3(blocks);
}

// Where in a plane of height x width the rows and columns of a tile are that begins at (top, left), -1 for a zero.
__device__ __forceinline__ void find_places(const DirectTile& t, int64_t top, int64_t left, int height, int width,
                                            Boundary outside, int* places) {
  for (int i = threadIdx.x; i < t.rows() + t.columns(); i += DirectTile::kThreads) {
    const bool row = i < t.rows();
    const int64_t at = row ? top + i : left + i - t.rows();
    places[i] = int(boundary_index(at, row ? height : width, outside));
  }
}

// Brings a tile to shared memory, each column times its weight where there are weights; zeros where there is no plane.
__device__ __forceinline__ void load_values(const DirectTile& t, const float* plane, int width, const int* places,
                                            const float* column_weight, float* values) {
  constexpr int kChunks = (DirectTile::kWidth + kDirectTaps - 1 + kWarp - 1) / kWarp;
  constexpr int kWarps = DirectTile::kThreads / kWarp, kRows = 4;  // so many rows are on their way at once
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, stride = t.stride();
  int from[kChunks];
  float weight[kChunks];
  IMGR_UNROLL
  for (int c = 0; c < kChunks; ++c) {
    const int column = lane + c * kWarp;
    from[c] = column < t.columns() && plane ? places[t.rows() + column] : -1;
    weight[c] = column_weight && from[c] >= 0 ? column_weight[from[c]] : 1.0f;
  }
  for (int first = warp; first < t.rows(); first += kRows * kWarps) {
    float value[kRows][kChunks];
    IMGR_UNROLL
    for (int k = 0; k < kRows; ++k) {
      const int row = first + k * kWarps, y = row < t.rows() ? places[row] : -1;
      const float* line = plane + int64_t(y) * width;
      IMGR_UNROLL
      for (int c = 0; c < kChunks; ++c) value[k][c] = y >= 0 && from[c] >= 0 ? line[from[c]] : 0.0f;
    }
    IMGR_UNROLL
    for (int k = 0; k < kRows; ++k) {
      const int row = first + k * kWarps;
      IMGR_UNROLL
      for (int c = 0; c < kChunks; ++c) {
        const int column = lane + c * kWarp;
        if (row < t.rows() && column < t.columns()) values[row * stride + column] = value[k][c] * weight[c];
      }
    }
  }
}

// Brings the taps to shared memory, turned round for a convolution. A warp takes a row, of fewer taps than it has
// lanes.
__device__ __forceinline__ void load_taps(const DirectTile& t, const float* kernel, bool turned, float* taps) {
  constexpr int kWarps = DirectTile::kThreads / kWarp, kRounds = (kDirectTaps + kWarps - 1) / kWarps;
  static_assert(kDirectTaps <= kWarp, "a row of taps is loaded by a warp");
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, last = t.tap_rows * t.tap_columns - 1;
  float tap[kRounds];
  IMGR_UNROLL
  for (int k = 0; k < kRounds; ++k) {
    const int row = warp + k * kWarps, at = row * t.tap_columns + lane;
    tap[k] = row < t.tap_rows && lane < t.tap_columns ? kernel[turned ? last - at : at] : 0.0f;
  }
  IMGR_UNROLL
  for (int k = 0; k < kRounds; ++k) {
    const int row = warp + k * kWarps;
    if (row < t.tap_rows && lane < t.tap_columns) taps[row * t.tap_stride() + lane] = tap[k];
  }
}

// Where a thread's outputs begin in its tile.
__device__ __forceinline__ int first_row() { return int(threadIdx.x) / DirectTile::kAcross * DirectTile::kEach; }
__device__ __forceinline__ int first_column() { return int(threadIdx.x) % DirectTile::kAcross * DirectTile::kEach; }

__device__ __forceinline__ void load_four(const float* from, float* to) {
  const float4 v = *reinterpret_cast<const float4*>(from);
  to[0] = v.x, to[1] = v.y, to[2] = v.z, to[3] = v.w;
}

// One row of values meets kRows rows of taps, each one before the last: sums of their own, short, for the accuracy.
// Taps that fill no vector are taken one by one: zeros beside them would make NaN of an infinite value that no output
// sees.
template <int kRows>
__device__ __forceinline__ void meet_row(const DirectTile& t, const float* values, const float* taps,
                                         float (&sums)[kRows][4]) {
  IMGR_UNROLL
  for (int r = 0; r < kRows; ++r) {
    IMGR_UNROLL
    for (int i = 0; i < 4; ++i) sums[r][i] = 0;
  }
  const int stride = t.tap_stride(), rest = t.tap_columns % 4, whole = t.tap_columns - rest;
  float seen[8], tap[4];
  load_four(values, seen);
  for (int j = 0; j < whole; j += 4) {
    load_four(values + j + 4, seen + 4);
    IMGR_UNROLL
    for (int r = 0; r < kRows; ++r) {
      load_four(taps + j - r * stride, tap);
      IMGR_UNROLL
      for (int k = 0; k < 4; ++k) {
        IMGR_UNROLL
        for (int i = 0; i < 4; ++i) sums[r][i] += tap[k] * seen[k + i];
      }
    }
    IMGR_UNROLL
    for (int i = 0; i < 4; ++i) seen[i] = seen[i + 4];
  }
  if (rest > 1) load_four(values + whole + 4, seen + 4);
  IMGR_UNROLL
  for (int k = 0; k < 3; ++k) {
    if (k >= rest) break;
    IMGR_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const float one = taps[whole + k - r * stride];
      IMGR_UNROLL
      for (int i = 0; i < 4; ++i) sums[r][i] += one * seen[k + i];
    }
  }
}

// Adds to a thread's outputs what its rows of the tile give through the taps, each row times its weight where there are
// weights; rows of weight 0 are left out.
template <bool kWeighted>
__device__ __forceinline__ void correlate(const DirectTile& t, const float* values, const float* taps,
                                          const float* row_weight, float (&out)[4][4]) {
  const int top = first_row(), stride = t.stride();
  const float* own = values + top * stride + first_column();
  for (int row = 0; row < t.tap_rows + 3; ++row) {
    const float weight = kWeighted ? row_weight[top + row] : 1.0f;
    if (kWeighted && weight == 0) continue;
    // Output row r of the four meets row - r of the taps; of the first and last rows not all do.
    if (row >= 3 && row < t.tap_rows) {
      float sums[4][4];
      meet_row<4>(t, own + row * stride, taps + row * t.tap_stride(), sums);
      IMGR_UNROLL
      for (int r = 0; r < 4; ++r) {
        IMGR_UNROLL
        for (int i = 0; i < 4; ++i) out[r][i] += kWeighted ? weight * sums[r][i] : sums[r][i];
      }
    } else {
      IMGR_UNROLL
      for (int r = 0; r < 4; ++r) {
        if (row - r < 0 || row - r >= t.tap_rows) continue;
        float sums[1][4];
        meet_row<1>(t, own + row * stride, taps + (row - r) * t.tap_stride(), sums);
        IMGR_UNROLL
        for (int i = 0; i < 4; ++i) out[r][i] += kWeighted ? weight * sums[0][i] : sums[0][i];
      }
    }
  }
}

// Writes a thread's outputs to a dense plane, to which its tile begins at (top, left).
__device__ __forceinline__ void store_outputs(const float (&out)[4][4], float* plane, int top, int left, int height,
                                              int width) {
  const int y = top + first_row(), x = left + first_column();
  IMGR_UNROLL
  for (int r = 0; r < 4; ++r) {
    if (y + r >= height || x >= width) continue;
    float* to = plane + int64_t(y + r) * width + x;
    if (width % 4 == 0) {
      *reinterpret_cast<float4*>(to) = make_float4(out[r][0], out[r][1], out[r][2], out[r][3]);
    } else {
      IMGR_UNROLL
      for (int i = 0; i < 4; ++i) {
        if (x + i < width) to[i] = out[r][i];
      }
    }
  }
}

}  // namespace imgrestore
