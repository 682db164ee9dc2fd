#pragma once

#include "host_device.h"

namespace imgrestore {

// The mean of numbers that come some at a time, and the sum of the squares of their distances from it. Each lot is
// looked at twice, and lots are joined as Chan, Golub and LeVeque do, "Updating formulae and a pairwise algorithm for
// computing sample variances" (1979): a large mean costs no digits.
struct Moments {
  float count = 0, mean = 0, squares = 0;

  // The first `some` of `values`, at least one.
  template <int N>
  IMGR_HD void add(const float (&values)[N], int some) {
    float sum = 0;
    IMGR_UNROLL
    for (int i = 0; i < N; ++i) sum += i < some ? values[i] : 0.0f;
    const float own = sum / float(some);
    float around = 0;
    IMGR_UNROLL
    for (int i = 0; i < N; ++i) {
      const float d = i < some ? values[i] - own : 0.0f;
      around += d * d;
    }
    const float total = count + float(some), apart = own - mean;
    mean += apart * (float(some) / total);
    // In this order the first lot's 0 is a factor of a number, not of a square that may be infinite.
    squares += around + apart * (apart * (count * float(some) / total));
    count = total;
  }
};

}  // namespace imgrestore
