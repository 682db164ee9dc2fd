#pragma once

#include "fft_spectrum.h"
#include "plane_walk.h"

namespace imgrestore {

// Pictures (depth, height, width) of any strides, each with the response that its walk leads to: (depth, height,
// width / 2 + 1), dense. out: dense pictures. spectrum: room for the pictures' spectra.
struct FftFilter {
  FftPictures fft;
  const float* image;
  PlaneWalk image_walk;
  int64_t image_strides[3];
  const float2* response;
  PlaneWalk response_walk;
  float* out;
  float2* spectrum;
};

void launch_fft_filter(const FftFilter& filter, Stream stream);

}  // namespace imgrestore
