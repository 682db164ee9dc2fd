#pragma once

#include "channel_norm_lanes.h"
#include "depthwise_gate_lanes.h"
#include "gated_block.h"
#include "gated_block_matrix.h"

namespace imgrestore {
namespace IMGR_ISA {

// A tile is walked downwards: rows of the picture are normalised and expanded into the ring, and where kRingStep more
// rows are there, as many are filtered, gated, projected and written. What lies between stays in the cache.
template <class T, bool Pairs>
struct GatedBlock {
  typedef GatedBlockPicture<T> Picture;
  typedef Vec<float> X;
  static constexpr int L = Lanes::L;
  static constexpr int64_t G = Matrix::P * L;

  struct Work {
    float *x, *out, *gated, *group;
    int64_t stride;
  };

  static IMGR_HD void times(const PackedMatrix& m, float* in, int64_t vectors, float* out, int64_t stride) {
#if IMGR_PAIRS
    if (Pairs) return Matrix::times_pairs(m, in, vectors, out, stride);
#endif
    Matrix::times(m, in, vectors, out, stride);
  }

  static void copy(const float* from, int64_t stride, int64_t channels, int64_t vectors, float* to) {
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t i = 0; i < vectors * L; i += L) X::store(to + c * G + i, X::loadu(from + c * stride + i));
    }
  }

  static void expand_row(const Picture& p, const Ring& ring, const Tile& t, int64_t y, const Work& w) {
    if (y < 0 || y >= p.height) return ring.clear(y);
    Lanes::load(p.x, y * p.width + t.x0 - ring.left, ring.columns, w.x, w.stride);
    const int64_t vectors = (ring.columns + L - 1) / L;
    float* to = ring.row(y);
    for (int64_t v = 0; v < vectors; v += Matrix::P) {
      const int64_t some = vectors - v < Matrix::P ? vectors - v : Matrix::P;
      if (p.normed) {
        Lanes::normalise(w.x + v * L, w.stride, p.x.channels, some, p.eps, nullptr, nullptr, w.group, G);
      } else {
        copy(w.x + v * L, w.stride, p.x.channels, some, w.group);
      }
      times(p.expand, w.group, some, to + v * L, w.stride);
    }
    ring.end_row(y, 2 * p.half);
  }

  static void project_rows(const Picture& p, const Ring& ring, const Tile& t, int64_t y, int64_t rows, const Work& w) {
    const int64_t columns = t.x1 - t.x0, vectors = (columns + L - 1) / L;
    const int64_t out_row = p.project.blocks * Matrix::M * w.stride;
    for (int64_t v = 0; v < vectors; v += Matrix::P) {
      const int64_t some = vectors - v < Matrix::P ? vectors - v : Matrix::P;
      ring.gate(y, v * L, some, p.half, p.taps, p.taps + p.half * kTaps, w.gated, G);
      for (int64_t r = 0; r < rows; ++r) {
        times(p.project, w.gated + r * p.half * G, some, w.out + r * out_row + v * L, w.stride);
      }
    }
    for (int64_t r = 0; r < rows; ++r) {
      Lanes::store(p.out, (y + r) * p.width + t.x0, columns, w.out + r * out_row, w.stride, p.x.data);
    }
  }

  static void tile(const Picture& p, const Tile& t, float* work) {
    const GatedBlockWork size =
        gated_block_work(p.x.channels, p.half, t.x1 - t.x0, L, Matrix::M, Matrix::P * L);
    const Ring ring = Ring::begin(t, p.width, p.expand.blocks * Matrix::M, work);
    const Work w = {work + size.ring, work + size.ring + size.x, work + size.ring + size.x + size.out,
                    work + size.ring + size.x + size.out + kRingStep * p.half * G, ring.stride};
    int64_t next = t.y0 - 1;
    for (int64_t y = t.y0; y < t.y1; y += Ring::R) {
      const int64_t end = y + Ring::R < t.y1 ? y + Ring::R : t.y1;
      for (; next <= end; ++next) expand_row(p, ring, t, next, w);
      project_rows(p, ring, t, y, end - y, w);
    }
  }
};

#if IMGR_PAIRS
#define IMGR_TILE_PAIRS(T) GatedBlock<T, true>::tile
#else
#define IMGR_TILE_PAIRS(T) nullptr
#endif
extern const GatedBlockKernels<float> gated_block_f32 = {Lanes::L, Matrix::M, Matrix::P* Lanes::L,
                                                         GatedBlock<float, false>::tile, IMGR_TILE_PAIRS(float)};
extern const GatedBlockKernels<Bfloat16> gated_block_bf16 = {Lanes::L, Matrix::M, Matrix::P* Lanes::L,
                                                             GatedBlock<Bfloat16, false>::tile, IMGR_TILE_PAIRS(Bfloat16)};
#undef IMGR_TILE_PAIRS

}  // namespace IMGR_ISA
}  // namespace imgrestore
