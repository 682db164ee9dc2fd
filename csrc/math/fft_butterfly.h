#pragma once

#include "host_device.h"

// Forward DFTs of 1, 2, 3, 4, 5, 6, 8, 9, 10, 12 and 16 points in place. T is what a value is held in (a float, or a SIMD vector in which each
// lane is another transform), S the scalar. The inverse DFT is the same function with the two arrays exchanged.
namespace imgrestore {

template <class S, class T>
IMGR_HD void dft2(T& ar, T& ai, T& br, T& bi) {
  const T tr = ar - br, ti = ai - bi;
  ar = ar + br;
  ai = ai + bi;
  br = tr;
  bi = ti;
}

template <class S, class T>
IMGR_HD void dft4(T& ar, T& ai, T& br, T& bi, T& cr, T& ci, T& dr, T& di) {
  const T s0r = ar + cr, s0i = ai + ci, d0r = ar - cr, d0i = ai - ci;
  const T s1r = br + dr, s1i = bi + di, d1r = br - dr, d1i = bi - di;
  ar = s0r + s1r;
  ai = s0i + s1i;
  br = d0r + d1i;
  bi = d0i - d1r;
  cr = s0r - s1r;
  ci = s0i - s1i;
  dr = d0r - d1i;
  di = d0i + d1r;
}

template <int R, class S, class T>
struct Butterfly;

template <class S, class T>
struct Butterfly<1, S, T> {
  static IMGR_HD void apply(T*, T*) {}
};

template <class S, class T>
struct Butterfly<2, S, T> {
  static IMGR_HD void apply(T* re, T* im) { dft2<S>(re[0], im[0], re[1], im[1]); }
};

template <class S, class T>
struct Butterfly<3, S, T> {
  static IMGR_HD void apply(T* re, T* im) {
    const S s = S(0.866025403784438646763723170752936183);
    const T tr = re[1] + re[2], ti = im[1] + im[2];
    const T ur = (re[1] - re[2]) * s, ui = (im[1] - im[2]) * s;
    const T mr = re[0] - tr * S(0.5), mi = im[0] - ti * S(0.5);
    re[0] = re[0] + tr;
    im[0] = im[0] + ti;
    re[1] = mr + ui;
    im[1] = mi - ur;
    re[2] = mr - ui;
    im[2] = mi + ur;
  }
};

template <class S, class T>
struct Butterfly<4, S, T> {
  static IMGR_HD void apply(T* re, T* im) {
    dft4<S>(re[0], im[0], re[1], im[1], re[2], im[2], re[3], im[3]);
  }
};

template <class S, class T>
struct Butterfly<5, S, T> {
  static IMGR_HD void apply(T* re, T* im) {
    const S c1 = S(0.309016994374947424102293417182819059), c2 = S(-0.809016994374947424102293417182819059);
    const S s1 = S(0.951056516295153572116439333379382143), s2 = S(0.587785252292473129168705954639072769);
    const T ar = re[1] + re[4], ai = im[1] + im[4], br = re[2] + re[3], bi = im[2] + im[3];
    const T pr = re[1] - re[4], pi = im[1] - im[4], qr = re[2] - re[3], qi = im[2] - im[3];
    const T m1r = re[0] + ar * c1 + br * c2, m1i = im[0] + ai * c1 + bi * c2;
    const T m2r = re[0] + ar * c2 + br * c1, m2i = im[0] + ai * c2 + bi * c1;
    const T n1r = pr * s1 + qr * s2, n1i = pi * s1 + qi * s2;
    const T n2r = pr * s2 - qr * s1, n2i = pi * s2 - qi * s1;
    re[0] = re[0] + ar + br;
    im[0] = im[0] + ai + bi;
    re[1] = m1r + n1i;
    im[1] = m1i - n1r;
    re[4] = m1r - n1i;
    im[4] = m1i + n1r;
    re[2] = m2r + n2i;
    im[2] = m2i - n2r;
    re[3] = m2r - n2i;
    im[3] = m2i + n2r;
  }
};

template <class S, class T>
struct Butterfly<8, S, T> {
  static IMGR_HD void apply(T* re, T* im) {
    const S h = S(0.707106781186547524400844362104849039);
    dft2<S>(re[0], im[0], re[4], im[4]);
    dft2<S>(re[1], im[1], re[5], im[5]);
    dft2<S>(re[2], im[2], re[6], im[6]);
    dft2<S>(re[3], im[3], re[7], im[7]);
    const T b1r = (re[5] + im[5]) * h, b1i = (im[5] - re[5]) * h;
    const T b2r = im[6], b2i = -re[6];
    const T b3r = (im[7] - re[7]) * h, b3i = -(re[7] + im[7]) * h;
    T e0r = re[0], e0i = im[0], e1r = re[1], e1i = im[1], e2r = re[2], e2i = im[2], e3r = re[3], e3i = im[3];
    T o0r = re[4], o0i = im[4], o1r = b1r, o1i = b1i, o2r = b2r, o2i = b2i, o3r = b3r, o3i = b3i;
    dft4<S>(e0r, e0i, e1r, e1i, e2r, e2i, e3r, e3i);
    dft4<S>(o0r, o0i, o1r, o1i, o2r, o2i, o3r, o3i);
    re[0] = e0r, im[0] = e0i, re[2] = e1r, im[2] = e1i, re[4] = e2r, im[4] = e2i, re[6] = e3r, im[6] = e3i;
    re[1] = o0r, im[1] = o0i, re[3] = o1r, im[3] = o1i, re[5] = o2r, im[5] = o2i, re[7] = o3r, im[7] = o3i;
  }
};

// The multiple of Q below P Q that is 1 modulo P.
template <int P, int Q>
constexpr IMGR_HD int coprime_unit() {
  int u = Q;
  while (u % P != 1) u += Q;
  return u;
}

// R = P Q with P and Q coprime needs no twiddles in between (Good 1958): point Q p + P q goes to place (p, q) of a P x Q
// grid, and frequency k is found at (k mod P, k mod Q).
template <int P, int Q, class S, class T>
IMGR_HD void dft_coprime(T* re, T* im) {
  constexpr int R = P * Q, UP = coprime_unit<P, Q>(), UQ = coprime_unit<Q, P>();
  T gr[R], gi[R];
  IMGR_UNROLL
  for (int p = 0; p < P; ++p) {
    T ar[Q], ai[Q];
    IMGR_UNROLL
    for (int q = 0; q < Q; ++q) ar[q] = re[(Q * p + P * q) % R], ai[q] = im[(Q * p + P * q) % R];
    Butterfly<Q, S, T>::apply(ar, ai);
    IMGR_UNROLL
    for (int q = 0; q < Q; ++q) gr[p * Q + q] = ar[q], gi[p * Q + q] = ai[q];
  }
  IMGR_UNROLL
  for (int q = 0; q < Q; ++q) {
    T ar[P], ai[P];
    IMGR_UNROLL
    for (int p = 0; p < P; ++p) ar[p] = gr[p * Q + q], ai[p] = gi[p * Q + q];
    Butterfly<P, S, T>::apply(ar, ai);
    IMGR_UNROLL
    for (int p = 0; p < P; ++p) re[(UP * p + UQ * q) % R] = ar[p], im[(UP * p + UQ * q) % R] = ai[p];
  }
}

template <class S, class T>
struct Butterfly<6, S, T> {
  static IMGR_HD void apply(T* re, T* im) { dft_coprime<2, 3, S, T>(re, im); }
};

template <class S, class T>
struct Butterfly<10, S, T> {
  static IMGR_HD void apply(T* re, T* im) { dft_coprime<2, 5, S, T>(re, im); }
};

template <class S, class T>
struct Butterfly<12, S, T> {
  static IMGR_HD void apply(T* re, T* im) { dft_coprime<4, 3, S, T>(re, im); }
};

// (re + i im) times (wr + i wi)
template <class T, class W>
IMGR_HD void twiddle(T& re, T& im, W wr, W wi) {
  const T r = re * wr - im * wi;
  im = re * wi + im * wr;
  re = r;
}

// Q x Q points by two rounds of Q-point DFTs with the factors exp(-2 pi i p q / (Q Q)) = c[p q] - i s[p q] in between.
template <int Q, class S, class T>
IMGR_HD void dft_square(T* re, T* im, const S* c, const S* s) {
  IMGR_UNROLL
  for (int p = 0; p < Q; ++p) {
    T ar[Q], ai[Q];
    IMGR_UNROLL
    for (int q = 0; q < Q; ++q) ar[q] = re[p + Q * q], ai[q] = im[p + Q * q];
    Butterfly<Q, S, T>::apply(ar, ai);
    IMGR_UNROLL
    for (int q = 0; q < Q; ++q) {
      if (p * q) twiddle(ar[q], ai[q], c[p * q], -s[p * q]);
      re[p + Q * q] = ar[q], im[p + Q * q] = ai[q];
    }
  }
  IMGR_UNROLL
  for (int q = 0; q < Q; ++q) Butterfly<Q, S, T>::apply(re + Q * q, im + Q * q);
  // Frequency q + Q p stands at Q q + p.
  IMGR_UNROLL
  for (int q = 0; q < Q; ++q) {
    IMGR_UNROLL
    for (int p = q + 1; p < Q; ++p) {
      const T tr = re[Q * q + p], ti = im[Q * q + p];
      re[Q * q + p] = re[Q * p + q], im[Q * q + p] = im[Q * p + q];
      re[Q * p + q] = tr, im[Q * p + q] = ti;
    }
  }
}

template <class S, class T>
struct Butterfly<9, S, T> {
  static IMGR_HD void apply(T* re, T* im) {
    const S c[5] = {S(1), S(0.766044443118978035202392650555416673), S(0.173648177666930348851716626769314796), S(-0.5),
                    S(-0.939692620785908384054109277324731469)};
    const S s[5] = {S(0), S(0.642787609686539326322643409907263433), S(0.984807753012208059366743024589523013),
                    S(0.866025403784438646763723170752936183), S(0.342020143325668733044099614682259581)};
    dft_square<3, S, T>(re, im, c, s);
  }
};

template <class S, class T>
struct Butterfly<16, S, T> {
  static IMGR_HD void apply(T* re, T* im) {
    const S a = S(0.923879532511286756128183189396788287), b = S(0.382683432365089771728459984030398866);
    const S h = S(0.707106781186547524400844362104849039);
    const S c[10] = {S(1), a, h, b, S(0), -b, -h, -a, S(-1), -a};
    const S s[10] = {S(0), b, h, a, S(1), a, h, b, S(0), -b};
    dft_square<4, S, T>(re, im, c, s);
  }
};

}  // namespace imgrestore
