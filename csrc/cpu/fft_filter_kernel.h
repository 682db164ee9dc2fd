#pragma once

#include "fft_filter.h"
#include "fft_pair.h"

namespace imgrestore {
namespace IMGR_ISA {

template <class S>
struct FftFilter {
  typedef Vec<S> X;
  typedef typename X::V V;
  typedef FftLanes<S> F;
  typedef FftPair<S> Pair;
  typedef FftFilterPlane<S> Plane;
  static constexpr int L = X::L;
  static constexpr int E = 2 * L;

  // The spectrum is stored block of columns by block of columns, each padded to whole blocks of rows, so that the
  // columns of a block are one contiguous run of lanes.
  static IMGR_HD S* spectrum_at(const Plane& p, int64_t column_block, int64_t row) {
    return p.spectrum + (column_block * fft_filter_row_blocks(p.height, L) * E + row) * E;
  }

  // ---- rows: lane l packs row l and row L + l of the block as real and imaginary part

  static void load_rows(const Plane& p, int64_t first, S* x) {
    for (int64_t c = 0; c < p.width; c += L) {
      const int64_t columns = p.width - c < L ? p.width - c : L;
      for (int part = 0; part < 2; ++part) {
        const int64_t row = first + part * L;
        const int64_t rows = p.height - row;
        const S* source = p.image + row * p.image_stride + c;
        V t[L];
        if (rows >= L && columns == L) {
          IMGR_UNROLL
          for (int i = 0; i < L; ++i) {
            t[i] = X::loadu(source + i * p.image_stride);
            __builtin_prefetch(source + i * p.image_stride + 4 * L);
          }
          X::transpose(t);
          IMGR_UNROLL
          for (int i = 0; i < L; ++i) X::store(x + (c + i) * E + part * L, t[i]);
        } else {
          for (int i = 0; i < L; ++i) t[i] = i < rows ? X::load_part(source + i * p.image_stride, columns) : V{};
          X::transpose(t);
          for (int i = 0; i < columns; ++i) X::store(x + (c + i) * E + part * L, t[i]);
        }
      }
    }
  }

  static void store_rows(const Plane& p, int64_t first, const S* x) {
    for (int64_t c = 0; c < p.width; c += L) {
      const int64_t columns = p.width - c < L ? p.width - c : L;
      for (int part = 0; part < 2; ++part) {
        const int64_t row = first + part * L;
        const int64_t rows = p.height - row;
        if (rows <= 0) break;
        S* target = p.out + row * p.width + c;
        V t[L];
        if (rows >= L && columns == L) {
          IMGR_UNROLL
          for (int i = 0; i < L; ++i) t[i] = X::load(x + (c + i) * E + part * L);
          X::transpose(t);
          IMGR_UNROLL
          for (int i = 0; i < L; ++i) X::storeu(target + i * p.width, t[i]);
        } else {
          for (int i = 0; i < L; ++i) t[i] = i < columns ? X::load(x + (c + i) * E + part * L) : V{};
          X::transpose(t);
          for (int i = 0; i < L && i < rows; ++i) X::store_part(target + i * p.width, t[i], columns);
        }
      }
    }
  }

  static void transpose_to(S* target, V* t) {
    X::transpose(t);
    IMGR_UNROLL
    for (int i = 0; i < L; ++i) X::store(target + i * E, t[i]);
  }
  static void transpose_from(const S* source, V* t) {
    IMGR_UNROLL
    for (int i = 0; i < L; ++i) t[i] = X::load(source + i * E);
    X::transpose(t);
  }

  static void rows_forward(const Plane& p, int64_t block, S* x) {
    const FftPlan<S>& plan = *p.along_rows;
    const int64_t first = block * E, w = p.width, columns = (w + 1) / 2;
    load_rows(p, first, x);
    F::forward(x, plan);
    // The scale of the inverse transforms goes in with the half.
    const S scale = S(0.5 / (double(p.height) * double(w)));
    for (int64_t k0 = 0; k0 < columns; k0 += L) {
      V ar[L], ai[L], br[L], bi[L];
      Pair::part(x, plan, w, k0, columns, scale, ar, ai, br, bi);
      if (k0 == 0 && w % 2 == 0) {
        const S* y = x + plan.position[w / 2] * int64_t(E);
        ai[0] = X::load(y) * (2 * scale);
        bi[0] = X::load(y + L) * (2 * scale);
      }
      S* target = spectrum_at(p, k0 / L, first);
      transpose_to(target, ar);
      transpose_to(target + L, ai);
      transpose_to(target + L * E, br);
      transpose_to(target + L * E + L, bi);
    }
  }

  static void rows_inverse(const Plane& p, int64_t block, S* x) {
    const FftPlan<S>& plan = *p.along_rows;
    const int64_t first = block * E, w = p.width, columns = (w + 1) / 2;
    for (int64_t k0 = 0; k0 < columns; k0 += L) {
      V ar[L], ai[L], br[L], bi[L];
      const S* source = spectrum_at(p, k0 / L, first);
      if (k0 + L < columns) {
        const S* next = spectrum_at(p, k0 / L + 1, first);
        for (int64_t j = 0; j < E * E; j += 64 / sizeof(S)) __builtin_prefetch(next + j);
      }
      transpose_from(source, ar);
      transpose_from(source + L, ai);
      transpose_from(source + L * E, br);
      transpose_from(source + L * E + L, bi);
      int i = 0;
      if (k0 == 0) {
        S* z = x + plan.position[0] * int64_t(E);
        X::store(z, ar[0]);
        X::store(z + L, br[0]);
        if (w % 2 == 0) {
          S* y = x + plan.position[w / 2] * int64_t(E);
          X::store(y, ai[0]);
          X::store(y + L, bi[0]);
        }
        i = 1;
      }
      for (; i < L && k0 + i < columns; ++i) {
        S* z = x + plan.position[k0 + i] * int64_t(E);
        S* y = x + plan.position[w - k0 - i] * int64_t(E);
        X::store(z, ar[i] - bi[i]);
        X::store(z + L, ai[i] + br[i]);
        X::store(y, ar[i] + bi[i]);
        X::store(y + L, br[i] - ai[i]);
      }
    }
    F::inverse(x, plan);
    store_rows(p, first, x);
  }

  // ---- columns: forward, times the response, inverse, sub-transform by sub-transform

  struct Response {
    const S* at;           // first column of the block
    int64_t stride;        // scalars from row to row
    int64_t columns;       // L, or fewer in the last block
    const int32_t* frequency;
    int64_t n;
  };

  template <bool Whole>
  static IMGR_HD void times(V& re, V& im, const Response& r, int64_t position) {
    const S* h = r.at + r.frequency[position] * r.stride;
    V hr, hi;
    if (Whole) {
      X::split(X::loadu(h), X::loadu(h + L), hr, hi);
    } else {
      X::split(X::load_part(h, 2 * r.columns), X::load_part(h + L, 2 * r.columns - L), hr, hi);
    }
    const V t = re * hr - im * hi;
    im = re * hi + im * hr;
    re = t;
  }

  template <int R, bool Whole>
  static void leaves(S* x, int64_t count, const Response& r, int64_t position) {
    for (int64_t j = 0; j < count; ++j, x += R * E, position += R) {
      V re[R], im[R];
      F::template load<R, false>(x, E, re, im);
      Butterfly<R, S, V>::apply(re, im);
      IMGR_UNROLL
      for (int q = 0; q < R; ++q) times<Whole>(re[q], im[q], r, position + q);
      Butterfly<R, S, V>::apply(im, re);
      F::template store<R, false>(x, E, re, im);
    }
  }

  template <bool Whole>
  static void run_leaves(S* x, int radix, int64_t count, const Response& r, int64_t position) {
    switch (radix) {
#define IMGR_CASE(R) case R: return leaves<R, Whole>(x, count, r, position);
      IMGR_RADICES(IMGR_CASE)
#undef IMGR_CASE
    }
  }

  // The rows of the response are met in the order of the transform, which no hardware foresees.
  static IMGR_HD void prefetch(const Response& r, int64_t position, int64_t count, int64_t n) {
    if (position + count > n) return;
    for (int64_t j = position; j < position + count; ++j) {
      const S* h = r.at + r.frequency[j] * r.stride;
      __builtin_prefetch(h);
      if (E * sizeof(S) > 64) __builtin_prefetch(h + L);
      __builtin_prefetch(h + 2 * r.columns - 1);
    }
  }

  template <bool Whole>
  static void filter(S* x, const FftStage<S>* stage, int stages, const Response& r, int64_t position) {
    if (stages == 1) return run_leaves<Whole>(x, stage->radix, 1, r, position);
    F::template run_pass<false>(x, *stage);
    if (stages == 2) {
      const int64_t size = stage->radix * stage->m;
      prefetch(r, position + size, size, r.n);
      run_leaves<Whole>(x, stage[1].radix, stage->radix, r, position);
    } else {
      for (int s = 0; s < stage->radix; ++s) {
        filter<Whole>(x + s * stage->m * E, stage + 1, stages - 1, r, position + s * stage->m);
      }
    }
    F::template run_pass<true>(x, *stage);
  }

  // Lane 0 of the first block holds two real columns, f = column 0 and g = column width / 2, as f + i g. The inverse
  // real transform drops what a response makes imaginary there, so what counts is its Hermitian part.
  static void packed_column(const Plane& p, const S* z, S* x) {
    const FftPlan<S>& plan = *p.along_columns;
    const int64_t n = p.height, last = 2 * (p.width / 2);
    for (int64_t k = 0; k < n; ++k) {
      const int64_t mirror = k ? n - k : 0;
      const S *u = z + 2 * plan.position[k], *v = z + 2 * plan.position[mirror];
      const S *h = p.response + 2 * k * p.response_stride, *m = p.response + 2 * mirror * p.response_stride;
      const S fr = S(0.5) * (u[0] + v[0]), fi = S(0.5) * (u[1] - v[1]);
      const S gr = S(0.5) * (u[1] + v[1]), gi = S(0.5) * (v[0] - u[0]);
      const S hr = S(0.5) * (h[0] + m[0]), hi = S(0.5) * (h[1] - m[1]);
      const S kr = S(0.5) * (h[last] + m[last]), ki = S(0.5) * (h[last + 1] - m[last + 1]);
      S* y = x + plan.position[k] * int64_t(E);
      y[0] = fr * hr - fi * hi - (gr * ki + gi * kr);
      y[L] = fr * hi + fi * hr + (gr * kr - gi * ki);
    }
  }

  template <bool Whole>
  static void first_columns(const Plane& p, S* x, const Response& r, S* z) {
    F::forward(x, *p.along_columns);
    for (int64_t j = 0; j < p.height; ++j) {
      V re = X::load(x + j * E), im = X::load(x + j * E + L);
      z[2 * j] = re[0];
      z[2 * j + 1] = im[0];
      times<Whole>(re, im, r, j);
      X::store(x + j * E, re);
      X::store(x + j * E + L, im);
    }
    packed_column(p, z, x);
    F::inverse(x, *p.along_columns);
  }

  template <bool Whole>
  static void filter_columns(const Plane& p, S* x, const Response& r) {
    const FftPlan<S>& plan = *p.along_columns;
    if (plan.stages) return filter<Whole>(x, plan.stage, plan.stages, r, 0);
    V re = X::load(x), im = X::load(x + L);
    times<Whole>(re, im, r, 0);
    X::store(x, re);
    X::store(x + L, im);
  }

  static void columns(const Plane& p, int64_t block, S* column) {
    S* x = spectrum_at(p, block, 0);
    const int64_t left = p.width / 2 + 1 - block * L;
    const bool whole = left >= L;
    const Response r = {p.response + 2 * block * L, 2 * p.response_stride, whole ? L : left, p.along_columns->frequency,
                        p.height};
    const bool packed = block == 0 && p.width % 2 == 0;
    if (packed && whole) return first_columns<true>(p, x, r, column);
    if (packed) return first_columns<false>(p, x, r, column);
    if (whole) return filter_columns<true>(p, x, r);
    filter_columns<false>(p, x, r);
  }
};

extern const FftFilterKernels<float> fft_filter_f32 = {
    FftFilter<float>::L, FftFilter<float>::rows_forward, FftFilter<float>::columns, FftFilter<float>::rows_inverse};
extern const FftFilterKernels<double> fft_filter_f64 = {
    FftFilter<double>::L, FftFilter<double>::rows_forward, FftFilter<double>::columns, FftFilter<double>::rows_inverse};

}  // namespace IMGR_ISA
}  // namespace imgrestore
