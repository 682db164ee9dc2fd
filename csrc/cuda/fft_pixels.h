#pragma once

#include "../math/boundary.h"
#include "fft_spectrum.h"
#include "plane_walk.h"

namespace imgrestore {

// Pictures in memory as what rows are transformed from: place (z, y, x) of the transform shows the picture's place + offset,
// less `period` where that is past it, or what the picture has outside of itself. Beyond `seen` it is dark.
struct FftSource {
  const float* data;
  const float* second;  // of the pictures from `split` on
  int split;
  PlaneWalk walk;
  int64_t stride[3], offset[3];
  int size[3], seen[3], period[3];
  Boundary outside;
  float scale;
};

// Dense pictures (depth, height, width), one after the other, on a transform that is no larger than they are.
FftSource fft_source(const float* data, int pictures, int depth, int height, int width);

// Pictures in memory that rows go back to: place (z, y, x) of the transform is the picture's place + first. What the picture has
// not is left out.
struct FftTarget {
  float* data;
  PlaneWalk walk;
  int64_t first_picture;
  int size[3], first[3];  // rows are dense, and follow each other
};

FftTarget fft_target(float* data, int pictures, int depth, int height, int width);

void launch_fft_rows_from(const char* name, const FftPictures& fft, const FftSource& from, float2* spectrum,
                          Stream stream);
void launch_fft_rows_to(const char* name, const FftPictures& fft, const FftTarget& to, const float2* spectrum,
                        Stream stream);

// The spectra of small kernels, `centre` of them at the origin, or their first corner: all pictures of `fft`, scaled so that a
// way there and back is none.
void launch_fft_kernels(const char* name, const FftPictures& fft, const float* kernels, const int size[3],
                        const int* centre, float2* spectrum, Stream stream);

}  // namespace imgrestore
