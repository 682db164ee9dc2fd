#pragma once

#include <stdint.h>

#include "device.h"

namespace imgrestore {

// Planes (N, C, H, W), dense: channel by channel, or with channels_last pixel by pixel. Parameters are float.
template <class T>
struct ChannelNormPlanes {
  const T* x;
  T* out;
  const float *weight, *bias;
  float eps;
  int64_t pictures, pixels;
  int channels;
  bool channels_last;
};

// T: float or Bfloat16
template <class T>
void launch_channel_norm(const ChannelNormPlanes<T>& planes, Stream stream);

}  // namespace imgrestore
