#include "direct_convolve.h"

#include "direct_tile.h"

// Convolution with a small kernel, tap by tap (direct_tile.h). The floor in memory is one read of the picture and one
// write of the result, 8 bytes a pixel; a tile reads its rim as well, which its neighbours leave in the second cache.
// From some 7 x 7 taps on the floor is the arithmetic: a multiplication for each tap and pixel, of which there are 64
// to five loads from shared memory. A kernel with depth goes through it plane by plane, and a plane's tile is loaded
// for each.
namespace imgrestore {
namespace {

__global__ void __launch_bounds__(DirectTile::kThreads, 4) direct_convolve(Convolution p) {
  IMGR_SHARED(float, shared);
  const DirectTile t = {p.kernel_size[1], p.kernel_size[2]};
  float *values = shared, *taps = values + t.values();
  int* places = reinterpret_cast<int*>(taps + t.taps());

  const TilePlace at(p.result[1], p.result[2]);
  const int64_t picture = at.plane / p.result[0], z = at.plane % p.result[0];
  const int64_t points = int64_t(p.size[1]) * p.size[2], tap_points = int64_t(t.tap_rows) * t.tap_columns;
  const float* image = p.image + picture * p.size[0] * points;
  const float* kernel = p.kernel + (p.own_kernels ? picture * p.kernel_size[0] * tap_points : 0);

  find_places(t, at.top + p.shift[1], at.left + p.shift[2], p.size[1], p.size[2], p.outside, places);
  float out[4][4] = {};
  for (int depth = 0; depth < p.kernel_size[0]; ++depth) {
    const int64_t from = boundary_index(z + p.shift[0] + depth, p.size[0], p.outside);
    __syncthreads();  // places are there, and nobody needs the last plane any more
    load_taps(t, kernel + (p.kernel_size[0] - 1 - depth) * tap_points, true, taps);
    load_values(t, from < 0 ? nullptr : image + from * points, p.size[2], places, nullptr, values);
    __syncthreads();
    correlate<false>(t, values, taps, nullptr, out);
  }
  store_outputs(out, p.out + at.plane * p.result[1] * p.result[2], at.top, at.left, p.result[1], p.result[2]);
}

}  // namespace

bool direct_convolve_covers(const int64_t* kernel_size) {
  return kernel_size[0] <= kDirectTaps && kernel_size[1] <= kDirectTaps && kernel_size[2] <= kDirectTaps &&
         kernel_size[0] * kernel_size[1] * kernel_size[2] <= kDirectTaps * kDirectTaps;
}

void launch_direct_convolve(const Convolution& convolution, Stream stream) {
  const DirectTile t = {convolution.kernel_size[1], convolution.kernel_size[2]};
  launch("direct_convolve", direct_convolve,
         tile_grid(convolution.pictures * convolution.result[0], convolution.result[1], convolution.result[2]),
         dim3(DirectTile::kThreads), t.bytes(), stream, convolution);
}

}  // namespace imgrestore
