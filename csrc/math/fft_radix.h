#pragma once

#include <math.h>
#include <stdint.h>

#include "host_device.h"

// How a length is split into radices, where decimation in frequency leaves each frequency, and the twiddle factors.
namespace imgrestore {

constexpr int kMaxStages = 40;

// The radices there are butterflies for, for the cases of a switch.
#define IMGR_RADICES(X) X(12) X(10) X(8) X(6) X(5) X(4) X(3) X(2)

// Splits n = 2^a 3^b 5^c into radices, largest first so that sub-transforms are soon small enough for the first cache:
// those with the least sum of costs, where every stage costs a pass over the data besides its arithmetic. Returns how many,
// or -1 where another prime divides n.
IMGR_HD int fft_radices(int64_t n, int* radix) {
  constexpr int kinds = 8, most = 32;
  const int radices[kinds] = {12, 10, 8, 6, 5, 4, 3, 2};
  const int cost[kinds] = {22, 21, 17, 16, 15, 13, 12, 11};
  int64_t size[most + 1];
  int best[most], trial[most], depth = 0, best_cost = 0, trial_cost = 0, count = -1;
  int kind = 0;
  size[0] = n < 1 ? 7 : n;
  // Depth first over all ways of writing n as a product of falling radices.
  for (;;) {
    if (size[depth] == 1 && (count < 0 || trial_cost < best_cost)) {
      best_cost = trial_cost;
      count = depth;
      for (int i = 0; i < depth; ++i) best[i] = trial[i];
    }
    while (kind < kinds && (depth == most || size[depth] % radices[kind] != 0)) ++kind;
    if (kind < kinds && size[depth] > 1 && (count < 0 || trial_cost + cost[kind] < best_cost)) {
      trial[depth] = kind;
      trial_cost += cost[kind];
      size[depth + 1] = size[depth] / radices[kind];
      ++depth;
      continue;
    }
    if (depth == 0) break;
    --depth;
    kind = trial[depth];
    trial_cost -= cost[kind];
    ++kind;
  }
  for (int i = 0; i < count; ++i) radix[i] = radices[best[i]];
  return count;
}

// Where frequency k of a transform of n points ends up.
IMGR_HD int64_t fft_position(int64_t k, int64_t n, const int* radix, int stages) {
  int64_t position = 0;
  for (int s = 0; s < stages; ++s) {
    n /= radix[s];
    position += (k % radix[s]) * n;
    k /= radix[s];
  }
  return position;
}

// exp(-2 pi i j / n), 0 <= j < n, exact at the eighths of a turn: the angle is folded into the first octant.
IMGR_HD void fft_twiddle(int64_t j, int64_t n, double* re, double* im) {
  const double two_pi = 6.283185307179586476925286766559;
  const int64_t octant = 8 * j / n;
  int64_t eighth = 8 * j - octant * n;  // in units of 1/(8 n) turns, within the octant
  if (octant & 1) eighth = n - eighth;
  const double angle = two_pi * (double)eighth / (8.0 * (double)n);
  double c = cos(angle), s = sin(angle);
  if (((octant + 1) >> 1) & 1) {
    const double t = c;
    c = s;
    s = t;
  }
  if (octant >= 2 && octant < 6) c = -c;
  if (octant >= 4) s = -s;
  *re = c;
  *im = -s;
}

}  // namespace imgrestore
