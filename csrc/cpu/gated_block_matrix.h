#pragma once

#include "gated_block.h"
#include "simd.h"
#if IMGR_X86 && !defined(__clang__)
#include <immintrin.h>
#endif

#if IMGR_VECTOR_BYTES == 64 && IMGR_X86 && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 10
#define IMGR_PAIRS 1
#define IMGR_PAIRS_TARGET __attribute__((target("avx512bf16,avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")))
#else
#define IMGR_PAIRS 0
#endif

namespace imgrestore {
namespace IMGR_ISA {

// A 1×1 convolution of pixels in lanes: a block of outputs times a few vectors of pixels stays in registers.
struct Matrix {
  typedef Vec<float> X;
  typedef X::V V;
  static constexpr int L = X::L;
  static constexpr int M = IMGR_VECTOR_BYTES == 64 ? 8 : 4;  // outputs of a block
  static constexpr int P = IMGR_VECTOR_BYTES == 16 ? 2 : 3;  // vectors of pixels

  template <int N>
  static void floats(const PackedMatrix& m, const float* in, int64_t in_stride, float* out, int64_t out_stride) {
    const float* w = static_cast<const float*>(m.weight);
    for (int64_t block = 0; block < m.blocks; ++block) {
      V acc[M][N];
      IMGR_UNROLL
      for (int i = 0; i < M; ++i) {
        IMGR_UNROLL
        for (int p = 0; p < N; ++p) acc[i][p] = V{} + m.bias[block * M + i];
      }
      const float* a = in;
      for (int64_t k = 0; k < m.depth; ++k, a += in_stride, w += M) {
        V x[N];
        IMGR_UNROLL
        for (int p = 0; p < N; ++p) x[p] = X::load(a + p * L);
        IMGR_UNROLL
        for (int i = 0; i < M; ++i) {
          const V y = V{} + w[i];
          IMGR_UNROLL
          for (int p = 0; p < N; ++p) acc[i][p] += x[p] * y;
        }
      }
      IMGR_UNROLL
      for (int i = 0; i < M; ++i) {
        IMGR_UNROLL
        for (int p = 0; p < N; ++p) X::storeu(out + (block * M + i) * out_stride + p * L, acc[i][p]);
      }
    }
  }

  // `in` is aligned, of m.depth rows by P * L; `vectors` of its vectors count.
  static void times(const PackedMatrix& m, const float* in, int64_t vectors, float* out, int64_t out_stride) {
    constexpr int64_t stride = P * L;
    if (vectors == 1) return floats<1>(m, in, stride, out, out_stride);
    if (P == 2 || vectors == 2) return floats<2>(m, in, stride, out, out_stride);
    floats<P>(m, in, stride, out, out_stride);
  }

#if IMGR_PAIRS
  // Rows 2k and 2k + 1 become row k: pairs of bfloat16. An odd last row is paired with zeros.
  IMGR_PAIRS_TARGET static void pair_rows(float* in, int64_t depth, int64_t vectors) {
    const __m512i alternately = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                                 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    constexpr int64_t stride = P * L;
    for (int64_t k = 0; k < depth; k += 2) {
      for (int64_t p = 0; p < vectors * L; p += L) {
        const V a = X::load(in + k * stride + p), b = k + 1 < depth ? X::load(in + (k + 1) * stride + p) : V{};
        // Sixteen of a, then sixteen of b.
        const __m512bh both = _mm512_cvtne2ps_pbh((__m512)b, (__m512)a);
        const __m512i mixed = _mm512_permutexvar_epi16(alternately, (__m512i)both);
        _mm512_store_si512((void*)(in + k / 2 * stride + p), mixed);
      }
    }
  }

  template <int N>
  IMGR_PAIRS_TARGET static void pairs(const PackedMatrix& m, const float* in, float* out, int64_t out_stride) {
    const int32_t* w = static_cast<const int32_t*>(m.weight);
    for (int64_t block = 0; block < m.blocks; ++block) {
      __m512 acc[M][N];
      IMGR_UNROLL
      for (int i = 0; i < M; ++i) {
        IMGR_UNROLL
        for (int p = 0; p < N; ++p) acc[i][p] = _mm512_set1_ps(m.bias[block * M + i]);
      }
      const float* a = in;
      for (int64_t k = 0; k < m.depth; k += 2, a += P * L, w += M) {
        __m512bh x[N];
        IMGR_UNROLL
        for (int p = 0; p < N; ++p) x[p] = (__m512bh)_mm512_load_si512((const void*)(a + p * L));
        IMGR_UNROLL
        for (int i = 0; i < M; ++i) {
          const __m512bh y = (__m512bh)_mm512_set1_epi32(w[i]);
          IMGR_UNROLL
          for (int p = 0; p < N; ++p) acc[i][p] = _mm512_dpbf16_ps(acc[i][p], x[p], y);
        }
      }
      IMGR_UNROLL
      for (int i = 0; i < M; ++i) {
        IMGR_UNROLL
        for (int p = 0; p < N; ++p) _mm512_storeu_ps(out + (block * M + i) * out_stride + p * L, acc[i][p]);
      }
    }
  }

  // Overwrites `in`.
  static void times_pairs(const PackedMatrix& m, float* in, int64_t vectors, float* out, int64_t out_stride) {
    pair_rows(in, m.depth, vectors);
    if (vectors == 1) return pairs<1>(m, in, out, out_stride);
    if (vectors == 2) return pairs<2>(m, in, out, out_stride);
    pairs<P>(m, in, out, out_stride);
  }
#endif
};

}  // namespace IMGR_ISA
}  // namespace imgrestore
