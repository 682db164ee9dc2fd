#pragma once

#include <stdint.h>

#include "../math/host_device.h"

// Pictures in strips: planes of strips of `lanes` columns, each strip row after row. A block of columns of a tile is one stretch
// of memory then, which is foreseen by the hardware. What fills up the last strip means nothing.
namespace imgrestore {

// size: depth, height, width
IMGR_HD int64_t strips_of(const int64_t* size, int lanes) { return (size[2] + lanes - 1) / lanes; }
IMGR_HD int64_t strips_points(const int64_t* size, int lanes) {
  return size[0] * size[1] * strips_of(size, lanes) * lanes;
}
// Where row y of plane z begins in the strip of column x.
IMGR_HD int64_t strips_at(const int64_t* size, int lanes, int64_t z, int64_t y, int64_t x) {
  return ((z * strips_of(size, lanes) + x / lanes) * size[1] + y) * lanes;
}

}  // namespace imgrestore
