#pragma once

#include "fft_line.h"

namespace imgrestore {

// Convolution in tiles that a block holds in shared memory, two at a time as one complex picture: what a kernel with its
// centre at `centre` needs is read, transformed, multiplied and transformed back, and the part that no wrap-around reached is
// written. So a picture is read and written once, but for the rims of the tiles.
struct OverlapSave {
  int log_height, log_width;         // of a tile
  int kernel[2], centre[2];          // height and width
  int size[2];                       // of what is made
  int valid[2], down, across;        // of a tile: what is made; and the numbers of tiles
  int pictures;
  FftPlan along, down_plan;          // of a tile's rows and columns
  const float2* response;            // of a tile, one or one for each picture
  int64_t response_apart;

  // For a picture.
  IMGR_HD int64_t blocks() const { return (int64_t(down) * across + 1) / 2; }
  IMGR_HD int tile_height() const { return 1 << log_height; }
  IMGR_HD int tile_width() const { return 1 << log_width; }
};

constexpr int kOverlapThreads = 512;

// The smallest tile of which such a kernel leaves at least this share; false where there is none. Twiddles and response are
// the caller's to give.
bool overlap_save_plan(const int kernel[2], const int centre[2], const int size[2], int pictures, double share,
                       OverlapSave* plan);

// The responses of `count` kernels, one after the other in memory; turned: of the adjoint, which has the kernel turned round.
void launch_overlap_save_response(const OverlapSave& plan, const float* kernel, int count, bool turned, float2* response,
                                  Stream stream);

}  // namespace imgrestore
