#pragma once

#include "../math/bfloat16.h"
#include "device.h"

// Products of small matrices of bfloat16 on the tensor cores, by the lanes of a warp together. With g = lane / 4 and
// t = lane % 4, pairs of neighbours in a word, the first below:
//   a (16 x 16): word i holds row g + 8 (i % 2), columns 2 t + 8 (i / 2) and the next
//   b (16 x 8):  word i holds rows 2 t + 8 i and the next, column g
//   d (16 x 8):  number i is at row g + 8 (i / 2), column 2 t + i % 2
namespace imgrestore {

// Two numbers rounded to bfloat16, ties to even, the first in the lower half.
__device__ __forceinline__ uint32_t pack_bf16(float first, float second) {
#ifdef IMGR_EXECUTOR
  return to_bfloat16(first).bits | uint32_t(to_bfloat16(second).bits) << 16;
#else
  uint32_t both;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(second), "f"(first));
  return both;
#endif
}

#ifdef IMGR_EXECUTOR

struct MmaFactors {
  uint32_t a[4], b[2];
};

inline double half_of(uint32_t word, int second) {
  return double(to_float(Bfloat16{uint16_t(second ? word >> 16 : word & 0xffff)}));
}

// d += a b; a processor's tensor cores round the sums of products in their own way, here they are rounded once.
inline void mma_bf16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  MmaFactors all[kWarp];
  executor::share(MmaFactors{{a[0], a[1], a[2], a[3]}, {b0, b1}}, all);
  const int g = executor::lane() / 4, t = executor::lane() % 4;
  for (int i = 0; i < 4; ++i) {
    const int column = 2 * t + i % 2;
    double sum = d[i];
    for (int k = 0; k < 16; ++k) {
      const int holder = k % 8 / 2;
      sum += half_of(all[4 * g + holder].a[i / 2 + k / 8 * 2], k % 2) *
             half_of(all[4 * column + holder].b[k / 8], k % 2);
    }
    d[i] = float(sum);
  }
}

#elif defined(__CUDACC__)

__device__ __forceinline__ void mma_bf16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

#endif

}  // namespace imgrestore
