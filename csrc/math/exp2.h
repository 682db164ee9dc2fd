#pragma once

#include "host_device.h"

namespace imgrestore {

// 2^f for -1/2 <= f <= 1/2, to 2.7e-6 of its value. T is a float or a vector of them.
template <class T>
IMGR_HD T exp2_fraction(T f) {
  T p = f * 0.009570102207362652f + 0.05591785907745361f;
  p = p * f + 0.240247443318367f;
  p = p * f + 0.6931217908859253f;
  return p * f + 0.9999992847442627f;
}

// 2^f for 0 <= f <= 1, to 2.7e-6 of its value.
template <class T>
IMGR_HD T exp2_unit(T f) {
  T p = f * 0.013534167781472206f + 0.052011460065841675f;
  p = p * f + 0.2414427548646927f;
  p = p * f + 0.6930038332939148f;
  return p * f + 1.0000026226043701f;
}

}  // namespace imgrestore
