#pragma once

#include "host_device.h"

// The pointwise steps of Richardson-Lucy. T is a float or a SIMD vector of them; comparisons select lane by lane, and NaN
// stays NaN.
namespace imgrestore {

// What an extrapolated estimate is, from this one and the one before.
template <class T>
IMGR_HD T rl_ahead(T value, T previous, float factor) {
  const T v = value + (value - previous) * factor;
  return v < 0 ? T{} : v;
}

// Below `tiny` an expectation is rounding, whose sign and size mean nothing.
template <class T>
IMGR_HD T rl_quotient(T observed, T expected, float tiny) {
  const T light = observed < 0 ? T{} : observed;
  return light / (expected < tiny ? T{} + tiny : expected);
}

// status: 0 a pixel to leave out, 1 one to fit, 2 one whose value is only a lower bound
template <class T>
IMGR_HD T rl_masked(T quotient, T status) {
  const T raised = quotient < 1 ? T{} + 1.0f : quotient;
  const T fitted = status == 2 ? raised : quotient;
  return status == 0 ? T{} : fitted;
}

template <class T>
IMGR_HD T rl_residual(T observed, T expected, T status) {
  const T light = observed < 0 ? T{} : observed;
  const T r = light - expected;
  const T below = r < 0 ? T{} : r;
  const T fitted = status == 2 ? below : r;
  return status == 0 ? T{} : fitted;
}

// The next estimate; inverse_share is 0 where the frame sees next to nothing of a point, which then stays what it is.
template <class T>
IMGR_HD T rl_update(T start, T damped, T correction, T inverse_share) {
  const T next = damped * correction * inverse_share;
  const T kept = next < 0 ? T{} : next;
  return inverse_share == 0 ? start : kept;
}

}  // namespace imgrestore
