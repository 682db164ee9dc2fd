#pragma once

#include "guided.h"
#include "running_sums.h"

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
  static constexpr int L = Half::L, G = Model::G, P = Model::P, Q = Model::Q, C = Model::C;
  static constexpr int64_t kColumns = 256;  // a multiple of L

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

  template <bool Whole>
  static IMGR_HD void add(double* sums, W x, int64_t count) {
    if (Whole) {
      D::storeu(sums, D::loadu(sums) + x);
    } else {
      D::store_part(sums, D::load_part(sums, count) + x, count);
    }
  }

  template <bool Whole>
  static IMGR_HD void down_vector(const Plane& p, const Rows& enter, const Rows& leave, int64_t column, double* sums,
                                  int64_t size, SumRange* range) {
    W x[Q], y[Q];
    products<Whole>(p, enter, column, x, range);
    products<Whole>(p, leave, column, y, nullptr);
    IMGR_UNROLL
    for (int q = 0; q < Q; ++q) add<Whole>(sums + q * size + column, x[q] - y[q], p.width - column);
  }
  static void down(const Plane& p, const Rows& enter, const Rows& leave, int64_t column, int64_t end, double* sums,
                   int64_t size, SumRange* range) {
    SumRange seen[P];
    for (int i = 0; i < P; ++i) seen[i] = range[i];
    int64_t c = column;
    for (; c + L <= end; c += L) down_vector<true>(p, enter, leave, c, sums, size, seen);
    if (c < end) down_vector<false>(p, enter, leave, c, sums, size, seen);
    for (int i = 0; i < P; ++i) range[i] = seen[i];
  }

  static void solve(const Plane& p, RowSums* state, const double* sums, int64_t size, int64_t row, int64_t column,
                    int64_t end, float* models, int64_t stride, SumRange* range) {
    const int64_t n = 2 * p.radius + 1;
    RowSums windows[Q];
    for (int q = 0; q < Q; ++q) windows[q] = state[q];
    SumRange seen = *range;
    const Rows later = rows_at(p, row + p.radius + 1, true);
    for (int64_t k = column; k < end; k += L) {
      IMGR_UNROLL
      for (int i = 0; i < P; ++i) __builtin_prefetch(later.at[i] + k);  // no hardware foresees where a row goes on
      const V factor = Half::loadu(p.column_factors + k) * p.row_factors[row];
      V mean[Q], ab[C];
      IMGR_UNROLL
      for (int q = 0; q < Q; ++q) mean[q] = Half::narrow(windows[q].next(sums + q * size, k, n)) * factor;
      Model::solve(mean, p.eps, ab);
      IMGR_UNROLL
      for (int c = 0; c < C; ++c) {
        if (k + L <= p.width) seen.see_high(ab[c]);
        Half::storeu(models + c * stride + k, ab[c]);
      }
      if (k + L > p.width) {
        for (int c = 0; c < C; ++c) seen.see_high(Half::load_part(models + c * stride + k, p.width - k));
      }
    }
    for (int q = 0; q < Q; ++q) state[q] = windows[q];
    *range = seen;
  }

  static void down_models(const float* enter, const float* leave, int64_t stride, int64_t column, int64_t end,
                          double* sums, int64_t size, const float* target) {
    int64_t k = column;
    for (; k + L <= end; k += L) {
      __builtin_prefetch(target + k, 1);
      IMGR_UNROLL
      for (int c = 0; c < C; ++c) {
        const V in = Half::loadu(enter + c * stride + k), out = Half::loadu(leave + c * stride + k);
        add<true>(sums + c * size + k, Half::widen(in) - Half::widen(out), L);
      }
    }
    for (; k < end; ++k) {
      for (int c = 0; c < C; ++c) sums[c * size + k] += double(enter[c * stride + k]) - double(leave[c * stride + k]);
    }
  }

  static void blend(const Plane& p, RowSums* state, const double* sums, int64_t size, int64_t row, int64_t column,
                    int64_t end) {
    const int64_t n = 2 * p.radius + 1;
    const Rows rows = rows_at(p, row, true);
    RowSums windows[C];
    for (int c = 0; c < C; ++c) windows[c] = state[c];
    float* out = p.out + row * p.width;
    for (int64_t k = column; k < end; k += L) {
      const int64_t count = p.width - k;
      const V factor = Half::loadu(p.column_factors + k) * p.row_factors[row];
      V sum = Half::narrow(windows[G].next(sums + G * size, k, n)) * factor + p.image_shift;
      IMGR_UNROLL
      for (int i = 0; i < G; ++i) {
        const V guide = count >= L ? Half::loadu(rows.at[i] + k) : Half::load_part(rows.at[i] + k, count);
        const V a = Half::narrow(windows[i].next(sums + i * size, k, n)) * factor;
        sum += a * (guide - p.guide_shift[i]);
      }
      if (count >= L) {
        Half::storeu(out + k, sum);
      } else {
        Half::store_part(out + k, sum, count);
      }
    }
    for (int c = 0; c < C; ++c) state[c] = windows[c];
  }

  // How far windows along a row may go where columns up to end are summed.
  static int64_t reach(const Plane& p, int64_t end) {
    return end == p.width ? end : end > p.radius ? (end - p.radius) / L * L : 0;
  }

  struct Step {
    int64_t row;      // of the models
    bool models, out;  // whether there are such rows
    Rows enter, leave;
    float *enter_models, *leave_models;
  };
  // One row, some columns at a time, so that their sums stay in the first cache from step to step.
  static void advance(const Plane& p, const Step& s, double* first, double* second, SumRange* inputs,
                      SumRange* models) {
    const int64_t r = p.radius, n = 2 * r + 1, size = guided_columns_size(p.width, r);
    const int64_t stride = guided_row_stride(p.width, 0), out_row = s.out ? s.row - r : 0;
    RowSums windows[Q], model_windows[C];
    int64_t solved = 0, blended = 0;
    for (int64_t c = 0; c < p.width; c += kColumns) {
      const int64_t end = c + kColumns < p.width ? c + kColumns : p.width;
      int64_t next = end;
      if (s.models) {
        down(p, s.enter, s.leave, c, end, first, size, inputs);
        next = reach(p, end);
        if (!solved && next) {
          for (int q = 0; q < Q; ++q) windows[q].begin(first - r + q * size, n);
        }
        solve(p, windows, first - r, size, s.row, solved, next, s.enter_models, stride, models);
      }
      down_models(s.enter_models, s.leave_models, stride, solved, next, second, size, p.out + out_row * p.width);
      solved = next;
      if (!s.out) continue;
      next = reach(p, solved);
      if (!blended && next) {
        for (int i = 0; i < C; ++i) model_windows[i].begin(second - r + i * size, n);
      }
      blend(p, model_windows, second - r, size, out_row, blended, next);
      blended = next;
    }
  }

  static bool run(const Plane& p, double* work, int64_t row, int64_t row_end) {
    const int64_t r = p.radius, n = 2 * r + 1, size = guided_columns_size(p.width, r);
    const int64_t stride = guided_row_stride(p.width, 0);
    for (int64_t i = 0; i < (Q + C) * size; ++i) work[i] = 0;
    double *first = work + (r + 2 * L - 1) / L * L, *second = first + Q * size;  // aligned
    float *none = (float*)(work + (Q + C) * size), *ring = none + C * stride;
    for (int64_t i = 0; i < C * stride; ++i) none[i] = 0;
    const int64_t begin = row < r ? 0 : row - r;
    SumRange inputs[P], models;
    const Rows nothing = rows_at(p, 0, false);
    for (int64_t k = begin - r; k < begin + r; ++k) {
      if (k >= 0 && k < p.height) down(p, rows_at(p, k, true), nothing, 0, p.width, first, size, inputs);
    }
    for (int64_t k = begin; k < row_end + r; ++k) {
      float* enter = k < p.height ? ring + k % (n + 1) * C * stride : none;
      float* leave = k - n >= begin ? ring + (k - n) % (n + 1) * C * stride : none;
      const Rows rows = rows_at(p, k + r, true), left = rows_at(p, k - r - 1, k > begin);
      const Step step = {k, k < p.height, k - r >= row, rows, left, enter, leave};
      advance(p, step, first, second, inputs, &models);
    }
    bool fit = models.finite();
    for (int i = 0; i < P; ++i) fit = fit && inputs[i].highest() <= (i < G ? p.guide_limit[i] : p.image_limit);
    return fit;
  }
};

}  // namespace IMGR_ISA
}  // namespace imgrestore
