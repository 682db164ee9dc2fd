#pragma once

#include "../math/guided.h"
#include "guided.h"
#include "guided_band.h"
#include "window_sums.h"

namespace imgrestore {
namespace IMGR_ISA {

// Down the columns lanes are columns. Along the rows lanes are rows: only what is summed down the columns is transposed
// on its way in, and only the coefficients on their way out; in between they are solved for and summed again.
template <class Model>
struct Guided {
  typedef Vec<float> X;
  typedef typename X::V V;
  typedef GuidedPlane Plane;
  typedef GuidedWork Work;
  static constexpr int L = X::L, G = Model::G, P = Model::P, Q = Model::Q, C = Model::C;

  static int64_t stride(const Plane& p) { return guided_row_stride(p.width, p.radius); }

  // ---- fit: down the columns

  template <bool Whole>
  struct Products {
    const float* const* rows;  // P lists, one after the other
    int64_t count, column, columns;
    const Plane& p;
    IMGR_HD void operator()(int64_t k, V* x) const {
      V v[P];
      IMGR_UNROLL
      for (int i = 0; i < P; ++i) {
        const float* at = rows[i * count + k] + column;
        __builtin_prefetch(at + 4 * L);  // one line from each row is what no hardware foresees
        v[i] = (Whole ? X::loadu(at) : X::load_part(at, columns)) - (i < G ? p.guide_shift[i] : p.image_shift);
      }
      Model::products(v, x);
    }
  };
  struct ToSums {
    float* at;
    int64_t stride, plane;
    IMGR_HD void operator()(int64_t k, const V* sum) const {
      IMGR_UNROLL
      for (int q = 0; q < Q; ++q) X::storeu(at + q * plane + k * stride, sum[q]);
    }
  };

  static void find_rows(const Plane& p, const float** rows, int64_t first, int64_t count) {
    for (int64_t k = 0; k < count; ++k) {
      const int64_t row = first + k;
      const bool inside = row >= 0 && row < p.height;
      for (int i = 0; i < P; ++i) {
        const float* at = i < G ? p.guide[i] : p.image;
        const float* edge = i < G ? p.edge_guide[i] : p.edge_image;
        rows[i * count + k] = inside ? at + row * (i < G ? p.guide_stride : p.image_stride) : edge;
      }
    }
  }

  // one block of at most n results
  static void down(const Plane& p, const Work& w, int64_t row, int64_t results, float* sums, int64_t plane) {
    const int64_t n = 2 * p.radius + 1, count = results + n - 1;
    find_rows(p, w.rows, row - p.radius, count);
    for (int64_t c = 0; c < p.width; c += L) {
      const ToSums out = {sums + p.radius + c, stride(p), plane};
      if (c + L <= p.width) {
        const Products<true> in = {w.rows, count, c, L, p};
        WindowSums<Q>::run(in, results, n, w.lanes, out);
      } else {
        const Products<false> in = {w.rows, count, c, p.width - c, p};
        WindowSums<Q>::run(in, results, n, w.lanes, out);
      }
    }
    for (int q = 0; q < Q; ++q) {
      for (int64_t k = 0; k < results; ++k) {
        float* at = sums + q * plane + k * stride(p);
        for (int64_t i = 0; i < p.radius; ++i) at[i] = 0;
        for (int64_t i = p.radius + p.width; i < stride(p); ++i) at[i] = 0;
      }
    }
  }

  // ---- fit: along the rows

  template <int N>
  struct Lanes {
    const float* x;
    IMGR_HD void operator()(int64_t k, V* v) const {
      IMGR_UNROLL
      for (int q = 0; q < N; ++q) v[q] = X::load(x + (k * N + q) * L);
    }
  };
  struct Solve {
    float* coefficients;
    const float* column_factors;
    V row_factors;
    float eps;
    IMGR_HD void operator()(int64_t k, const V* sum) const {
      V mean[Q], ab[C];
      const V factor = row_factors * column_factors[k];
      IMGR_UNROLL
      for (int q = 0; q < Q; ++q) mean[q] = sum[q] * factor;
      Model::solve(mean, eps, ab);
      IMGR_UNROLL
      for (int c = 0; c < C; ++c) X::store(coefficients + (k * C + c) * L, ab[c]);
    }
  };
  struct ToLanes {
    float* x;
    IMGR_HD void operator()(int64_t k, const V* sum) const {
      IMGR_UNROLL
      for (int c = 0; c < C; ++c) X::store(x + (k * C + c) * L, sum[c]);
    }
  };

  static void load_columns(const float* sums, int64_t stride, int64_t plane, int64_t rows, float* x) {
    for (int q = 0; q < Q; ++q) {
      V t[L];
      const float* from = sums + q * plane;
      if (rows >= L) {
        IMGR_UNROLL
        for (int i = 0; i < L; ++i) t[i] = X::loadu(from + i * stride);
      } else {
        for (int i = 0; i < L; ++i) t[i] = i < rows ? X::loadu(from + i * stride) : V{};
      }
      X::transpose(t);
      IMGR_UNROLL
      for (int i = 0; i < L; ++i) X::store(x + (i * Q + q) * L, t[i]);
    }
  }

  static void store_coefficients(const Plane& p, const float* x, int64_t row, int64_t rows) {
    for (int64_t c = 0; c < p.width; c += L) {
      for (int q = 0; q < C; ++q) {
        V t[L];
        IMGR_UNROLL
        for (int i = 0; i < L; ++i) t[i] = X::load(x + ((c + i) * C + q) * L);
        X::transpose(t);
        float* at = p.coefficients[q] + row * stride(p) + c;
        if (rows >= L) {
          IMGR_UNROLL
          for (int i = 0; i < L; ++i) X::storeu(at + i * stride(p), t[i]);
        } else {
          for (int i = 0; i < rows; ++i) X::storeu(at + i * stride(p), t[i]);
        }
      }
    }
  }

  static void zero(float* x, int64_t elements) {
    for (int64_t i = 0; i < elements * C; ++i) X::store(x + i * L, V{});
  }

  // at most L rows of sums
  static void along(const Plane& p, const Work& w, const float* sums, int64_t plane, int64_t row, int64_t rows) {
    const int64_t n = 2 * p.radius + 1, segment = guided_segment(n);
    float* x = w.lanes + n * Q * L;
    float* models = x + (segment + n + L) * Q * L;
    Solve solve;
    solve.eps = p.eps;
    solve.row_factors = X::load_part(p.row_factors + row, rows);
    zero(models, p.radius);
    zero(models + (p.radius + p.width) * C * L, p.radius);
    int64_t loaded = 0, have = 0;
    for (int64_t done = 0; done < p.width;) {
      const int64_t count = p.width - done < segment ? p.width - done : segment;
      for (; have < count + n - 1; have += L, loaded += L) {
        load_columns(sums + loaded, stride(p), plane, rows, x + have * Q * L);
      }
      solve.coefficients = models + (p.radius + done) * C * L;
      solve.column_factors = p.column_factors + done;
      const Lanes<Q> in = {x};
      WindowSums<Q>::run(in, count, n, w.lanes, solve);
      done += count;
      have -= count;
      for (int64_t i = 0; i < have * Q; ++i) X::store(x + i * L, X::load(x + (count * Q + i) * L));
    }
    // In place: a block's results are no longer needed as input when they are written.
    const Lanes<C> in = {models};
    const ToLanes out = {models};
    WindowSums<C>::run(in, p.width, n, w.lanes, out);
    store_coefficients(p, models, row, rows);
  }

  // Rows of sums that have not made up a whole group of lanes wait for the next block.
  static void fit(const Plane& p, const Work& w, int64_t row, int64_t row_end) {
    const int64_t n = 2 * p.radius + 1, plane = guided_sums_rows(p.radius, L) * stride(p);
    int64_t waiting = 0;
    for (int64_t r = row; r < row_end; r += n) {
      const int64_t fresh = row_end - r < n ? row_end - r : n, have = waiting + fresh;
      down(p, w, r, fresh, w.sums + waiting * stride(p), plane);
      int64_t done = 0;
      for (; have - done >= L || (done < have && r + fresh == row_end); done += L) {
        along(p, w, w.sums + done * stride(p), plane, r - waiting + done, have - done < L ? have - done : L);
      }
      waiting = have > done ? have - done : 0;
      for (int q = 0; q < Q && done; ++q) {
        float* sums = w.sums + q * plane;
        for (int64_t i = 0; i < waiting * stride(p); i += L) X::store(sums + i, X::load(sums + done * stride(p) + i));
      }
    }
  }

  // ---- blend

  struct Coefficients {
    const float* const* rows;
    int64_t count, column;
    IMGR_HD void operator()(int64_t k, V* x) const {
      IMGR_UNROLL
      for (int c = 0; c < C; ++c) {
        x[c] = X::loadu(rows[c * count + k] + column);
        __builtin_prefetch(rows[c * count + k] + column + 4 * L);
      }
    }
  };
  template <bool Whole>
  struct Blend {
    const Plane& p;
    int64_t row, column, columns;
    V column_factors;
    IMGR_HD void operator()(int64_t k, const V* sum) const {
      const V factor = column_factors * p.row_factors[row + k];
      V q = sum[G] * factor + p.image_shift;
      IMGR_UNROLL
      for (int i = 0; i < G; ++i) {
        const float* at = p.guide[i] + (row + k) * p.guide_stride + column;
        const V guide = Whole ? X::loadu(at) : X::load_part(at, columns);
        q += sum[i] * factor * (guide - p.guide_shift[i]);
      }
      float* at = p.out + (row + k) * p.width + column;
      if (Whole) {
        X::storeu(at, q);
      } else {
        X::store_part(at, q, columns);
      }
    }
  };

  static void blend_block(const Plane& p, const Work& w, int64_t row, int64_t results) {
    const int64_t n = 2 * p.radius + 1, count = results + n - 1;
    for (int64_t k = 0; k < count; ++k) {
      const int64_t from = row - p.radius + k;
      for (int c = 0; c < C; ++c) {
        w.rows[c * count + k] = from < 0 || from >= p.height ? p.zeros : p.coefficients[c] + from * stride(p);
      }
    }
    for (int64_t c = 0; c < p.width; c += L) {
      const Coefficients in = {w.rows, count, c};
      if (c + L <= p.width) {
        const Blend<true> out = {p, row, c, L, X::loadu(p.column_factors + c)};
        WindowSums<C>::run(in, results, n, w.lanes, out);
      } else {
        const Blend<false> out = {p, row, c, p.width - c, X::load_part(p.column_factors + c, p.width - c)};
        WindowSums<C>::run(in, results, n, w.lanes, out);
      }
    }
  }

  static void blend(const Plane& p, const Work& w, int64_t row, int64_t row_end) {
    const int64_t n = 2 * p.radius + 1;
    for (int64_t r = row; r < row_end; r += n) blend_block(p, w, r, row_end - r < n ? row_end - r : n);
  }
};

template <class Model>
struct GuidedTable {
  static constexpr int pointers = Model::P > Model::C ? Model::P : Model::C;
  static constexpr GuidedModel model = {Model::Q, Model::C, pointers, Guided<Model>::fit, Guided<Model>::blend,
                                        GuidedBand<Model>::run};
};

extern const GuidedKernels guided_f32 = {Vec<float>::L, GuidedTable<GuidedSelf>::model, GuidedTable<GuidedGray>::model,
                                         GuidedTable<GuidedColor>::model};

}  // namespace IMGR_ISA
}  // namespace imgrestore
