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

  struct Result {
    float* out;
    const int64_t* size;

    void store(const OverlapSaveBox& box, int64_t z, int64_t column, const float* from, int64_t step) {
      float* to = out + ((box.origin[0] + z) * size[1] + box.origin[1]) * size[2] + box.origin[2] + column;
      const int64_t columns = O::run_of(box.size[2] - column);
      for (int64_t r = 0; r < box.size[1]; ++r, from += E, to += size[2]) {
        for (int64_t x = 0; x < columns; x += L) O::put(to + x, X::load(from + x / L * step), columns - x);
      }
    }
  };

  static void boxes(const OverlapSavePass& p, const OverlapSaveInput* in, const OverlapSaveBox* box, int parts,
                    float* const* out, float* tile, float* lines) {
    Result result[2] = {{out[0], p.grid.size}, {out[parts - 1], p.grid.size}};
    O::pair(p, in, box, parts, result, tile, lines);
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
