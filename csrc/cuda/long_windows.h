#pragma once

#include "filter_planes.h"

// Sums over windows of any length at a cost that hardly depends on it: a pass down the columns to scratch, and one
// along the rows from there. Guided filters sum products of two pictures.
namespace imgrestore {

// Pixel by pixel a, or a times b; levels, where there are any, are taken off first, `levels_each` numbers a plane.
struct WindowSource {
  const float *a, *b;  // b: nullptr where there is none
  PlaneWalk a_walk, b_walk;
  int64_t a_stride, b_stride;  // from row to row
  const float* levels;
  int levels_each, a_level, b_level;
};

struct LongWindows {
  WindowSource source;
  float* out;   // dense planes
  float* room;  // long_windows_room() floats for each plane
  int64_t first_plane, planes;
  int height, width;
  int radius_y, radius_x;
  Boundary boundary;
};

int64_t long_windows_room(int height, int width, int radius_y);
// The window's means, with the weights of `window_factor`.
void launch_long_windows(const LongWindows& windows, Stream stream);

// One over the number of pixels that count in the window round pixel i of n.
IMGR_HD float window_factor(int i, int n, int radius, Boundary boundary) {
  if (boundary != Boundary::kShrink) return 1.0f / float(2 * radius + 1);
  const int begin = i < radius ? 0 : i - radius, end = n - 1 - i < radius ? n - 1 : i + radius;
  return 1.0f / float(end - begin + 1);
}

}  // namespace imgrestore
