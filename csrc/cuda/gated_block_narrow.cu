#include "../math/bfloat16.h"
#include "../math/moments.h"
#include "gated_block.h"
#include "gated_block_tile.h"
#include "lanes.h"
#include "mma.h"

// The gated block with its 1x1 convolutions on the tensor cores: their factors are rounded to bfloat16, all else is
// float32, as gated_block.cu has it. The floor is one read of x and one write of the result, 8 bytes a number or 4 for
// planes of bfloat16; the products take less time than that up to about a hundred channels. Here a group is 16 inner
// channels, as deep as one product. The pixels of a tile lie in shared memory as rows of a matrix, at strides that give
// the lanes of a warp 32 banks; weights come through the first cache in the order in which lanes hold them. Eight warps
// share the expanded channels and the results between them, pixels first, so that a weight that is loaded serves two or
// three products. More than 48 channels do not stay in registers until they are normalised: they are read twice, the
// second time from a cache.
namespace imgrestore {
namespace {

constexpr int kThreads = 256, kWarps = 8, kWide = 16, kGroup = 16;
constexpr int kGatedWords = kGroup / 2 + 4;  // of a pixel, in pairs

// TY x 16 pixels a tile; Down: how many parts the warps make of the pixels, each of all or of some channels; Each:
// blocks of eight results that a warp has for each of its rows.
template <int TY, int Down, int Each>
struct Shape {
  typedef imgrestore::Tile<TY, kWide> Tile;
  static constexpr int kTall = TY, kDown = Down, kAcross = kWarps / Down, kEach = Each;
  static constexpr int kMost = kAcross * Each * 8, kDeepest = (kMost + 15) / 16 * 16;
  static constexpr int kHeld = kDeepest <= 48 ? kDeepest : 16;  // channels of a pixel in a thread's registers
  static constexpr int kTiles = (Tile::kPixels + 15) / 16, kTilesEach = (kTiles + Down - 1) / Down;
  static constexpr int kRows = kTiles * 16, kRowsEach = TY / Down;
  static constexpr int kBlocks = TY / Down * Each > 16 ? 1 : 2;
  // 4 or 20 more than a multiple of 32: results of a product, and columns of two channels that are four apart, find
  // 32 banks.
  static constexpr int kStride = kRows + 4;
  static_assert(TY % Down == 0 && kAcross <= 2, "");

  static int words(int channels) { return (channels + 15) / 16 * 8 + 4; }  // of a pixel, in pairs
  static size_t shared(int channels) {
    return 4 * (size_t(kRows) * words(channels) + 2 * kGroup * kStride + TY * kWide * kGatedWords);
  }
};

// The pixels of a tile, normalised and rounded, as rows of `words` pairs of channels; zeros beyond the picture.
template <class S, class T>
__device__ __forceinline__ void load_planes(const GatedBlockPlanes& p, bool normed, const typename S::Tile& tile,
                                            uint32_t* xn, int words) {
  constexpr int H = S::kHeld;
  constexpr bool kAll = S::kMost <= H;
  const int64_t pixels = int64_t(p.height) * p.width;
  for (int i = threadIdx.x; i < S::kRows; i += kThreads) {
    const bool inside = tile.inside(i);
    const T* from = static_cast<const T*>(p.x) + tile.picture * p.channels * pixels + (inside ? tile.place(i) : 0);
    uint32_t* to = xn + i * words;
    float v[H];
    Moments all;
    const auto read = [&](int first) {
      const T* next = from + first * pixels;  // a step at a time: offsets of all of them would fill the registers
      IMGR_UNROLL
      for (int c = 0; c < H; ++c, next += pixels) {
        v[c] = inside && first + c < p.channels ? to_float(*next) : 0.0f;
      }
    };
    if (kAll) {
      read(0);
      if (normed) all.add(v, p.channels);
    } else if (normed) {
      for (int first = 0; first < p.channels; first += H) {
        read(first);
        all.add(v, min(H, p.channels - first));
      }
    }
    const float factor = normed ? 1.0f / sqrtf(all.squares / float(p.channels) + p.eps) : 1.0f;
    for (int first = 0; first < words * 2 - 8; first += H) {
      if (!kAll) read(first);
      IMGR_UNROLL
      for (int c = 0; c < H; c += 2) {
        if (first + c >= words * 2 - 8) continue;
        const float a = first + c < p.channels ? (v[c] - all.mean) * factor : 0.0f;
        const float b = first + c + 1 < p.channels ? (v[c + 1] - all.mean) * factor : 0.0f;
        to[(first + c) / 2] = pack_bf16(a, b);
      }
    }
  }
}

// The same of pixels whose channels lie side by side: a warp for each. paired: two neighbours are read at once.
template <class S, class T>
__device__ __forceinline__ void load_pixels(const GatedBlockPlanes& p, bool normed, const typename S::Tile& tile,
                                            uint32_t* xn, int words, bool paired) {
  constexpr int kPairs = (S::kDeepest / 2 + kWarp - 1) / kWarp;
  const int lane = threadIdx.x % kWarp;
  const T* picture = static_cast<const T*>(p.x) + tile.picture * p.height * p.width * p.channels;
  for (int i = threadIdx.x / kWarp; i < S::kRows; i += kWarps) {
    const bool inside = tile.inside(i);
    const T* from = picture + (inside ? tile.place(i) * p.channels : 0);
    float v[kPairs][2], sum = 0, squares = 0;
    IMGR_UNROLL
    for (int j = 0; j < kPairs; ++j) {
      const int c = 2 * (lane + j * kWarp);
      v[j][0] = v[j][1] = 0;
      if (inside && paired && c < p.channels) {
        fetch_vector(from + c, v[j]);
      } else if (inside) {
        if (c < p.channels) v[j][0] = to_float(from[c]);
        if (c + 1 < p.channels) v[j][1] = to_float(from[c + 1]);
      }
      sum += v[j][0] + v[j][1];
    }
    float mean = 0, factor = 1;
    if (normed) {
      mean = warp_sum(sum) / float(p.channels);
      IMGR_UNROLL
      for (int j = 0; j < kPairs; ++j) {
        IMGR_UNROLL
        for (int k = 0; k < 2; ++k) {
          const float d = 2 * (lane + j * kWarp) + k < p.channels ? v[j][k] - mean : 0.0f;
          squares += d * d;
        }
      }
      factor = 1.0f / sqrtf(warp_sum(squares) / float(p.channels) + p.eps);
    }
    IMGR_UNROLL
    for (int j = 0; j < kPairs; ++j) {
      const int pair = lane + j * kWarp;
      if (pair >= words - 4) continue;
      const float a = 2 * pair < p.channels ? (v[j][0] - mean) * factor : 0.0f;
      const float b = 2 * pair + 1 < p.channels ? (v[j][1] - mean) * factor : 0.0f;
      xn[i * words + pair] = pack_bf16(a, b);
    }
  }
}

// Rows g and g + 8 of a 16 x 16 factor that lies in shared memory.
__device__ __forceinline__ void read_factor(const uint32_t* from, int words, uint32_t (&a)[4]) {
  a[0] = from[0], a[1] = from[8 * words], a[2] = from[4], a[3] = from[8 * words + 4];
}

// Group q of the inner channels, both halves of each, for all pixels of the larger tile: sixteen channels at a time, as
// the sums of more would not stay in registers beside the results.
template <class S>
__device__ __forceinline__ void expand(const GatedBlockPlanes& p, const GatedBlockPacked& w,
                                       const typename S::Tile& tile, int q, int pair, const uint32_t* xn, int words,
                                       float* wide) {
  const int lane = threadIdx.x % kWarp, down = threadIdx.x / kWarp % S::kDown, g = lane / 4, t = lane % 4;
  const int deep = (p.channels + 15) / 16;
  float sums[S::kTilesEach][2][4];
  IMGR_UNROLL
  for (int j = 0; j < 2; ++j) {
    const float* bias = w.expand_bias + q * 2 * kGroup + (2 * pair + j) * 8 + 2 * t;
    const float first = bias[0], second = bias[1];
    IMGR_UNROLL
    for (int i = 0; i < S::kTilesEach; ++i) {
      sums[i][j][0] = sums[i][j][2] = first;
      sums[i][j][1] = sums[i][j][3] = second;
    }
  }
  const uint4* weights = reinterpret_cast<const uint4*>(w.expand) + (int64_t(q) * deep * 2 + pair) * kWarp + lane;
  const uint32_t* x = xn + (down * 16 + g) * words + t;
  IMGR_UNROLL_2
  for (int k = 0; k < deep; ++k) {
    const uint4 b = __ldg(weights + k * 2 * kWarp);
    IMGR_UNROLL
    for (int i = 0; i < S::kTilesEach; ++i) {
      if (down + i * S::kDown >= S::kTiles) continue;
      uint32_t a[4];
      read_factor(x + i * S::kDown * 16 * words + k * 8, words, a);
      mma_bf16(sums[i][0], a, b.x, b.y);
      mma_bf16(sums[i][1], a, b.z, b.w);
    }
  }
  IMGR_UNROLL
  for (int i = 0; i < S::kTilesEach; ++i) {
    if (down + i * S::kDown >= S::kTiles) continue;
    IMGR_UNROLL
    for (int k = 0; k < 2; ++k) {
      const int pixel = (down + i * S::kDown) * 16 + g + 8 * k;
      const bool inside = tile.inside(pixel);
      IMGR_UNROLL
      for (int j = 0; j < 2; ++j) {
        float* to = wide + ((2 * pair + j) * 8 + 2 * t) * S::kStride + pixel;
        to[0] = inside ? sums[i][j][2 * k] : 0.0f;
        to[S::kStride] = inside ? sums[i][j][2 * k + 1] : 0.0f;
      }
    }
  }
}

template <class S>
__device__ __forceinline__ void gate(const GatedBlockPlanes& p, const GatedBlockPacked& w, int q, const float* wide,
                                     uint32_t* gated) {
  const float* taps = w.taps + q * 2 * kGroup * kTapRoom;
  const int x = threadIdx.x % kWide, row = threadIdx.x / kWarp, half = threadIdx.x / kWide % 2;
  const int c = row / 4 * 8 + half * 4 + row % 4;
  const bool real = q * kGroup + c < p.inner;  // zeros to spare would make NaN of what is infinite
  const float* a = wide + c * S::kStride + x;
  Bfloat16* to = reinterpret_cast<Bfloat16*>(gated + x * kGatedWords) + c;
  gate_column<S::kTall, S::Tile::kColumns>(
      a, a + kGroup * S::kStride, taps + c * kTapRoom, taps + (kGroup + c) * kTapRoom,
      [=](int r, float value) { to[r * kWide * kGatedWords * 2] = to_bfloat16(real ? value : 0.0f); });
}

// x and the sums of a warp's pixels, added and written.
template <class S, class T>
__device__ __forceinline__ void write(const GatedBlockPlanes& p, const typename S::Tile& tile, int down, int across,
                                      const float (&sums)[S::kRowsEach][S::kEach][4], bool paired) {
  const int lane = threadIdx.x % kWarp, g = lane / 4, t = lane % 4;
  const int64_t pixels = int64_t(p.height) * p.width, numbers = pixels * p.channels * tile.picture;
  const T* from = static_cast<const T*>(p.x) + numbers;
  T* to = static_cast<T*>(p.out) + numbers;
  IMGR_UNROLL
  for (int i = 0; i < S::kRowsEach; ++i) {
    const int y = tile.y0 + down * S::kRowsEach + i;
    if (y >= p.height) continue;
    IMGR_UNROLL
    for (int k = 0; k < 2; ++k) {
      const int x = tile.x0 + g + 8 * k;
      if (x >= p.width) continue;
      const int64_t place = int64_t(y) * p.width + x;
      IMGR_UNROLL
      for (int j = 0; j < S::kEach; ++j) {
        const int c = (across * S::kEach + j) * 8 + 2 * t;
        if (paired && c < p.channels) {
          const int64_t at = place * p.channels + c;
          float two[2];
          fetch_vector(from + at, two);
          two[0] += sums[i][j][2 * k], two[1] += sums[i][j][2 * k + 1];
          write_vector(to + at, two);
          continue;
        }
        IMGR_UNROLL
        for (int l = 0; l < 2; ++l) {
          if (c + l >= p.channels) continue;
          const int64_t at = p.channels_last ? place * p.channels + c + l : (c + l) * pixels + place;
          from_float(fetch(from + at) + sums[i][j][2 * k + l], &to[at]);
        }
      }
    }
  }
}

template <class S, class T>
__device__ __forceinline__ void load(const GatedBlockPlanes& p, bool normed, const typename S::Tile& tile, uint32_t* xn,
                                     int words, bool paired) {
  if (p.channels_last) {
    load_pixels<S, T>(p, normed, tile, xn, words, paired);
  } else {
    load_planes<S, T>(p, normed, tile, xn, words);
  }
}

template <class S>
__global__ void __launch_bounds__(kThreads, S::kBlocks)
    block_narrow(GatedBlockPlanes p, GatedBlockPacked w, bool paired) {
  IMGR_SHARED(uint32_t, xn);
  const int words = (p.channels + 15) / 16 * 8 + 4;
  float* const wide = reinterpret_cast<float*>(xn + S::kRows * words);
  uint32_t* const gated = reinterpret_cast<uint32_t*>(wide + 2 * kGroup * S::kStride);
  const auto tile = S::Tile::of(p);
  if (p.bfloat16) {
    load<S, Bfloat16>(p, w.normed, tile, xn, words, paired);
  } else {
    load<S, float>(p, w.normed, tile, xn, words, paired);
  }
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, g = lane / 4, t = lane % 4;
  const int down = warp % S::kDown, across = warp / S::kDown;
  float sums[S::kRowsEach][S::kEach][4];
  IMGR_UNROLL
  for (int j = 0; j < S::kEach; ++j) {
    const float* bias = w.project_bias + (across * S::kEach + j) * 8 + 2 * t;
    const float first = bias[0], second = bias[1];
    IMGR_UNROLL
    for (int i = 0; i < S::kRowsEach; ++i) {
      sums[i][j][0] = sums[i][j][2] = first;
      sums[i][j][1] = sums[i][j][3] = second;
    }
  }
  __syncthreads();
  for (int q = 0; q < w.groups; ++q) {
    for (int pair = across; pair < 2; pair += S::kAcross) expand<S>(p, w, tile, q, pair, xn, words, wide);
    __syncthreads();
    gate<S>(p, w, q, wide, gated);
    __syncthreads();
    uint32_t a[S::kRowsEach][4];
    IMGR_UNROLL
    for (int i = 0; i < S::kRowsEach; ++i) {
      read_factor(gated + ((down * S::kRowsEach + i) * kWide + g) * kGatedWords + t, kGatedWords, a[i]);
    }
    const uint2* weights =
        reinterpret_cast<const uint2*>(w.project) + (int64_t(q) * S::kAcross + across) * S::kEach * kWarp + lane;
    IMGR_UNROLL
    for (int j = 0; j < S::kEach; ++j) {
      const uint2 b = __ldg(weights + j * kWarp);
      IMGR_UNROLL
      for (int i = 0; i < S::kRowsEach; ++i) mma_bf16(sums[i][j], a[i], b.x, b.y);
    }
  }
  if (p.bfloat16) {
    write<S, Bfloat16>(p, tile, down, across, sums, paired);
  } else {
    write<S, float>(p, tile, down, across, sums, paired);
  }
}

// Calls `use` with the shape that goes best with a number of channels. Wide blocks have a small tile, too, where there
// is less shared memory and where large ones would not be enough for all multiprocessors.
template <class Use>
void with_shape(int channels, bool small, const Use& use) {
  if (channels <= 24) return use(Shape<16, 8, 3>());
  if (channels <= 40) return use(Shape<16, 8, 5>());
  if (channels <= 48) return use(Shape<16, 8, 6>());
  if (channels <= 96) return use(Shape<8, 4, 6>());
  if (!small && Shape<8, 4, 12>::shared(channels) <= shared_limit()) return use(Shape<8, 4, 12>());
  return use(Shape<4, 4, 12>());
}

}  // namespace

GatedBlockOrder gated_block_narrow_order(int channels, int inner) {
  GatedBlockOrder order = {};
  // Small tiles want their matrices as large ones do.
  with_shape(channels, false, [&](auto shape) {
    const int64_t groups = blocks_for(inner, kGroup), deep = blocks_for(channels, 16) * 16;
    const int most = decltype(shape)::kMost;
    order = {true, kGroup, 1, most, 1, groups * deep * kGroup, groups * 2 * kGroup * kTapRoom,
             groups * most * kGroup / 2, most};
  });
  return order;
}

void launch_gated_block_narrow(const GatedBlockPlanes& planes, const GatedBlockPacked& packed, Stream stream) {
  const auto apart = reinterpret_cast<uintptr_t>(planes.x) | reinterpret_cast<uintptr_t>(planes.out);
  const bool paired = planes.channels_last && planes.channels % 2 == 0 && apart % (planes.bfloat16 ? 4 : 8) == 0;
  const bool small = Tile<8, kWide>::count(planes) < multiprocessors();
  with_shape(planes.channels, small, [&](auto shape) {
    typedef decltype(shape) S;
    launch("gated_block", block_narrow<S>, dim3(S::Tile::count(planes)), dim3(kThreads), S::shared(planes.channels),
           stream, planes, packed, paired);
  });
}

}  // namespace imgrestore
