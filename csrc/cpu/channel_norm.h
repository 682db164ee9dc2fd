#pragma once

#include <stdint.h>

#include "../math/bfloat16.h"
#include "isa.h"

namespace imgrestore {

// The pixels of one picture, in reading order, each with its channels: one plane after the other, or (channels_last) all
// channels of a pixel together.
template <class T>
struct Pixels {
  T* data;
  int64_t count, channels;
  bool channels_last;
};

template <class T>
struct ChannelNormPicture {
  Pixels<const T> x;
  Pixels<T> out;
  const float *weight, *bias;
  float eps;
};

template <class T>
struct ChannelNormKernels {
  int lanes;
  // Normalises the pixels from `first` to before `end`, up to `block` of them at a time; `work` has room for
  // channels * block floats, aligned to 64 bytes, and block is a multiple of the lanes.
  void (*pixels)(const ChannelNormPicture<T>&, int64_t first, int64_t end, int64_t block, float* work);
};

#define IMGR_DECLARE_CHANNEL_NORM                          \
  extern const ChannelNormKernels<float> channel_norm_f32; \
  extern const ChannelNormKernels<Bfloat16> channel_norm_bf16;

namespace baseline {
IMGR_DECLARE_CHANNEL_NORM
}
#if IMGR_X86
namespace avx2 {
IMGR_DECLARE_CHANNEL_NORM
}
namespace avx512 {
IMGR_DECLARE_CHANNEL_NORM
}
#endif

}  // namespace imgrestore
