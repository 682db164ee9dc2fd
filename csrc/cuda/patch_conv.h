#pragma once

#include <stdint.h>

#include "device.h"

namespace imgrestore {

// A convolution of planes with zeros beyond the frame. `out` and `plus` are dense planes: `outputs` of each picture, or
// with `shuffle` a quarter as many of twice the height and width.
struct PatchConvPlanes {
  const float* x;  // planes, one after the other
  const float* weight;  // outputs x depth, depth = channels * kernel * kernel
  const float* bias;  // may be null
  const float* plus;  // may be null, or `out`
  float* out;
  int64_t pictures;
  int channels, height, width;
  int outputs, out_height, out_width;  // before shuffling
  int kernel, stride, padding;
  bool shuffle;
};

// narrow: the factors are rounded to bfloat16.
void launch_patch_conv(const PatchConvPlanes& planes, bool narrow, Stream stream);
void launch_patch_conv_narrow(const PatchConvPlanes& planes, Stream stream);
// Kernels of 3x3 or 5x5, with stride 1.
void launch_patch_conv_direct(const PatchConvPlanes& planes, Stream stream);

}  // namespace imgrestore
