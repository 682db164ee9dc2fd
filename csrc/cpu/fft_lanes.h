#pragma once

#include "../math/fft_butterfly.h"
#include "fft_plan.h"
#include "simd.h"

// Complex FFTs, one in each SIMD lane, in place. Element j is 2 L scalars: L real parts, then L imaginary parts.
// forward() leaves the frequencies in the order of FftPlan::position (decimation in frequency), inverse() takes them so
// (decimation in time), hence nothing is ever permuted. Depth first: a sub-transform is finished while it is in cache.
namespace imgrestore {
namespace IMGR_ISA {

template <class S>
struct FftLanes {
  typedef Vec<S> X;
  typedef typename X::V V;
  static constexpr int L = X::L;
  static constexpr int E = 2 * L;

  template <int R, bool Inverse>
  static IMGR_HD void load(const S* x, int64_t step, V* re, V* im) {
    IMGR_UNROLL
    for (int q = 0; q < R; ++q) {
      re[q] = X::load(x + q * step + (Inverse ? L : 0));
      im[q] = X::load(x + q * step + (Inverse ? 0 : L));
    }
  }
  template <int R, bool Inverse>
  static IMGR_HD void store(S* x, int64_t step, const V* re, const V* im) {
    IMGR_UNROLL
    for (int q = 0; q < R; ++q) {
      X::store(x + q * step + (Inverse ? L : 0), re[q]);
      X::store(x + q * step + (Inverse ? 0 : L), im[q]);
    }
  }
  template <int R>
  static IMGR_HD void twiddles(V* re, V* im, const S* w) {
    IMGR_UNROLL
    for (int q = 1; q < R; ++q) twiddle(re[q], im[q], w[2 * q - 2], w[2 * q - 1]);
  }

  // With real and imaginary parts exchanged the inverse is the forward transform, twiddles and all.
  template <int R, bool Inverse>
  static void pass(S* x, const FftStage<S>& stage) {
    const S* w = stage.twiddle;
    const int64_t m = stage.m;
    for (int64_t j = 0; j < m; ++j, w += 2 * (R - 1)) {
      V re[R], im[R];
      load<R, Inverse>(x + j * E, m * E, re, im);
      if (Inverse) twiddles<R>(re, im, w);
      Butterfly<R, S, V>::apply(re, im);
      if (!Inverse) twiddles<R>(re, im, w);
      store<R, Inverse>(x + j * E, m * E, re, im);
    }
  }
  template <int R, bool Inverse>
  static void last_passes(S* x, int64_t count) {
    for (int64_t j = 0; j < count; ++j, x += R * E) {
      V re[R], im[R];
      load<R, Inverse>(x, E, re, im);
      Butterfly<R, S, V>::apply(re, im);
      store<R, Inverse>(x, E, re, im);
    }
  }

  template <bool Inverse>
  static void run_pass(S* x, const FftStage<S>& stage) {
    switch (stage.radix) {
#define IMGR_CASE(R) case R: return pass<R, Inverse>(x, stage);
      IMGR_RADICES(IMGR_CASE)
#undef IMGR_CASE
    }
  }
  template <bool Inverse>
  static void run_last(S* x, int radix, int64_t count) {
    switch (radix) {
#define IMGR_CASE(R) case R: return last_passes<R, Inverse>(x, count);
      IMGR_RADICES(IMGR_CASE)
#undef IMGR_CASE
    }
  }

  // stages >= 1 remain, the first of them *stage
  template <bool Inverse>
  static void run(S* x, const FftStage<S>* stage, int stages) {
    if (stages == 1) return run_last<Inverse>(x, stage->radix, 1);
    if (!Inverse) run_pass<Inverse>(x, *stage);
    if (stages == 2) {
      run_last<Inverse>(x, stage[1].radix, stage->radix);
    } else {
      for (int s = 0; s < stage->radix; ++s) run<Inverse>(x + s * stage->m * E, stage + 1, stages - 1);
    }
    if (Inverse) run_pass<Inverse>(x, *stage);
  }

  static void forward(S* x, const FftPlan<S>& plan) {
    if (plan.stages) run<false>(x, plan.stage, plan.stages);
  }
  static void inverse(S* x, const FftPlan<S>& plan) {
    if (plan.stages) run<true>(x, plan.stage, plan.stages);
  }
};

}  // namespace IMGR_ISA
}  // namespace imgrestore
