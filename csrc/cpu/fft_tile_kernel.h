#pragma once

#include "fft_lanes.h"
#include "fft_tile.h"

// Circular convolution of a tile, in steps: columns forward, block of columns by block of columns as the caller fills
// them; rows forward, times the response, and back, or in a volume rows forward plane by plane, the depth so, and rows
// inverse; columns inverse as the caller empties them.
namespace imgrestore {
namespace IMGR_ISA {

struct TileFft {
  typedef Vec<float> X;
  typedef X::V V;
  typedef FftLanes<float> F;
  static constexpr int L = X::L;
  static constexpr int E = 2 * L;

  static IMGR_HD float* block(const FftTile& t, float* tile, int64_t z, int64_t c) {
    return tile + z * fft_tile_plane(t, L) + c * fft_tile_block(t, L);
  }

  // ---- one row of lanes: forward, times the response in the order of the transform, inverse

  static IMGR_HD void times(V& re, V& im, const float* h) {
    const V hr = X::load(h), hi = X::load(h + L);
    const V t = re * hr - im * hi;
    im = re * hi + im * hr;
    re = t;
  }

  template <int R>
  static void leaves(float* x, int64_t count, const float* h) {
    for (int64_t j = 0; j < count; ++j, x += R * E, h += R * E) {
      V re[R], im[R];
      F::load<R, false>(x, E, re, im);
      Butterfly<R, float, V>::apply(re, im);
      IMGR_UNROLL
      for (int q = 0; q < R; ++q) times(re[q], im[q], h + q * E);
      Butterfly<R, float, V>::apply(im, re);
      F::store<R, false>(x, E, re, im);
    }
  }
  static void run_leaves(float* x, int radix, int64_t count, const float* h) {
    switch (radix) {
#define IMGR_CASE(R) case R: return leaves<R>(x, count, h);
      IMGR_RADICES(IMGR_CASE)
#undef IMGR_CASE
    }
  }
  static void filter(float* x, const FftStage<float>* stage, int stages, const float* h) {
    if (stages == 1) return run_leaves(x, stage->radix, 1, h);
    F::run_pass<false>(x, *stage);
    if (stages == 2) {
      run_leaves(x, stage[1].radix, stage->radix, h);
    } else {
      for (int s = 0; s < stage->radix; ++s) filter(x + s * stage->m * E, stage + 1, stages - 1, h + s * stage->m * E);
    }
    F::run_pass<true>(x, *stage);
  }
  static void filter_line(float* x, const FftPlan<float>& plan, const float* h) {
    if (plan.stages) return filter(x, plan.stage, plan.stages, h);
    V re = X::load(x), im = X::load(x + L);
    times(re, im, h);
    X::store(x, re);
    X::store(x + L, im);
  }

  // ---- rows: L rows of a plane between their blocks and a line of E width scalars

  // A block of rows L by L: t[i] holds row i, and after it column i.
  static IMGR_HD void turn(const float* from, float* to) {
    V t[L];
    IMGR_UNROLL
    for (int part = 0; part < E; part += L) {
      IMGR_UNROLL
      for (int i = 0; i < L; ++i) t[i] = X::load(from + i * E + part);
      X::transpose(t);
      IMGR_UNROLL
      for (int i = 0; i < L; ++i) X::store(to + i * E + part, t[i]);
    }
  }
  static void rows_to_line(const FftTile& t, const float* rows, float* line) {
    for (int64_t c = 0; c < t.width; c += L, rows += fft_tile_block(t, L), line += L * E) turn(rows, line);
  }
  static void line_to_rows(const FftTile& t, const float* line, float* rows) {
    for (int64_t c = 0; c < t.width; c += L, rows += fft_tile_block(t, L), line += L * E) turn(line, rows);
  }

  static void rows_through(const FftTile& t, float* tile, const float* response, float* line) {
    for (int64_t r = 0; r < t.height; r += L) {
      rows_to_line(t, tile + r * E, line);
      filter_line(line, *t.along_rows, response + r * 2 * t.width);
      line_to_rows(t, line, tile + r * E);
    }
  }

  // ---- depth: the columns of L rows stay turned from the forward to the inverse transform of the rows

  static void rows_forward(const FftTile& t, float* plane, float* line) {
    for (int64_t r = 0; r < t.height; r += L) {
      rows_to_line(t, plane + r * E, line);
      F::forward(line, *t.along_rows);
      copy(line, L * E, plane + r * E, fft_tile_block(t, L), t.width / L);
    }
  }
  static void rows_inverse(const FftTile& t, float* plane, float* line) {
    for (int64_t r = 0; r < t.height; r += L) {
      copy(plane + r * E, fft_tile_block(t, L), line, L * E, t.width / L);
      F::inverse(line, *t.along_rows);
      line_to_rows(t, line, plane + r * E);
    }
  }
  // count runs of L E scalars
  static void copy(const float* from, int64_t from_step, float* to, int64_t to_step, int64_t count) {
    for (int64_t i = 0; i < count; ++i, from += from_step, to += to_step) {
      for (int64_t j = 0; j < L * E; j += L) X::store(to + j, X::load(from + j));
    }
  }

  // A few columns at a time, so that their lines along the depth stay in the first cache.
  static constexpr int kColumns = L < 4 ? L : 4;

  static void depth_through(const FftTile& t, float* tile, const float* response, float* line) {
    const int64_t plane = fft_tile_plane(t, L);
    for (int64_t c = 0; c < t.width / L; ++c) {
      for (int64_t r = 0; r < t.height; r += L) {
        float* at = tile + c * fft_tile_block(t, L) + r * E;
        for (int64_t j = 0; j < L; j += kColumns, at += kColumns * E) {
          for (int64_t z = 0; z < t.depth; ++z) {
            for (int i = 0; i < kColumns; ++i) move(at + z * plane + i * E, line + (i * t.depth + z) * E);
          }
          for (int i = 0; i < kColumns; ++i, response += t.depth * E) {
            filter_line(line + i * t.depth * E, *t.along_depth, response);
          }
          for (int64_t z = 0; z < t.depth; ++z) {
            for (int i = 0; i < kColumns; ++i) move(line + (i * t.depth + z) * E, at + z * plane + i * E);
          }
        }
      }
    }
  }
  static IMGR_HD void move(const float* from, float* to) {
    X::store(to, X::load(from));
    X::store(to + L, X::load(from + L));
  }

  // ---- the response: a kernel's own transform, as it is met then. The tile holds the kernel, columns forward.

  static void response(const FftTile& t, float* tile, float* response, float* lines) {
    if (t.depth == 1) {
      for (int64_t r = 0; r < t.height; r += L) {
        float* line = response + r * 2 * t.width;
        rows_to_line(t, tile + r * E, line);
        F::forward(line, *t.along_rows);
      }
      return;
    }
    const int64_t plane = fft_tile_plane(t, L);
    for (int64_t z = 0; z < t.depth; ++z) rows_forward(t, tile + z * plane, lines);
    for (int64_t c = 0; c < t.width / L; ++c) {
      for (int64_t r = 0; r < t.height; r += L) {
        const float* at = tile + c * fft_tile_block(t, L) + r * E;
        for (int64_t j = 0; j < L; ++j, response += t.depth * E) {
          for (int64_t z = 0; z < t.depth; ++z) move(at + z * plane + j * E, response + z * E);
          F::forward(response, *t.along_depth);
        }
      }
    }
  }
};

}  // namespace IMGR_ISA
}  // namespace imgrestore
