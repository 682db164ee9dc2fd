#pragma once

#include "../math/host_device.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

// A vector of IMGR_VECTOR_BYTES by the compiler's vector extension; arithmetic on it is written with plain operators.
namespace imgrestore {
namespace IMGR_ISA {

template <class S>
struct Simd;

template <>
struct Simd<float> {
  typedef float V __attribute__((vector_size(IMGR_VECTOR_BYTES), may_alias));
  typedef float VU __attribute__((vector_size(IMGR_VECTOR_BYTES), may_alias, aligned(4)));
  typedef int32_t I __attribute__((vector_size(IMGR_VECTOR_BYTES)));
};

template <>
struct Simd<double> {
  typedef double V __attribute__((vector_size(IMGR_VECTOR_BYTES), may_alias));
  typedef double VU __attribute__((vector_size(IMGR_VECTOR_BYTES), may_alias, aligned(8)));
  typedef int64_t I __attribute__((vector_size(IMGR_VECTOR_BYTES)));
};

template <int... I>
struct Indices {};
template <int N, int... I>
struct MakeIndices : MakeIndices<N - 1, N - 1, I...> {};
template <int... I>
struct MakeIndices<0, I...> {
  typedef Indices<I...> type;
};

template <class S>
struct Vec {
  typedef typename Simd<S>::V V;
  typedef typename Simd<S>::VU VU;
  typedef typename Simd<S>::I I;
  static constexpr int L = IMGR_VECTOR_BYTES / sizeof(S);
  typedef typename MakeIndices<L>::type All;

  static IMGR_HD V load(const S* p) { return *(const V*)p; }
  static IMGR_HD V loadu(const S* p) { return *(const VU*)p; }
  static IMGR_HD void store(S* p, V v) { *(V*)p = v; }
  static IMGR_HD void storeu(S* p, V v) { *(VU*)p = v; }

  static V load_part(const S* p, int64_t count) {
    V v = {};
    for (int i = 0; i < L && i < count; ++i) v[i] = p[i];
    return v;
  }
  static void store_part(S* p, V v, int64_t count) {
    for (int i = 0; i < L && i < count; ++i) p[i] = v[i];
  }

#if defined(__clang__)
#define IMGR_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define IMGR_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (I){__VA_ARGS__})
#endif

  // (a0 b0 a1 b1 ...) in two vectors -> (a...), (b...)
  template <int... J>
  static IMGR_HD void split_(V x, V y, V& a, V& b, Indices<J...>) {
    a = IMGR_SHUFFLE(x, y, (2 * J)...);
    b = IMGR_SHUFFLE(x, y, (2 * J + 1)...);
  }
  static IMGR_HD void split(V x, V y, V& a, V& b) { split_(x, y, a, b, All()); }

  // (a...), (b...) -> (a0 b0 a1 b1 ...) in two vectors
  template <int... J>
  static IMGR_HD void interleave_(V a, V b, V& x, V& y, Indices<J...>) {
    x = IMGR_SHUFFLE(a, b, ((J & 1) ? L + J / 2 : J / 2)...);
    y = IMGR_SHUFFLE(a, b, ((J & 1) ? L + L / 2 + J / 2 : L / 2 + J / 2)...);
  }
  static IMGR_HD void interleave(V a, V b, V& x, V& y) { interleave_(a, b, x, y, All()); }

  template <int B, int... J>
  static IMGR_HD void exchange(V& x, V& y, Indices<J...>) {
    const V a = x, b = y;
    x = IMGR_SHUFFLE(a, b, ((J & B) ? L + (J ^ B) : J)...);
    y = IMGR_SHUFFLE(a, b, ((J & B) ? L + J : (J ^ B))...);
  }
  template <int B>
  static IMGR_HD void exchange_all(V* t) {
    if constexpr (B < L) {
      IMGR_UNROLL
      for (int i = 0; i < L; ++i)
        if (!(i & B)) exchange<B>(t[i], t[i | B], All());
      exchange_all<2 * B>(t);
    }
  }
  template <int... J>
  static IMGR_HD V join_(V x, V y, int offset, Indices<J...>) {
#if defined(__clang__)
    V joined;
    for (int i = 0; i < L; ++i) joined[i] = i + offset < L ? x[i + offset] : y[i + offset - L];
    return joined;
#else
    return __builtin_shuffle(x, y, (I){J...} + offset);
#endif
  }
  // L lanes of x and then y, from `offset` on: 0 ... L.
  static IMGR_HD V join(V x, V y, int offset) { return join_(x, y, offset, All()); }

  // t[i][j] <-> t[j][i]
  static IMGR_HD void transpose(V* t) { exchange_all<1>(t); }
};

// Lane by lane, correctly rounded.
#if !defined(__x86_64__)
IMGR_HD Vec<float>::V square_root(Vec<float>::V v) {
  for (int i = 0; i < Vec<float>::L; ++i) v[i] = __builtin_sqrtf(v[i]);
  return v;
}
#elif IMGR_VECTOR_BYTES == 64
IMGR_HD Vec<float>::V square_root(Vec<float>::V v) { return (Vec<float>::V)_mm512_maskz_sqrt_ps((__mmask16)-1, (__m512)v); }
#elif IMGR_VECTOR_BYTES == 32
IMGR_HD Vec<float>::V square_root(Vec<float>::V v) { return (Vec<float>::V)_mm256_sqrt_ps((__m256)v); }
#else
IMGR_HD Vec<float>::V square_root(Vec<float>::V v) { return (Vec<float>::V)_mm_sqrt_ps((__m128)v); }
#endif

// About 1 / sqrt(v) and 1 / v, lane by lane: 12 good bits or more, which ones depends on the processor.
IMGR_HD Vec<float>::V estimate_rsqrt(Vec<float>::V v) {
#if defined(__x86_64__) && IMGR_VECTOR_BYTES == 64
  return (Vec<float>::V)_mm512_maskz_rsqrt14_ps(0xffff, (__m512)v);
#elif defined(__x86_64__) && IMGR_VECTOR_BYTES == 32
  return (Vec<float>::V)_mm256_rsqrt_ps((__m256)v);
#elif defined(__x86_64__)
  return (Vec<float>::V)_mm_rsqrt_ps((__m128)v);
#else
  for (int i = 0; i < Vec<float>::L; ++i) v[i] = 1 / __builtin_sqrtf(v[i]);
  return v;
#endif
}
IMGR_HD Vec<float>::V estimate_reciprocal(Vec<float>::V v) {
#if defined(__x86_64__) && IMGR_VECTOR_BYTES == 64
  return (Vec<float>::V)_mm512_maskz_rcp14_ps(0xffff, (__m512)v);
#elif defined(__x86_64__) && IMGR_VECTOR_BYTES == 32
  return (Vec<float>::V)_mm256_rcp_ps((__m256)v);
#elif defined(__x86_64__)
  return (Vec<float>::V)_mm_rcp_ps((__m128)v);
#else
  return 1 / v;
#endif
}

}  // namespace IMGR_ISA
}  // namespace imgrestore
