#pragma once

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

  // A picture as it usually lies in memory. Columns are loaded and stored in runs of this many blocks: neighbours in memory,
  // row by row. Its rows lie far apart, and no hardware foresees the step from one to the next.
  struct Rows {
    static constexpr int kRun = 4;
    static constexpr int kAhead = 12;  // rows
    const float* value;

    static IMGR_HD int64_t row(const OverlapSavePass& p, int64_t z, int64_t y) {
      const int64_t row = overlap_save_locate(y, p.input[1], p.outside);
      return row < 0 ? -1 : (z * p.input[1] + row) * p.input[2];
    }

    // Columns x ... that lie inside, of rows y ..., `blocks` blocks of them `step` scalars apart.
    void inside(const OverlapSavePass& p, int64_t z, int64_t y, int64_t x, int blocks, int64_t step, float* to) const {
      for (int64_t r = 0; r < p.tile.height; ++r, to += E) {
        const int64_t at = row(p, z, y + r), later = row(p, z, y + r + kAhead);
        if (later >= 0) {
          for (int64_t i = 0; i < blocks * L; i += 64 / sizeof(float)) __builtin_prefetch(value + later + x + i);
        }
        for (int b = 0; b < blocks; ++b) {
          X::store(to + b * step, at < 0 ? V{} : X::loadu(value + at + x + b * L));
        }
      }
    }

    IMGR_HD V lanes(const OverlapSavePass& p, int64_t z, int64_t y, const int64_t* columns) const {
      const int64_t at = row(p, z, y);
      V v = {};
      for (int i = 0; at >= 0 && i < L; ++i) {
        if (columns[i] >= 0) v[i] = value[at + columns[i]];
      }
      return v;
    }
  };

  struct ToRows {
    float* out;
    const int64_t* size;

    void store(const OverlapSaveBox& box, int64_t z, int64_t column, int blocks, const float* from, int64_t step) {
      float* to = out + ((box.origin[0] + z) * size[1] + box.origin[1]) * size[2] + box.origin[2] + column;
      for (int64_t r = 0; r < box.size[1]; ++r, from += E, to += size[2]) {
        for (int b = 0; b < blocks; ++b) put(to + b * L, X::load(from + b * step), box.size[2] - column - b * L);
      }
    }
  };

  // ---- the input around a box: columns c L ... of plane z of the tile, `blocks` blocks, into every other L scalars

  static void clear(const OverlapSavePass& p, int blocks, int64_t step, float* to) {
    for (int b = 0; b < blocks; ++b) {
      for (int64_t r = 0; r < p.tile.height; ++r) X::store(to + b * step + r * E, V{});
    }
  }

  template <class In>
  static void load_across(const OverlapSavePass& p, const In& in, int64_t z, int64_t y, int64_t x, float* to) {
    int64_t columns[L];
    for (int i = 0; i < L; ++i) columns[i] = overlap_save_locate(x + i, p.input[2], p.outside);
    for (int64_t r = 0; r < p.tile.height; ++r, to += E) X::store(to, in.lanes(p, z, y + r, columns));
  }

  template <class In>
  static void load(const OverlapSavePass& p, const In& in, const OverlapSaveBox& box, int64_t tile_z, int64_t c, int blocks,
                   float* to) {
    const int64_t step = fft_tile_block(p.tile, L), y = box.origin[1] + p.shift[1];
    const int64_t z = overlap_save_locate(box.origin[0] + p.shift[0] + tile_z, p.input[0], p.outside);
    if (z < 0) return clear(p, blocks, step, to);
    int64_t x = box.origin[2] + p.shift[2] + c * L;
    while (blocks > 0) {
      int run = 0;
      while (run < blocks && x >= 0 && x + (run + 1) * L <= p.input[2]) ++run;
      if (run) {
        in.inside(p, z, y, x, run, step, to);
      } else {
        run = 1;
        const bool dark = p.outside == Outside::kZero && (x + L <= 0 || x >= p.input[2]);
        if (dark) {
          clear(p, 1, step, to);
        } else {
          load_across(p, in, z, y, x, to);
        }
      }
      x += run * L;
      to += run * step;
      blocks -= run;
    }
  }

  // ---- two boxes at once, of a picture `in`. out[part].store(box, z, column, blocks, from, step) takes the columns from
  // `column` on of a plane of the result, a block of them every `step` scalars.

  static IMGR_HD int blocks_from(int64_t c, int64_t columns, int run) {
    const int64_t left = (columns + L - 1) / L - c;
    return int(left < 0 ? 0 : left < run ? left : run);
  }

  // Whether plane z of the tile lies outside a dark picture.
  static bool is_dark(const OverlapSavePass& p, const OverlapSaveBox& box, int64_t z) {
    return overlap_save_locate(box.origin[0] + p.shift[0] + z, p.input[0], p.outside) < 0;
  }

  template <class In>
  static void forward_plane(const OverlapSavePass& p, const In& in, const OverlapSaveBox* box, int parts, int64_t z,
                            float* plane) {
    const FftTile& t = p.tile;
    const int64_t step = fft_tile_block(t, L);
    for (int64_t c = 0; c < t.width / L; c += In::kRun) {
      float* block = T::block(t, plane, 0, c);
      const int blocks = blocks_from(c, t.width, In::kRun);
      load(p, in, box[0], z, c, blocks, block);
      if (parts == 2) {
        load(p, in, box[1], z, c, blocks, block + L);
      } else {
        clear(p, blocks, step, block + L);
      }
      for (int b = 0; b < blocks; ++b) T::F::forward(block + b * step, *t.along_columns);
    }
  }

  template <int Run, class Out>
  static void inverse_plane(const OverlapSavePass& p, const OverlapSaveBox* box, int parts, Out* out, int64_t z,
                            float* plane) {
    const FftTile& t = p.tile;
    const int64_t step = fft_tile_block(t, L);
    for (int64_t c = 0; c < t.width / L; c += Run) {
      float* block = T::block(t, plane, 0, c);
      int blocks[2] = {}, needed = 0;
      for (int part = 0; part < parts; ++part) {
        blocks[part] = z < box[part].size[0] ? blocks_from(c, box[part].size[2], Run) : 0;
        for (; needed < blocks[part]; ++needed) T::F::inverse(block + needed * step, *t.along_columns);
      }
      for (int part = 0; part < parts; ++part) {
        if (blocks[part]) out[part].store(box[part], z, c * L, blocks[part], block + part * L, step);
      }
    }
  }

  template <class In, class Out>
  static void pair(const OverlapSavePass& p, const In& in, const OverlapSaveBox* box, int parts, Out* out, float* tile,
                   float* lines) {
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
      inverse_plane<In::kRun>(p, box, parts, out, z, tile + z * step);
    }
  }
};

}  // namespace IMGR_ISA
}  // namespace imgrestore
