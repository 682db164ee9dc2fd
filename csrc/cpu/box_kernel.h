#pragma once

#include "box.h"
#include "row_windows.h"
#include "window_sums.h"

namespace imgrestore {
namespace IMGR_ISA {

// Down the columns lanes are columns. Along the rows lanes are rows: sums are transposed on their way in and out,
// segment by segment. An element is M vectors, so that two chains of additions hide each other's latency.
struct Box {
  static constexpr int M = 2;
  typedef Vec<float> X;
  typedef X::V V;
  typedef WindowSums<M> Sums;
  typedef BoxPlane Plane;
  typedef BoxWork Work;
  static constexpr int L = X::L;
  static constexpr int E = M * L;

  template <bool Whole>
  struct Rows {
    const float* const* rows;
    int64_t column, columns;
    IMGR_HD void operator()(int64_t k, V* x) const {
      __builtin_prefetch(rows[k] + column + 2 * E);  // one line from each row is what no hardware foresees
      IMGR_UNROLL
      for (int m = 0; m < M; ++m) {
        const float* at = rows[k] + column + m * L;
        x[m] = Whole ? X::loadu(at) : X::load_part(at, columns - m * L);
      }
    }
  };
  template <bool Whole>
  struct ToSums {
    float* at;
    int64_t stride, columns;
    IMGR_HD void operator()(int64_t k, const V* sum) const {
      IMGR_UNROLL
      for (int m = 0; m < M; ++m) {
        float* target = at + k * stride + m * L;
        if (Whole) {
          X::storeu(target, sum[m]);
        } else {
          X::store_part(target, sum[m], columns - m * L);
        }
      }
    }
  };

  template <bool Whole>
  static void down_columns(const Plane& p, const Work& w, const float* const* rows, int64_t row, int64_t results,
                           int64_t column) {
    const int64_t stride = box_sums_stride(p.width, p.radius_x);
    const Rows<Whole> in = {rows, column, p.width - column};
    const ToSums<Whole> out = {w.sums + (row - w.first_row) * stride + p.radius_x + column, stride, p.width - column};
    Sums::run(in, results, 2 * p.radius_y + 1, w.lanes, out);
  }

  static void down(const Plane& p, const Work& w, int64_t row, int64_t row_end, int64_t column, int64_t column_end) {
    const int64_t n = 2 * p.radius_y + 1, results = row_end - row;
    const int64_t needed = ((results + n - 1) / n) * n + n - 1;
    for (int64_t k = 0; k < needed && k < results + 2 * p.radius_y + n; ++k) {
      const int64_t from = boundary_index(row - p.radius_y + k, p.height, p.boundary);
      w.rows[k] = from < 0 ? p.zeros : p.image + from * p.image_stride;
    }
    for (int64_t first = 0; first < results; first += n) {
      const int64_t some = results - first < n ? results - first : n;
      if (p.width < E) {
        down_columns<false>(p, w, w.rows + first, row + first, some, 0);
        continue;
      }
      for (int64_t c = column; c < column_end; c += E) {
        down_columns<true>(p, w, w.rows + first, row + first, some, c + E <= column_end ? c : column_end - E);
      }
    }
  }

  struct Lanes {
    const float* x;
    IMGR_HD void operator()(int64_t k, V* v) const {
      IMGR_UNROLL
      for (int m = 0; m < M; ++m) v[m] = X::load(x + k * E + m * L);
    }
  };
  struct ToLanes {
    float* x;
    const float* column_factors;
    V row_factors[M];
    IMGR_HD void operator()(int64_t k, const V* sum) const {
      IMGR_UNROLL
      for (int m = 0; m < M; ++m) X::store(x + k * E + m * L, sum[m] * (row_factors[m] * column_factors[k]));
    }
  };

  static void extend(const Plane& p, float* row) {
    const int64_t r = p.radius_x, w = p.width;
    if (!r) return;
    for (int64_t k = -r; k < w + r; k = k == -1 ? w : k + 1) {
      const int64_t column = boundary_index(k, w, p.boundary);
      row[r + k] = column < 0 ? 0.0f : row[r + column];
    }
  }

  // L columns of sums to lanes
  static void load_columns(const float* sums, int64_t stride, int64_t rows, float* x) {
    for (int m = 0; m < M; ++m) {
      V t[L];
      const float* from = sums + m * L * stride;
      if (rows >= (m + 1) * L) {
        IMGR_UNROLL
        for (int i = 0; i < L; ++i) t[i] = X::loadu(from + i * stride);
      } else {
        for (int i = 0; i < L; ++i) t[i] = m * L + i < rows ? X::loadu(from + i * stride) : V{};
      }
      X::transpose(t);
      IMGR_UNROLL
      for (int i = 0; i < L; ++i) X::store(x + i * E + m * L, t[i]);
    }
  }

  static void store_columns(float* target, int64_t stride, int64_t rows, int64_t columns, const float* x) {
    for (int m = 0; m < M && m * L < rows; ++m) {
      V t[L];
      IMGR_UNROLL
      for (int i = 0; i < L; ++i) t[i] = X::load(x + i * E + m * L);
      X::transpose(t);
      float* at = target + m * L * stride;
      if (rows >= (m + 1) * L && columns >= L) {
        IMGR_UNROLL
        for (int i = 0; i < L; ++i) X::storeu(at + i * stride, t[i]);
      } else {
        for (int i = 0; i < L && m * L + i < rows; ++i) X::store_part(at + i * stride, t[i], columns);
      }
    }
  }

  static void move(float* to, const float* from, int64_t elements) {
    for (int64_t i = 0; i < elements * E; i += L) X::store(to + i, X::load(from + i));
  }

  static void along(const Plane& p, const Work& w, int64_t row, int64_t rows) {
    const int64_t stride = box_sums_stride(p.width, p.radius_x), n = 2 * p.radius_x + 1, segment = box_segment(n);
    float* sums = w.sums + (row - w.first_row) * stride;
    for (int64_t i = 0; i < rows; ++i) extend(p, sums + i * stride);
    float* x = w.lanes + box_ends_size(p.radius_y, p.radius_x, E);
    float* y = x + (segment + n + L) * E;
    ToLanes out;
    for (int m = 0; m < M; ++m) out.row_factors[m] = X::load_part(p.row_factors + row + m * L, rows - m * L);
    float* target = p.out + row * p.width;
    int64_t loaded = 0, have = 0, waiting = 0, stored = 0;
    for (int64_t done = 0; done < p.width;) {
      const int64_t count = p.width - done < segment ? p.width - done : segment;
      for (; have < count + n - 1; have += L, loaded += L) load_columns(sums + loaded, stride, rows, x + have * E);
      out.x = y + waiting * E;
      out.column_factors = p.column_factors + done;
      const Lanes in = {x};
      Sums::run(in, count, n, w.lanes, out);
      done += count;
      have -= count;
      move(x, x + count * E, have);
      waiting += count;
      int64_t ready = 0;
      for (; waiting >= L; ready += L, waiting -= L, stored += L) {
        store_columns(target + stored, p.width, rows, L, y + ready * E);
      }
      if (ready) move(y, y + ready * E, waiting);
    }
    if (waiting) store_columns(target + stored, p.width, rows, waiting, y);
  }
};

// The same by running sums, which is faster but not for all pictures: a band of rows from its own beginning, two rows
// at a time, down the columns first.
struct BoxBand {
  typedef BoxPlane Plane;
  typedef Half::V V;
  typedef Half::Wide W;
  typedef Vec<double> D;
  typedef Vec<float> X;
  static constexpr int L = Half::L;

  static const float* row_at(const Plane& p, int64_t row) {
    const int64_t from = boundary_index(row, p.height, p.boundary);
    return from < 0 ? p.zeros : p.image + from * p.image_stride;
  }

  struct Rows {
    const float *enter, *leave;
  };
  static Rows rows_at(const Plane& p, int64_t row, int64_t first) {
    return {row_at(p, row + p.radius_y), row == first ? p.zeros : row_at(p, row - p.radius_y - 1)};
  }

  static void add(int64_t width, const float* enter, double* sums, SumRange* range) {
    SumRange seen = *range;
    int64_t c = 0;
    for (; c + L <= width; c += L) {
      const V v = Half::loadu(enter + c);
      seen.see(v);
      D::storeu(sums + c, D::loadu(sums + c) + Half::widen(v));
    }
    if (c < width) seen.see(Half::load_part(enter + c, width - c));
    for (; c < width; ++c) sums[c] += double(enter[c]);
    *range = seen;
  }

  struct Buffers {
    double* sums;  // down the columns
    float *x, *y;  // those of two rows, with margins
    float* whole;  // a row of results, in whole vectors
  };
  static Buffers buffers(const Plane& p, double* work) {
    Buffers b;
    b.sums = work;
    b.x = (float*)(work + box_columns_size(p.width)) + window_margin(p.radius_x);
    b.y = b.x + box_row_size(p.width, p.radius_x);
    b.whole = b.y + box_row_size(p.width, p.radius_x) - window_margin(p.radius_x);
    return b;
  }

  // The sums of the next row, then those of the one after it, from which all goes on. No hardware foresees where rows go
  // on: the two to enter after these, and those of results.
  static void down(int64_t width, const Rows& first, const Rows& second, const Buffers& buffers,
                   const float* const* later, const float* out, SumRange* range) {
    const Rows a = first, b = second;
    SumRange seen = *range;
    const float *enter = later[0], *follow = later[1];
    double* sums = buffers.sums;
    float *x = buffers.x, *y = buffers.y;
    int64_t c = 0;
    for (; c + X::L <= width; c += X::L) {
      __builtin_prefetch(enter + c);
      __builtin_prefetch(follow + c);
      __builtin_prefetch(out + c, 1);
      __builtin_prefetch(out + width + c, 1);
      IMGR_UNROLL
      for (int64_t k = c; k < c + X::L; k += L) {
        const V here = Half::loadu(a.enter + k), there = Half::loadu(b.enter + k);
        seen.see(here);
        seen.see(there);
        const W sum = (D::load(sums + k) + Half::widen(here)) - Half::widen(Half::loadu(a.leave + k));
        const W next = (sum + Half::widen(there)) - Half::widen(Half::loadu(b.leave + k));
        D::store(sums + k, next);
        Half::storeu(x + k, Half::narrow(sum));
        Half::storeu(y + k, Half::narrow(next));
      }
    }
    for (int64_t k = c; k < width; k += L) {
      seen.see(Half::load_part(a.enter + k, width - k));
      seen.see(Half::load_part(b.enter + k, width - k));
    }
    *range = seen;
    for (; c < width; ++c) {
      const double sum = (sums[c] + double(a.enter[c])) - double(a.leave[c]);
      sums[c] = (sum + double(b.enter[c])) - double(b.leave[c]);
      x[c] = float(sum);
      y[c] = float(sums[c]);
    }
  }

  static void extend(const Plane& p, float* x) {
    const int64_t r = p.radius_x, *from = p.edge_columns;
    for (int64_t k = 0; k < r; ++k) x[k - r] = from[k] < 0 ? 0 : x[from[k]];
    for (int64_t k = 0; k < r; ++k) x[p.width + k] = from[r + k] < 0 ? 0 : x[from[r + k]];
  }

  // Results come in whole vectors: what is beyond the end of a row is written over with the rows that follow in its band.
  static void along(const Plane& p, RowWindows windows, float* x, int64_t row, int64_t row_end, float* whole) {
    extend(p, x);
    float* out = p.out + row * p.width;
    const bool room = (row_end - row) * p.width >= (p.width + X::L - 1) / X::L * X::L;
    windows({x, p.column_factors, p.row_factors[row], room ? out : whole, p.radius_x}, p.width);
    for (int64_t c = 0; !room && c < p.width; ++c) out[c] = whole[c];
  }

  // Whether running sums hold for the band, which is known when all its pixels have entered.
  static bool run(const Plane& p, double* work, int64_t row, int64_t row_end) {
    const Buffers b = buffers(p, work);
    const RowWindows windows = row_windows(2 * p.radius_x + 1);
    SumRange range;
    for (int64_t i = 0; i < box_band_size(p.width, p.radius_x); ++i) work[i] = 0;
    for (int64_t k = row - p.radius_y; k < row + p.radius_y; ++k) {
      const float* enter = row_at(p, k);
      if (enter != p.zeros) add(p.width, enter, b.sums, &range);
    }
    for (int64_t k = row; k < row_end; k += 2) {
      const bool pair = k + 1 < row_end;
      const Rows none = {p.zeros, p.zeros};
      const float* later[2] = {row_at(p, k + p.radius_y + 2), row_at(p, k + p.radius_y + 3)};
      down(p.width, rows_at(p, k, row), pair ? rows_at(p, k + 1, row) : none, b, later,
           p.out + k * p.width, &range);
      along(p, windows, b.x, k, row_end, b.whole);
      if (pair) along(p, windows, b.y, k + 1, row_end, b.whole);
    }
    return range.even();
  }
};

extern const BoxKernels box_f32 = {Box::E, Box::down, Box::along, BoxBand::run};

}  // namespace IMGR_ISA
}  // namespace imgrestore
