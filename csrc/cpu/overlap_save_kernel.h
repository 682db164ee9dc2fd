#pragma once

#include "../math/richardson_lucy.h"
#include "fft_tile_kernel.h"
#include "overlap_save.h"

namespace imgrestore {
namespace IMGR_ISA {

struct OverlapSave {
  typedef TileFft T;
  typedef T::X X;
  typedef T::V V;
  static constexpr int L = T::L;
  static constexpr int E = T::E;

  static IMGR_HD V some(const float* p, int64_t count) { return count >= L ? X::loadu(p) : X::load_part(p, count); }
  static IMGR_HD void put(float* p, V v, int64_t count) {
    if (count >= L) return X::storeu(p, v);
    X::store_part(p, v, count);
  }
  // Columns are loaded and stored in runs of this many blocks: neighbours in memory, row by row. A picture's rows lie far
  // apart, and no hardware foresees the step from one to the next.
  static constexpr int kRun = 4;
  static constexpr int kAhead = 12;  // rows

  static IMGR_HD void prefetch(const float* p, int64_t count) {
    for (int64_t i = 0; i < count; i += 64 / int64_t(sizeof(float))) __builtin_prefetch(p + i);
  }

  // ---- the input around a box: columns x ... of a plane, `blocks` blocks of them, into every other L scalars

  struct Rows {
    const OverlapSavePass* pass;
    const OverlapSaveInput* in;
    int64_t plane, y, step;  // step: scalars from block to block

    // Where row r of the tile begins in the picture; -1 outside.
    IMGR_HD int64_t row(int64_t r) const {
      const int64_t row = overlap_save_locate(y + r, pass->input[1], pass->outside);
      return row < 0 ? -1 : (plane * pass->input[1] + row) * pass->input[2];
    }
  };

  static void clear(const OverlapSavePass& p, int blocks, int64_t step, float* to) {
    for (int b = 0; b < blocks; ++b) {
      for (int64_t r = 0; r < p.tile.height; ++r) X::store(to + b * step + r * E, V{});
    }
  }

  template <bool Extrapolate>
  static void load_inside(const Rows& s, int64_t x, int blocks, float* to) {
    for (int64_t r = 0; r < s.pass->tile.height; ++r, to += E) {
      const int64_t at = s.row(r), later = s.row(r + kAhead);
      if (later >= 0) {
        prefetch(s.in->value + later + x, blocks * L);
        if (Extrapolate) prefetch(s.in->previous + later + x, blocks * L);
      }
      for (int b = 0; b < blocks; ++b) {
        V v = {};
        if (at >= 0) {
          v = X::loadu(s.in->value + at + x + b * L);
          if (Extrapolate) v = rl_ahead(v, X::loadu(s.in->previous + at + x + b * L), s.in->factor);
        }
        X::store(to + b * s.step, v);
      }
    }
  }

  static void load_across(const Rows& s, int64_t x, float* to) {
    int64_t column[L];
    for (int i = 0; i < L; ++i) column[i] = overlap_save_locate(x + i, s.pass->input[2], s.pass->outside);
    for (int64_t r = 0; r < s.pass->tile.height; ++r, to += E) {
      const int64_t at = s.row(r);
      V v = {}, before = {};
      for (int i = 0; at >= 0 && i < L; ++i) {
        if (column[i] >= 0) v[i] = s.in->value[at + column[i]];
        if (column[i] >= 0 && s.in->previous) before[i] = s.in->previous[at + column[i]];
      }
      X::store(to, s.in->previous ? rl_ahead(v, before, s.in->factor) : v);
    }
  }

  static void load(const OverlapSavePass& p, const OverlapSaveInput& in, const OverlapSaveBox& box, int64_t z, int64_t c,
                   int blocks, float* to) {
    const int64_t plane = overlap_save_locate(box.origin[0] + p.shift[0] + z, p.input[0], p.outside);
    const Rows rows = {&p, &in, plane, box.origin[1] + p.shift[1], fft_tile_block(p.tile, L)};
    if (plane < 0) return clear(p, blocks, rows.step, to);
    int64_t x = box.origin[2] + p.shift[2] + c * L;
    while (blocks > 0) {
      int run = 0;
      while (run < blocks && x >= 0 && x + (run + 1) * L <= p.input[2]) ++run;
      if (run && in.previous) {
        load_inside<true>(rows, x, run, to);
      } else if (run) {
        load_inside<false>(rows, x, run, to);
      } else {
        run = 1;
        const bool dark = p.outside == Outside::kZero && (x + L <= 0 || x >= p.input[2]);
        if (dark) {
          clear(p, 1, rows.step, to);
        } else {
          load_across(rows, x, to);
        }
      }
      x += run * L;
      to += run * rows.step;
      blocks -= run;
    }
  }

  // Columns of a run when so many are left.
  static IMGR_HD int64_t run_of(int64_t left) { return left < kRun * L ? left : kRun * L; }

  // ---- two boxes at once. out[part].store(box, z, column, from, step) takes the columns from `column` to the next run's of
  // a plane of the result, L of them every `step` scalars.

  static IMGR_HD int blocks_from(int64_t c, int64_t columns) {
    const int64_t left = (columns + L - 1) / L - c;
    return int(left < 0 ? 0 : left < kRun ? left : kRun);
  }

  // Whether plane z of the tile lies outside a dark picture.
  static bool is_dark(const OverlapSavePass& p, const OverlapSaveBox& box, int64_t z) {
    return overlap_save_locate(box.origin[0] + p.shift[0] + z, p.input[0], p.outside) < 0;
  }

  static void forward_plane(const OverlapSavePass& p, const OverlapSaveInput* in, const OverlapSaveBox* box, int parts,
                            int64_t z, float* plane) {
    const FftTile& t = p.tile;
    const int64_t step = fft_tile_block(t, L);
    for (int64_t c = 0; c < t.width / L; c += kRun) {
      float* block = T::block(t, plane, 0, c);
      const int blocks = blocks_from(c, t.width);
      load(p, in[0], box[0], z, c, blocks, block);
      if (parts == 2) {
        load(p, in[1], box[1], z, c, blocks, block + L);
      } else {
        clear(p, blocks, step, block + L);
      }
      for (int b = 0; b < blocks; ++b) T::F::forward(block + b * step, *t.along_columns);
    }
  }

  template <class Out>
  static void inverse_plane(const OverlapSavePass& p, const OverlapSaveBox* box, int parts, Out* out, int64_t z,
                            float* plane) {
    const FftTile& t = p.tile;
    const int64_t step = fft_tile_block(t, L);
    for (int64_t c = 0; c < t.width / L; c += kRun) {
      float* block = T::block(t, plane, 0, c);
      int needed = 0;
      for (int part = 0; part < parts; ++part) {
        const int blocks = z < box[part].size[0] ? blocks_from(c, box[part].size[2]) : 0;
        for (; needed < blocks; ++needed) T::F::inverse(block + needed * step, *t.along_columns);
      }
      for (int part = 0; part < parts; ++part) {
        if (z < box[part].size[0] && c * L < box[part].size[2]) {
          out[part].store(box[part], z, c * L, block + part * L, step);
        }
      }
    }
  }

  template <class Out>
  static void pair(const OverlapSavePass& p, const OverlapSaveInput* in, const OverlapSaveBox* box, int parts, Out* out,
                   float* tile, float* lines) {
    const FftTile& t = p.tile;
    const int64_t step = fft_tile_plane(t, L);
    for (int64_t z = 0; z < t.depth; ++z) {
      float* plane = tile + z * step;
      if (is_dark(p, box[0], z) && is_dark(p, box[parts - 1], z)) {
        for (int64_t i = 0; i < step; i += L) X::store(plane + i, V{});
        continue;
      }
      forward_plane(p, in, box, parts, z, plane);
      if (t.depth > 1) T::rows_forward(t, plane, lines);
    }
    if (t.depth == 1) {
      T::rows_through(t, tile, p.response, lines);
    } else {
      T::depth_through(t, tile, p.response, lines);
    }
    for (int64_t z = 0; z < t.depth; ++z) {
      if (z >= box[0].size[0] && z >= box[parts - 1].size[0]) continue;
      if (t.depth > 1) T::rows_inverse(t, tile + z * step, lines);
      inverse_plane(p, box, parts, out, z, tile + z * step);
    }
  }
};

}  // namespace IMGR_ISA
}  // namespace imgrestore
