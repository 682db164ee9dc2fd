#include "gated_block.h"

#include "../math/bfloat16.h"
#include "gated_block_tile.h"
#include "lanes.h"

// A gated block in float32, in one kernel: x + scale * project(depthwise_gate(expand(channel_norm(x)))). The floor is
// one read of x and one write of the result, 8 bytes a number, and 6 C^2 multiplications and additions a pixel; from
// about 24 channels on the arithmetic is more. A block of threads takes a tile of pixels and one more on every side:
// normalises them into shared memory once, then goes through the inner channels some at a time: expands them there,
// filters and gates them, and adds what they give to the results, which stay in registers. So nothing of the wide
// middle goes to device memory. What neighbouring tiles read twice, and the x that is added at the end, come from the
// second cache. A thread has four pixels by eight channels of the first matrix, and four by up to 24 of the second,
// whose weights come through the first cache in the order of use: four to twelve products for each number that is
// loaded.
namespace imgrestore {
namespace {

// TY x TX pixels a tile; Parts x 8 expanded channels at a time; Outs x Each channels in and out.
template <int TY, int TX, int Threads, int Parts, int Outs, int Each>
struct Shape {
  typedef imgrestore::Tile<TY, TX> Tile;
  static constexpr int kTall = TY, kWide = TX, kThreads = Threads, kParts = Parts, kOuts = Outs, kEach = Each;
  static constexpr int kExpanded = 8 * Parts, kGroup = 4 * Parts;
  static constexpr int kBlocks = Threads > 128 || Each > 12 ? 2 : 3;  // as many as shared memory has room for
  static constexpr int kQuads = Tile::kPixels / 4;
  // Strides that keep the lanes of a warp, of which TX go along a row, in banks of their own.
  static constexpr int kStride = (Tile::kPixels / 32 + (Tile::kPixels % 32 > TX ? 1 : 0)) * 32 + TX;
  static constexpr int kGated = TY * TX + TX;
  static constexpr int kChunk = (Each + 3) / 4 * 4;
  static_assert(Tile::kPixels % 4 == 0 && kQuads * Parts <= Threads && TY * TX / 4 * Outs == Threads, "");

  static size_t shared(int channels) {
    return sizeof(float) * (size_t(channels) * Tile::kPixels + kExpanded * kStride + kGroup * kGated);
  }
};

// The pixels of a tile, normalised, channel by channel; zeros beyond the picture.
template <class S>
__device__ __forceinline__ void load_planes(const GatedBlockPlanes& p, bool normed, const typename S::Tile& tile,
                                            float* xn) {
  constexpr int N = S::Tile::kPixels;
  const int64_t pixels = int64_t(p.height) * p.width;
  for (int i = threadIdx.x; i < N; i += S::kThreads) {
    const bool inside = tile.inside(i);
    const float* picture = static_cast<const float*>(p.x) + tile.picture * p.channels * pixels;
    const float* from = picture + (inside ? tile.place(i) : 0);
    float* own = xn + i;
    float sum = 0;
    IMGR_UNROLL_8
    for (int c = 0; c < p.channels; ++c) {
      const float v = inside ? from[c * pixels] : 0.0f;
      own[c * N] = v;
      sum += v;
    }
    if (!normed) continue;
    const float mean = sum / float(p.channels);
    float squares = 0;
    IMGR_UNROLL_8
    for (int c = 0; c < p.channels; ++c) {
      const float d = own[c * N] - mean;
      squares += d * d;
    }
    const float factor = 1.0f / sqrtf(squares / float(p.channels) + p.eps);
    IMGR_UNROLL_8
    for (int c = 0; c < p.channels; ++c) own[c * N] = (own[c * N] - mean) * factor;
  }
}

// The same of pixels whose channels lie side by side: a warp for each.
template <class S>
__device__ __forceinline__ void load_pixels(const GatedBlockPlanes& p, bool normed, const typename S::Tile& tile,
                                            float* xn) {
  constexpr int N = S::Tile::kPixels, kMost = (S::kOuts * S::kEach + kWarp - 1) / kWarp;
  const int lane = threadIdx.x % kWarp;
  const float* picture = static_cast<const float*>(p.x) + tile.picture * p.height * p.width * p.channels;
  for (int i = threadIdx.x / kWarp; i < N; i += S::kThreads / kWarp) {
    const bool inside = tile.inside(i);
    const float* from = picture + (inside ? tile.place(i) * p.channels : 0);
    float v[kMost], sum = 0, squares = 0;
    IMGR_UNROLL
    for (int j = 0; j < kMost; ++j) {
      v[j] = inside && lane + j * kWarp < p.channels ? from[lane + j * kWarp] : 0.0f;
      sum += v[j];
    }
    float mean = 0, factor = 1;
    if (normed) {
      mean = warp_sum(sum) / float(p.channels);
      IMGR_UNROLL
      for (int j = 0; j < kMost; ++j) {
        const float d = lane + j * kWarp < p.channels ? v[j] - mean : 0.0f;
        squares += d * d;
      }
      factor = 1.0f / sqrtf(warp_sum(squares) / float(p.channels) + p.eps);
    }
    IMGR_UNROLL
    for (int j = 0; j < kMost; ++j) {
      if (lane + j * kWarp < p.channels) xn[(lane + j * kWarp) * N + i] = (v[j] - mean) * factor;
    }
  }
}

// sums[j][i] += w[j] * x[i]
template <int N>
__device__ __forceinline__ void multiply(const float4& x, const float (&w)[N], float (*sums)[4], int some) {
  IMGR_UNROLL
  for (int j = 0; j < N; ++j) {
    if (j >= some) continue;
    sums[j][0] += w[j] * x.x, sums[j][1] += w[j] * x.y, sums[j][2] += w[j] * x.z, sums[j][3] += w[j] * x.w;
  }
}

template <int N>
__device__ __forceinline__ void read_weights(const float* from, float (&w)[N]) {
  IMGR_UNROLL
  for (int j = 0; j < N; j += 4) {
    const float4 four = __ldg(reinterpret_cast<const float4*>(from + j));
    w[j] = four.x, w[j + 1] = four.y, w[j + 2] = four.z, w[j + 3] = four.w;
  }
}

// Group q of the inner channels, both halves of each, for all pixels of the larger tile.
template <class S>
__device__ __forceinline__ void expand(const GatedBlockPlanes& p, const GatedBlockPacked& w,
                                       const typename S::Tile& tile, int q, const float* xn, float* wide) {
  const int quad = threadIdx.x / S::kParts, part = threadIdx.x % S::kParts;
  if (quad >= S::kQuads) return;
  float sums[8][4], first[8];
  read_weights(w.expand_bias + q * S::kExpanded + part * 8, first);
  IMGR_UNROLL
  for (int j = 0; j < 8; ++j) sums[j][0] = sums[j][1] = sums[j][2] = sums[j][3] = first[j];
  const float* weights = w.expand + int64_t(q) * p.channels * S::kExpanded + part * 8;
  const float* x = xn + quad * 4;
  IMGR_UNROLL_2
  for (int c = 0; c < p.channels; ++c) {
    float row[8];
    read_weights(weights + c * S::kExpanded, row);
    multiply(*reinterpret_cast<const float4*>(x + c * S::Tile::kPixels), row, sums, 8);
  }
  bool in[4];
  IMGR_UNROLL
  for (int i = 0; i < 4; ++i) in[i] = tile.inside(quad * 4 + i);
  IMGR_UNROLL
  for (int j = 0; j < 8; ++j) {
    *reinterpret_cast<float4*>(wide + (j * S::kParts + part) * S::kStride + quad * 4) =
        make_float4(in[0] ? sums[j][0] : 0.0f, in[1] ? sums[j][1] : 0.0f, in[2] ? sums[j][2] : 0.0f,
                    in[3] ? sums[j][3] : 0.0f);
  }
}

template <class S>
__device__ __forceinline__ void gate(const GatedBlockPacked& w, int q, const float* wide, float* gated) {
  const float* taps = w.taps + q * S::kExpanded * kTapRoom;
  for (int task = threadIdx.x; task < S::kGroup * S::kWide; task += S::kThreads) {
    const int c = task / S::kWide, x = task % S::kWide;
    const float* a = wide + c * S::kStride + x;
    float* to = gated + c * S::kGated + x;
    gate_column<S::kTall, S::Tile::kColumns>(a, a + S::kGroup * S::kStride, taps + c * kTapRoom,
                                             taps + (S::kGroup + c) * kTapRoom,
                                             [to](int row, float value) { to[row * S::kWide] = value; });
  }
}

// x and the sums of four pixels of a row, added and written.
template <class S>
__device__ __forceinline__ void write(const GatedBlockPlanes& p, const typename S::Tile& tile, int quad, int out,
                                      const float (&sums)[S::kEach][4], bool vectors) {
  const int64_t pixels = int64_t(p.height) * p.width, numbers = pixels * p.channels * tile.picture;
  const int y = tile.y0 + quad * 4 / S::kWide, x = tile.x0 + quad * 4 % S::kWide;
  if (y >= p.height) return;
  const float* from = static_cast<const float*>(p.x) + numbers;
  float* to = static_cast<float*>(p.out) + numbers;
  const int64_t place = int64_t(y) * p.width + x;
  IMGR_UNROLL
  for (int j = 0; j < S::kEach; ++j) {
    const int c = out * S::kEach + j;
    if (c >= p.channels) continue;
    if (vectors && x < p.width) {
      const int64_t at = c * pixels + place;
      float four[4];
      fetch_vector(from + at, four);
      IMGR_UNROLL
      for (int i = 0; i < 4; ++i) four[i] += sums[j][i];
      write_vector(to + at, four);
      continue;
    }
    IMGR_UNROLL
    for (int i = 0; i < 4; ++i) {
      if (x + i >= p.width) continue;
      const int64_t at = p.channels_last ? (place + i) * p.channels + c : c * pixels + place + i;
      to[at] = fetch(from + at) + sums[j][i];
    }
  }
}

template <class S>
__global__ void __launch_bounds__(S::kThreads, S::kBlocks)
    block_floats(GatedBlockPlanes p, GatedBlockPacked w, bool vectors) {
  IMGR_SHARED(float, xn);
  float* const wide = xn + p.channels * S::Tile::kPixels;
  float* const gated = wide + S::kExpanded * S::kStride;
  const auto tile = S::Tile::of(p);
  if (p.channels_last) {
    load_pixels<S>(p, w.normed, tile, xn);
  } else {
    load_planes<S>(p, w.normed, tile, xn);
  }
  const int quad = threadIdx.x / S::kOuts, out = threadIdx.x % S::kOuts;
  float sums[S::kEach][4];
  IMGR_UNROLL
  for (int j = 0; j < S::kEach; ++j) {
    const float first = w.project_bias[out * S::kChunk + j];
    sums[j][0] = sums[j][1] = sums[j][2] = sums[j][3] = first;
  }
  __syncthreads();
  for (int q = 0; q < w.groups; ++q) {
    expand<S>(p, w, tile, q, xn, wide);
    __syncthreads();
    gate<S>(w, q, wide, gated);
    __syncthreads();
    // Not the channels to spare, whose zeros would make NaN of what is infinite.
    const int some = min(S::kGroup, p.inner - q * S::kGroup);
    const float* weights = w.project + (int64_t(q) * S::kGroup * S::kOuts + out) * S::kChunk;
    IMGR_UNROLL_2
    for (int c = 0; c < some; ++c) {
      float row[S::kChunk];
      read_weights(weights + c * S::kOuts * S::kChunk, row);
      multiply(*reinterpret_cast<const float4*>(gated + c * S::kGated + quad * 4), row, sums, S::kEach);
    }
  }
  write<S>(p, tile, quad, out, sums, vectors);
}

template <int Each>
using Large = Shape<16, 16, 256, 3, 4, Each>;
template <int Each>
using Small = Shape<8, 8, 128, 5, 8, Each>;

// Calls `use` with the shape that goes best with a number of channels.
template <class Use>
void with_shape(int channels, const Use& use) {
  if (channels <= 16) return use(Large<4>());
  if (channels <= 24) return use(Large<6>());
  if (channels <= 40 && Large<10>::shared(channels) <= shared_limit()) return use(Large<10>());
  if (channels <= 48 && Large<12>::shared(channels) <= shared_limit()) return use(Large<12>());
  if (channels <= 80) return use(Small<10>());
  if (channels <= 96) return use(Small<12>());
  if (channels <= 160) return use(Small<20>());
  return use(Small<24>());
}

// A warp for each row of a matrix: first those of `expand`, group by group with their taps, then those of `project`.
__global__ void __launch_bounds__(128, 4)
    pack(GatedBlockWeights from, GatedBlockPacked to, GatedBlockOrder order, int channels, int inner) {
  const int lane = threadIdx.x % kWarp, expanded = 2 * order.group, deep = (channels + 15) / 16 * 16;
  const int padded = order.outs * order.each;
  int row = int(blockIdx.x) * (128 / kWarp) + threadIdx.x / kWarp;
  if (row < to.groups * expanded) {
    const int q = row / expanded, r = row % expanded, own = q * order.group + r % order.group;
    const int channel = r < order.group ? own : inner + own;
    const bool real = own < inner;
    float bias = 0;
    for (int c = lane; c < (order.narrow ? deep : channels); c += kWarp) {
      float w = real && c < channels ? from.expand[int64_t(channel) * channels + c] : 0.0f;
      if (to.normed && c < channels) {
        if (real) bias += w * from.norm_bias[c];
        w = real ? w * from.norm_weight[c] : 0.0f;
      }
      if (order.narrow) {  // as mma.h has b, the words of two products side by side
        const int64_t holder = ((int64_t(q) * (deep / 16) + c / 16) * 2 + r / 16) * kWarp + r % 8 * 4 + c % 8 / 2;
        reinterpret_cast<Bfloat16*>(to.expand)[(holder * 4 + r / 8 % 2 * 2 + c % 16 / 8) * 2 + c % 2] = to_bfloat16(w);
      } else {
        to.expand[(int64_t(q) * channels + c) * expanded + r % order.parts * 8 + r / order.parts] = w;
      }
    }
    bias = warp_sum(bias);
    const int place = order.narrow ? r : r % order.parts * 8 + r / order.parts;
    if (lane == 0) to.expand_bias[q * expanded + place] = real ? bias + from.expand_bias[channel] : 0.0f;
    if (lane < kTapRoom) {
      const float* tap = lane < 9 ? from.depthwise + int64_t(channel) * 9 + lane : from.depthwise_bias + channel;
      to.taps[int64_t(row) * kTapRoom + lane] = real && lane <= 9 ? *tap : 0.0f;
    }
    return;
  }
  row -= to.groups * expanded;
  if (row >= padded) return;
  const bool real = row < channels;
  const float scale = real ? from.scale[row] : 0.0f;
  const int chunk = (order.each + 3) / 4 * 4;
  const int place = order.narrow ? row : row / order.each * chunk + row % order.each;
  if (lane == 0) to.project_bias[place] = real ? from.project_bias[row] * scale : 0.0f;
  for (int c = lane; c < to.groups * order.group; c += kWarp) {
    const float w = real && c < inner ? from.project[int64_t(row) * inner + c] * scale : 0.0f;
    if (order.narrow) {
      const int64_t holder = (int64_t(c / 16) * (padded / 8) + row / 8) * kWarp + row % 8 * 4 + c % 8 / 2;
      reinterpret_cast<Bfloat16*>(to.project)[(holder * 2 + c % 16 / 8) * 2 + c % 2] = to_bfloat16(w);
    } else {
      to.project[int64_t(c) * order.outs * chunk + place] = w;
    }
  }
}

GatedBlockOrder order_of(int channels, int inner, bool narrow) {
  return narrow ? gated_block_narrow_order(channels, inner) : gated_block_order(channels, inner);
}
int64_t expand_biases(const GatedBlockOrder& order) { return order.taps / kTapRoom; }

}  // namespace

GatedBlockOrder gated_block_order(int channels, int inner) {
  GatedBlockOrder order = {};
  with_shape(channels, [&](auto shape) {
    typedef decltype(shape) S;
    const int64_t groups = blocks_for(inner, S::kGroup);
    order = {false,
             S::kGroup,
             S::kParts,
             S::kOuts,
             S::kEach,
             groups * channels * S::kExpanded,
             groups * S::kExpanded * kTapRoom,
             groups * S::kGroup * S::kOuts * S::kChunk,
             S::kOuts * S::kChunk};
  });
  return order;
}

int64_t gated_block_scratch(int channels, int inner, bool narrow) {
  const GatedBlockOrder order = order_of(channels, inner, narrow);
  return order.expand + expand_biases(order) + order.taps + order.project + order.outputs;
}

void launch_gated_block_floats(const GatedBlockPlanes& planes, const GatedBlockPacked& packed, Stream stream) {
  const auto apart = reinterpret_cast<uintptr_t>(planes.x) | reinterpret_cast<uintptr_t>(planes.out);
  const bool vectors = !planes.channels_last && planes.width % 4 == 0 && apart % 16 == 0;
  with_shape(planes.channels, [&](auto shape) {
    typedef decltype(shape) S;
    launch("gated_block", block_floats<S>, dim3(S::Tile::count(planes)), dim3(S::kThreads), S::shared(planes.channels),
           stream, planes, packed, vectors);
  });
}

void launch_gated_block(const GatedBlockPlanes& planes, const GatedBlockWeights& weights, bool narrow, float* scratch,
                        Stream stream) {
  const GatedBlockOrder order = order_of(planes.channels, planes.inner, narrow);
  float* const bias = scratch + order.expand;
  float* const taps = bias + expand_biases(order);
  float* const project = taps + order.taps;
  const GatedBlockPacked packed = {int(blocks_for(planes.inner, order.group)), weights.norm_weight != nullptr, scratch,
                                   bias, taps, project, project + order.project};
  const int64_t rows = int64_t(packed.groups) * 2 * order.group + order.outs * order.each;
  launch("gated_block_pack", pack, dim3(blocks_for(rows, 4)), dim3(128), 0, stream, weights, packed, order,
         planes.channels, planes.inner);
  (narrow ? launch_gated_block_narrow : launch_gated_block_floats)(planes, packed, stream);
}

}  // namespace imgrestore
