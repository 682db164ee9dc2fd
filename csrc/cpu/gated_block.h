#pragma once

#include <stdint.h>

#include "depthwise_gate.h"

namespace imgrestore {

// A 1×1 convolution's weights in the order in which the kernel reads them: block by block of `rows` outputs (a kernel's
// own number), for each input the weights of the block's outputs, zero past the last output. Or, in pairs: for each pair
// of inputs, two bfloat16 in 32 bits, the first input's in the lower half.
struct PackedMatrix {
  const void* weight;
  const float* bias;  // blocks * rows
  int64_t depth, blocks;
};

template <class T>
struct GatedBlockPicture {
  Pixels<const T> x;
  Pixels<T> out;
  int64_t height, width, half;  // half: channels after the gate
  bool normed;                  // the norm's weight and bias are part of `expand`
  float eps;
  PackedMatrix expand, project;  // the scale of the residual is part of `project`
  const float* taps;             // kTaps for each of 2 * half channels
};

template <class T>
struct GatedBlockKernels {
  int lanes;
  int rows;     // of a block of PackedMatrix
  int columns;  // pixels that go through a 1×1 convolution together
  void (*tile)(const GatedBlockPicture<T>&, const Tile&, float* work);
  // The same with products of bfloat16 for the 1×1 convolutions, for a processor that has them; or null.
  void (*tile_pairs)(const GatedBlockPicture<T>&, const Tile&, float* work);
};

// Working memory of a tile, in floats: the ring, a row of the input, what is written, and a group of columns of the two
// 1×1 convolutions' inputs.
struct GatedBlockWork {
  int64_t ring, x, out, group, total;
};

IMGR_HD GatedBlockWork gated_block_work(int64_t channels, int64_t half, int64_t width, int lanes, int rows, int columns) {
  const int64_t stride = ring_stride(width, lanes);
  const int64_t most = 2 * half > channels ? 2 * half : channels;
  GatedBlockWork w;
  w.ring = kRingRows * ((2 * half + rows - 1) / rows * rows) * stride;
  w.x = channels * stride;
  w.out = kRingStep * ((channels + rows - 1) / rows * rows) * stride;
  w.group = (kRingStep * half + most + 2) * columns;
  w.total = w.ring + w.x + w.out + w.group;
  return w;
}

#define IMGR_DECLARE_GATED_BLOCK                         \
  extern const GatedBlockKernels<float> gated_block_f32; \
  extern const GatedBlockKernels<Bfloat16> gated_block_bf16;

namespace baseline {
IMGR_DECLARE_GATED_BLOCK
}
#if IMGR_X86
namespace avx2 {
IMGR_DECLARE_GATED_BLOCK
}
namespace avx512 {
IMGR_DECLARE_GATED_BLOCK
}
#endif

}  // namespace imgrestore
