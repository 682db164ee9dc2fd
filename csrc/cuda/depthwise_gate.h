#pragma once

#include <stdint.h>

#include "device.h"

namespace imgrestore {

// Planes (N, 2 half, H, W) in and (N, half, H, W) out, dense: channel by channel, or with channels_last pixel by pixel.
template <class T>
struct DepthwiseGatePlanes {
  const T* x;
  T* out;
  const float *weight, *bias;  // nine for each channel of x, and one
  int64_t pictures;
  int height, width, half;
  bool channels_last;
};

// Floats of working memory, 8-byte aligned.
inline int64_t depthwise_gate_scratch(int half, bool channels_last) { return channels_last ? int64_t(20) * half : 0; }

// T: float or Bfloat16
template <class T>
void launch_depthwise_gate(const DepthwiseGatePlanes<T>& planes, float* scratch, Stream stream);

}  // namespace imgrestore
