#pragma once

#include "channel_norm.h"
#include "channel_norm_lanes.h"

namespace imgrestore {
namespace IMGR_ISA {

template <class T>
struct ChannelNorm {
  static void pixels(const ChannelNormPicture<T>& p, int64_t first, int64_t end, int64_t block, float* work) {
    for (; first < end; first += block) {
      const int64_t count = end - first < block ? end - first : block;
      Lanes::load(p.x, first, count, work, block);
      Lanes::normalise(work, block, p.x.channels, (count + Lanes::L - 1) / Lanes::L, p.eps, p.weight, p.bias, work, block);
      Lanes::store(p.out, first, count, work, block, (const T*)nullptr);
    }
  }
};

extern const ChannelNormKernels<float> channel_norm_f32 = {Lanes::L, ChannelNorm<float>::pixels};
extern const ChannelNormKernels<Bfloat16> channel_norm_bf16 = {Lanes::L, ChannelNorm<Bfloat16>::pixels};

}  // namespace IMGR_ISA
}  // namespace imgrestore
