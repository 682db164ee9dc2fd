#pragma once

#if IMGR_X86
#include <immintrin.h>
#endif

#include "../math/exp2.h"
#include "bilateral.h"
#include "simd.h"

namespace imgrestore {
namespace IMGR_ISA {

// Row by row within a strip. The weight of a pair of pixels is the same for both, so that only neighbours that come
// later are gone through, and what a pair adds is added to the sums of either pixel. The sums of the rows below fill up
// while the rows above are done.
struct Bilateral {
  typedef Vec<float> X;
  typedef X::V V;
  typedef X::I I;
  typedef BilateralPicture Picture;
  typedef BilateralTap Tap;
  typedef BilateralWork Work;
  static constexpr int L = X::L;

  struct Strip {
    const Picture& p;
    const Work& w;
    int64_t row_begin, row_end, column, columns, margin, stride, channels;
    IMGR_HD int64_t slot(int64_t y) const {
      const int64_t slots = p.radius + 1;
      return (y % slots + slots) % slots;
    }
    // channel c of a row as it goes on beside the strip, from its first column on; the guide's channels come last
    IMGR_HD float* row(int64_t y, int64_t c) const { return w.rows + (slot(y) * channels + c) * stride + margin; }
    // the sums of channel c; those of the weights come last
    IMGR_HD float* sums(int64_t y, int64_t c) const {
      return w.sums + (slot(y) * (p.image_channels + 1) + c) * columns;
    }
    IMGR_HD float* weights() const { return w.weights + margin; }
    IMGR_HD bool scaled() const { return p.scale != 0; }
    IMGR_HD int64_t guide_channel() const { return p.guide ? p.image_channels : 0; }
    IMGR_HD int64_t guide_channels() const { return p.guide ? p.guide_channels : p.image_channels; }
  };

  // 2^t for t <= 0, or nearly 0 where that is less than 2^-126; NaN where t is NaN
  static IMGR_HD V exp2_negative(V t) {
#if IMGR_X86 && IMGR_VECTOR_BYTES == 64
    // With masks, since gcc warns of its own headers without.
    const V fraction = (V)_mm512_maskz_reduce_ps(0xffff, (__m512)t, 1);
    return (V)_mm512_maskz_scalef_ps(0xffff, (__m512)exp2_unit(fraction), (__m512)t);
#else
    const float shift = 12582912.0f + 127.0f;  // what is rounded off leaves the exponent's bits lowest
#if IMGR_X86 && IMGR_VECTOR_BYTES == 32
    t = (V)_mm256_max_ps((__m256)(V{} - 126.0f), (__m256)t);
#elif IMGR_X86
    t = (V)_mm_max_ps((__m128)(V{} - 126.0f), (__m128)t);
#else
    t = t < -126.0f ? V{} - 126.0f : t;
#endif
    const V shifted = t + shift;
    // A product, since NaN times anything is NaN.
    return exp2_fraction(t - (shifted - shift)) * (V)((I)shifted << 23);
#endif
  }

  static void copy_row(const float* from, const Strip& s, float* to) {
    const int64_t w = s.p.width, first = s.column - s.margin;
    const int64_t left = first < 0 ? -first : 0;
    int64_t k = 0;
    for (; k < left && k < s.stride; ++k) {
      const int64_t column = boundary_index(first + k, w, s.p.boundary);
      to[k] = column < 0 ? 0.0f : from[column];
    }
    for (; k + L <= s.stride && first + k + L <= w; k += L) X::storeu(to + k, X::loadu(from + first + k));
    for (; k < s.stride; ++k) {
      const int64_t column = boundary_index(first + k, w, s.p.boundary);
      to[k] = column < 0 ? 0.0f : from[column];
    }
  }

  // A row and, with weight 1, what its pixels add to their own sums.
  static void fetch_row(const Strip& s, int64_t y) {
    const Picture& p = s.p;
    const int64_t row = boundary_index(y, p.height, p.boundary);
    for (int64_t c = 0; c < s.channels; ++c) {
      float* to = s.row(y, c) - s.margin;
      const int64_t g = c - p.image_channels;
      if (row < 0) {
        for (int64_t k = 0; k < s.stride; ++k) to[k] = 0.0f;
      } else if (g < 0) {
        copy_row(p.image + c * p.image_channel_stride + row * p.image_stride, s, to);
      } else {
        copy_row(p.guide + g * p.guide_channel_stride + row * p.guide_stride, s, to);
      }
    }
    if (s.scaled()) {
      float* to = s.row(y, 0) - s.margin;
      for (int64_t k = 0; k < s.stride; k += L) X::store(to + k, X::load(to + k) * p.scale);
    }
    for (int64_t c = 0; c <= p.image_channels; ++c) {
      const float* from = s.row(y, c);
      float* to = s.sums(y, c);
      const bool weights = c == p.image_channels;
      for (int64_t x = 0; x < s.columns; x += L) X::store(to + x, weights ? V{} + 1.0f : X::load(from + x));
    }
  }

  // ---- weights

  // of the pixels x to x + L - 1 of a row and their neighbours in another; plane: from channel to channel
  template <bool Scaled>
  static IMGR_HD V weight(const float* here, const float* there, int64_t channels, int64_t plane, float range,
                          float log_weight) {
    V d = X::loadu(there) - X::load(here);
    if (Scaled) return exp2_negative(log_weight - d * d);
    V distance = d * d;
    for (int64_t c = 1; c < channels; ++c) {
      d = X::loadu(there + c * plane) - X::load(here + c * plane);
      distance += d * d;
    }
    return exp2_negative(distance * range + log_weight);
  }

  // Of neighbours in one row; a scaled picture's are added to the sums of the row above at once.
  template <bool Scaled>
  static void compute_weights(const Strip& s, int64_t y, const Tap* taps, int64_t count) {
    const int64_t g = s.guide_channel(), channels = s.guide_channels(), stride = s.stride, columns = s.columns;
    // In locals, since for all the compiler knows a store of weights may change what is behind a reference.
    const float *here = s.row(y, g), *there = s.row(y + taps->dy, g);
    float *weights = s.weights(), *value_sums = s.sums(y, 0), *weight_sums = s.sums(y, s.p.image_channels);
    const float range = s.p.range;
    for (int64_t k = 0; k < count; ++k) {
      // Those that only the other pixel of the pair asks for.
      const int64_t dx = taps[k].dx;
      const int64_t end = dx > 0 ? 0 : columns - dx;
      for (int64_t x = dx > 0 ? -bilateral_margin(dx, L) : columns; x < end; x += L) {
        const V w = weight<Scaled>(here + x, there + dx + x, channels, stride, range, taps[k].log_weight);
        X::store(weights + k * stride + x, w);
      }
    }
    for (int64_t x = 0; x < columns; x += L) {
      V v = {}, sum = {};
      float* to = weights + x;
      for (int64_t k = 0; k < count; ++k, to += stride) {
        const int64_t at = x + taps[k].dx;
        const V w = weight<Scaled>(here + x, there + at, channels, stride, range, taps[k].log_weight);
        X::store(to, w);
        if (Scaled) {
          v += w * X::loadu(there + at);
          sum += w;
        }
      }
      if (Scaled) {
        X::store(value_sums + x, X::load(value_sums + x) + v);
        X::store(weight_sums + x, X::load(weight_sums + x) + sum);
      }
    }
  }

  // ---- weights and sums at once, in registers

  struct Sums {
    V values, weights;
    IMGR_HD void add(V w, V v) {
      values += w * v;
      weights += w;
    }
  };

  // The last D lanes of a vector and what fits of the next.
  template <int D, int... J>
  static IMGR_HD V moved_(V before, V now, Indices<J...>) {
    return IMGR_SHUFFLE(before, now, (L - D + J)...);
  }
  template <int D>
  static IMGR_HD V moved(V before, V now) {
#if IMGR_X86 && IMGR_VECTOR_BYTES == 64
    return (V)_mm512_maskz_alignr_epi32(0xffff, (__m512i)now, (__m512i)before, L - D);
#else
    return moved_<D>(before, now, typename X::All());
#endif
  }

  // Pixels of row a and those D to the right in row b.
  template <int D>
  static IMGR_HD V weight_right(const float* a, const float* b, float log_weight) {
    const V d = X::loadu(b + D) - X::load(a);
    return exp2_negative(log_weight - d * d);
  }
  // Of the vector to the left of the strip, for pairs that reach into it.
  template <int R, bool Same, int D = 1>
  static IMGR_HD void weights_before(const float* here, const float* there, const float* log_weights, V* before) {
    if constexpr (D <= R) {
      before[2 * D - 2] = weight_right<D>(here, there, log_weights[D]);
      if (!Same) before[2 * D - 1] = weight_right<D>(there, here, log_weights[D]);
      weights_before<R, Same, D + 1>(here, there, log_weights, before);
    }
  }

  // Pixels of row a and those D to the right in row b, with their sums; before: the weights of the vector to the left.
  template <int D>
  static IMGR_HD void pair(const float* a, const float* b, V center, float log_weight, V& before, Sums& of_a,
                           Sums& of_b) {
    const V value = X::loadu(b + D), d = value - center;
    const V w = exp2_negative(log_weight - d * d);
    of_a.add(w, value);
    of_b.add(moved<D>(before, w), X::loadu(a - D));
    before = w;
  }

  template <int R, bool Same, int D = 1>
  static IMGR_HD void pairs(const float* here, const float* there, V h, V t, const float* log_weights, V* before,
                            Sums& upper, Sums& lower) {
    if constexpr (D <= R) {
      pair<D>(here, there, h, log_weights[D], before[2 * D - 2], upper, Same ? upper : lower);
      if (!Same) pair<D>(there, here, t, log_weights[D], before[2 * D - 1], lower, upper);
      pairs<R, Same, D + 1>(here, there, h, t, log_weights, before, upper, lower);
    }
  }

  // The pairs of row y and another with columns up to R apart.
  template <int R, bool Same>
  static void add_rows(const Strip& s, int64_t y, int64_t other, const Tap* taps) {
    const float *here = s.row(y, 0), *there = s.row(other, 0);
    float *values = s.sums(y, 0), *weights = s.sums(y, 1);
    float *other_values = s.sums(other, 0), *other_weights = s.sums(other, 1);
    float log_weights[R + 1];
    for (int k = Same; k <= R; ++k) log_weights[k] = taps[Same ? k - 1 : k + R].log_weight;
    V before[2 * R + 1] = {};
    weights_before<R, Same>(here - L, there - L, log_weights, before);
    for (int64_t x = 0; x < s.columns; x += L) {
      const V h = X::load(here + x), t = X::load(there + x);
      Sums upper = {X::load(values + x), X::load(weights + x)};
      Sums lower = {};
      if (!Same) {
        lower = {X::load(other_values + x), X::load(other_weights + x)};
        const V d = t - h, w = exp2_negative(log_weights[0] - d * d);
        upper.add(w, t);
        lower.add(w, h);
      }
      pairs<R, Same>(here + x, there + x, h, t, log_weights, before, upper, lower);
      X::store(values + x, upper.values);
      X::store(weights + x, upper.weights);
      if (!Same) {
        X::store(other_values + x, lower.values);
        X::store(other_weights + x, lower.weights);
      }
    }
  }

  // A disk of a radius up to 4; the compiler sees each row of it.
  static void add_near(const Strip& s, int64_t y, int64_t other, const Tap* taps, int64_t count) {
    const int64_t reach = taps[count - 1].dx;
    if (y == other) {
      switch (reach) {
        case 1: return add_rows<1, true>(s, y, other, taps);
        case 2: return add_rows<2, true>(s, y, other, taps);
        case 3: return add_rows<3, true>(s, y, other, taps);
        default: return add_rows<4, true>(s, y, other, taps);
      }
    }
    switch (reach) {
      case 0: return add_rows<0, false>(s, y, other, taps);
      case 1: return add_rows<1, false>(s, y, other, taps);
      case 2: return add_rows<2, false>(s, y, other, taps);
      default: return add_rows<3, false>(s, y, other, taps);
    }
  }

  // ---- sums

  // Adds values times weights to sums, and weights to theirs. Sign: 1 for the upper pixels of pairs, -1 for the lower.
  template <int Sign, bool Weights>
  static void accumulate(const Strip& s, const Tap* taps, int64_t count, const float* values, float* value_sums,
                         float* weight_sums) {
    const int64_t columns = s.columns, stride = s.stride;
    const float* weights = s.weights();
    for (int64_t x = 0; x < columns; x += 2 * L) {
      V v0 = {}, v1 = {}, w0 = {}, w1 = {};
      const float* from = weights + x;
      for (int64_t k = 0; k < count; ++k, from += stride) {
        const int64_t dx = taps[k].dx;
        const float *w = Sign > 0 ? from : from - dx, *v = Sign > 0 ? values + x + dx : values + x - dx;
        const V a = X::loadu(w), b = X::loadu(w + L);
        v0 += a * X::loadu(v);
        v1 += b * X::loadu(v + L);
        if (Weights) {
          w0 += a;
          w1 += b;
        }
      }
      X::store(value_sums + x, X::load(value_sums + x) + v0);
      X::store(value_sums + x + L, X::load(value_sums + x + L) + v1);
      if (Weights) {
        X::store(weight_sums + x, X::load(weight_sums + x) + w0);
        X::store(weight_sums + x + L, X::load(weight_sums + x + L) + w1);
      }
    }
  }

  template <int Sign>
  static void add_to_sums(const Strip& s, const Tap* taps, int64_t count, int64_t from, int64_t to) {
    const int64_t channels = s.p.image_channels;
    accumulate<Sign, true>(s, taps, count, s.row(from, 0), s.sums(to, 0), s.sums(to, channels));
    for (int64_t c = 1; c < channels; ++c) {
      accumulate<Sign, false>(s, taps, count, s.row(from, c), s.sums(to, c), nullptr);
    }
  }

  // The pairs of row y with neighbours in one row.
  static void add_pairs(const Strip& s, int64_t y, const Tap* taps, int64_t count) {
    const int64_t other = y + taps->dy;
    if (other < s.row_begin) return;
    if (s.scaled() && s.p.radius <= 4) return add_near(s, y, other, taps, count);
    if (s.scaled()) {
      compute_weights<true>(s, y, taps, count);
    } else {
      compute_weights<false>(s, y, taps, count);
      if (y >= s.row_begin) add_to_sums<1>(s, taps, count, other, y);
    }
    if (other < s.row_end) add_to_sums<-1>(s, taps, count, y, other);
  }

  static void write_row(const Strip& s, int64_t y) {
    const Picture& p = s.p;
    const int64_t channels = p.image_channels, left = p.width - s.column, columns = left < s.columns ? left : s.columns;
    const float* weights = s.sums(y, channels);
    const float scale = s.scaled() ? p.scale : 1.0f;
    for (int64_t c = 0; c < channels; ++c) {
      const float* values = s.sums(y, c);
      float* to = p.out + (c * p.height + y) * p.width + s.column;
      for (int64_t x = 0; x < columns; x += L) {
        const V mean = X::load(values + x) / (X::load(weights + x) * scale);
        if (x + L <= columns) {
          X::storeu(to + x, mean);
        } else {
          X::store_part(to + x, mean, columns - x);
        }
      }
    }
  }

  static void strip(const Picture& p, const Work& w, int64_t row, int64_t row_end, int64_t column) {
    const int64_t span = bilateral_strip(p.width), margin = bilateral_margin(p.radius, L);
    const Strip s = {p, w, row, row_end, column, span, margin, span + 2 * margin, bilateral_channels(p)};
    // The rows above have to be gone through for what their pairs add to the first rows.
    const int64_t start = row - p.radius;
    for (int64_t y = start; y < row; ++y) fetch_row(s, y);
    for (int64_t y = start; y < row_end; ++y) {
      fetch_row(s, y + p.radius);
      for (int64_t k = 0, end; k < p.count; k = end) {
        for (end = k + 1; end < p.count && end - k < kBilateralChunk && p.taps[end].dy == p.taps[k].dy;) ++end;
        add_pairs(s, y, p.taps + k, end - k);
      }
      if (y >= row) write_row(s, y);
    }
  }
};

extern const BilateralKernels bilateral_f32 = {Bilateral::L, Bilateral::strip};

}  // namespace IMGR_ISA
}  // namespace imgrestore
