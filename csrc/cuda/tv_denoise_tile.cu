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

// Two columns of a row that has so many left, 0 beyond the frame. As pairs they are there both or not at all.
__device__ __forceinline__ void load_two(const float* from, int left, bool pairs, float* to) {
  float2 two = make_float2(0, 0);
  if (pairs) {
    if (left > 0) two = *reinterpret_cast<const float2*>(from);
  } else {
    if (left > 0) two.x = from[0];
    if (left > 1) two.y = from[1];
  }
  to[0] = two.x;
  to[1] = two.y;
}

__device__ __forceinline__ void store_two(float* to, int left, bool pairs, const float* from) {
  if (pairs) {
    if (left > 0) *reinterpret_cast<float2*>(to) = make_float2(from[0], from[1]);
  } else {
    if (left > 0) to[0] = from[0];
    if (left > 1) to[1] = from[1];
  }
}

template <int C, bool Accelerate>
__global__ void __launch_bounds__(Tile<C, Accelerate>::kWarps* kWarp, C == 1 ? 2 : 1)
    tv_tile(TvPass p, int across, int tiles, bool pairs) {
  typedef Tile<C, Accelerate> T;
  constexpr int R = T::kRows, W = T::kWarps, kCoreHigh = R * W - 2 * kRim;
  // [2 parities][of a warp's first row what the row above needs, of its last what that below needs][warps][channels]
  // [lanes], then the image, [rows][channels][lanes], and a sum for each warp
  IMGR_SHARED(float2, edges);
  float2* still = edges + 2 * 2 * W * C * kWarp;
  double* sums = reinterpret_cast<double*>(still + R * W * C * kWarp);

  const int picture = int(blockIdx.x) / tiles;
  const int tile = int(blockIdx.x) % tiles;
  if (tv_stopped(p.outcome, picture)) return;
  const int lane = threadIdx.x, warp = threadIdx.y;
  const int height = p.shape.size[0], width = p.shape.size[2];
  const int column = tile % across, row = tile / across;
  const int x = column * kCoreWide + 2 * lane, top = row * kCoreHigh + warp * R;
  const int64_t pixels = int64_t(height) * width, corner = int64_t(top) * width + x;
  const float* image = p.image + int64_t(picture) * C * pixels + corner;
  const int64_t own = int64_t(picture) * (Accelerate ? 4 : 2) * C * pixels + corner;
  const int rows = height - top, columns = width - x;  // that are left

  float dual[2][C][R][2], before[Accelerate ? 2 : 1][C][R][2];
  IMGR_UNROLL
  for (int c = 0; c < C; ++c) {
    IMGR_UNROLL
    for (int r = 0; r < R; ++r) {
      float two[2];
      load_two(image + c * pixels + r * width, r < rows ? columns : 0, pairs, two);
      still[((warp * R + r) * C + c) * kWarp + lane] = make_float2(two[0], two[1]);
    }
    IMGR_UNROLL
    for (int a = 0; a < 2; ++a) {
      const float* from = p.dual + own + (a * C + c) * pixels;
      IMGR_UNROLL
      for (int r = 0; r < R; ++r) {
        const int there = p.dual && r < rows ? columns : 0;
        load_two(from + r * width, there, pairs, dual[a][c][r]);
        if (Accelerate) load_two(from + 2 * C * pixels + r * width, there, pairs, before[Accelerate ? a : 0][c][r]);
      }
    }
  }

  // No gradient to what is beyond the frame.
  const bool right[2] = {x + 1 < width, x + 2 < width};
  // What is the tile's own: all but its rim, and at the frame's sides that as well.
  const int own_left = column ? column * kCoreWide + kRim : 0, own_top = row ? row * kCoreHigh + kRim : 0;
  const int own_right = column + 1 < across ? (column + 1) * kCoreWide + kRim : width;
  const int own_bottom = row + 1 < tiles / across ? (row + 1) * kCoreHigh + kRim : height;
  const bool core[2] = {x >= own_left && x < own_right, x >= own_left && x + 1 < own_right};
  const int skip = own_top - top, stop = own_bottom - top, floor = rows - 1;  // rows of this warp
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
      const int line = warp * R + r;
      const bool down = r < floor;
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
        const bool counts = r >= skip && r < stop;
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

  if (!core[0]) return;
  IMGR_UNROLL
  for (int c = 0; c < C; ++c) {
    IMGR_UNROLL
    for (int a = 0; a < 2; ++a) {
      float* to = p.next + own + (a * C + c) * pixels;
      IMGR_UNROLL
      for (int r = 0; r < R; ++r) {
        if (r < skip || r >= stop) continue;
        store_two(to + r * width, columns, pairs, dual[a][c][r]);
        if (Accelerate) store_two(to + 2 * C * pixels + r * width, columns, pairs, before[Accelerate ? a : 0][c][r]);
      }
    }
  }
}

template <int C, bool Accelerate>
int64_t high() {
  return Tile<C, Accelerate>::kRows * Tile<C, Accelerate>::kWarps - 2 * kRim;
}

// Tiles of which each but the last begins with a rim that the one before has as its own, and the other way round.
int64_t tiles_for(int64_t size, int64_t core) { return size > 2 * kRim ? blocks_for(size - 2 * kRim, core) : 1; }

bool even(const float* p) { return reinterpret_cast<uintptr_t>(p) % sizeof(float2) == 0; }

template <int C, bool Accelerate>
void run(const TvPass& pass, Stream stream) {
  constexpr int W = Tile<C, Accelerate>::kWarps;
  const int64_t across = tiles_for(pass.shape.size[2], kCoreWide), tiles = tv_tile_blocks(pass.shape);
  const bool pairs = pass.shape.size[2] % 2 == 0 && even(pass.image) && even(pass.dual) && even(pass.next);
  launch("tv_tile", tv_tile<C, Accelerate>, dim3(pass.shape.pictures * tiles), dim3(kWarp, W),
         sizeof(float2) * (4 + Tile<C, Accelerate>::kRows) * W * C * kWarp + sizeof(double) * W, stream, pass,
         int(across), int(tiles), pairs);
}

}  // namespace

bool tv_in_tiles(const TvShape& shape) { return shape.ndim == 2 && (shape.channels == 1 || shape.channels == 3); }

int64_t tv_tile_blocks(const TvShape& shape) {
  const int64_t rows = shape.channels == 1 ? (shape.accelerate ? high<1, true>() : high<1, false>())
                                           : (shape.accelerate ? high<3, true>() : high<3, false>());
  return tiles_for(shape.size[2], kCoreWide) * tiles_for(shape.size[0], rows);
}

void launch_tv_tiles(const TvPass& pass, Stream stream) {
  if (pass.shape.channels == 1) return pass.shape.accelerate ? run<1, true>(pass, stream) : run<1, false>(pass, stream);
  pass.shape.accelerate ? run<3, true>(pass, stream) : run<3, false>(pass, stream);
}

}  // namespace imgrestore
