#pragma once

#include <math.h>
#include <stdint.h>

#include "host_device.h"

// How a length is split into radices, where decimation in frequency leaves each frequency, and the twiddle factors.
namespace imgrestore {

constexpr int kMaxStages = 40;

// Splits n = 2^a 3^b 5^c into radices 8, 5, 4, 3, 2, largest first so that sub-transforms are soon small enough for the
// first cache. Returns how many, or -1 where another prime divides n.
IMGR_HD int fft_radices(int64_t n, int* radix) {
  if (n < 1) return -1;
  int twos = 0, threes = 0, fives = 0;
  for (; n % 2 == 0; n /= 2) ++twos;
  for (; n % 3 == 0; n /= 3) ++threes;
  for (; n % 5 == 0; n /= 5) ++fives;
  if (n != 1) return -1;
  // Two stages of 4 in place of 8 and 2.
  int fours = twos % 3 == 2 ? 1 : (twos % 3 == 1 && twos >= 4 ? 2 : 0);
  const int eights = (twos - 2 * fours) / 3;
  const int lone = twos - 2 * fours - 3 * eights;
  int count = 0;
  for (int i = 0; i < eights; ++i) radix[count++] = 8;
  for (int i = 0; i < fives; ++i) radix[count++] = 5;
  for (int i = 0; i < fours; ++i) radix[count++] = 4;
  for (int i = 0; i < threes; ++i) radix[count++] = 3;
  for (int i = 0; i < lone; ++i) radix[count++] = 2;
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
