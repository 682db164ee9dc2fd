#pragma once

#include "fft_pair.h"
#include "sparse_steps_rows.h"

// The transforms of `sparse_steps`. Two real pictures a and b of a channel ride in one complex transform along the rows,
// z = a + i b; their half spectra part there, and go along the columns side by side.
namespace imgrestore {
namespace IMGR_ISA {

struct SparseFft {
  typedef Vec<float> X;
  typedef X::V V;
  typedef FftLanes<float> F;
  typedef FftPair<float> Pair;
  typedef SparseSteps P;
  static constexpr int L = X::L;
  static constexpr int E = 2 * L;

  // By channel, block of columns, part (a or b) and row: lanes of real parts, lanes of imaginary parts.
  static IMGR_HD float* spectrum_at(const P& p, int c, int64_t block, int part, int64_t row) {
    return p.spectrum + (((c * sparse_steps_blocks(p.width, L) + block) * 2 + part) * (p.height | 1) + row) * E;
  }
  static IMGR_HD float* late_at(const P& p, const SparseBuffers& b, int c, int64_t block, int part) {
    return b.late + ((c * sparse_steps_blocks(p.width, L) + block) * 2 + part) * E;
  }

  // ---- along the rows, lane l row first + l

  static IMGR_HD void take(const P& p, int c, int64_t block, int part, int64_t first, int count, V* re, V* im) {
    const bool whole = count == L && first + L <= p.height;
    const float* source = spectrum_at(p, c, block, part, first);
    if (whole) {
      IMGR_UNROLL
      for (int i = 0; i < L; ++i) {
        re[i] = X::load(source + i * E);
        im[i] = X::load(source + i * E + L);
      }
    } else {
      for (int i = 0; i < L; ++i) {
        const float* at = spectrum_at(p, c, block, part, (first + i) % p.height);
        re[i] = i < count ? X::load(at) : V{};
        im[i] = i < count ? X::load(at + L) : V{};
      }
    }
    X::transpose(re);
    X::transpose(im);
  }

  static void merge(const P& p, int c, int64_t first, int count, float* x) {
    const FftPlan<float>& plan = *p.along_rows;
    const int64_t w = p.width, columns = w / 2 + 1;
    for (int64_t k0 = 0; k0 < columns; k0 += L) {
      V ar[L], ai[L], br[L], bi[L];
      if (k0 + L < columns) {
        const float *next = spectrum_at(p, c, k0 / L + 1, 0, first), *other = spectrum_at(p, c, k0 / L + 1, 1, first);
        for (int64_t j = 0; j < count * E; j += 16) {
          __builtin_prefetch(next + j);
          __builtin_prefetch(other + j);
        }
      }
      take(p, c, k0 / L, 0, first, count, ar, ai);
      take(p, c, k0 / L, 1, first, count, br, bi);
      for (int i = 0; i < L && k0 + i < columns; ++i) {
        const int64_t k = k0 + i;
        float* z = x + plan.position[k] * int64_t(E);
        if (k == 0 || 2 * k == w) {
          X::store(z, ar[i]);
          X::store(z + L, br[i]);
        } else {
          float* y = x + plan.position[w - k] * int64_t(E);
          X::store(z, ar[i] - bi[i]);
          X::store(z + L, ai[i] + br[i]);
          X::store(y, ar[i] + bi[i]);
          X::store(y + L, br[i] - ai[i]);
        }
      }
    }
  }

  // Rows first, first + 1, ... to slots 1, 2, ...
  template <int C>
  static void fill(const P& p, const SparseBuffers& b, int64_t first, int count) {
    if (p.from_planes) {
      for (int i = 0; i < count; ++i) SparseRows<C>::from_planes(p, b, 1 + i, (first + i) % p.height);
    } else {
      for (int c = 0; c < C; ++c) {
        merge(p, c, first, count, b.lanes);
        F::inverse(b.lanes, *p.along_rows);
        to_slots(p, b.lanes, count, b.scene + c * b.channel + b.pitch, b.blurred + c * b.channel + b.pitch, b.pitch);
      }
    }
    for (int c = 0; c < C; ++c) {
      for (int i = 1; i <= count; ++i) {
        float* row = b.scene + c * b.channel + i * b.pitch;
        row[p.width] = row[0];
      }
    }
  }

  static void to_slots(const P& p, const float* x, int count, float* scene, float* blurred, int64_t pitch) {
    for (int64_t v = 0; v < p.width; v += L) {
      const int64_t columns = p.width - v < L ? p.width - v : L;
      for (int part = 0; part < 2; ++part) {
        float* target = (part ? blurred : scene) + v;
        V t[L];
        if (columns == L) {
          IMGR_UNROLL
          for (int i = 0; i < L; ++i) t[i] = X::load(x + (v + i) * E + part * L);
        } else {
          for (int i = 0; i < L; ++i) t[i] = i < columns ? X::load(x + (v + i) * E + part * L) : V{};
        }
        X::transpose(t);
        if (count == L) {
          IMGR_UNROLL
          for (int i = 0; i < L; ++i) X::store(target + i * pitch, t[i]);
        } else {
          for (int i = 0; i < count; ++i) X::store(target + i * pitch, t[i]);
        }
      }
    }
  }

  static void from_slots(const P& p, const float* data, const float* right, int64_t pitch, float* x) {
    for (int64_t v = 0; v < p.width; v += L) {
      const int64_t columns = p.width - v < L ? p.width - v : L;
      for (int part = 0; part < 2; ++part) {
        const float* source = (part ? right : data) + v;
        V t[L];
        IMGR_UNROLL
        for (int i = 0; i < L; ++i) t[i] = X::load(source + i * pitch);
        X::transpose(t);
        if (columns == L) {
          IMGR_UNROLL
          for (int i = 0; i < L; ++i) X::store(x + (v + i) * E + part * L, t[i]);
        } else {
          for (int i = 0; i < columns; ++i) X::store(x + (v + i) * E + part * L, t[i]);
        }
      }
    }
  }

  // Of row first - 1 + i; the row before a chunk belongs to its neighbour, who may still be reading it.
  static IMGR_HD void put(const P& p, const SparseBuffers& b, int c, int64_t block, int part, int64_t first, int count,
                          bool late, V* re, V* im) {
    X::transpose(re);
    X::transpose(im);
    float* target = spectrum_at(p, c, block, part, first - 1);
    for (int i = 0; i < count; ++i) {
      float* at = late && i == 0 ? late_at(p, b, c, block, part) : target + i * E;
      X::store(at, re[i]);
      X::store(at + L, im[i]);
    }
  }

  // The scale of the inverse transforms goes in with the half.
  static void part(const P& p, const SparseBuffers& b, int c, int64_t first, int count, bool late) {
    const FftPlan<float>& plan = *p.along_rows;
    const float* x = b.lanes;
    const int64_t w = p.width, columns = w / 2 + 1;
    const float scale = float(0.5 / (double(p.height) * double(w)));
    for (int64_t k0 = 0; k0 < columns; k0 += L) {
      V ar[L], ai[L], br[L], bi[L];
      Pair::part(x, plan, w, k0, columns, scale, ar, ai, br, bi);
      put(p, b, c, k0 / L, 0, first, count, late, ar, ai);
      put(p, b, c, k0 / L, 1, first, count, late, br, bi);
    }
  }

  static void copy_row(const P& p, const SparseBuffers& b, int64_t from, int64_t to) {
    for (int c = 0; c < p.channels; ++c) {
      float *scene = b.scene + c * b.channel, *blurred = b.blurred + c * b.channel;
      for (int64_t v = 0; v <= p.width; v += L) {
        X::store(scene + to * b.pitch + v, X::load(scene + from * b.pitch + v));
        X::store(blurred + to * b.pitch + v, X::load(blurred + from * b.pitch + v));
      }
    }
  }

  template <int C>
  static void enter_chunk(const P& p, const SparseChunk& chunk) {
    const SparseBuffers b(p, chunk.memory);
    const int64_t before = (chunk.first + 2 * p.height - 2) % p.height;
    fill<C>(p, b, before, 2);
    SparseRows<C>::steep_of_row(p, b, 1, before);
    copy_row(p, b, 2, 0);
  }

  template <int C>
  static void rows_of_chunk(const P& p, const SparseChunk& chunk) {
    const SparseBuffers b(p, chunk.memory);
    for (int64_t first = chunk.first; first < chunk.end; first += L) {
      const int count = chunk.end - first < L ? int(chunk.end - first) : L;
      fill<C>(p, b, first, count);
      for (int j = 0; j < count; ++j) SparseRows<C>::row(p, b, j, (first + p.height - 1 + j) % p.height);
      for (int c = 0; c < C; ++c) {
        from_slots(p, b.blurred + c * b.channel, b.scene + c * b.channel, b.pitch, b.lanes);
        F::forward(b.lanes, *p.along_rows);
        part(p, b, c, first, count, first == chunk.first);
      }
      copy_row(p, b, count, 0);
    }
  }

  template <int C>
  static void leave_chunk(const P& p, const SparseChunk& chunk) {
    const SparseBuffers b(p, chunk.memory);
    for (int64_t first = chunk.first; first < chunk.end; first += L) {
      const int count = chunk.end - first < L ? int(chunk.end - first) : L;
      fill<C>(p, b, first, count);
      for (int i = 0; i < count; ++i) SparseRows<C>::to_planes(p, b, 1 + i, first + i);
    }
  }

  // ---- along the columns: forward, the least squares of every frequency, inverse, sub-transform by sub-transform

  struct Solver {
    const float *response, *steep_down;  // in the order of the transform
    V steep_along;
    float data_penalty, right, steep, tie;
  };

  // (a, b) = spectra of (data, right side) become those of (scene, blurred scene).
  static IMGR_HD void solve(V& ar, V& ai, V& br, V& bi, const Solver& s, int64_t position) {
    const V hr = X::load(s.response + position * E), hi = X::load(s.response + position * E + L);
    const V steep = s.steep_along + s.steep_down[position];
    const V inverse = 1.0f / ((hr * hr + hi * hi) * s.data_penalty + (steep * s.steep + s.tie));
    const V fr = (hr * ar + hi * ai) * s.data_penalty, fi = (hr * ai - hi * ar) * s.data_penalty;
    const V xr = (fr + br * s.right) * inverse, xi = (fi + bi * s.right) * inverse;
    ar = xr;
    ai = xi;
    br = hr * xr - hi * xi;
    bi = hr * xi + hi * xr;
  }

  template <int R>
  static void leaves(float* a, float* b, int64_t count, const Solver& s, int64_t position) {
    for (int64_t j = 0; j < count; ++j, a += R * E, b += R * E, position += R) {
      V ar[R], ai[R], br[R], bi[R];
      F::load<R, false>(a, E, ar, ai);
      F::load<R, false>(b, E, br, bi);
      Butterfly<R, float, V>::apply(ar, ai);
      Butterfly<R, float, V>::apply(br, bi);
      IMGR_UNROLL
      for (int q = 0; q < R; ++q) solve(ar[q], ai[q], br[q], bi[q], s, position + q);
      Butterfly<R, float, V>::apply(ai, ar);
      Butterfly<R, float, V>::apply(bi, br);
      F::store<R, false>(a, E, ar, ai);
      F::store<R, false>(b, E, br, bi);
    }
  }

  static void run_leaves(float* a, float* b, int radix, int64_t count, const Solver& s, int64_t position) {
    switch (radix) {
#define IMGR_CASE(R) case R: return leaves<R>(a, b, count, s, position);
      IMGR_RADICES(IMGR_CASE)
#undef IMGR_CASE
    }
  }

  static void run(float* a, float* b, const FftStage<float>* stage, int stages, const Solver& s, int64_t position) {
    if (stages == 1) return run_leaves(a, b, stage->radix, 1, s, position);
    F::run_pass<false>(a, *stage);
    F::run_pass<false>(b, *stage);
    if (stages == 2) {
      run_leaves(a, b, stage[1].radix, stage->radix, s, position);
    } else {
      for (int64_t i = 0, at = 0; i < stage->radix; ++i, at += stage->m) {
        run(a + at * E, b + at * E, stage + 1, stages - 1, s, position + at);
      }
    }
    F::run_pass<true>(a, *stage);
    F::run_pass<true>(b, *stage);
  }

  static IMGR_HD float* response_at(const P& p, int64_t block) { return p.response + block * (p.height + 1) * E; }
  static IMGR_HD float* steep_down(const P& p) { return response_at(p, sparse_steps_blocks(p.width, L)); }

  static void columns(const P& p, int64_t block) {
    const float* response = response_at(p, block);
    const FftPlan<float>& plan = *p.along_columns;
    for (int c = 0; c < p.channels; ++c) {
      float *x = spectrum_at(p, c, block, 0, 0), *y = spectrum_at(p, c, block, 1, 0);
      for (int t = 0; t < p.chunks; ++t) {
        const SparseBuffers b(p, p.chunk[t].memory);
        const int64_t row = (p.chunk[t].first + p.height - 1) % p.height;
        for (int i = 0; i < E; i += L) {
          X::store(x + row * E + i, X::load(late_at(p, b, c, block, 0) + i));
          X::store(y + row * E + i, X::load(late_at(p, b, c, block, 1) + i));
        }
      }
      const float stiff = p.penalty * (c ? p.chroma_weight * p.chroma_weight : 1.0f);
      const Solver s = {response, steep_down(p), X::load(response + p.height * E), p.data_penalty, p.penalty, stiff, p.tie};
      if (plan.stages) {
        run(x, y, plan.stage, plan.stages, s, 0);
      } else {
        V ar = X::load(x), ai = X::load(x + L), br = X::load(y), bi = X::load(y + L);
        solve(ar, ai, br, bi, s, 0);
        X::store(x, ar);
        X::store(x + L, ai);
        X::store(y, br);
        X::store(y + L, bi);
      }
    }
  }

  // The squared response of a difference at frequency k of n.
  static IMGR_HD float steepness(int64_t k, int64_t n) {
    const double half = 2 * sin(3.14159265358979323846 * double(k) / double(n));
    return float(half * half);
  }

  // The transfer function of a block as solve() reads it: in the order of the transform, lane by lane, and after it the
  // squared response of the differences.
  static void respond(const P& p, int64_t block) {
    const int64_t left = p.width / 2 + 1 - block * L;
    float* target = response_at(p, block);
    for (int64_t k = 0; k < p.height; ++k, target += E) {
      const float* h = p.otf + 2 * (p.along_columns->frequency[k] * p.otf_stride + block * L);
      for (int i = 0; i < L; ++i) {
        target[i] = i < left ? h[2 * i] : 0.0f;
        target[L + i] = i < left ? h[2 * i + 1] : 0.0f;
      }
    }
    for (int i = 0; i < L; ++i) target[i] = i < left ? steepness(block * L + i, p.width) : 1.0f;
    if (block) return;
    for (int64_t k = 0; k < p.height; ++k) steep_down(p)[k] = steepness(p.along_columns->frequency[k], p.height);
  }

  static void enter(const P& p, int chunk) {
    if (p.channels == 3) return enter_chunk<3>(p, p.chunk[chunk]);
    enter_chunk<1>(p, p.chunk[chunk]);
  }
  static void rows(const P& p, int chunk) {
    if (p.channels == 3) return rows_of_chunk<3>(p, p.chunk[chunk]);
    rows_of_chunk<1>(p, p.chunk[chunk]);
  }
  static void leave(const P& p, int chunk) {
    if (p.channels == 3) return leave_chunk<3>(p, p.chunk[chunk]);
    leave_chunk<1>(p, p.chunk[chunk]);
  }
};

extern const SparseStepsKernels sparse_steps_f32 = {SparseFft::L,    SparseFft::respond, SparseFft::enter,
                                                    SparseFft::rows, SparseFft::columns, SparseFft::leave};

}  // namespace IMGR_ISA
}  // namespace imgrestore
