#pragma once

#include "fft_spectrum.h"

namespace imgrestore {

// Dense planes (pictures, channels, height, width), each deconvolved with `repeats` ratios, which come one after the
// other in out. A group of planes is done at a time, so that their spectra stay in the cache.
struct WienerPlanes {
  FftPictures fft;
  int64_t pictures;
  int channels, repeats;
  const float* image;
  const float2* otf;           // (pictures, height, width / 2 + 1)
  const float* level;          // (pictures, channels * repeats)
  const float* power;          // (channels * repeats)
  const float* signal_power;   // the same, or null
  const float* log_frequency;  // (height, width / 2 + 1)
  float gain;
  float* out;
  int64_t out_picture;  // from picture to picture; planes are dense
  int64_t group;        // wiener_planes_group()
  float2 *spectrum, *filtered;  // room for `group` spectra, and for group * repeats
  // Where there is a signal_power: room for group * wiener_planes_sums() numbers, and for group * repeats.
  double* sums;
  float* levels;
};

// Planes of the image that are done at a time, at most.
int64_t wiener_planes_group(const FftShape& shape, int64_t planes, int repeats);
int64_t wiener_planes_sums(const FftShape& shape);

void launch_wiener_planes(const WienerPlanes& planes, Stream stream);

}  // namespace imgrestore
