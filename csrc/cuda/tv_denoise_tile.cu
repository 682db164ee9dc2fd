#include "tv_denoise_update.h"

// Four iterations of total-variation denoising of pictures of 1 or 3 coupled channels in one pass over memory. An
// iteration by itself moves at least 20 bytes a pixel and channel (36 if accelerated): image and dual in, dual out. A
// pass moves that once for four, and reads a rim of four pixels in addition, which it computes as well and of which
// each iteration spoils one more layer.
//
// A block has 64 columns. A lane holds two of them, a warp a few rows; the dual, and if accelerated the dual before its
// extrapolation, stay in registers, the image in shared memory. Neighbours along the row come by two shuffles for two
// pixels, those above and below are the lane's own but for the first and last row of a warp, which go through shared
// memory: two halves in turn, so that one barrier an iteration is enough.
namespace imgrestore {
namespace {

constexpr int kRim = kTvLevels;
constexpr int kWide = 2 * kWarp, kCoreWide = kWide - 2 * kRim;

// What is held in registers, and the block: C channels, rows of a warp, warps.
template <int C, bool Accelerate>
struct Tile;
template <bool Accelerate>
struct Tile<1, Accelerate> {
  static constexpr int kRows = 8, kWarps = 8;
};
template <>
struct Tile<3, false> {
  static constexpr int kRows = 4, kWarps = 14;
};
template <>
struct Tile<3, true> {
  static constexpr int kRows = 2, kWarps = 16;
};

// Two neighbouring columns of a row, 0 beyond the frame. Where the width is even they are there both or not at all.
__device__ __forceinline__ void load_two(const float* row, int x, int width, float* to) {
  if (width % 2 == 0) {
    const bool inside = x >= 0 && x < width;
    const float2 two = inside ? *reinterpret_cast<const float2*>(row + x) : make_float2(0, 0);
    to[0] = two.x;
    to[1] = two.y;
  } else {
    to[0] = x >= 0 && x < width ? row[x] : 0.0f;
    to[1] = x + 1 >= 0 && x + 1 < width ? row[x + 1] : 0.0f;
  }
}

__device__ __forceinline__ void store_two(float* row, int x, int width, const float* from) {
  if (width % 2 == 0) {
    if (x < width) *reinterpret_cast<float2*>(row + x) = make_float2(from[0], from[1]);
  } else {
    if (x < width) row[x] = from[0];
    if (x + 1 < width) row[x + 1] = from[1];
  }
}

template <int C, bool Accelerate>
__global__ void __launch_bounds__(Tile<C, Accelerate>::kWarps* kWarp, C == 1 ? 2 : 1)
    tv_tile(TvPass p, int across, int tiles) {
  typedef Tile<C, Accelerate> T;
  constexpr int R = T::kRows, W = T::kWarps, kCoreHigh = R * W - 2 * kRim;
  // [2 parities][what a warp's first row is to the row above it, what its last is to that
  // below][warps][channels][lanes], then the image, [rows][channels][lanes], and a sum for each warp
  IMGR_SHARED(float2, edges);
  float2* still = edges + 2 * 2 * W * C * kWarp;
  double* sums = reinterpret_cast<double*>(still + R * W * C * kWarp);

  const int picture = int(blockIdx.x) / tiles;
  const int tile = int(blockIdx.x) % tiles;
  if (tv_stopped(p.outcome, picture)) return;
  const int lane = threadIdx.x, warp = threadIdx.y;
  const int height = p.shape.size[0], width = p.shape.size[2];
  const int x = tile % across * kCoreWide - kRim + 2 * lane;
  const int top = tile / across * kCoreHigh - kRim + warp * R;
  const int64_t pixels = int64_t(height) * width;
  const float* image = p.image + int64_t(picture) * C * pixels;
  const int64_t own = int64_t(picture) * (Accelerate ? 4 : 2) * C * pixels;

  float dual[2][C][R][2], before[Accelerate ? 2 : 1][C][R][2];
  IMGR_UNROLL
  for (int r = 0; r < R; ++r) {
    const int y = top + r;
    const bool inside = y >= 0 && y < height;
    const int columns = inside ? width : 0;
    const int64_t at = inside ? int64_t(y) * width : 0;
    IMGR_UNROLL
    for (int c = 0; c < C; ++c) {
      float two[2];
      load_two(image + c * pixels + at, x, columns, two);
      still[((warp * R + r) * C + c) * kWarp + lane] = make_float2(two[0], two[1]);
      IMGR_UNROLL
      for (int a = 0; a < 2; ++a) {
        const float* from = p.dual + own + (a * C + c) * pixels + at;
        const int there = p.dual ? columns : 0;
        load_two(from, x, there, dual[a][c][r]);
        if (Accelerate) load_two(from + 2 * C * pixels, x, there, before[Accelerate ? a : 0][c][r]);
      }
    }
  }

  // No gradient from or to what is beyond the frame, so that the dual stays 0 above it and on its left.
  const bool right[2] = {x >= 0 && x < width - 1, x + 1 >= 0 && x + 1 < width - 1};
  const bool core[2] = {lane >= kRim / 2 && lane < kWarp - kRim / 2 && x < width,
                        lane >= kRim / 2 && lane < kWarp - kRim / 2 && x + 1 < width};
  const TvScale scale = {Accelerate ? p.weight : p.tau / p.weight, p.weight};

  for (int level = 0; level < p.levels; ++level) {
    // An index that is not a constant would put the arrays into local memory.
    int slot = p.slot[0];
    float momentum = p.momentum[0];
    IMGR_UNROLL
    for (int i = 1; i < kTvLevels; ++i) {
      slot = level == i ? p.slot[i] : slot;
      momentum = level == i ? p.momentum[i] : momentum;
    }
    const bool measured = slot >= 0;
    float2* edge = edges + level % 2 * 2 * W * C * kWarp + lane;
    float distance = 0, variation = 0;

    // Of the divergence, what a row gives without the row above.
    float partial[C][2];
    IMGR_UNROLL
    for (int c = 0; c < C; ++c) {
      const float left = __shfl_up_sync(kAllLanes, dual[1][c][0][1], 1);
      partial[c][0] = (lane ? left : 0.0f) - dual[1][c][0][0] - dual[0][c][0][0];
      partial[c][1] = dual[1][c][0][0] - dual[1][c][0][1] - dual[0][c][0][1];
      edge[(warp * C + c) * kWarp] = make_float2(partial[c][0], partial[c][1]);
      edge[((W + warp) * C + c) * kWarp] = make_float2(dual[0][c][R - 1][0], dual[0][c][R - 1][1]);
    }
    __syncthreads();
    float divergence[C][2], u[C][2], below[C][2];
    IMGR_UNROLL
    for (int c = 0; c < C; ++c) {
      const float2 above = warp ? edge[((W + warp - 1) * C + c) * kWarp] : make_float2(0, 0);
      const float2 under = warp + 1 < W ? edge[((warp + 1) * C + c) * kWarp] : make_float2(0, 0);
      divergence[c][0] = above.x + partial[c][0];
      divergence[c][1] = above.y + partial[c][1];
      below[c][0] = dual[0][c][R - 1][0] + under.x;
      below[c][1] = dual[0][c][R - 1][1] + under.y;
      const float2 here = still[(warp * R * C + c) * kWarp + lane];
      u[c][0] = here.x + divergence[c][0];
      u[c][1] = here.y + divergence[c][1];
    }

    IMGR_UNROLL
    for (int r = 0; r < R; ++r) {
      const int y = top + r, line = warp * R + r;
      const bool down = y >= 0 && y < height - 1;
      float g[2][C][2], next[C][2], after[C][2];
      float gradients[2] = {0, 0}, squares[2] = {0, 0};
      IMGR_UNROLL
      for (int c = 0; c < C; ++c) {
        if (r + 1 < R) {
          const float left = __shfl_up_sync(kAllLanes, dual[1][c][r + 1 < R ? r + 1 : r][1], 1);
          const float* along = dual[1][c][r + 1 < R ? r + 1 : r];
          const float* under = dual[0][c][r + 1 < R ? r + 1 : r];
          after[c][0] = dual[0][c][r][0] + ((lane ? left : 0.0f) - along[0] - under[0]);
          after[c][1] = dual[0][c][r][1] + (along[0] - along[1] - under[1]);
        } else {
          after[c][0] = below[c][0];
          after[c][1] = below[c][1];
        }
        const float2 here = still[((line + 1 < R * W ? line + 1 : line) * C + c) * kWarp + lane];
        next[c][0] = here.x + after[c][0];
        next[c][1] = here.y + after[c][1];
        const float beside = __shfl_down_sync(kAllLanes, u[c][0], 1);
        IMGR_UNROLL
        for (int j = 0; j < 2; ++j) {
          g[0][c][j] = down ? next[c][j] - u[c][j] : 0.0f;
          g[1][c][j] = right[j] ? (j ? beside : u[c][1]) - u[c][j] : 0.0f;
          gradients[j] += g[0][c][j] * g[0][c][j] + g[1][c][j] * g[1][c][j];
          IMGR_UNROLL
          for (int a = 0; a < 2; ++a) {
            dual[a][c][r][j] -= p.tau * g[a][c][j];
            if (Accelerate) squares[j] += dual[a][c][r][j] * dual[a][c][r][j];
          }
        }
      }
      if (measured) {
        const bool counts = line >= kRim && line < R * W - kRim && y < height;
        IMGR_UNROLL
        for (int j = 0; j < 2; ++j) {
          float square = 0;
          IMGR_UNROLL
          for (int c = 0; c < C; ++c) square += divergence[c][j] * divergence[c][j];
          distance += counts && core[j] ? square : 0.0f;
          variation += counts && core[j] ? tv_length(gradients[j]) : 0.0f;
        }
      }
      IMGR_UNROLL
      for (int j = 0; j < 2; ++j) {
        const float factor = scale.of<Accelerate>(gradients[j], squares[j]);
        IMGR_UNROLL
        for (int c = 0; c < C; ++c) {
          IMGR_UNROLL
          for (int a = 0; a < 2; ++a) {
            const float moved = dual[a][c][r][j] * factor;
            if (Accelerate) {
              float& last = before[Accelerate ? a : 0][c][r][j];
              dual[a][c][r][j] = moved + momentum * (moved - last);
              last = moved;
            } else {
              dual[a][c][r][j] = moved;
            }
          }
          divergence[c][j] = after[c][j];
          u[c][j] = next[c][j];
        }
      }
    }
    if (measured) {
      const double energy = block_sum(double(distance) + double(p.weight) * variation, sums);
      if (lane == 0 && warp == 0) p.energies[(int64_t(picture) * kTvSlots + slot) * tiles + tile] = energy;
    }
  }

  if (lane < kRim / 2 || lane >= kWarp - kRim / 2) return;
  IMGR_UNROLL
  for (int r = 0; r < R; ++r) {
    const int y = top + r, line = warp * R + r;
    if (line < kRim || line >= R * W - kRim || y >= height) continue;
    IMGR_UNROLL
    for (int c = 0; c < C; ++c) {
      IMGR_UNROLL
      for (int a = 0; a < 2; ++a) {
        float* to = p.next + own + (a * C + c) * pixels + int64_t(y) * width;
        store_two(to, x, width, dual[a][c][r]);
        if (Accelerate) store_two(to + 2 * C * pixels, x, width, before[Accelerate ? a : 0][c][r]);
      }
    }
  }
}

template <int C, bool Accelerate>
int64_t high() {
  return Tile<C, Accelerate>::kRows * Tile<C, Accelerate>::kWarps - 2 * kRim;
}

template <int C, bool Accelerate>
void run(const TvPass& pass, Stream stream) {
  constexpr int W = Tile<C, Accelerate>::kWarps;
  const int64_t across = blocks_for(pass.shape.size[2], kCoreWide), tiles = tv_tile_blocks(pass.shape);
  launch("tv_tile", tv_tile<C, Accelerate>, dim3(pass.shape.pictures * tiles), dim3(kWarp, W),
         sizeof(float2) * (4 + Tile<C, Accelerate>::kRows) * W * C * kWarp + sizeof(double) * W, stream, pass,
         int(across), int(tiles));
}

}  // namespace

bool tv_in_tiles(const TvShape& shape) { return shape.ndim == 2 && (shape.channels == 1 || shape.channels == 3); }

int64_t tv_tile_blocks(const TvShape& shape) {
  const int64_t rows = shape.channels == 1 ? (shape.accelerate ? high<1, true>() : high<1, false>())
                                           : (shape.accelerate ? high<3, true>() : high<3, false>());
  return blocks_for(shape.size[2], kCoreWide) * blocks_for(shape.size[0], rows);
}

void launch_tv_tiles(const TvPass& pass, Stream stream) {
  if (pass.shape.channels == 1) return pass.shape.accelerate ? run<1, true>(pass, stream) : run<1, false>(pass, stream);
  pass.shape.accelerate ? run<3, true>(pass, stream) : run<3, false>(pass, stream);
}

}  // namespace imgrestore
