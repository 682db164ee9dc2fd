#pragma once

#include "../math/tv_denoise.h"
#include "simd.h"
#include "tv_denoise.h"
#include "tv_denoise_row.h"

namespace imgrestore {
namespace IMGR_ISA {

// A tile goes through all its iterations in one sweep along the outer axis, each iteration ("level") one slice behind
// the one before, so that what is in flight fits the first caches. What neighbours would supply is computed again: the
// tile is read with a rim as wide as there are levels, of which each level spoils one more layer.
template <class S>
struct TvDenoise {
  typedef Vec<S> X;
  typedef typename X::V V;
  typedef TvRows<S> Rows;
  static constexpr int L = X::L;

  // A tile with its rim, and where its rings of slices are. Every row ends in at least a vector of zeros.
  struct Box {
    int64_t low[3], n[3];
    int64_t row, line, slice;  // scalars from channel to channel, from row to row, from slice to slice
    int parts, slots;
    S *zeros, *trash, *keep, *image, *u, *dual;
    S* image_at(int slot, int64_t y) const { return image + slot * slice + y * line; }
    S* u_at(int level, int64_t y) const { return u + level * slice + y * line; }
    S* dual_at(int slot, int part, int64_t y) const { return dual + (slot * parts + part) * slice + y * line; }
  };

  static IMGR_HD int64_t up(int64_t n) { return (n + L - 1) / L * L; }

  static Box box(const TvSweep<S>& w, const TvTile& tile, S* scratch) {
    Box b;
    for (int a = 0; a < 3; ++a) {
      const int64_t rim = a == 2 ? up(w.levels) : w.levels;
      b.low[a] = tile.begin[a] > rim ? tile.begin[a] - rim : 0;
      const int64_t high = tile.end[a] + rim < w.size[a] ? tile.end[a] + rim : w.size[a];
      b.n[a] = high - b.low[a];
    }
    b.row = up(b.n[2]) + L;
    b.line = w.channels * b.row;
    b.slice = b.n[1] * b.line;
    b.parts = w.ndim * (w.accelerate ? 2 : 1);
    b.slots = w.levels + 1;
    b.keep = scratch;
    b.zeros = b.keep + b.row + L;
    b.trash = b.zeros + b.line;
    b.image = b.trash + b.line;
    b.u = b.image + b.slots * b.slice;
    b.dual = b.u + w.levels * b.slice + L;
    return b;
  }

  static int64_t scratch_size(const TvSweep<S>& w, const TvTile& tile) {
    const Box b = box(w, tile, nullptr);
    return (b.dual - b.keep) + b.slots * b.parts * b.slice;
  }

  static void clear(S* p, int64_t n) {
    for (int64_t i = 0; i < n; ++i) p[i] = 0;
  }

  static void copy_in(S* target, const S* source, int64_t n, int64_t row, S factor) {
    int64_t x = 0;
    for (; x + L <= n; x += L) X::store(target + x, X::loadu(source + x) * factor);
    for (; x < n; ++x) target[x] = source[x] * factor;
    for (; x < row; ++x) target[x] = 0;
  }

  static void copy_out(S* target, const S* source, int64_t n) {
    int64_t x = 0;
    for (; x + L <= n; x += L) X::storeu(target + x, X::loadu(source + x));
    for (; x < n; ++x) target[x] = source[x];
  }

  // Slice z of image and dual into a slot of the rings.
  static void load_slice(const TvSweep<S>& w, const Box& b, int64_t z, int slot) {
    const int64_t picture = w.size[0] * w.size[1] * w.size[2];
    for (int64_t c = 0; c < w.channels; ++c) {
      for (int64_t y = 0; y < b.n[1]; ++y) {
        const int64_t at = ((c * w.size[0] + z) * w.size[1] + b.low[1] + y) * w.size[2] + b.low[2];
        copy_in(b.image_at(slot, y) + c * b.row, w.image + at, b.n[2], b.row, w.tau);
        for (int part = 0; part < b.parts; ++part) {
          S* target = b.dual_at(slot, part, y) + c * b.row;
          if (w.dual) {
            copy_in(target, w.dual + part * w.channels * picture + at, b.n[2], b.row, S(1));
          } else {
            clear(target, b.row);
          }
        }
      }
    }
  }

  static void store_slice(const TvSweep<S>& w, const Box& b, const TvTile& tile, int64_t z, int slot) {
    const int64_t picture = w.size[0] * w.size[1] * w.size[2];
    for (int64_t c = 0; c < w.channels; ++c) {
      for (int64_t y = tile.begin[1]; y < tile.end[1]; ++y) {
        const int64_t at = ((c * w.size[0] + z) * w.size[1] + y) * w.size[2] + tile.begin[2];
        for (int part = 0; part < b.parts; ++part) {
          const S* source = b.dual_at(slot, part, y - b.low[1]) + c * b.row + tile.begin[2] - b.low[2];
          copy_out(w.next + part * w.channels * picture + at, source, tile.end[2] - tile.begin[2]);
        }
      }
    }
  }

  // What a level does with slice z: u there, and with it the dual of slice z - 1. Before the first slice there is nothing
  // to update; behind the last, u is that of the last slice again, so that the gradient is zero.
  struct Slice {
    int64_t z;
    int level, slot, above;  // slots of z and of z - 1
    bool first, beyond, top;
    bool distance, variation;
  };

  static void slice(const TvSweep<S>& w, const Box& b, const TvTile& tile, const Slice& s, TvEnergy* energy) {
    const int n = w.ndim;
    TvRow<S> r;
    r.rows = {b.row, w.channels, up(b.n[2]), b.n[2]};
    r.tau = w.tau;
    r.weight = w.weight;
    r.momentum = w.momentum[s.level];
    r.keep = b.keep;
    const bool spoilt_below = b.low[1] > 0, spoilt_above = b.low[1] + b.n[1] < w.size[1];
    const int64_t begin = spoilt_below ? s.level + 1 : 0, end = b.n[1] - (spoilt_above ? s.level : 0);
    for (int64_t y = begin; y < end; ++y) {
      r.u = b.u_at(s.level, y);
      r.u_middle = y + 1 < end ? b.u_at(s.level, y + 1) : r.u;
      r.image = s.beyond ? r.u : b.image_at(s.slot, y);
      for (int part = 0; part < b.parts; ++part) {
        r.in[part] = s.first ? b.zeros : b.dual_at(s.above, part, y);
        r.out[part] = s.first ? b.trash : b.dual_at(s.above, part, y);
        r.q[part] = s.beyond ? b.zeros : b.dual_at(s.slot, part, y);
      }
      if (s.first && !s.top) r.in[0] = b.dual_at(s.above, 0, y);
      r.q_middle = s.beyond || y == 0 ? b.zeros : b.dual_at(s.slot, 1, y - 1);
      const bool core = y + b.low[1] >= tile.begin[1] && y + b.low[1] < tile.end[1];
      if (core && (s.distance || s.variation)) {
        double sums[2];
        Rows::measured(r, n, w.accelerate, sums);
        if (s.distance) energy->distance[s.level] += sums[0];
        if (s.variation) energy->variation[s.level] += sums[1];
      } else {
        Rows::plain(r, n, w.accelerate);
      }
    }
  }

  static void tile(const TvSweep<S>& w, const TvTile& tile, S* scratch, TvEnergy* energy) {
    const Box b = box(w, tile, scratch);
    clear(b.zeros - L, b.line + L);
    clear(b.u, w.levels * b.slice + L);  // and what is before the dual's first row
    *energy = {};
    for (int64_t x = 0; x < b.row; ++x) {
      const bool core = x + b.low[2] >= tile.begin[2] && x + b.low[2] < tile.end[2];
      b.keep[x] = core ? S(1) : S(0);
    }
    const int64_t last = tile.end[0] - 1 + w.levels;
    int slot = 0;
    for (int64_t t = b.low[0]; t <= last; ++t, slot = slot + 1 == b.slots ? 0 : slot + 1) {
      if (t < b.low[0] + b.n[0]) load_slice(w, b, t, slot);
      for (int level = 0; level < w.levels; ++level) {
        // the slices whose dual this level updates
        const int64_t spare = w.levels - 1 - level;
        const int64_t begin = tile.begin[0] > spare ? tile.begin[0] - spare : 0;
        const int64_t end = tile.end[0] + spare < w.size[0] ? tile.end[0] + spare : w.size[0];
        const int64_t z = t - level;
        if (z < begin || z > end) continue;
        Slice s;
        s.z = z;
        s.level = level;
        s.slot = slot - level < 0 ? slot - level + b.slots : slot - level;
        s.above = s.slot == 0 ? b.slots - 1 : s.slot - 1;
        s.first = z == begin;
        s.top = z == 0;
        s.beyond = z == w.size[0];
        const bool measured = w.measure >> level & 1;
        s.distance = measured && z >= tile.begin[0] && z < tile.end[0];
        s.variation = measured && z > tile.begin[0] && z <= tile.end[0];
        slice(w, b, tile, s, energy);
      }
      const int64_t done = t - w.levels;
      if (done >= tile.begin[0] && done < tile.end[0]) store_slice(w, b, tile, done, slot + 1 == b.slots ? 0 : slot + 1);
    }
  }

  static void picture(const TvSweep<S>& w, int64_t begin, int64_t end, S* out) {
    const int64_t n = w.size[2], rows = w.size[0] * w.size[1];
    for (int64_t c = 0; c < w.channels; ++c) {
      for (int64_t y = begin; y < end; ++y) {
        const int64_t at = (c * rows + y) * n, part = w.channels * rows * n;
        const S* q[3] = {};
        for (int a = 0; a < w.ndim; ++a) q[a] = w.dual + a * part + at;
        const S* before[2] = {y >= w.size[1] ? q[0] - w.size[1] * n : nullptr,
                              w.ndim == 3 && y % w.size[1] ? q[1] - n : nullptr};
        Rows::picture(w.image + at, q, before, w.ndim, n, out + at);
      }
    }
  }
};

extern const TvDenoiseKernels<float> tv_denoise_f32 = {TvDenoise<float>::L, TvDenoise<float>::scratch_size,
                                                       TvDenoise<float>::tile, TvDenoise<float>::picture};

}  // namespace IMGR_ISA
}  // namespace imgrestore
