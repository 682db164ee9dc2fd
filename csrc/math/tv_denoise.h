#pragma once

#include "host_device.h"

// Total-variation denoising, min over u of |u - image|^2 / 2 + weight |grad u|, by its dual p, bounded by the weight
// everywhere: u = image + div p. T is what a value is held in (a float, or a SIMD vector), S the scalar.
namespace imgrestore {

// Both ways of updating p move it by tau times the gradient of u. That converges up to 1 / (2 ndim) where p is divided
// afterwards (Chambolle 2004), and up to 1 / (4 ndim) where it is projected (Beck & Teboulle 2009).
IMGR_HD double tv_step(int ndim, bool accelerate) { return 1.0 / ((accelerate ? 4 : 2) * ndim); }

// Roots and quotients come from an estimate with 12 good bits or more and one step of Newton, exact to 3e-7: dividing
// would take more than half of all time. Squares must not be 0: see tv_least.
IMGR_HD float tv_least() { return 1.1754944e-38f; }

// sqrt(squares) from y, about 1 / sqrt(squares), times a factor
template <class T>
IMGR_HD T tv_root(T squares, T y, T factor) {
  const T n = squares * y;
  return n * (factor * 1.5f - n * y * (factor * 0.5f));
}

// 1 / d from z, about that
template <class T>
IMGR_HD T tv_reciprocal(T d, T z) {
  return z * (2 - d * z);
}

// min(1, weight / sqrt(squares)) from y. NaN gives 1, which leaves p as it is: NaN.
template <class T>
IMGR_HD T tv_project(T squares, T y, T weight) {
  const T scale = y * (weight * 1.5f - squares * y * y * (weight * 0.5f));
  const T one = T{} + 1;
  return scale < one ? scale : one;
}

// The sequence t of accelerated gradients: 1, then this; the extrapolation is (t - 1) / t_next.
IMGR_HD double tv_next_t(double t) { return (1 + __builtin_sqrt(1 + 4 * t * t)) / 2; }

}  // namespace imgrestore
