#pragma once

#include <stdint.h>

#include "fft_plan.h"
#include "isa.h"

namespace imgrestore {

// A box of points that is transformed as a whole, two real pictures at a time as re + i im, each size of the form
// 2^a 3^b 5^c, height and width multiples of the lanes. In memory a tile is planes of column blocks of rows of
// (L real, L imaginary) parts; one more row a block keeps blocks from falling on the same lines of the cache.
struct FftTile {
  int64_t depth, height, width;
  const FftPlan<float>*along_depth, *along_columns, *along_rows;
};

IMGR_HD int64_t fft_tile_block(const FftTile& t, int lanes) { return (t.height + 1) * 2 * lanes; }
IMGR_HD int64_t fft_tile_plane(const FftTile& t, int lanes) { return t.width / lanes * fft_tile_block(t, lanes); }
// Scalars of a tile, of the lines that working on it takes besides, and of a response to filter it with.
IMGR_HD int64_t fft_tile_size(const FftTile& t, int lanes) { return t.depth * fft_tile_plane(t, lanes); }
IMGR_HD int64_t fft_tile_lines(const FftTile& t, int lanes) {
  return 2 * lanes * (t.width > t.depth * lanes ? t.width : t.depth * lanes);
}
IMGR_HD int64_t fft_tile_response(const FftTile& t) { return 2 * t.depth * t.height * t.width; }

}  // namespace imgrestore
