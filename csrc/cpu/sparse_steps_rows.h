#pragma once

#include "../math/sparse_steps.h"
#include "simd.h"
#include "sparse_steps.h"

// The pointwise part of `sparse_steps`, row by row: everything between the inverse and the forward transform.
namespace imgrestore {
namespace IMGR_ISA {

// Roots by a guess from the bits of the exponent and Newton's method, to float32's last bit or two, without a division.
struct SparseRoots {
  typedef Vec<float> X;
  typedef X::V V;
  typedef X::I I;

  static IMGR_HD V inverse_root(V x) {
    V y = (V)(0x5f375a86 - ((I)x >> 1));
    const V half = x * 0.5f;
    IMGR_UNROLL
    for (int i = 0; i < 3; ++i) y = y * (1.5f - half * y * y);
    return y;
  }
  static IMGR_HD V inverse_cube_root(V x) {
    V y = (V)(0x54a21d2a - ((I)x >> 16) * 21845);
    IMGR_UNROLL
    for (int i = 0; i < 3; ++i) y = y * (4.0f / 3.0f - x * (1.0f / 3.0f) * (y * y * y));
    return y;
  }
};

// The memory of a chunk. Slot j of a block that begins with row f holds row f - 1 + j: slot 0 comes from the block
// before, because the gradient of a row needs the row after it.
struct SparseBuffers {
  int64_t pitch, channel;
  float *lanes, *scene, *blurred, *steep, *extra, *late;

  IMGR_HD SparseBuffers(const SparseSteps& p, float* memory) {
    constexpr int L = Vec<float>::L;
    pitch = sparse_steps_row_size(p.width, L);
    channel = pitch * (L + 1);
    lanes = memory;
    scene = lanes + p.width * 2 * L;
    blurred = scene + p.channels * channel;
    steep = blurred + p.channels * channel;
    extra = steep + p.channels * pitch;
    late = extra + p.channels * pitch;
  }
};

template <int C>
struct SparseRows {
  typedef Vec<float> X;
  typedef X::V V;
  typedef X::I I;
  static constexpr int L = X::L;

  template <int... J>
  static IMGR_HD V counted_(Indices<J...>) {
    return V{float(J)...};
  }
  // 0, 1, 2, ...
  static IMGR_HD V counted() { return counted_(typename X::All()); }

  template <int... J>
  static IMGR_HD V follow_(V before, V now, Indices<J...>) {
    return IMGR_SHUFFLE(before, now, (L - 1 + J)...);
  }
  // The last lane of `before`, then all but the last of `now`.
  static IMGR_HD V follow(V before, V now) { return follow_(before, now, typename X::All()); }

  // The blurred scene of slot j to what the transform is given of the data: data less their dual.
  template <bool Weighted, bool Reweigh>
  static void data(const SparseSteps& p, const SparseBuffers& b, int64_t j, int64_t frame_row) {
    const int64_t plane = p.rows * p.frame_pitch, start = frame_row * p.frame_pitch;
    const float* frame = p.observed + frame_row * p.observed_row;
    float* row = b.blurred + j * b.pitch + p.left;
    const float share = 1.0f / (1.0f + p.data_penalty);
    for (int64_t v = 0; v < p.columns; v += L) {
      const V inside = counted() + float(v - p.columns);
      V own[C], rgb[C], change[C];
      for (int c = 0; c < C; ++c) own[c] = X::loadu(row + c * b.channel + v);
      opponent_join<C, float>(own, rgb);
      for (int c = 0; c < C; ++c) {
        const int64_t at = c * plane + start + v;
        const float* seen = frame + c * p.observed_plane + v;
        const V observed = p.columns - v >= L ? X::loadu(seen) : X::load_part(seen, p.columns - v);
        const V wanted = rgb[c] + X::loadu(p.dual_data + at);
        __builtin_prefetch(p.dual_data + at + p.frame_pitch, 1, 2);
        __builtin_prefetch(seen + p.observed_row, 0, 2);
        V dual;
        if (Weighted) {
          V known = X::loadu(p.known + at);
          __builtin_prefetch(p.known + at + p.frame_pitch, 0, 2);
          if (Reweigh) {
            const V trust = cauchy_trust(rgb[c] - observed, p.inverse_outlier[c]);
            known = known > V{} ? trust : known;
            X::storeu(p.known + at, known);
          }
          dual = wanted - nearest_to_data(wanted, observed, known, p.data_penalty);
        } else {
          dual = (wanted - observed) * share;
        }
        dual = inside < V{} ? dual : V{};
        X::storeu(p.dual_data + at, dual);
        change[c] = wanted - 2.0f * dual;
      }
      opponent_split<C, float>(change, rgb);
      for (int c = 0; c < C; ++c) X::storeu(row + c * b.channel + v, inside < V{} ? rgb[c] : own[c]);
    }
  }

  // What ties the scene of slot j to its bounds, in units of the gradients' penalty.
  static void bound(const SparseSteps& p, const SparseBuffers& b, int64_t j, int64_t g) {
    const bool dark_row = p.dark_outside && (g < p.top || g >= p.top + p.rows);
    const float first = float(p.left), end = float(p.left + p.columns);
    for (int64_t v = 0; v < p.width; v += L) {
      V planes[C], rgb[C];
      for (int c = 0; c < C; ++c) planes[c] = X::load(b.scene + c * b.channel + j * b.pitch + v);
      opponent_join<C, float>(planes, rgb);
      const V column = counted() + float(v);
      for (int c = 0; c < C; ++c) {
        float* at = p.dual_bound + (c * p.height + g) * p.pitch + v;
        const V free = rgb[c] + X::loadu(at);
        V held = dark_row ? V{} : free;
        if (p.dark_outside) held = (column < first) | (column >= end) ? V{} : held;
        held = at_least(held, V{} + p.lower[c]);
        X::storeu(at, free - held);
        __builtin_prefetch(at + p.pitch, 1, 2);
        rgb[c] = (held + held - free) * p.bound_penalty;
      }
      opponent_split<C, float>(rgb, planes);
      for (int c = 0; c < C; ++c) X::store(b.extra + c * b.pitch + v, planes[c]);
    }
  }

  // The gradient of the scene in slot j (row g), shrunk; the slot then holds the divergence of what is left of it. Without
  // Store only b.steep is made: what the next row needs of this one.
  template <bool HyperLaplacian, bool Tied, bool Store>
  static void gradient(const SparseSteps& p, const SparseBuffers& b, int64_t j, int64_t g) {
    const int64_t direction = p.height * p.pitch;
    V before[C];
    for (int c = 0; c < C; ++c) before[c] = V{};
    for (int64_t v = 0; v < p.width; v += L) {
      V along[C], down[C], square = V{};
      IMGR_UNROLL
      for (int c = 0; c < C; ++c) {
        const float* scene = b.scene + c * b.channel + j * b.pitch + v;
        const float* dual = p.dual_gradient + 2 * c * direction + g * p.pitch + v;
        const float weight = c ? p.chroma_weight : 1.0f;
        const V here = X::load(scene);
        along[c] = (X::loadu(scene + 1) - here) * weight + X::loadu(dual + direction);
        down[c] = (X::load(scene + b.pitch) - here) * weight + X::loadu(dual);
        if (Store) {
          __builtin_prefetch(dual + p.pitch, 1, 2);
          __builtin_prefetch(dual + direction + p.pitch, 1, 2);
        }
        square = square + along[c] * along[c] + down[c] * down[c];
      }
      const V keep = HyperLaplacian ? shrink_hyper_laplacian<SparseRoots>(square, p.pull, p.dead)
                                    : shrink_tv<SparseRoots>(square, p.threshold);
      IMGR_UNROLL
      for (int c = 0; c < C; ++c) {
        float* scene = b.scene + c * b.channel + j * b.pitch + v;
        float* dual = p.dual_gradient + 2 * c * direction + g * p.pitch + v;
        float* steep = b.steep + c * b.pitch + v;
        const float weight = c ? p.chroma_weight : 1.0f;
        const V factor = (keep + keep - 1.0f) * weight;
        const V right = along[c] * factor, below = down[c] * factor;
        if (Store) {
          X::storeu(dual, down[c] - keep * down[c]);
          X::storeu(dual + direction, along[c] - keep * along[c]);
          V total = follow(before[c], right) - right + X::load(steep) - below;
          if (Tied) total = total + X::load(b.extra + c * b.pitch + v);
          X::store(scene, total);
          before[c] = right;
        }
        X::store(steep, below);
      }
    }
    if (!Store) return;
    for (int c = 0; c < C; ++c) {
      alignas(64) float last[L];
      X::store(last, before[c]);
      b.scene[c * b.channel + j * b.pitch] += last[(p.width - 1) % L];
    }
  }

  static void data_of_row(const SparseSteps& p, const SparseBuffers& b, int64_t j, int64_t g) {
    if (g < p.top || g >= p.top + p.rows) return;
    if (!p.known) return data<false, false>(p, b, j, g - p.top);
    if (p.reweigh) return data<true, true>(p, b, j, g - p.top);
    data<true, false>(p, b, j, g - p.top);
  }

  static void row(const SparseSteps& p, const SparseBuffers& b, int64_t j, int64_t g) {
    data_of_row(p, b, j, g);
    if (p.dual_bound) {
      bound(p, b, j, g);
      if (p.hyper_laplacian) return gradient<true, true, true>(p, b, j, g);
      return gradient<false, true, true>(p, b, j, g);
    }
    if (p.hyper_laplacian) return gradient<true, false, true>(p, b, j, g);
    gradient<false, false, true>(p, b, j, g);
  }

  static void steep_of_row(const SparseSteps& p, const SparseBuffers& b, int64_t j, int64_t g) {
    if (p.hyper_laplacian) return gradient<true, false, false>(p, b, j, g);
    gradient<false, false, false>(p, b, j, g);
  }

  // Between planes in RGB and the slots.
  static void from_planes(const SparseSteps& p, const SparseBuffers& b, int64_t j, int64_t g) {
    for (int part = 0; part < 2; ++part) {
      const float* source = (part ? p.blurred : p.scene) + g * p.width;
      float* target = (part ? b.blurred : b.scene) + j * b.pitch;
      for (int64_t v = 0; v < p.width; v += L) {
        const int64_t left = p.width - v;
        V rgb[C], planes[C];
        for (int c = 0; c < C; ++c) {
          const float* at = source + c * p.height * p.width + v;
          rgb[c] = left >= L ? X::loadu(at) : X::load_part(at, left);
        }
        opponent_split<C, float>(rgb, planes);
        for (int c = 0; c < C; ++c) X::store(target + c * b.channel + v, planes[c]);
      }
    }
  }

  static void to_planes(const SparseSteps& p, const SparseBuffers& b, int64_t j, int64_t g) {
    for (int part = 0; part < 2; ++part) {
      float* target = (part ? p.blurred : p.scene) + g * p.width;
      const float* source = (part ? b.blurred : b.scene) + j * b.pitch;
      for (int64_t v = 0; v < p.width; v += L) {
        const int64_t left = p.width - v;
        V rgb[C], planes[C];
        for (int c = 0; c < C; ++c) planes[c] = X::load(source + c * b.channel + v);
        opponent_join<C, float>(planes, rgb);
        for (int c = 0; c < C; ++c) {
          float* at = target + c * p.height * p.width + v;
          if (left >= L) {
            X::storeu(at, rgb[c]);
          } else {
            X::store_part(at, rgb[c], left);
          }
        }
      }
    }
  }
};

}  // namespace IMGR_ISA
}  // namespace imgrestore
