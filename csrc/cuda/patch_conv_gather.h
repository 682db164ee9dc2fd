#pragma once

#include "patch_conv.h"
#include "vectors.h"

// What the two kinds of kernels share: a block has kPixels results of a picture and some of its outputs, and the
// patches of these pixels, which no memory ever holds whole, are the columns of a matrix that is gathered some rows at
// a time.
namespace imgrestore {

constexpr int kPixels = 128;

// Where a row of the matrix comes from: how far from a patch's first pixel.
struct alignas(16) PatchPlace {
  int64_t offset;
  int down, right;
};

// How rows are gathered: kernels of one pixel; of two by two that do not overlap, whose rows are pairs; any.
enum class PatchKind { kOne, kHalves, kAny };

inline PatchKind patch_kind(const PatchConvPlanes& p) {
  if (p.kernel == 1 && p.stride == 1 && p.padding == 0) return PatchKind::kOne;
  const bool pairs = p.width % 2 == 0 && reinterpret_cast<uintptr_t>(p.x) % 8 == 0;
  return p.kernel == 2 && p.stride == 2 && p.padding == 0 && pairs ? PatchKind::kHalves : PatchKind::kAny;
}

// What a block computes: pixels of a picture from `first` on, outputs from `output` on. Blocks that share pixels follow
// each other, so that they find them in the second cache.
struct PatchBlock {
  int64_t picture, first;
  int output;

  __device__ __forceinline__ static PatchBlock of(const PatchConvPlanes& p, int outputs) {
    const int64_t pixels = int64_t(p.out_height) * p.out_width, groups = (pixels + kPixels - 1) / kPixels;
    const int parts = (p.outputs + outputs - 1) / outputs;
    const int64_t group = blockIdx.x / parts;
    return {group / groups, group % groups * kPixels, int(blockIdx.x % parts) * outputs};
  }
  static int64_t count(const PatchConvPlanes& p, int outputs) {
    return blocks_for(int64_t(p.out_height) * p.out_width, kPixels) * p.pictures * blocks_for(p.outputs, outputs);
  }
};

// A column of the matrix.
struct Patch {
  const float* from;  // its first pixel, which may lie beyond the frame
  int y, x;
  bool real;

  __device__ __forceinline__ static Patch of(const PatchConvPlanes& p, const PatchBlock& block, int pixel) {
    const int64_t at = block.first + pixel;
    const bool real = at < int64_t(p.out_height) * p.out_width;
    const int y = real ? int(at / p.out_width) * p.stride - p.padding : 0;
    const int x = real ? int(at % p.out_width) * p.stride - p.padding : 0;
    const int64_t plane = int64_t(p.height) * p.width;
    return {p.x + block.picture * p.channels * plane + int64_t(y) * p.width + x, y, x, real};
  }

  // Rows first ... first + N - 1 of it, zeros beyond `depth`; `first` and N are even. places: of these rows.
  template <int N>
  __device__ __forceinline__ void read(const PatchConvPlanes& p, PatchKind kind, int first, int depth,
                                       const PatchPlace* places, float (&v)[N]) const {
    const int64_t plane = int64_t(p.height) * p.width;
    if (kind == PatchKind::kOne) {
      const float* next = from + first * plane;
      IMGR_UNROLL
      for (int i = 0; i < N; ++i, next += plane) v[i] = real && first + i < depth ? *next : 0.0f;
    } else if (kind == PatchKind::kHalves) {
      const float* next = from + first / 4 * plane + first % 4 / 2 * p.width;
      IMGR_UNROLL
      for (int i = 0; i < N; i += 2) {
        float two[2] = {0.0f, 0.0f};
        if (real && first + i < depth) read_vector(next, two);
        v[i] = two[0], v[i + 1] = two[1];
        next += (first + i) % 4 == 0 ? p.width : plane - p.width;
      }
    } else {
      IMGR_UNROLL
      for (int i = 0; i < N; ++i) {
        const PatchPlace place = places[i];
        const int row = y + place.down, column = x + place.right;
        const bool inside = real && first + i < depth && row >= 0 && row < p.height && column >= 0 && column < p.width;
        v[i] = inside ? from[place.offset] : 0.0f;
      }
    }
  }
};

__device__ __forceinline__ PatchPlace patch_place(const PatchConvPlanes& p, int row) {
  const int size = p.kernel * p.kernel, channel = row / size, down = row % size / p.kernel, right = row % p.kernel;
  return {(int64_t(channel) * p.height + down) * p.width + right, down, right};
}

// Adds `plus` to two outputs of a pixel, the first an even one, or writes them: in two passes, so that no load waits for
// a store, as `plus` may be `out`. pairs: both are aligned to eight bytes.
template <bool Write>
__device__ __forceinline__ void touch_two(const PatchConvPlanes& p, int64_t picture, int output, int64_t pixel,
                                          float& first, float& second, bool pairs) {
  const int64_t pixels = int64_t(p.out_height) * p.out_width;
  if (output >= p.outputs || pixel >= pixels) return;
  int64_t at = (picture * p.outputs + output) * pixels + pixel, next = at + pixels;
  float two[2] = {first, second};
  if (p.shuffle) {
    const int64_t y = pixel / p.out_width, x = pixel % p.out_width;
    at = (picture * p.outputs + output / 4 * 4) * pixels + ((2 * y + output % 4 / 2) * p.out_width + x) * 2;
    next = at + 1;
    if (pairs && Write) return write_vector(p.out + at, two);
    if (pairs) {
      read_vector(p.plus + at, two);
      first += two[0], second += two[1];
      return;
    }
  }
  const bool both = output + 1 < p.outputs;
  if (Write) {
    p.out[at] = first;
    if (both) p.out[next] = second;
  } else {
    first += p.plus[at];
    if (both) second += p.plus[next];
  }
}

// The same of one output of four neighbouring pixels that are there, not shuffled; all is aligned to 16 bytes.
template <bool Write>
__device__ __forceinline__ void touch_four(const PatchConvPlanes& p, int64_t picture, int output, int64_t pixel,
                                           float (&sums)[4]) {
  if (output >= p.outputs) return;
  const int64_t at = (picture * p.outputs + output) * p.out_height * p.out_width + pixel;
  if (Write) return write_vector(p.out + at, sums);
  float added[4];
  read_vector(p.plus + at, added);
  IMGR_UNROLL
  for (int i = 0; i < 4; ++i) sums[i] += added[i];
}

// Eight outputs of four pixels of a row, `there` of them in the picture.
template <bool Write>
__device__ __forceinline__ void touch_sums(const PatchConvPlanes& p, int64_t picture, int output, int64_t pixel,
                                           int there, float (&sums)[8][4], bool vectors, bool pairs) {
  IMGR_UNROLL
  for (int j = 0; j < 8; j += 2) {
    if (vectors) {
      if (there <= 0) continue;
      touch_four<Write>(p, picture, output + j, pixel, sums[j]);
      touch_four<Write>(p, picture, output + j + 1, pixel, sums[j + 1]);
      continue;
    }
    IMGR_UNROLL
    for (int i = 0; i < 4; ++i) {
      if (i < there) touch_two<Write>(p, picture, output + j, pixel + i, sums[j][i], sums[j + 1][i], pairs);
    }
  }
}

// Whether `out` and `plus` are aligned to so many bytes.
inline bool patch_aligned(const PatchConvPlanes& p, int bytes) {
  return (reinterpret_cast<uintptr_t>(p.out) | reinterpret_cast<uintptr_t>(p.plus)) % bytes == 0;
}

}  // namespace imgrestore
