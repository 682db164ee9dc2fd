#pragma once

#include "fft_lanes.h"

namespace imgrestore {
namespace IMGR_ISA {

// Two real signals a and b that went through one complex transform of n points, z = a + i b.
template <class S>
struct FftPair {
  typedef Vec<S> X;
  typedef typename X::V V;
  static constexpr int L = X::L;
  static constexpr int E = 2 * L;

  // a = (z(k) + conj z(-k)) / 2 and b = (z(k) - conj z(-k)) / 2i, times 2 * scale, for L frequencies k from `first` on;
  // zero from `end` on.
  static IMGR_HD void part(const S* x, const FftPlan<S>& plan, int64_t n, int64_t first, int64_t end, S scale, V* ar,
                           V* ai, V* br, V* bi) {
    for (int i = 0; i < L; ++i) {
      const int64_t k = first + i;
      if (k < end) {
        const S* z = x + plan.position[k] * int64_t(E);
        const S* y = x + plan.position[k ? n - k : 0] * int64_t(E);
        const V zr = X::load(z) * scale, zi = X::load(z + L) * scale;
        const V yr = X::load(y) * scale, yi = X::load(y + L) * scale;
        ar[i] = zr + yr;
        ai[i] = zi - yi;
        br[i] = zi + yi;
        bi[i] = yr - zr;
      } else {
        ar[i] = ai[i] = br[i] = bi[i] = V{};
      }
    }
  }
};

}  // namespace IMGR_ISA
}  // namespace imgrestore
