#pragma once

#include <stdint.h>

#include "fft_tile.h"

// Convolution by overlap-save: the result is cut into boxes, each computed by one circular convolution of the input around
// it. Sizes and places are (depth, height, width).
namespace imgrestore {

enum class Outside : int { kZero = 0, kReflect = 1, kWrap = 2 };

// Where the box number `index` of a result lies.
struct OverlapSaveGrid {
  int64_t size[3];   // of the result
  int64_t box[3];    // of each box but the last ones
  int64_t count[3];  // of boxes
};

struct OverlapSaveBox {
  int64_t origin[3], size[3];
};

IMGR_HD int64_t overlap_save_boxes(const OverlapSaveGrid& g) { return g.count[0] * g.count[1] * g.count[2]; }
IMGR_HD OverlapSaveBox overlap_save_box(const OverlapSaveGrid& g, int64_t index) {
  OverlapSaveBox b;
  for (int axis = 2; axis >= 0; --axis) {
    b.origin[axis] = index % g.count[axis] * g.box[axis];
    index /= g.count[axis];
    const int64_t left = g.size[axis] - b.origin[axis];
    b.size[axis] = left < g.box[axis] ? left : g.box[axis];
  }
  return b;
}

// What every box of a pass has in common: result[i] = sum_j kernel[j] input[i + shift + size of the kernel - 1 - j].
struct OverlapSavePass {
  FftTile tile;
  const float* response;  // of the kernel, fft_tile_response() scalars, scaled by 1 / points of the tile
  OverlapSaveGrid grid;
  int64_t input[3];  // size of the input
  int64_t shift[3];
  Outside outside;
};

// The index that stands for i outside 0 ... n - 1; -1 for none.
IMGR_HD int64_t overlap_save_locate(int64_t i, int64_t n, Outside outside) {
  if (uint64_t(i) < uint64_t(n)) return i;
  if (outside == Outside::kZero) return -1;
  const int64_t period = outside == Outside::kReflect ? 2 * n : n;
  i %= period;
  if (i < 0) i += period;
  return i < n ? i : period - 1 - i;
}

}  // namespace imgrestore
