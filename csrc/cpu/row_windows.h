#pragma once

#include "running_sums.h"

namespace imgrestore {
namespace IMGR_ISA {

// Sums of n neighbours along a row of floats. Sums of 2, 4, 8 neighbours and so on come from each other by a shift and an
// addition; short windows are put together from them, each length by code of its own, without a subtraction. Long ones
// move on pixel by pixel in float64: what enters is added and what leaves is taken off.
struct WindowRow {
  const float* x;  // in margins of window_margin(), where radius pixels count; the one before these is zero
  const float* factors;
  float factor;  // sums are multiplied by both
  float* out;
  int64_t radius;
};

// Sums of 1, 2, 4, ... L / 2 neighbours: the last of them in each lane.
struct NeighbourSums {
  typedef Vec<float> X;
  typedef X::V V;
  typedef X::I I;  // of the shuffles
  static constexpr int L = X::L;
  static constexpr int kParts = L == 16 ? 4 : L == 8 ? 3 : 2;
  V parts[kParts];

  // Lane i is the one B lanes before it.
  template <int B, int... J>
  static IMGR_HD V shift(V before, V x, Indices<J...>) {
    return IMGR_SHUFFLE(before, x, (J + L - B)...);
  }
  template <int B, int Part>
  IMGR_HD V back(const NeighbourSums& before) const {
    if constexpr (B == 0) return parts[Part];
    return shift<B>(before.parts[Part], parts[Part], X::All());
  }
  template <int Part>
  IMGR_HD V twice(const NeighbourSums& before) const {
    return parts[Part] + back<1 << Part, Part>(before);
  }
  template <int Part>
  IMGR_HD void set(const NeighbourSums& before) {
    if constexpr (Part < kParts) {
      parts[Part] = twice<Part - 1>(before);
      set<Part + 1>(before);
    }
  }
  // Single pixels are read again, since what limits these loops is the shifts.
  IMGR_HD void begin(const float* x, const NeighbourSums& before) {
    parts[0] = X::loadu(x);
    parts[1] = parts[0] + X::loadu(x - 1);
    set<2>(before);
  }
  // Of all L.
  IMGR_HD V whole(const NeighbourSums& before) const { return twice<kParts - 1>(before); }
  // Of N < L, which is odd.
  template <int N, int Part = kParts - 1>
  IMGR_HD V some(const float* x, const NeighbourSums& before) const {
    constexpr int kHave = N >> (Part + 1) << (Part + 1);
    if constexpr (Part == 0) {
      return X::loadu(x - kHave);
    } else {
      const V rest = some<N, Part - 1>(x, before);
      if constexpr ((N >> Part & 1) == 0) return rest;
      return back<kHave, Part>(before) + rest;
    }
  }
};

template <int N>
struct ShortWindows {
  typedef NeighbourSums::X X;
  typedef NeighbourSums::V V;
  static constexpr int L = X::L, kWhole = N / L;
  // Of the vectors before, the last one first.
  NeighbourSums before;
  V whole[kWhole + 1], rest[kWhole + 1];

  IMGR_HD V next(const float* x) {
    NeighbourSums now;
    now.begin(x, before);
    V sum = now.template some<N % L>(x, before);
    if constexpr (kWhole > 0) {
      const V some = sum, all = N % L == L - 1 ? some + X::loadu(x - (L - 1)) : now.whole(before);
      sum = all + rest[kWhole - 1];
      IMGR_UNROLL
      for (int i = 0; i < kWhole - 1; ++i) sum += whole[i];
      IMGR_UNROLL
      for (int i = kWhole - 1; i > 0; --i) {
        rest[i] = rest[i - 1];
        whole[i] = whole[i - 1];
      }
      rest[0] = some;
      whole[0] = all;
    }
    before = now;
    return sum;
  }

  static void run(const WindowRow& row, int64_t width) {
    const WindowRow r = row;
    const float* at = r.x + r.radius;
    ShortWindows s = {};
    for (int64_t k = -(2 * r.radius + L - 1) / L * L; k < 0; k += L) s.next(at + k);
    for (int64_t k = 0; k < width; k += L) {
      const V sum = s.next(at + k);
      X::storeu(r.out + k, sum * (X::loadu(r.factors + k) * r.factor));
    }
  }
};

struct LongWindows {
  typedef Vec<double> D;
  typedef D::V W;
  typedef D::I I;  // of the shuffles
  static constexpr int L = D::L;

  template <int B, int... J>
  static IMGR_HD W shift(W x, Indices<J...>) {
    const W zero = {};
    return IMGR_SHUFFLE(x, zero, (J < B ? L + J : J - B)...);
  }
  template <int... J>
  static IMGR_HD W last(W x, Indices<J...>) {
    return IMGR_SHUFFLE(x, x, (J * 0 + L - 1)...);
  }

  static double sum_of(const float* x, int64_t count) {
    W sum = {};
    int64_t k = 0;
    for (; k + L <= count; k += L) sum += Half::widen(Half::loadu(x + k));
    double rest = 0;
    for (; k < count; ++k) rest += double(x[k]);
    for (int i = 0; i < L; ++i) rest += sum[i];
    return rest;
  }

  static void run(const WindowRow& row, int64_t width) {
    const WindowRow r = row;
    const int64_t n = 2 * r.radius + 1;
    const float* at = r.x - r.radius;
    W carry = W{} + sum_of(at, n - 1);  // the sum of the window before, in all lanes
    for (int64_t k = 0; k < width; k += L) {
      W x = Half::widen(Half::loadu(at + k + n - 1)) - Half::widen(Half::loadu(at + k - 1));
      x += shift<1>(x, D::All());
      if constexpr (L > 2) x += shift<2>(x, D::All());
      if constexpr (L > 4) x += shift<4>(x, D::All());
      x += carry;
      carry = last(x, D::All());
      Half::storeu(r.out + k, Half::narrow(x) * (Half::loadu(r.factors + k) * r.factor));
    }
  }
};

// In whole vectors, up to the one that width ends in.
typedef void (*RowWindows)(const WindowRow&, int64_t width);
template <int N = 1>
static RowWindows row_windows(int64_t n) {
  if constexpr (N < 4 * NeighbourSums::L) {
    return n == N ? ShortWindows<N>::run : row_windows<N + 2>(n);
  } else {
    return LongWindows::run;
  }
}

}  // namespace IMGR_ISA
}  // namespace imgrestore
