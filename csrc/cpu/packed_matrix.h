#pragma once

#include <algorithm>
#include <vector>

#include "gated_block.h"

namespace imgrestore {

inline bool processor_has_pairs() {
#if IMGR_X86 && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 11
  return __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

// A matrix of outputs by inputs, row by row, and its bias, in the order of PackedMatrix.
struct Packed {
  std::vector<float> weight, bias;
  std::vector<uint32_t> pairs;
  PackedMatrix matrix;

  Packed(const std::vector<float>& w, const std::vector<float>& b, int64_t depth, int64_t rows, bool paired) {
    const int64_t outputs = b.size(), blocks = (outputs + rows - 1) / rows;
    bias.assign(blocks * rows, 0.0f);
    std::copy(b.begin(), b.end(), bias.begin());
    const int64_t deep = paired ? (depth + 1) / 2 : depth;
    (paired ? pairs.resize(blocks * rows * deep) : weight.resize(blocks * rows * deep));
    for (int64_t o = 0; o < outputs; ++o) {
      const float* from = w.data() + o * depth;
      const int64_t to = o / rows * deep * rows + o % rows;
      if (paired) {
        for (int64_t k = 0; k < depth; k += 2) {
          const uint32_t upper = k + 1 < depth ? to_bfloat16(from[k + 1]).bits : 0;
          pairs[to + k / 2 * rows] = to_bfloat16(from[k]).bits | upper << 16;
        }
      } else {
        for (int64_t k = 0; k < depth; ++k) weight[to + k * rows] = from[k];
      }
    }
    matrix = {paired ? static_cast<const void*>(pairs.data()) : weight.data(), bias.data(), depth, blocks};
  }
  Packed(const Packed&) = delete;
};

}  // namespace imgrestore
