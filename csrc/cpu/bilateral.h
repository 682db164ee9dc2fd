#pragma once

#include <stdint.h>

#include "../math/boundary.h"
#include "isa.h"

namespace imgrestore {

// A neighbour, and the logarithm to base 2 of its weight in space.
struct BilateralTap {
  int64_t dy, dx;
  float log_weight;
};

// A picture of some channels, and the guide whose channels tell how alike two pixels are. The kernel knows nothing of
// tensors or threads: independent strips of columns, any rows at a time.
struct BilateralPicture {
  const float *image, *guide;  // the first channel; guide is null where the image is its own
  int64_t image_channels, image_channel_stride, image_stride;
  int64_t guide_channels, guide_channel_stride, guide_stride;
  float* out;  // channels and rows follow each other
  int64_t height, width, radius;
  Boundary boundary;
  float range;  // log2 of a weight is this times the squared distance of two pixels, plus log_weight
  float scale;  // root of -range; 0 where rows are not to be scaled by it, as only a gray picture without guide may be
  const BilateralTap* taps;  // half of the neighbours: those that come later, row by row
  int64_t count;
};

// Scratch for one thread, aligned to 64 bytes; sizes by bilateral_scratch().
struct BilateralWork {
  float* rows;     // radius + 1 rows, with what stands beside the strip
  float* weights;  // of some neighbours in one row
  float* sums;     // radius + 1 rows: of each channel times its weights, and of the weights
};

struct BilateralKernels {
  int lanes;
  void (*strip)(const BilateralPicture&, const BilateralWork&, int64_t row, int64_t row_end, int64_t column);
};

struct BilateralScratch {
  int64_t rows, weights, sums;  // counts of floats
};

constexpr int64_t kBilateralStrip = 512;  // columns at most: rows and sums of a small disk stay in the first cache
constexpr int64_t kBilateralChunk = 9;    // neighbours at a time

IMGR_HD int64_t bilateral_margin(int64_t radius, int lanes) { return (radius + lanes - 1) / lanes * lanes; }
// Strips of about one width, each a multiple of two vectors of any instruction set.
IMGR_HD int64_t bilateral_strip(int64_t width) {
  const int64_t strips = (width + kBilateralStrip - 1) / kBilateralStrip;
  return ((width + strips - 1) / strips + 31) / 32 * 32;
}
IMGR_HD int64_t bilateral_row(int64_t width, int64_t radius, int lanes) {
  return bilateral_strip(width) + 2 * bilateral_margin(radius, lanes);
}
IMGR_HD int64_t bilateral_channels(const BilateralPicture& p) {
  return p.image_channels + (p.guide ? p.guide_channels : 0);
}
IMGR_HD BilateralScratch bilateral_scratch(const BilateralPicture& p, int lanes) {
  const int64_t row = bilateral_row(p.width, p.radius, lanes), rows = p.radius + 1;
  return {rows * bilateral_channels(p) * row, kBilateralChunk * row,
          rows * (p.image_channels + 1) * bilateral_strip(p.width)};
}

namespace baseline {
extern const BilateralKernels bilateral_f32;
}
#if IMGR_X86
namespace avx2 {
extern const BilateralKernels bilateral_f32;
}
namespace avx512 {
extern const BilateralKernels bilateral_f32;
}
#endif

}  // namespace imgrestore
