#pragma once

#include "guided.h"
#include "row_windows.h"

namespace imgrestore {
namespace IMGR_ISA {

// All of it by running sums, which is faster but not for all pictures: a band of rows from its own beginning. A row
// comes in, the models of the row half a window back are solved for, and the row half a window further back is done.
template <class Model>
struct GuidedBand {
  typedef GuidedPlane Plane;
  typedef Half::V V;
  typedef Half::Wide W;
  typedef Vec<double> D;
  typedef Vec<float> X;
  static constexpr int L = Half::L, G = Model::G, P = Model::P, Q = Model::Q, C = Model::C;

  struct Rows {
    const float* at[P];
  };
  static Rows rows_at(const Plane& p, int64_t row, bool counts) {
    Rows rows;
    const bool inside = counts && row >= 0 && row < p.height;
    for (int i = 0; i < P; ++i) {
      const float* at = i < G ? p.guide[i] + row * p.guide_stride : p.image + row * p.image_stride;
      rows.at[i] = inside ? at : i < G ? p.edge_guide[i] : p.edge_image;
    }
    return rows;
  }

  template <bool Whole>
  static IMGR_HD void products(const Plane& p, const Rows& rows, int64_t column, W* x, SumRange* range) {
    W v[P];
    IMGR_UNROLL
    for (int i = 0; i < P; ++i) {
      const float* at = rows.at[i] + column;
      V value = Whole ? Half::loadu(at) : Half::load_part(at, p.width - column);
      value -= i < G ? p.guide_shift[i] : p.image_shift;
      if (!Whole) {
        for (int k = 0; k < L; ++k) value[k] = column + k < p.width ? value[k] : 0;
      }
      if (range) range[i].see_high(value);
      v[i] = Half::widen(value);
    }
    Model::products(v, x);
  }

  struct Buffers {
    int64_t columns, row, model;  // from one sum, row of floats or coefficient to the next
    double *sums, *model_sums;    // down the columns
    float *rows, *model_rows;     // the same as floats, with margins
    float* means;
  };
  static Buffers buffers(const Plane& p, double* work) {
    Buffers b;
    b.columns = guided_columns_size(p.width);
    b.row = guided_row_size(p.width, p.radius);
    b.model = guided_row_stride(p.width, 0);
    b.sums = work;
    b.model_sums = b.sums + Q * b.columns;
    b.means = (float*)(b.model_sums + C * b.columns);
    b.rows = b.means + Q * b.model + window_margin(p.radius);
    b.model_rows = b.rows + Q * b.row;
    return b;
  }

  // What stands beyond the last column is zero, in sums as in rows.
  template <bool Whole>
  static IMGR_HD void down_vector(const Plane& p, const Rows& enter, const Rows& leave, int64_t column,
                                  const Buffers& b, SumRange* range) {
    W x[Q], y[Q];
    products<Whole>(p, enter, column, x, range);
    products<Whole>(p, leave, column, y, nullptr);
    IMGR_UNROLL
    for (int q = 0; q < Q; ++q) {
      double* at = b.sums + q * b.columns + column;
      const W sum = (D::load(at) + x[q]) - y[q];
      D::store(at, sum);
      Half::storeu(b.rows + q * b.row + column, Half::narrow(sum));
    }
  }
  // Vectors may alias anything: without copies of its own the loop would read all pointers anew after each store.
  static void down(const Plane& plane, const Rows& enter_at, const Rows& leave_at, const Buffers& buffers,
                   SumRange* range) {
    const Plane p = plane;
    const Rows enter = enter_at, leave = leave_at;
    const Buffers b = buffers;
    SumRange seen[P];
    for (int i = 0; i < P; ++i) seen[i] = range[i];
    int64_t c = 0;
    for (; c + L <= p.width; c += L) down_vector<true>(p, enter, leave, c, b, seen);
    if (c < p.width) down_vector<false>(p, enter, leave, c, b, seen);
    for (int i = 0; i < P; ++i) range[i] = seen[i];
  }

  static void solve(const Plane& plane, const Buffers& buffers, int64_t row, float* models) {
    const Plane p = plane;
    const Buffers b = buffers;
    const Rows later = rows_at(p, row + p.radius + 1, true);
    for (int64_t k = 0; k < p.width; k += X::L) {
      IMGR_UNROLL
      for (int i = 0; i < P; ++i) __builtin_prefetch(later.at[i] + k);  // no hardware foresees where a row goes on
      typename X::V mean[Q], ab[C];
      IMGR_UNROLL
      for (int q = 0; q < Q; ++q) mean[q] = X::load(b.means + q * b.model + k);
      Model::solve(mean, p.eps, ab);
      IMGR_UNROLL
      for (int c = 0; c < C; ++c) X::store(models + c * b.model + k, ab[c]);
    }
  }

  static void down_models(int64_t width, const float* enter, const float* leave, const Buffers& buffers,
                          const float* target, SumRange* range) {
    const Buffers b = buffers;
    SumRange seen = *range;
    for (int64_t k = 0; k < width; k += L) {
      __builtin_prefetch(target + k, 1);
      IMGR_UNROLL
      for (int c = 0; c < C; ++c) {
        const V in = Half::loadu(enter + c * b.model + k), out = Half::loadu(leave + c * b.model + k);
        seen.see_high(in);
        double* at = b.model_sums + c * b.columns + k;
        const W sum = D::load(at) + (Half::widen(in) - Half::widen(out));
        D::store(at, sum);
        Half::storeu(b.model_rows + c * b.row + k, Half::narrow(sum));
      }
    }
    *range = seen;
  }

  static void blend(const Plane& plane, const Buffers& buffers, int64_t row) {
    const Plane p = plane;
    const Buffers b = buffers;
    const Rows rows = rows_at(p, row, true);
    float* out = p.out + row * p.width;
    for (int64_t k = 0; k < p.width; k += X::L) {
      const int64_t count = p.width - k;
      typename X::V sum = X::load(b.means + G * b.model + k) + p.image_shift;
      IMGR_UNROLL
      for (int i = 0; i < G; ++i) {
        const typename X::V guide = count >= X::L ? X::loadu(rows.at[i] + k) : X::load_part(rows.at[i] + k, count);
        sum += X::load(b.means + i * b.model + k) * (guide - p.guide_shift[i]);
      }
      if (count >= X::L) {
        X::storeu(out + k, sum);
      } else {
        X::store_part(out + k, sum, count);
      }
    }
  }

  // Of each of N rows of sums.
  template <int N>
  static void means(const Plane& p, const Buffers& b, RowWindows windows, const float* rows, int64_t row) {
    WindowRow r = {rows, p.column_factors, p.row_factors[row], b.means, p.radius};
    for (int i = 0; i < N; ++i, r.x += b.row, r.out += b.model) windows(r, p.width);
  }

  static bool run(const Plane& p, double* work, int64_t row, int64_t row_end) {
    const int64_t r = p.radius, n = 2 * r + 1;
    const Buffers b = buffers(p, work);
    const RowWindows windows = row_windows(n);
    float *none = b.model_rows - window_margin(r) + C * b.row, *ring = none + C * b.model;
    for (double* at = work; at != (double*)ring; ++at) *at = 0;
    const int64_t begin = row < r ? 0 : row - r;
    SumRange inputs[P], models;
    const Rows nothing = rows_at(p, 0, false);
    for (int64_t k = begin - r; k < begin + r; ++k) {
      if (k >= 0 && k < p.height) down(p, rows_at(p, k, true), nothing, b, inputs);
    }
    for (int64_t k = begin; k < row_end + r; ++k) {
      float* enter = k < p.height ? ring + k % (n + 1) * C * b.model : none;
      const float* leave = k - n >= begin ? ring + (k - n) % (n + 1) * C * b.model : none;
      if (k < p.height) {
        down(p, rows_at(p, k + r, true), rows_at(p, k - r - 1, k > begin), b, inputs);
        means<Q>(p, b, windows, b.rows, k);
        solve(p, b, k, enter);
      }
      down_models(p.width, enter, leave, b, p.out + (k < row + r ? row : k - r) * p.width, &models);
      if (k < row + r) continue;
      means<C>(p, b, windows, b.model_rows, k - r);
      blend(p, b, k - r);
    }
    bool fit = models.finite();
    for (int i = 0; i < P; ++i) fit = fit && inputs[i].highest() <= (i < G ? p.guide_limit[i] : p.image_limit);
    return fit;
  }
};

}  // namespace IMGR_ISA
}  // namespace imgrestore
