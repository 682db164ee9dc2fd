#pragma once

#include "fft_convolve.h"
#include "overlap_save_kernel.h"

namespace imgrestore {
namespace IMGR_ISA {

struct FftConvolve {
  typedef OverlapSave O;
  typedef O::X X;
  static constexpr int L = O::L;
  static constexpr int E = O::E;

  static void boxes(const OverlapSavePass& p, const float* in, const OverlapSaveBox* box, int parts, float* out,
                    float* tile, float* lines) {
    const O::Rows rows = {in};
    O::ToRows to[2] = {{out, p.grid.size}, {out, p.grid.size}};
    O::pair(p, rows, box, parts, to, tile, lines);
  }

  // The kernel's last point comes to the origin, so that a box begins where its tile begins.
  static void response(const FftTile& t, const float* kernel, const int64_t* size, float* response, float* tile,
                       float* lines) {
    const float scale = float(1.0 / (double(t.depth) * double(t.height) * double(t.width)));
    for (int64_t i = 0; i < fft_tile_size(t, L); i += L) X::store(tile + i, typename X::V{});
    for (int64_t z = 0; z < size[0]; ++z) {
      for (int64_t y = 0; y < size[1]; ++y) {
        for (int64_t x = 0; x < size[2]; ++x) {
          const int64_t column = (x - size[2] + 1 + t.width) % t.width;
          float* at = O::T::block(t, tile, (z - size[0] + 1 + t.depth) % t.depth, column / L);
          at += (y - size[1] + 1 + t.height) % t.height * E + column % L;
          *at = kernel[(z * size[1] + y) * size[2] + x] * scale;
        }
      }
    }
    for (int64_t z = 0; z < t.depth; ++z) {
      for (int64_t c = 0; c < t.width / L; ++c) O::T::F::forward(O::T::block(t, tile, z, c), *t.along_columns);
    }
    O::T::response(t, tile, response, lines);
  }
};

extern const FftConvolveKernels fft_convolve_f32 = {FftConvolve::L, FftConvolve::response, FftConvolve::boxes};

}  // namespace IMGR_ISA
}  // namespace imgrestore
