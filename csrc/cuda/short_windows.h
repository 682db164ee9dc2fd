#pragma once

#include "device.h"

// Sums over windows of n neighbours, n odd, by one thread: of G windows one pixel apart most is common. What the
// first ones have more before it is summed backwards, what the last ones have more behind it forwards; nothing is
// subtracted, so that nothing stays behind of what a window has left.
namespace imgrestore {

template <int Q, int G, class In, class Out>
__device__ __forceinline__ void sum_common(const In& in, int n, int first, const Out& out) {
  float before[G][Q], common[2][Q] = {}, x[Q];
  IMGR_UNROLL
  for (int q = 0; q < Q; ++q) before[G - 1][q] = 0;
  IMGR_UNROLL
  for (int j = G - 2; j >= 0; --j) {
    in(first + j, x);
    IMGR_UNROLL
    for (int q = 0; q < Q; ++q) before[j][q] = before[j + 1][q] + x[q];
  }
  int k = G - 1;
  constexpr int kAtOnce = Q > 4 ? 2 : 4;  // what registers hold
  for (; k + kAtOnce <= n; k += kAtOnce) {
    float y[kAtOnce][Q];
    IMGR_UNROLL
    for (int i = 0; i < kAtOnce; ++i) in(first + k + i, y[i]);
    IMGR_UNROLL
    for (int i = 0; i < kAtOnce; i += 2) {
      IMGR_UNROLL
      for (int q = 0; q < Q; ++q) common[i / 2][q] += y[i][q] + y[i + 1][q];
    }
  }
  for (; k < n; ++k) {
    in(first + k, x);
    IMGR_UNROLL
    for (int q = 0; q < Q; ++q) common[0][q] += x[q];
  }
  float behind[Q] = {};
  IMGR_UNROLL
  for (int j = 0; j < G; ++j) {
    if (j > 0) {
      in(first + n - 1 + j, x);
      IMGR_UNROLL
      for (int q = 0; q < Q; ++q) behind[q] += x[q];
    }
    IMGR_UNROLL
    for (int q = 0; q < Q; ++q) x[q] = (before[j][q] + (common[0][q] + common[1][q])) + behind[q];
    out(first + j, x);
  }
}

// out(j, sums of the Q numbers in(j) to in(j + n - 1)) for 0 <= j < G. Windows shorter than G are taken fewer at a
// time, so that there is something that they share.
template <int Q, int G, class In, class Out>
__device__ __forceinline__ void short_windows(const In& in, int n, const Out& out) {
  if (n >= G) {
    sum_common<Q, G>(in, n, 0, out);
  } else if (n >= 4) {
    for (int j = 0; j < G; j += 4) sum_common<Q, 4>(in, n, j, out);
  } else if (n >= 2) {
    for (int j = 0; j < G; j += 2) sum_common<Q, 2>(in, n, j, out);
  } else {
    float x[Q];
    for (int j = 0; j < G; ++j) {
      in(j, x);
      out(j, x);
    }
  }
}

}  // namespace imgrestore
