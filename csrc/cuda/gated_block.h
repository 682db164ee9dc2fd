#pragma once

#include <stdint.h>

#include "device.h"

namespace imgrestore {

// More channels than that are not covered.
constexpr int kGatedBlockMost = 192;

// Planes (N, C, H, W) of float or Bfloat16, dense: channel by channel, or with channels_last pixel by pixel.
struct GatedBlockPlanes {
  const void* x;
  void* out;
  bool bfloat16, channels_last;
  float eps;
  int64_t pictures;
  int height, width, channels, inner;
};

// Parameters as they are given, dense; the norm's may both be null.
struct GatedBlockWeights {
  const float *norm_weight, *norm_bias, *expand, *expand_bias, *depthwise, *depthwise_bias, *project, *project_bias;
  const float* scale;
};

// What the kernels read of them: the norm folded into `expand` and the scale into `project`, in the order of use.
struct GatedBlockPacked {
  int groups;    // of inner channels, which are expanded, gated and projected together
  bool normed;
  float *expand, *expand_bias, *taps, *project, *project_bias;  // narrow: pairs of bfloat16 in `expand` and `project`
};

// How the matrices lie there: `group` inner channels together; the results of a matrix come in `outs` parts.
struct GatedBlockOrder {
  bool narrow;
  int group, parts, outs, each;  // floats: `parts` of `expand`, `outs` of `project` with `each` channels; narrow: outs
  int64_t expand, taps, project, outputs;  // floats in each
};

constexpr int kTapRoom = 12;  // nine taps, the bias, and two to spare

// Floats of working memory, 16-byte aligned.
int64_t gated_block_scratch(int channels, int inner, bool narrow);

// narrow: the factors of the 1x1 convolutions are rounded to bfloat16; always so where the planes are Bfloat16.
void launch_gated_block(const GatedBlockPlanes& planes, const GatedBlockWeights& weights, bool narrow, float* scratch,
                        Stream stream);

// The two kinds of kernels: how they want their matrices, and the launch.
GatedBlockOrder gated_block_order(int channels, int inner);
GatedBlockOrder gated_block_narrow_order(int channels, int inner);
void launch_gated_block_floats(const GatedBlockPlanes& planes, const GatedBlockPacked& packed, Stream stream);
void launch_gated_block_narrow(const GatedBlockPlanes& planes, const GatedBlockPacked& packed, Stream stream);

}  // namespace imgrestore
