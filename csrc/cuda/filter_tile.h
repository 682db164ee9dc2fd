#pragma once

#include "filter_planes.h"

// A tile of a picture that is filtered down the columns, from memory into shared memory, and then along the rows. A
// thread makes several results at a time, so that a pixel is loaded once for all of them.
namespace imgrestore {

// Pixels of a column, from row `first` on, as the picture goes on past its edges.
struct ColumnPixels {
  const float* column;  // nullptr: all zeros
  int64_t stride;
  int first, height;
  Boundary boundary;
  __device__ __forceinline__ float operator()(int k) const {
    if (!column) return 0;
    const int row = edge_index(first + k, height, boundary);
    return row < 0 ? 0.0f : column[row * stride];
  }
};
// The same where all that is asked for stands inside.
struct InnerPixels {
  const float* first;
  int64_t stride;
  __device__ __forceinline__ float operator()(int k) const { return first[k * stride]; }
};
struct SharedPixels {
  const float* first;
  __device__ __forceinline__ float operator()(int k) const { return first[k]; }
};
struct ToShared {
  float* first;
  int stride;
  __device__ __forceinline__ void operator()(int j, float value) const { first[j * stride] = value; }
};

struct FilterTile {
  static constexpr int kThreads = 256, kRows = 32, kColumns = 128, kGroup = 8;
  static constexpr int kOut = kColumns + 1;  // odd: lanes that are rows fall into different banks

  static IMGR_HD int stride(int halo) { return (kColumns + halo) | 1; }
  static IMGR_HD size_t shared_floats(int halo) { return size_t(kRows) * (stride(halo) + kOut); }
  static IMGR_HD int64_t blocks(int height, int width) {
    return blocks_for(height, kRows) * blocks_for(width, kColumns);
  }
};

// One tile by a block. Filter: rows and columns of pixels before and behind a result's own (`above`, `below`, `left`,
// `right`); down(in, out) and along(in, out) make eight results, out(j, ...) from in(j) to in(j + below + above) and
// so on; finish(value, y, x) gives the pixel of the output.
template <class Filter>
__device__ __forceinline__ void filter_tile(const FilterPlanes& p, int64_t first_plane, const Filter& filter,
                                            float* shared) {
  typedef FilterTile T;
  const int tiles_x = (p.width + T::kColumns - 1) / T::kColumns, tiles = int(T::blocks(p.height, p.width));
  const int64_t plane = blockIdx.x / tiles;
  const int tile = blockIdx.x % tiles, y0 = tile / tiles_x * T::kRows, x0 = tile % tiles_x * T::kColumns;
  const int rows = min(T::kRows, p.height - y0), columns = min(T::kColumns, p.width - x0);
  const int halo = filter.left + filter.right, stride = T::stride(halo), wide = columns + halo;
  const float* image = p.image + p.walk.offset(first_plane + plane);
  float* const results = shared + T::kRows * stride;
  const int thread = threadIdx.x;

  const int groups = (rows + T::kGroup - 1) / T::kGroup;
  for (int item = thread; item < groups * wide; item += T::kThreads) {
    const int group = item / wide, c = item - group * wide;
    const int column = edge_index(x0 - filter.left + c, p.width, p.boundary);
    const int first = y0 + group * T::kGroup - filter.above;
    const ToShared out = {shared + group * T::kGroup * stride + c, stride};
    if (column >= 0 && first >= 0 && first + T::kGroup + filter.above + filter.below <= p.height) {
      const InnerPixels in = {image + first * p.row_stride + column, p.row_stride};
      filter.down(in, out);
    } else {
      const ColumnPixels in = {column < 0 ? nullptr : image + column, p.row_stride, first, p.height, p.boundary};
      filter.down(in, out);
    }
  }
  __syncthreads();

  const int row_groups = (columns + T::kGroup - 1) / T::kGroup;
  for (int item = thread; item < row_groups * T::kRows; item += T::kThreads) {
    const int row = item % T::kRows, group = item / T::kRows;
    if (row >= rows) continue;
    const SharedPixels in = {shared + row * stride + group * T::kGroup};
    const ToShared out = {results + row * T::kOut + group * T::kGroup, 1};
    filter.along(in, out);
  }
  __syncthreads();

  float* target = p.out + (plane * p.height + y0) * p.width + x0;
  for (int i = thread; i < rows * T::kColumns; i += T::kThreads) {
    const int row = i / T::kColumns, c = i % T::kColumns;
    if (c < columns) target[int64_t(row) * p.width + c] = filter.finish(results[row * T::kOut + c], y0 + row, x0 + c);
  }
}

}  // namespace imgrestore
