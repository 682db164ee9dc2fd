#pragma once

#include "../math/exp2.h"
#include "simd.h"
#include "wiener_planes.h"

namespace imgrestore {
namespace IMGR_ISA {

struct WienerPlanes {
  typedef Vec<float> X;
  typedef X::V V;
  typedef X::I I;
  static constexpr int L = X::L;
  static constexpr int64_t kPiece = 1024 * L;

  // Sums in float over pieces, and of those in double, of what is left when `mean` is taken off.
  static double sum(const float* values, int64_t count, float mean, bool squared) {
    double total = 0;
    for (int64_t first = 0; first < count; first += kPiece) {
      const int64_t end = first + kPiece < count ? first + kPiece : count;
      V part[4] = {};
      int64_t i = first;
      for (; i + 4 * L <= end; i += 4 * L) {
        IMGR_UNROLL
        for (int j = 0; j < 4; ++j) {
          const V d = X::loadu(values + i + j * L) - mean;
          part[j] += squared ? d * d : d;
        }
      }
      const V parts = (part[0] + part[1]) + (part[2] + part[3]);
      double piece = 0;
      for (int l = 0; l < L; ++l) piece += double(parts[l]);
      for (; i < end; ++i) {
        const float d = values[i] - mean;
        piece += squared ? double(d) * d : double(d);
      }
      total += piece;
    }
    return total;
  }

  static float variance(const float* values, int64_t count) {
    const float mean = float(sum(values, count, 0.0f, false) / double(count));
    const double rest = sum(values, count, mean, false);
    return float((sum(values, count, mean, true) - rest * rest / double(count)) / double(count - 1));
  }

  static IMGR_HD V exponential(V t) {
    const V least = V{} + kLeastLevel, most = V{} + kMostLevel;
    t = t < least ? least : t;  // not so where t is NaN
    t = (t > most ? most : t) * 1.4426950408889634f;
    const V magic = V{} + 12582912.0f;
    const V shifted = t + magic;
    const I power = ((I)shifted - (I)magic + 127) << 23;
    return exp2_fraction(t - (shifted - magic)) * (V)power;
  }

  static void response(const float* otf, const float* log_frequency, float level, float power, float gain, int64_t count,
                       float* to) {
    for (int64_t i = 0; i < count; i += L, otf += 2 * L, log_frequency += L, to += 2 * L) {
      const int64_t left = count - i;
      V re, im, frequency, a, b;
      if (left >= L) {
        X::split(X::loadu(otf), X::loadu(otf + L), re, im);
        frequency = X::loadu(log_frequency);
      } else {
        X::split(X::load_part(otf, 2 * left), X::load_part(otf + L, 2 * left - L), re, im);
        frequency = X::load_part(log_frequency, left);
      }
      const V scale = gain / (re * re + im * im + exponential(frequency * power + level));
      X::interleave(re * scale, -im * scale, a, b);
      if (left >= L) {
        X::storeu(to, a);
        X::storeu(to + L, b);
      } else {
        X::store_part(to, a, 2 * left);
        X::store_part(to + L, b, 2 * left - L);
      }
    }
  }
};

extern const WienerPlanesKernels wiener_planes_f32 = {WienerPlanes::variance, WienerPlanes::response};

}  // namespace IMGR_ISA
}  // namespace imgrestore
