#include "blur_field.h"

#include "direct_tile.h"

// The blur by a field of PSFs, and its adjoint, tap by tap (direct_tile.h). The floor in memory is one read of the
// scene and one write of the picture, 8 bytes a pixel, which is little beside the arithmetic: a multiplication for each
// tap of each PSF that takes part in a pixel, mostly four. A block convolves with those PSFs alone that have a share in
// its tile, and a thread with those that have one in its own pixels.
//
// Forward the tile is loaded once, and what each PSF makes of it is weighted. In the adjoint what is convolved is
// weighted: columns where the tile is loaded, once for each column of the grid, and rows where their sums are added.
namespace imgrestore {
namespace {

struct Shared {
  float *values, *taps, *row_weight;
  int *places, *rows, *columns;  // of the grid: whether they take part

  __device__ Shared(const DirectTile& t, const BlurField& p, float* memory)
      : values(memory),
        taps(values + t.values()),
        row_weight(taps + t.taps()),
        places(reinterpret_cast<int*>(row_weight + t.rows())),
        rows(places + t.places()),
        columns(rows + p.rows) {}
};

size_t shared_bytes(const DirectTile& t, const BlurField& p) {
  return t.bytes() + sizeof(float) * size_t(t.rows() + p.rows + p.columns);
}

// Marks the windows of an axis that have a share in some of so many places.
template <class Place>
__device__ __forceinline__ void find_windows(const float* share, int windows, int length, int count, Place place,
                                             int* found) {
  for (int i = threadIdx.x; i < windows * count; i += DirectTile::kThreads) {
    const int window = i / count;
    // All who write write the same.
    if (share[int64_t(window) * length + place(i % count)] != 0) found[window] = 1;
  }
}

__device__ __forceinline__ void clear_windows(const BlurField& p, Shared& s) {
  for (int i = threadIdx.x; i < p.rows + p.columns; i += DirectTile::kThreads) s.rows[i] = 0;
}

__device__ __forceinline__ const float* kernel_of(const BlurField& p, int row, int column) {
  return p.kernels + (int64_t(row) * p.columns + column) * p.tap_rows * p.tap_columns;
}

// Four shares of a window from `first` on; none beyond the plane.
__device__ __forceinline__ bool shares(const float* share, int first, int length, float (&four)[4]) {
  bool any = false;
  IMGR_UNROLL
  for (int i = 0; i < 4; ++i) {
    four[i] = first + i < length ? share[first + i] : 0.0f;
    any = any || four[i] != 0;
  }
  return any;
}

__global__ void __launch_bounds__(DirectTile::kThreads, 4) spread(BlurField p) {
  IMGR_SHARED(float, memory);
  const DirectTile t = {p.tap_rows, p.tap_columns};
  Shared s(t, p, memory);
  const TilePlace at(p.height, p.width);
  const int64_t plane = at.plane * p.height * p.width;
  const int top = at.top, left = at.left;

  clear_windows(p, s);
  const int before = p.tap_rows - 1 - p.tap_rows / 2, sideways = p.tap_columns - 1 - p.tap_columns / 2;
  find_places(t, int64_t(top) - before, int64_t(left) - sideways, p.height, p.width, Boundary::kWrap, s.places);
  __syncthreads();
  load_values(t, p.x + plane, p.width, s.places, nullptr, s.values);
  const int height = min(DirectTile::kHeight, p.height - top), width = min(DirectTile::kWidth, p.width - left);
  find_windows(p.down, p.rows, p.height, height, [=](int i) { return top + i; }, s.rows);
  find_windows(p.right, p.columns, p.width, width, [=](int i) { return left + i; }, s.columns);
  __syncthreads();

  float out[4][4] = {};
  for (int row = 0; row < p.rows; ++row) {
    if (!s.rows[row]) continue;
    float down[4];
    const bool some_rows = shares(p.down + int64_t(row) * p.height, top + first_row(), p.height, down);
    for (int column = 0; column < p.columns; ++column) {
      if (!s.columns[column]) continue;
      float right[4];
      const bool some = shares(p.right + int64_t(column) * p.width, left + first_column(), p.width, right) && some_rows;
      __syncthreads();  // nobody needs the last taps any more
      load_taps(t, kernel_of(p, row, column), true, s.taps);
      __syncthreads();
      if (!some) continue;
      float blurred[4][4] = {};
      correlate<false>(t, s.values, s.taps, nullptr, blurred);
      IMGR_UNROLL
      for (int r = 0; r < 4; ++r) {
        IMGR_UNROLL
        for (int i = 0; i < 4; ++i) out[r][i] += down[r] * right[i] * blurred[r][i];
      }
    }
  }
  store_outputs(out, p.out + plane, top, left, p.height, p.width);
}

__global__ void __launch_bounds__(DirectTile::kThreads, 4) spread_adjoint(BlurField p) {
  IMGR_SHARED(float, memory);
  const DirectTile t = {p.tap_rows, p.tap_columns};
  Shared s(t, p, memory);
  const TilePlace at(p.height, p.width);
  const int64_t plane = at.plane * p.height * p.width;
  const int top = at.top, left = at.left;

  clear_windows(p, s);
  find_places(t, int64_t(top) - p.tap_rows / 2, int64_t(left) - p.tap_columns / 2, p.height, p.width, Boundary::kWrap,
              s.places);
  __syncthreads();
  const int *row_places = s.places, *column_places = s.places + t.rows();
  find_windows(p.down, p.rows, p.height, t.rows(), [=](int i) { return row_places[i]; }, s.rows);
  find_windows(p.right, p.columns, p.width, t.columns(), [=](int i) { return column_places[i]; }, s.columns);
  __syncthreads();

  float out[4][4] = {};
  for (int column = 0; column < p.columns; ++column) {
    if (!s.columns[column]) continue;
    __syncthreads();  // nobody needs the last values any more
    load_values(t, p.x + plane, p.width, s.places, p.right + int64_t(column) * p.width, s.values);
    for (int row = 0; row < p.rows; ++row) {
      if (!s.rows[row]) continue;
      __syncthreads();  // nor the last taps and weights
      load_taps(t, kernel_of(p, row, column), false, s.taps);
      for (int i = threadIdx.x; i < t.rows(); i += DirectTile::kThreads) {
        s.row_weight[i] = p.down[int64_t(row) * p.height + row_places[i]];
      }
      __syncthreads();
      correlate<true>(t, s.values, s.taps, s.row_weight, out);
    }
  }
  store_outputs(out, p.out + plane, top, left, p.height, p.width);
}

}  // namespace

bool blur_field_covers(int64_t rows, int64_t columns, int64_t tap_rows, int64_t tap_columns) {
  return tap_rows <= kDirectTaps && tap_columns <= kDirectTaps && rows <= 512 && columns <= 512;
}

void launch_blur_field(const BlurField& field, Stream stream) {
  const DirectTile t = {field.tap_rows, field.tap_columns};
  launch("blur_field", field.adjoint ? spread_adjoint : spread, tile_grid(field.planes, field.height, field.width),
         dim3(DirectTile::kThreads), shared_bytes(t, field), stream, field);
}

}  // namespace imgrestore
