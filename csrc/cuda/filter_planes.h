#pragma once

#include "../math/boundary.h"
#include "device.h"
#include "plane_walk.h"

// Planes as the filters' kernels take them, and how these find pixels.
namespace imgrestore {

// Planes (H, W) of which the pixels of a row lie side by side; those of out are dense. Sides are below 2^30.
struct FilterPlanes {
  const float* image;
  PlaneWalk walk;
  int64_t row_stride;
  float* out;
  int64_t planes;
  int height, width;
  Boundary boundary;
};

// One plane after the other.
inline PlaneWalk dense_walk(int64_t planes, int64_t pixels) {
  PlaneWalk walk = {};
  walk.dims = 1;
  walk.size[0] = planes;
  walk.stride[0] = pixels;
  return walk;
}

// Which of n pixels stands at place i; -1 where it is a zero.
IMGR_HD int edge_index(int i, int n, Boundary boundary) {
  return unsigned(i) < unsigned(n) ? i : int(boundary_index(i, n, boundary));
}

// Runs of planes that a grid's first side has room for, `blocks` a plane: run(first, count).
template <class Run>
void for_planes(int64_t planes, int64_t blocks, const Run& run) {
  const int64_t most = blocks < 0x7fffffff ? 0x7fffffff / blocks : 1;
  for (int64_t first = 0; first < planes; first += most) run(first, planes - first < most ? planes - first : most);
}
inline FilterPlanes some_planes(FilterPlanes p, int64_t first, int64_t count) {
  p.out += first * p.height * p.width;
  p.planes = count;
  return p;  // the walk still begins at plane 0: kernels are told the first one
}

}  // namespace imgrestore
