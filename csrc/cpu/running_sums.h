#pragma once

#include "simd.h"

// Sums over windows that move on pixel by pixel: what enters is added and what leaves is taken off, in float64, so that
// what rounding leaves behind stays far below a float. That holds while values are finite and none is very much larger
// than others: SumRange watches for it, and where it does not hold WindowSums take over.
namespace imgrestore {
namespace IMGR_ISA {

// As many floats as a vector holds doubles.
struct Half {
  static constexpr int L = IMGR_VECTOR_BYTES / 8;
  typedef float V __attribute__((vector_size(IMGR_VECTOR_BYTES / 2), may_alias));
  typedef float VU __attribute__((vector_size(IMGR_VECTOR_BYTES / 2), may_alias, aligned(4)));
  typedef int32_t I __attribute__((vector_size(IMGR_VECTOR_BYTES / 2)));
  typedef uint32_t U __attribute__((vector_size(IMGR_VECTOR_BYTES / 2)));
  typedef Vec<double>::V Wide;

  static IMGR_HD V loadu(const float* p) { return *(const VU*)p; }
  static IMGR_HD void storeu(float* p, V v) { *(VU*)p = v; }
  static V load_part(const float* p, int64_t count) {
    V v = {};
    for (int i = 0; i < L && i < count; ++i) v[i] = p[i];
    return v;
  }
#if IMGR_VECTOR_BYTES == 64 && !defined(__clang__)
  // GCC 12 makes four instructions of this one.
  static IMGR_HD Wide widen(V v) { return (Wide)__builtin_ia32_cvtps2pd512_mask(v, Wide{}, -1, 4); }
#else
  static IMGR_HD Wide widen(V v) { return __builtin_convertvector(v, Wide); }
#endif
  static IMGR_HD V narrow(Wide v) { return __builtin_convertvector(v, V); }
};

// The largest magnitude and the smallest but zero, by the bits of the floats, whose order is that of their values.
struct SumRange {
  Half::U high = {}, low = ~Half::U{};
  IMGR_HD void see(Half::V v) {
    const Half::U bits = (Half::U)v & 0x7fffffffu, below = bits - 1;  // zero becomes the largest of all
    high = bits > high ? bits : high;
    low = below < low ? below : low;
  }
  IMGR_HD void see_high(Half::V v) {
    const Half::U bits = (Half::U)v & 0x7fffffffu;
    high = bits > high ? bits : high;
  }
  bool finite() const {
    bool all = true;
    for (int i = 0; i < Half::L; ++i) all = all && high[i] < 0x7f800000u;
    return all;
  }
  static float value(uint32_t bits) {
    float v;
    __builtin_memcpy(&v, &bits, sizeof v);
    return v;
  }
  float highest() const {
    uint32_t bits = 0;
    for (int i = 0; i < Half::L; ++i) bits = high[i] > bits ? high[i] : bits;
    return value(bits);
  }
  // Whether what the largest leaves behind in a sum of doubles stays below the last digits of the smallest.
  bool even() const {
    uint32_t least = ~uint32_t(0);
    for (int i = 0; i < Half::L; ++i) least = low[i] < least ? low[i] : least;
    return finite() && (least == ~uint32_t(0) || value(least + 1) >= highest() * 0x1p-29f);
  }
};

}  // namespace IMGR_ISA
}  // namespace imgrestore
