#pragma once

#include "../math/tv_denoise.h"
#include "simd.h"
#include "tv_denoise.h"

namespace imgrestore {
namespace IMGR_ISA {

struct TvExtent {
  int64_t row, channels;  // scalars from channel to channel
  int64_t padded, columns;
};

// One row of slice z and of slice z - 1. image and u are tau times what they are called, which saves a multiplication. q is
// the dual of slice z; in and out are that of slice z - 1, before and after.
// u comes in as that of slice z - 1 and goes out as that of slice z.
template <class S>
struct TvRow {
  TvExtent rows;
  const S *image, *u_middle, *q_middle, *keep;
  S* u;
  const S *q[6], *in[6];
  S* out[6];
  S tau, weight, momentum;
};

template <class S>
struct TvRows {
  typedef Vec<S> X;
  typedef typename X::V V;
  static constexpr int L = X::L;

  // With N axes; Measure sums what the energy is made of. Vectors may alias anything: without copies of its own the
  // loop would read all pointers anew after each store.
  template <int N, bool Accelerate, bool Measure, bool Coupled>
  static void row(const TvRow<S>& r, double* sums) {
    constexpr int P = Accelerate ? 2 * N : N;
    const S *in[P], *q[N], *image = r.image, *u_middle = r.u_middle, *q_middle = r.q_middle, *keep = r.keep;
    S *out[P], *u = r.u;
    IMGR_UNROLL
    for (int a = 0; a < P; ++a) in[a] = r.in[a], out[a] = r.out[a];
    IMGR_UNROLL
    for (int a = 0; a < N; ++a) q[a] = r.q[a];
    const int64_t channels = Coupled ? r.rows.channels : 1, plane = r.rows.row, padded = r.rows.padded;
    const V tau = V{} + r.tau, factor = V{} + (Accelerate ? r.weight : 1 / r.weight), momentum = V{} + r.momentum;
    V distance = {}, variation = {};
    for (int64_t x = 0; x < padded; x += L) {
      V moved[N], squares = V{} + tv_least(), gradients = V{} + tv_least();
      for (int64_t c = 0, at = x; c < channels; ++c, at += plane) {
        const V before = X::load(in[0] + at);
        V divergence = before - X::load(q[0] + at) + (X::loadu(q[N - 1] + at - 1) - X::load(q[N - 1] + at));
        if (N == 3) divergence += X::load(q_middle + at) - X::load(q[1] + at);
        const V now = X::load(image + at) + divergence * tau, old = X::load(u + at);
        V g[N];
        g[0] = now - old;
        if (N == 3) g[1] = X::load(u_middle + at) - old;
        g[N - 1] = X::loadu(u + at + 1) - old;
        X::store(u + at, now);
        IMGR_UNROLL
        for (int a = 0; a < N; ++a) {
          moved[a] = (a ? X::load(in[a] + at) : before) - g[a];
          if (Accelerate) squares += moved[a] * moved[a];
          if (!Accelerate || Measure) gradients += g[a] * g[a];
          if (Coupled) X::store(out[a] + at, moved[a]);
        }
        if (Measure) distance += divergence * divergence * X::load(keep + x);
      }
      V y = {}, scale;
      if (!Accelerate || Measure) y = estimate_rsqrt(gradients);
      if (Measure) variation += tv_root(gradients, y, V{} + 1) * X::load(keep + x);
      if (Accelerate) {
        scale = tv_project(squares, estimate_rsqrt(squares), factor);
      } else {
        const V divisor = 1 + tv_root(gradients, y, factor);
        scale = tv_reciprocal(divisor, estimate_reciprocal(divisor));
      }
      for (int64_t c = 0, at = x; c < channels; ++c, at += plane) {
        IMGR_UNROLL
        for (int a = 0; a < N; ++a) {
          const V p = (Coupled ? X::load(out[a] + at) : moved[a]) * scale;
          if (Accelerate) {
            X::store(out[a] + at, p + (p - X::load(in[N + a] + at)) * momentum);
            X::store(out[N + a] + at, p);
          } else {
            X::store(out[a] + at, p);
          }
        }
      }
    }
    for (int64_t c = 0; c < channels; ++c) {
      S* end = u + c * plane + r.rows.columns;
      end[0] = end[-1];  // no gradient across the end of the row
    }
    if (Measure) {
      sums[0] = sums[1] = 0;
      for (int i = 0; i < L; ++i) sums[0] += distance[i], sums[1] += variation[i];
    }
  }

  template <int N, bool Accelerate, bool Measure>
  static void coupling(const TvRow<S>& r, double* sums) {
    r.rows.channels > 1 ? row<N, Accelerate, Measure, true>(r, sums) : row<N, Accelerate, Measure, false>(r, sums);
  }
  template <bool Measure>
  static void dispatch(const TvRow<S>& r, int ndim, bool accelerate, double* sums) {
    if (ndim == 2) return accelerate ? coupling<2, true, Measure>(r, sums) : coupling<2, false, Measure>(r, sums);
    accelerate ? coupling<3, true, Measure>(r, sums) : coupling<3, false, Measure>(r, sums);
  }

  static void plain(const TvRow<S>& r, int ndim, bool accelerate) { dispatch<false>(r, ndim, accelerate, nullptr); }
  static void measured(const TvRow<S>& r, int ndim, bool accelerate, double* sums) {
    dispatch<true>(r, ndim, accelerate, sums);
  }

  // image + div of the dual along one row; before are the rows before it along the outer and the middle axis, if any
  static void picture(const S* image, const S* const* q, const S* const* before, int ndim, int64_t n, S* out) {
    const S* qx = q[ndim - 1];
    int64_t x = 0;
    for (; x < n && x < 1; ++x) out[x] = image[x] - qx[x];
    for (; x + L <= n; x += L) X::storeu(out + x, X::loadu(image + x) + (X::loadu(qx + x - 1) - X::loadu(qx + x)));
    for (; x < n; ++x) out[x] = image[x] + (qx[x - 1] - qx[x]);
    for (int a = 0; a + 1 < ndim; ++a) {
      for (x = 0; x + L <= n; x += L) {
        const V above = before[a] ? X::loadu(before[a] + x) : V{};
        X::storeu(out + x, X::loadu(out + x) + (above - X::loadu(q[a] + x)));
      }
      for (; x < n; ++x) out[x] += (before[a] ? before[a][x] : S(0)) - q[a][x];
    }
  }
};

}  // namespace IMGR_ISA
}  // namespace imgrestore
