#pragma once

#include "fft_line.h"

namespace imgrestore {

// Half spectra of real pictures (depth, height, width) as the passes leave them: `columns` of the half width side by side
// make a tile, in which depth and height follow, so that a block of rows writes and a block of columns reads whole sectors.
struct FftShape {
  int pictures, depth, height, width;
  int log_columns, tiles;

  IMGR_HD int columns() const { return 1 << log_columns; }
  IMGR_HD int half() const { return width / 2 + 1; }
  IMGR_HD int64_t picture_size() const { return int64_t(tiles) * depth * height << log_columns; }
  IMGR_HD int place(int z, int y, int k) const {
    return ((((k >> log_columns) * depth + z) * height + y) << log_columns) + (k & (columns() - 1));
  }
};

// A picture's size and the plans of its axes.
struct FftPictures {
  FftShape shape;
  FftPlan along, down, deep;
  FftBlock columns_block;
};

// False where a size is not of the form 2^a 3^b 5^c, too long, or does not fit into this device's shared memory. The
// plans' twiddles are the caller's to give.
bool fft_pictures(int64_t pictures, int64_t depth, int64_t height, int64_t width, FftPictures* fft);

// Shared memory that a block takes rather than more: several blocks then share a multiprocessor.
constexpr size_t kFftShared = 72 * 1024;

}  // namespace imgrestore
