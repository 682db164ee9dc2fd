#pragma once

#include "host_device.h"

// The pointwise formulas of `sparse_steps`. T is what values are held in (a float, or a SIMD vector), S the scalar; M has
// inverse_root(x) = x^(-1/2) and inverse_cube_root(x) = x^(-1/3) for T. Comparisons are such that NaN stays NaN.
namespace imgrestore {

template <class T>
IMGR_HD T at_least(T value, T bound) {
  return value < bound ? bound : value;
}

// RGB to luma and two differences, orthonormal, and back; one channel stays as it is.
template <int C, class S, class T>
IMGR_HD void opponent_split(const T* rgb, T* out) {
  if constexpr (C == 1) {
    out[0] = rgb[0];
  } else {
    const S a = S(0.57735026918962576451), b = S(0.70710678118654752440), c = S(0.40824829046386301637);
    out[0] = (rgb[0] + rgb[1] + rgb[2]) * a;
    out[1] = (rgb[0] - rgb[2]) * b;
    out[2] = (rgb[0] + rgb[2]) * c - rgb[1] * (2 * c);
  }
}

template <int C, class S, class T>
IMGR_HD void opponent_join(const T* planes, T* rgb) {
  if constexpr (C == 1) {
    rgb[0] = planes[0];
  } else {
    const S a = S(0.57735026918962576451), b = S(0.70710678118654752440), c = S(0.40824829046386301637);
    const T luma = planes[0] * a, tint = planes[2] * c, slope = planes[1] * b;
    rgb[0] = luma + tint + slope;
    rgb[1] = luma - tint * S(2);
    rgb[2] = luma + tint - slope;
  }
}

// Cauchy's weight of a residual: near 1 within the level, falling off with the square beyond it.
template <class S, class T>
IMGR_HD T cauchy_trust(T residual, S inverse_level) {
  const T ratio = residual * inverse_level;
  return at_least(T{} + S(1) / (ratio * ratio + S(1)), T{} + S(1e-30));
}

// The value nearest to what is wanted, by `penalty`, and to what was observed, by `known`: its weight, or less than 0
// where the observed value is only a lower bound.
template <class S, class T>
IMGR_HD T nearest_to_data(T wanted, T observed, T known, S penalty) {
  const T weight = at_least(known, T{});
  const T value = (weight * observed + wanted * penalty) / (weight + penalty);
  return (known < T{}) & (value < observed) ? observed : value;
}

// The factor by which a prior shortens a gradient of squared length `square`: argmin_k threshold |k s|^p + |k s - s|^2 / 2.
template <class M, class S, class T>
IMGR_HD T shrink_tv(T square, S threshold) {
  return at_least(T{} + S(1) - M::inverse_root(at_least(square, T{} + S(1e-20))) * threshold, T{});
}

// p = 2/3, by a few fixed-point steps from above the length `dead` below which zero wins; pull = threshold p.
template <class M, class S, class T>
IMGR_HD T shrink_hyper_laplacian(T square, S pull, S dead) {
  const T safe_square = at_least(square, T{} + S(1e-20));
  const T inverse = M::inverse_root(safe_square), length = safe_square * inverse;
  const T safe = at_least(length, T{} + dead);
  T kept = safe;
  for (int i = 0; i < 3; ++i) kept = safe - M::inverse_cube_root(kept) * pull;
  return length > T{} + dead ? kept * inverse : T{};
}

// The least squares of one frequency, complex numbers as (re, im): the spectra of the data and of the right side, in
// units of the penalty, become those of the scene and of the blurred scene. h: the transfer function; stiff: penalty times
// squared response of the weighted differences, and the tie; scale: that of the inverse transforms.
template <class S, class T>
IMGR_HD void sparse_least_squares(const T* h, T stiff, S data_penalty, S penalty, S scale, T* a, T* b) {
  const T inverse = T{} + scale / ((h[0] * h[0] + h[1] * h[1]) * data_penalty + stiff);
  const T re = ((h[0] * a[0] + h[1] * a[1]) * data_penalty + b[0] * penalty) * inverse;
  const T im = ((h[0] * a[1] - h[1] * a[0]) * data_penalty + b[1] * penalty) * inverse;
  a[0] = re;
  a[1] = im;
  b[0] = h[0] * re - h[1] * im;
  b[1] = h[0] * im + h[1] * re;
}

}  // namespace imgrestore
