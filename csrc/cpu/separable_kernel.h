#pragma once

#include "separable.h"
#include "simd.h"

namespace imgrestore {
namespace IMGR_ISA {

// A block of L rows: first down the columns, lanes being columns; each L x L result is transposed, so that along the
// rows lanes are rows and no shuffle is needed within the mathematics; and transposed back on its way out.
struct Separable {
  typedef Vec<float> X;
  typedef X::V V;
  typedef SeparablePlane Plane;
  static constexpr int L = X::L;
  // Results computed at once, each input being loaded once for all of them; what the registers hold.
  static constexpr int B = L == 16 ? 8 : 4;

  struct Down {
    const float* const* rows;
    int64_t column;
    IMGR_HD V operator()(int64_t k) const { return X::load(rows[k] + column); }
  };
  struct Along {
    const float* x;
    IMGR_HD V operator()(int64_t k) const { return X::load(x + k * L); }
  };

  // sum[o] = taps[j] in(o + j), summed over j
  template <class In>
  static void correlate(const In& in, const SeparableTaps& taps, V* sum) {
    V window[B], acc[B];
    IMGR_UNROLL
    for (int o = 0; o < B; ++o) {
      acc[o] = V{};
      window[o] = in(o);
    }
    for (int64_t j = 0;;) {
      const float tap = taps.at[j];
      IMGR_UNROLL
      for (int o = 0; o < B; ++o) acc[o] += window[o] * tap;
      if (++j == taps.count) break;
      IMGR_UNROLL
      for (int o = 0; o < B - 1; ++o) window[o] = window[o + 1];
      window[B - 1] = in(j + B - 1);
    }
    IMGR_UNROLL
    for (int o = 0; o < B; ++o) sum[o] = acc[o];
  }

  // The same where taps[j] = taps[count - 1 - j]: half the products, by two windows that run towards each other.
  template <class In>
  static void correlate_symmetric(const In& in, const SeparableTaps& taps, V* sum) {
    V left[B], right[B], acc[B];
    const int64_t last = taps.count - 1;
    IMGR_UNROLL
    for (int o = 0; o < B; ++o) {
      left[o] = in(o);
      right[o] = in(last + o);
      acc[o] = V{};
    }
    for (int64_t j = 0; j < taps.count / 2;) {
      const float tap = taps.at[j];
      IMGR_UNROLL
      for (int o = 0; o < B; ++o) acc[o] += (left[o] + right[o]) * tap;
      ++j;
      IMGR_UNROLL
      for (int o = 0; o < B - 1; ++o) {
        left[o] = left[o + 1];
        right[B - 1 - o] = right[B - 2 - o];
      }
      left[B - 1] = in(j + B - 1);
      right[0] = in(last - j);
    }
    if (taps.count % 2) {
      const float tap = taps.at[taps.count / 2];
      IMGR_UNROLL
      for (int o = 0; o < B; ++o) acc[o] += left[o] * tap;
    }
    IMGR_UNROLL
    for (int o = 0; o < B; ++o) sum[o] = acc[o];
  }

  template <class In>
  static IMGR_HD void correlate_any(const In& in, const SeparableTaps& taps, V* sum) {
    if (taps.symmetric) {
      correlate_symmetric(in, taps, sum);
    } else {
      correlate(in, taps, sum);
    }
  }

  static void copy_row(const float* from, int64_t width, float* to) {
    int64_t c = 0;
    for (; c + L <= width; c += L) X::store(to + c, X::loadu(from + c));
    if (c < width) X::store(to + c, X::load_part(from + c, width - c));
  }

  // The ring keeps the rows that a block sees; the next block sees all of them but the first L. Read from the picture,
  // a column of them would often fall into one and the same set of the first cache.
  static void fill_ring(const Plane& p, const SeparableWork& w, int64_t block, bool next) {
    const int64_t taps = p.along_columns.count, slots = taps + L - 1, first = block * L;
    const int64_t stride = separable_ring_stride(p.width);
    for (int64_t k = 0; k < slots; ++k) {
      float* slot = w.ring + (first + k) % slots * stride;
      w.rows[k] = slot;
      if (next && k < slots - L) continue;
      const int64_t row = boundary_index(first + k - taps / 2, p.height, p.boundary);
      copy_row(row < 0 ? p.zeros : p.image + row * p.image_stride, p.width, slot);
    }
  }

  static void down(const Plane& p, const float* const* rows, int64_t column, float* x) {
    V t[L];
    for (int b = 0; b < L; b += B) {
      const Down in = {rows + b, column};
      correlate_any(in, p.along_columns, t + b);
    }
    X::transpose(t);
    IMGR_UNROLL
    for (int i = 0; i < L; ++i) X::store(x + (column + i) * L, t[i]);
  }

  static void extend(const Plane& p, float* x) {
    const int64_t count = p.along_rows.count, before = count / 2, after = count - 1 - before, w = p.width;
    for (int64_t k = -before; k < w + after; k = k == -1 ? w : k + 1) {
      const int64_t column = boundary_index(k, w, p.boundary);
      X::store(x + k * L, column < 0 ? V{} : X::load(x + column * L));
    }
  }

  static void store(const Plane& p, int64_t row, int64_t column, V* t) {
    X::transpose(t);
    const int64_t rows = p.height - row, columns = p.width - column;
    float* target = p.out + row * p.width + column;
    if (rows >= L && columns >= L) {
      IMGR_UNROLL
      for (int i = 0; i < L; ++i) X::storeu(target + i * p.width, t[i]);
    } else {
      for (int i = 0; i < L && i < rows; ++i) X::store_part(target + i * p.width, t[i], columns);
    }
  }

  static void block(const Plane& p, const SeparableWork& w, int64_t block, bool next) {
    const int64_t count = p.along_rows.count;
    float* x = w.lanes + count / 2 * L;
    fill_ring(p, w, block, next);
    for (int64_t c = 0; c < p.width; c += L) down(p, w.rows, c, x);
    if (count > 1) extend(p, x);
    for (int64_t c = 0; c < p.width; c += L) {
      V t[L];
      for (int b = 0; b < L; b += B) {
        const Along in = {x + (c + b - count / 2) * L};
        correlate_any(in, p.along_rows, t + b);
      }
      store(p, block * L, c, t);
    }
  }
};

extern const SeparableKernels separable_f32 = {Separable::L, Separable::block};

}  // namespace IMGR_ISA
}  // namespace imgrestore
