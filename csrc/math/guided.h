#pragma once

#include "host_device.h"

// The linear model q = a I + b of the guided filter (He, Sun & Tang 2010) from the means over one window. T is a float
// or a vector of them.
namespace imgrestore {

template <class T>
IMGR_HD T at_least_zero(T x) {  // NaN stays
  return x < T{} ? T{} : x;
}

template <class S, class T>
IMGR_HD void guided_gray(T mean_i, T mean_p, T mean_ii, T mean_ip, S eps, T* a, T* b) {
  *a = (mean_ip - mean_i * mean_p) / (at_least_zero(mean_ii - mean_i * mean_i) + eps);
  *b = mean_p - *a * mean_i;
}

template <class S, class T>
IMGR_HD T at_least(T x, S least) {  // NaN stays
  return x < least ? T{} + least : x;
}

// ii: the means of I0 I0, I0 I1, I0 I2, I1 I1, I1 I2, I2 I2; a: three of them. The 3 x 3 system by L D L^T, no pivot
// of which is below eps; cofactors would cancel where the channels are nearly alike.
template <class S, class T>
IMGR_HD void guided_color(const T* i, T p, const T* ii, const T* ip, S eps, T* a, T* b) {
  const T xx = at_least_zero(ii[0] - i[0] * i[0]) + eps, xy = ii[1] - i[0] * i[1], xz = ii[2] - i[0] * i[2];
  const T yy = at_least_zero(ii[3] - i[1] * i[1]) + eps, yz = ii[4] - i[1] * i[2];
  const T zz = at_least_zero(ii[5] - i[2] * i[2]) + eps;
  const T cx = ip[0] - i[0] * p, cy = ip[1] - i[1] * p, cz = ip[2] - i[2] * p;
  const T l1 = xy / xx, l2 = xz / xx;
  const T d2 = at_least(yy - l1 * xy, eps), t = yz - l1 * xz, l3 = t / d2;
  const T d3 = at_least(zz - l2 * xz - l3 * t, eps);
  const T u1 = cy - l1 * cx, u2 = cz - l2 * cx - l3 * u1;
  a[2] = u2 / d3;
  a[1] = u1 / d2 - l3 * a[2];
  a[0] = cx / xx - l1 * a[1] - l2 * a[2];
  *b = p - a[0] * i[0] - a[1] * i[1] - a[2] * i[2];
}

// What is summed over windows, and what comes of it: of P pixels v, the guide's G channels and then the image, Q
// numbers, and of their means C coefficients.
struct GuidedSelf {
  static constexpr int G = 1, P = 1, Q = 2, C = 2;
  template <class T>
  static IMGR_HD void products(const T* v, T* x) {
    x[0] = v[0];
    x[1] = v[0] * v[0];
  }
  template <class T>
  static IMGR_HD void solve(const T* m, float eps, T* ab) { guided_gray(m[0], m[0], m[1], m[1], eps, ab, ab + 1); }
};

struct GuidedGray {
  static constexpr int G = 1, P = 2, Q = 4, C = 2;
  template <class T>
  static IMGR_HD void products(const T* v, T* x) {
    x[0] = v[0];
    x[1] = v[1];
    x[2] = v[0] * v[0];
    x[3] = v[0] * v[1];
  }
  template <class T>
  static IMGR_HD void solve(const T* m, float eps, T* ab) { guided_gray(m[0], m[1], m[2], m[3], eps, ab, ab + 1); }
};

struct GuidedColor {
  static constexpr int G = 3, P = 4, Q = 13, C = 4;
  template <class T>
  static IMGR_HD void products(const T* v, T* x) {
    IMGR_UNROLL
    for (int i = 0; i < 4; ++i) x[i] = v[i];
    IMGR_UNROLL
    for (int i = 0; i < 3; ++i) {
      x[4 + i] = v[0] * v[i];
      x[10 + i] = v[3] * v[i];
    }
    x[7] = v[1] * v[1];
    x[8] = v[1] * v[2];
    x[9] = v[2] * v[2];
  }
  template <class T>
  static IMGR_HD void solve(const T* m, float eps, T* ab) { guided_color(m, m[3], m + 4, m + 10, eps, ab, ab + 3); }
};

}  // namespace imgrestore
