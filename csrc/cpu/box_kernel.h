#pragma once

#include "box.h"
#include "running_sums.h"
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
// at a time, so that they hide each other's latency, down the columns first.
struct BoxBand {
  typedef BoxPlane Plane;
  typedef Half::V V;
  typedef Half::Wide W;
  typedef Vec<double> D;
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

  static void add(int64_t width, const float* enter, double* sums) {
    int64_t c = 0;
    for (; c + L <= width; c += L) D::storeu(sums + c, D::loadu(sums + c) + Half::widen(Half::loadu(enter + c)));
    for (; c < width; ++c) sums[c] += double(enter[c]);
  }

  // The sums of the next row, then those of the one after it, from which all goes on.
  static void down(int64_t width, const Rows& a, const Rows& b, double* next, double* sums, const float* out) {
    int64_t c = 0;
    for (; c + L <= width; c += L) {
      __builtin_prefetch(out + c, 1);
      __builtin_prefetch(out + width + c, 1);
      const W x = Half::widen(Half::loadu(a.enter + c)) - Half::widen(Half::loadu(a.leave + c));
      const W y = Half::widen(Half::loadu(b.enter + c)) - Half::widen(Half::loadu(b.leave + c));
      const W sum = D::loadu(sums + c) + x;
      D::storeu(next + c, sum);
      D::storeu(sums + c, sum + y);
    }
    for (; c < width; ++c) {
      next[c] = sums[c] + (double(a.enter[c]) - double(a.leave[c]));
      sums[c] = next[c] + (double(b.enter[c]) - double(b.leave[c]));
    }
  }

  static void extend(const Plane& p, double* sums) {
    const int64_t r = p.radius_x, *from = p.edge_columns;
    for (int64_t k = 0; k < r; ++k) sums[k - r] = from[k] < 0 ? 0 : sums[from[k]];
    for (int64_t k = 0; k < r; ++k) sums[p.width + k] = from[r + k] < 0 ? 0 : sums[from[r + k]];
  }

  struct Line {
    const double* sums;  // from the first that counts in the first window
    const float* factors;
    float* out;
    const float* later;  // what is read next: no hardware foresees where a row goes on
  };
  static void along(int64_t width, int64_t n, const Line& a, const Line& b) {
    RowSums first, second;
    first.begin(a.sums, n);
    second.begin(b.sums, n);
    int64_t k = 0;
    for (; k + L <= width; k += L) {
      __builtin_prefetch(a.later + k);
      __builtin_prefetch(b.later + k);
      const V x = Half::narrow(first.next(a.sums, k, n)) * Half::loadu(a.factors + k);
      const V y = Half::narrow(second.next(b.sums, k, n)) * Half::loadu(b.factors + k);
      Half::storeu(a.out + k, x);
      Half::storeu(b.out + k, y);
    }
    if (k == width) return;
    const V x = Half::narrow(first.next(a.sums, k, n)) * Half::loadu(a.factors + k);
    const V y = Half::narrow(second.next(b.sums, k, n)) * Half::loadu(b.factors + k);
    Half::store_part(a.out + k, x, width - k);
    Half::store_part(b.out + k, y, width - k);
  }

  // Each pixel of the band is in the sums of one of the rows that are looked at, and what is not finite stays in them.
  static bool fit(const double* sums, int64_t width, SumRange* range) {
    SumRange seen = *range;
    for (int64_t c = 0; c < width; c += L) seen.see(Half::narrow(D::loadu(sums + c)));
    *range = seen;
    return seen.even();
  }

  static void set_factors(const Plane& p, int64_t row, float* factors) {
    const float factor = p.row_factors[row];
    if (factors[-1] == factor) return;
    factors[-1] = factor;
    for (int64_t c = 0; c < p.width; ++c) factors[c] = p.column_factors[c] * factor;
  }

  static bool run(const Plane& p, double* work, int64_t row, int64_t row_end) {
    const int64_t size = box_columns_size(p.width, p.radius_x), n = 2 * p.radius_x + 1;
    for (int64_t i = 0; i < box_band_size(p.width, p.radius_x); ++i) work[i] = 0;
    double* sums = work + (p.radius_x + 2 * L - 1) / L * L;  // aligned
    double* next = sums + size;
    float* factors[2] = {(float*)(work + 2 * size) + 16, (float*)(work + 2 * size) + p.width / 16 * 16 + 48};
    for (int64_t k = row - p.radius_y; k < row + p.radius_y; ++k) {
      const float* enter = row_at(p, k);
      if (enter != p.zeros) add(p.width, enter, sums);
    }
    SumRange range;
    int64_t seen = row;
    for (int64_t k = row; k < row_end; k += 2) {
      const bool pair = k + 1 < row_end;
      const Rows none = {p.zeros, p.zeros};
      down(p.width, rows_at(p, k, row), pair ? rows_at(p, k + 1, row) : none, next, sums, p.out + k * p.width);
      extend(p, next);
      extend(p, sums);
      set_factors(p, k, factors[0]);
      set_factors(p, pair ? k + 1 : k, factors[1]);
      const Line a = {next - p.radius_x, factors[0], p.out + k * p.width, row_at(p, k + p.radius_y + 2)};
      const Line b = {sums - p.radius_x, factors[1], p.out + (k + 1) * p.width, row_at(p, k + p.radius_y + 3)};
      along(p.width, n, a, pair ? b : a);
      if (k >= seen || k + 2 >= row_end) {
        const int64_t width = p.width + 2 * p.radius_x;
        if (!fit(a.sums, width, &range) || !fit(b.sums, width, &range)) return false;
        seen += 2 * p.radius_y + 1;
      }
    }
    return true;
  }
};

extern const BoxKernels box_f32 = {Box::E, Box::down, Box::along, BoxBand::run};

}  // namespace IMGR_ISA
}  // namespace imgrestore
