#pragma once

#include "gated_block_matrix.h"
#include "patch_conv.h"

namespace imgrestore {
namespace IMGR_ISA {

// A convolution as the product of its weights with a few vectors of pixels, whose patches are copied side by side: pixels
// are in lanes, and planes stay planes.
template <bool Pairs>
struct PatchConv {
  typedef PatchConvPicture Picture;
  typedef Vec<float> X;
  typedef X::V V;
  static constexpr int L = X::L;
  static constexpr int64_t G = Matrix::P * L;

  // `count` columns of a row from `first` on, zeros where there are none.
  static const float* with_margin(const float* row, int64_t width, int64_t first, int64_t count, float* line) {
    const int64_t begin = first < 0 ? -first : 0, end = width - first < count ? width - first : count;
    for (int64_t i = 0; i < count; i += L) X::storeu(line + i, V{});
    if (begin < end) __builtin_memcpy(line + begin, row + first + begin, (end - begin) * sizeof(float));
    return line;
  }

  template <int Stride>
  static IMGR_HD float* gather_row(const float* from, int64_t kernel, int64_t vectors, float* to) {
    for (int64_t k = 0; k < kernel; k += Stride) {
      for (int64_t v = 0; v < vectors; ++v) {
        if (Stride == 1) {
          X::store(to + v * L, X::loadu(from + k + v * L));
        } else {
          V even, odd;
          X::split(X::loadu(from + k + 2 * v * L), X::loadu(from + k + 2 * v * L + L), even, odd);
          X::store(to + v * L, even);
          if (k + 1 < kernel) X::store(to + G + v * L, odd);
        }
      }
      to += (k + Stride <= kernel ? Stride : kernel - k) * G;
    }
    return to;
  }

  // The patches of the pixels from column x0 of row y on.
  template <int Stride>
  static void gather(const Picture& p, int64_t y, int64_t x0, int64_t vectors, float* to, float* line) {
    const int64_t first = Stride * x0 - p.padding, count = Stride * vectors * L + (p.kernel - 1) / Stride * Stride;
    const bool inside = first >= 0 && first + count <= p.width;
    for (int64_t c = 0; c < p.channels; ++c) {
      for (int64_t k = 0; k < p.kernel; ++k) {
        const int64_t row = Stride * y + k - p.padding;
        if (row < 0 || row >= p.height) {
          for (int64_t i = 0; i < p.kernel * G; i += L) X::store(to + i, V{});
          to += p.kernel * G;
          continue;
        }
        const float* from = p.x + (c * p.height + row) * p.width;
        if (inside) {
          // A group's piece of a row is too short for the hardware to foresee the next one.
          for (int64_t i = 0; i < count; i += 16) __builtin_prefetch(from + first + count + i);
          to = gather_row<Stride>(from + first, p.kernel, vectors, to);
        } else {
          to = gather_row<Stride>(with_margin(from, p.width, first, count, line), p.kernel, vectors, to);
        }
      }
    }
  }

  static IMGR_HD void put(const Picture& p, int64_t at, V v, int64_t count) {
    if (count >= L) {
      X::storeu(p.out + at, p.plus ? v + X::loadu(p.plus + at) : v);
    } else if (count > 0) {
      if (p.plus) v += Lanes::load_part(p.plus + at, count);
      Lanes::store_part(p.out + at, v, count);
    }
  }

  static void scatter(const Picture& p, int64_t y, int64_t x0, int64_t vectors, const float* from) {
    const int64_t columns = p.out_width - x0, plane = p.out_height * p.out_width;
    if (!p.shuffle) {
      for (int64_t o = 0; o < p.outputs; ++o, from += G) {
        const int64_t at = o * plane + y * p.out_width + x0;
        for (int64_t v = 0; v < vectors; ++v) put(p, at + v * L, X::load(from + v * L), columns - v * L);
      }
      return;
    }
    for (int64_t o = 0; o < p.outputs / 4; ++o) {
      for (int64_t i = 0; i < 2; ++i, from += 2 * G) {
        const int64_t at = 4 * o * plane + 2 * ((2 * y + i) * p.out_width + x0);
        for (int64_t v = 0; v < vectors; ++v) {
          V a, b;
          X::interleave(X::load(from + v * L), X::load(from + G + v * L), a, b);
          put(p, at + 2 * v * L, a, 2 * (columns - v * L));
          put(p, at + 2 * v * L + L, b, 2 * (columns - v * L) - L);
        }
      }
    }
  }

  static void row(const Picture& p, int64_t y, float* work) {
    float *group = work, *result = work + (p.matrix.depth + 1) * G, *line = result + p.matrix.blocks * Matrix::M * G;
    const int64_t vectors = (p.out_width + L - 1) / L;
    for (int64_t v = 0; v < vectors; v += Matrix::P) {
      const int64_t some = vectors - v < Matrix::P ? vectors - v : Matrix::P;
      if (p.stride == 1) {
        gather<1>(p, y, v * L, some, group, line);
      } else {
        gather<2>(p, y, v * L, some, group, line);
      }
#if IMGR_PAIRS
      if (Pairs) {
        Matrix::times_pairs(p.matrix, group, some, result, G);
      } else {
        Matrix::times(p.matrix, group, some, result, G);
      }
#else
      Matrix::times(p.matrix, group, some, result, G);
#endif
      scatter(p, y, v * L, some, result);
    }
  }
};

#if IMGR_PAIRS
#define IMGR_ROW_PAIRS PatchConv<true>::row
#else
#define IMGR_ROW_PAIRS nullptr
#endif
extern const PatchConvKernels patch_conv_f32 = {Matrix::M, Matrix::P* Vec<float>::L, PatchConv<false>::row, IMGR_ROW_PAIRS};
#undef IMGR_ROW_PAIRS

}  // namespace IMGR_ISA
}  // namespace imgrestore
