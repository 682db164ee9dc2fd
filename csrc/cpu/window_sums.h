#pragma once

#include "simd.h"

// Sums over all windows of n neighbours in a fixed number of additions each, whatever n, and without a subtraction, so
// that nothing stays behind of what a window has left: no rounding error that grows, no light of a bright pixel, no NaN. The
// sequence is cut into blocks of n; a window is the end of one block and the beginning of the next (van Herk 1992).
namespace imgrestore {
namespace IMGR_ISA {

// M independent sequences of vectors. In: in(k, V* x) gives element k; Out: out(k, const V* sum) takes a result.
template <int M>
struct WindowSums {
  typedef Vec<float> X;
  typedef X::V V;
  static constexpr int L = X::L;
  // After so many additions the sum is settled: the rounding error of all but the last few is kept beside it.
  static constexpr int kSettle = 8;

  // hi + lo, exactly (Knuth), except where it is infinite or NaN.
  static IMGR_HD void settle(V& hi, V& lo) {
    const V sum = hi + lo, part = sum - hi;
    const V error = (hi - (sum - part)) + (lo - part);
    hi = sum;
    lo = error == error ? error : V{};
  }

  // out(j, in(0) + ... + in(j))
  template <class In, class Out>
  static IMGR_HD void scan(const In& in, int64_t count, const Out& out) {
    V hi[M], lo[M];
    IMGR_UNROLL
    for (int m = 0; m < M; ++m) hi[m] = lo[m] = V{};
    for (int64_t j = 0; j < count; ++j) {
      V x[M];
      in(j, x);
      IMGR_UNROLL
      for (int m = 0; m < M; ++m) {
        lo[m] += x[m];
        x[m] = hi[m] + lo[m];
      }
      out(j, x);
      if (j % kSettle == kSettle - 1) {
        IMGR_UNROLL
        for (int m = 0; m < M; ++m) settle(hi[m], lo[m]);
      }
    }
  }

  template <class In>
  struct Backwards {
    const In& in;
    int64_t last;
    IMGR_HD void operator()(int64_t j, V* x) const { in(last - j, x); }
  };
  template <class In>
  struct From {
    const In& in;
    int64_t first;
    IMGR_HD void operator()(int64_t j, V* x) const { in(first + j, x); }
  };
  struct Keep {
    float* ends;
    int64_t last;
    IMGR_HD void operator()(int64_t j, const V* sum) const {
      IMGR_UNROLL
      for (int m = 0; m < M; ++m) X::store(ends + ((last - j) * M + m) * L, sum[m]);
    }
  };
  template <class Out>
  struct Join {
    const Out& out;
    const float* ends;
    int64_t first;
    IMGR_HD void operator()(int64_t j, V* sum) const {
      IMGR_UNROLL
      for (int m = 0; m < M; ++m) sum[m] += X::load(ends + ((j + 1) * M + m) * L);
      out(first + j + 1, sum);
    }
  };

  // out(k, in(k) + ... + in(k + n - 1)) for 0 <= k < count. ends: scratch of n M L floats.
  template <class In, class Out>
  static void run(const In& in, int64_t count, int64_t n, float* ends, const Out& out) {
    for (int64_t first = 0; first < count; first += n) {
      const int64_t results = count - first < n ? count - first : n;
      const Backwards<In> backwards = {in, first + n - 1};
      const Keep keep = {ends, n - 1};
      scan(backwards, n, keep);
      V whole[M];
      IMGR_UNROLL
      for (int m = 0; m < M; ++m) whole[m] = X::load(ends + m * L);
      out(first, whole);
      const From<In> next = {in, first + n};
      const Join<Out> join = {out, ends, first};
      scan(next, results - 1, join);
    }
  }
};

}  // namespace IMGR_ISA
}  // namespace imgrestore
