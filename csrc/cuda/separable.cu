#include "separable.h"

#include "filter_tile.h"

// Correlation with two 1-D kernels. The floor is one read and one write of the picture, 8 bytes a pixel. Up to 65
// taps along the rows and 129 down the columns one kernel does both: a tile of 32 x 128 results goes down the columns
// in registers, eight results a thread, into shared memory, and from there along the rows; what a tile reads beside
// itself mostly comes from the caches. Longer kernels have as many products as make the bytes cheap: a pass for each
// direction, 16 bytes a pixel.
namespace imgrestore {
namespace {

constexpr int kGroup = FilterTile::kGroup, kThreads = FilterTile::kThreads;
constexpr int kMostRow = 65, kMostColumn = 129;

// out(j, sum over k of in(j + k) taps[k]) for eight j. Of the pixels past the last window none is touched but seven.
template <class In, class Tap>
__device__ __forceinline__ void correlate(const In& in, const Tap& tap, int count, float* acc) {
  float v[2 * kGroup - 1];
  IMGR_UNROLL
  for (int k = 0; k < kGroup - 1; ++k) v[k] = in(k);
  int j = 0;
  for (; j + kGroup <= count; j += kGroup) {
    IMGR_UNROLL
    for (int k = 0; k < kGroup; ++k) v[kGroup - 1 + k] = in(j + kGroup - 1 + k);
    IMGR_UNROLL
    for (int k = 0; k < kGroup; ++k) {
      const float t = tap(j + k);
      IMGR_UNROLL
      for (int o = 0; o < kGroup; ++o) acc[o] += v[o + k] * t;
    }
    IMGR_UNROLL
    for (int k = 0; k < kGroup - 1; ++k) v[k] = v[kGroup + k];
  }
  for (; j < count; ++j) {  // a tap at a time: a tap of zero would bring in pixels of no window
    const float t = tap(j);
    v[kGroup - 1] = in(j + kGroup - 1);
    IMGR_UNROLL
    for (int o = 0; o < kGroup; ++o) acc[o] += v[o] * t;
    IMGR_UNROLL
    for (int k = 0; k < kGroup - 1; ++k) v[k] = v[k + 1];
  }
}

struct TapsAt {
  const float* taps;
  __device__ __forceinline__ float operator()(int k) const { return taps[k]; }
};

struct BothFilter {
  int above, below, left, right;
  const float *row_taps, *column_taps;
  int row_count, column_count;

  template <class In>
  static __device__ __forceinline__ void run(const In& in, const float* taps, int count, const ToShared& out) {
    float acc[kGroup] = {};
    correlate(in, TapsAt{taps}, count, acc);
    IMGR_UNROLL
    for (int j = 0; j < kGroup; ++j) out(j, acc[j]);
  }
  template <class In>
  __device__ __forceinline__ void down(const In& in, const ToShared& out) const {
    run(in, column_taps, column_count, out);
  }
  template <class In>
  __device__ __forceinline__ void along(const In& in, const ToShared& out) const {
    run(in, row_taps, row_count, out);
  }
  __device__ __forceinline__ float finish(float value, int, int) const { return value; }
};

__global__ void __launch_bounds__(kThreads, 3) separable_tile(SeparablePlanes p, int64_t first_plane) {
  IMGR_SHARED(float, shared);
  float* const taps = shared + FilterTile::shared_floats(p.row_count - 1);
  const int rows = p.row_count, columns = p.column_count;
  for (int k = threadIdx.x; k < rows + columns; k += kThreads) {
    taps[k] = k < rows ? p.row_taps[k] : p.column_taps[k - rows];
  }
  __syncthreads();
  const BothFilter filter = {columns / 2, columns - 1 - columns / 2, rows / 2, rows - 1 - rows / 2,
                             taps, taps + rows, rows, columns};
  filter_tile(p.planes, first_plane, filter, shared);
}

// ---- long kernels, a pass for each direction

// A warp for 32 columns of eight rows.
__global__ void __launch_bounds__(kThreads) separable_down(SeparablePlanes p, int64_t first_plane) {
  const FilterPlanes& q = p.planes;
  const int tiles_x = int(blocks_for(q.width, kWarp)), tiles = tiles_x * int(blocks_for(q.height, 64));
  const int64_t plane = blockIdx.x / tiles;
  const int tile = blockIdx.x % tiles, x = tile % tiles_x * kWarp + int(threadIdx.x % kWarp);
  const int y = tile / tiles_x * 64 + int(threadIdx.x / kWarp) * kGroup;
  if (x >= q.width || y >= q.height) return;
  const float* image = q.image + q.walk.offset(first_plane + plane);
  const int first = y - p.column_count / 2;
  float acc[kGroup] = {};
  const TapsAt taps = {p.column_taps};
  if (first >= 0 && first + p.column_count + kGroup <= q.height) {
    correlate(InnerPixels{image + first * q.row_stride + x, q.row_stride}, taps, p.column_count, acc);
  } else {
    correlate(ColumnPixels{image + x, q.row_stride, first, q.height, q.boundary}, taps, p.column_count, acc);
  }
  float* out = q.out + (plane * q.height + y) * q.width + x;
  IMGR_UNROLL
  for (int j = 0; j < kGroup; ++j) {
    if (y + j < q.height) out[int64_t(j) * q.width] = acc[j];
  }
}

// 32 rows of 64 columns by a block, and so many taps at a time as pixels find room for.
constexpr int kAlongColumns = 64, kAlongTaps = 64;
constexpr int kAlongWide = kAlongColumns + kAlongTaps, kAlongStride = kAlongWide + 1;
constexpr size_t kAlongShared = sizeof(float) * (kWarp * kAlongStride + kAlongTaps);

__global__ void __launch_bounds__(kThreads) separable_along(SeparablePlanes p, int64_t first_plane) {
  IMGR_SHARED(float, pixels);
  float* const taps = pixels + kWarp * kAlongStride;
  const FilterPlanes& q = p.planes;
  const int tiles_x = int(blocks_for(q.width, kAlongColumns)), tiles = tiles_x * int(blocks_for(q.height, kWarp));
  const int64_t plane = blockIdx.x / tiles;
  const int tile = blockIdx.x % tiles, y0 = tile / tiles_x * kWarp, x0 = tile % tiles_x * kAlongColumns;
  const int thread = threadIdx.x, rows = min(kWarp, q.height - y0), columns = min(kAlongColumns, q.width - x0);
  const int row = thread % kWarp, group = thread / kWarp * kGroup;
  const float* image = q.image + q.walk.offset(first_plane + plane) + y0 * q.row_stride;
  float acc[kGroup] = {};
  for (int done = 0; done < p.row_count; done += kAlongTaps) {
    const int count = min(kAlongTaps, p.row_count - done), wide = columns + count - 1;
    const int first = x0 - p.row_count / 2 + done;
    const int c = thread % kAlongWide;
    if (c < wide) {
      const int column = edge_index(first + c, q.width, q.boundary);
      for (int r = thread / kAlongWide; r < rows; r += kThreads / kAlongWide) {
        pixels[r * kAlongStride + c] = column < 0 ? 0.0f : image[r * q.row_stride + column];
      }
    }
    if (thread < count) taps[thread] = p.row_taps[done + thread];
    __syncthreads();
    if (row < rows && group < columns) {
      correlate(SharedPixels{pixels + row * kAlongStride + group}, TapsAt{taps}, count, acc);
    }
    __syncthreads();
  }
  IMGR_UNROLL
  for (int j = 0; j < kGroup; ++j) pixels[row * kAlongStride + group + j] = acc[j];
  __syncthreads();
  float* target = q.out + (plane * q.height + y0) * q.width + x0;
  for (int i = thread; i < rows * kAlongColumns; i += kThreads) {
    const int r = i / kAlongColumns, c = i % kAlongColumns;
    if (c < columns) target[int64_t(r) * q.width + c] = pixels[r * kAlongStride + c];
  }
}

}  // namespace

bool separable_needs_scratch(int row_count, int column_count) {
  return row_count > kMostRow || column_count > kMostColumn;
}

void launch_separable(const SeparablePlanes& planes, Stream stream) {
  const FilterPlanes& q = planes.planes;
  const auto run = [&](const char* name, void (*kernel)(SeparablePlanes, int64_t), const SeparablePlanes& all,
                       int64_t blocks, size_t shared) {
    for_planes(all.planes.planes, blocks, [&](int64_t first, int64_t count) {
      SeparablePlanes some = all;
      some.planes = some_planes(all.planes, first, count);
      launch(name, kernel, dim3(blocks * count), dim3(kThreads), shared, stream, some, first);
    });
  };
  if (!separable_needs_scratch(planes.row_count, planes.column_count)) {
    const size_t floats = FilterTile::shared_floats(planes.row_count - 1) + planes.row_count + planes.column_count;
    run("separable_tile", separable_tile, planes, FilterTile::blocks(q.height, q.width), sizeof(float) * floats);
    return;
  }
  SeparablePlanes down = planes, along = planes;
  down.planes.out = planes.scratch;
  along.planes.image = planes.scratch;
  along.planes.walk = dense_walk(q.planes, int64_t(q.height) * q.width);
  along.planes.row_stride = q.width;
  run("separable_down", separable_down, down, blocks_for(q.width, kWarp) * blocks_for(q.height, 64), 0);
  run("separable_along", separable_along, along, blocks_for(q.width, kAlongColumns) * blocks_for(q.height, kWarp),
      kAlongShared);
}

}  // namespace imgrestore
