#pragma once

#include <stdint.h>

#include "../math/boundary.h"
#include "device.h"

namespace imgrestore {

// out[i] = sum_j kernel[j] image[i + shift + kernel_size - 1 - j] of dense pictures (d, h, w), with one kernel for all
// of them, or one for each.
struct Convolution {
  const float *image, *kernel;
  float* out;
  int64_t pictures;
  int size[3], kernel_size[3], result[3];
  int64_t shift[3];
  Boundary outside;
  bool own_kernels;
};

}  // namespace imgrestore
