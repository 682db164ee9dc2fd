#include "tv_denoise_update.h"

// An iteration of total-variation denoising of volumes of 1 or 3 coupled channels. It moves at least 28 bytes a voxel
// and channel, 52 if accelerated: image and dual in, dual out.
//
// A block goes through some slices, a thread for a column of voxels: what a slice needs of the one before stays in
// registers, and each slice's u is computed once, where it needs the one after. The neighbour along the row comes by a
// shuffle, the one in the next row through shared memory; so a block's last row and column only supply u. Of the dual,
// the two neighbours before come from the first cache.
namespace imgrestore {
namespace {

constexpr int kHigh = 16, kSlices = 16;
constexpr int kCoreWide = kWarp - 1, kCoreHigh = kHigh - 1;

template <int C, bool Accelerate>
__global__ void __launch_bounds__(kWarp* kHigh, C == 1 ? 2 : 1) tv_slices(TvPass p, int blocks) {
  // [2 slices in turn][channels][rows][columns], then a sum for each warp
  IMGR_SHARED(float, held);
  double* sums = reinterpret_cast<double*>(held + 2 * C * kHigh * kWarp);

  const int picture = int(blockIdx.x) / blocks, block = int(blockIdx.x) % blocks;
  if (tv_stopped(p.outcome, picture)) return;
  const int lane = threadIdx.x, line = threadIdx.y;
  const int depth = p.shape.size[0], height = p.shape.size[1], width = p.shape.size[2];
  const int across = (width + kCoreWide - 1) / kCoreWide, down = (height + kCoreHigh - 1) / kCoreHigh;
  const int x = block % across * kCoreWide + lane, y = block / across % down * kCoreHigh + line;
  const int first = block / across / down * kSlices, last = first + kSlices < depth ? first + kSlices : depth;
  const bool inside = x < width && y < height;
  const bool core = inside && lane < kCoreWide && line < kCoreHigh;
  const int64_t slice = int64_t(height) * width, pixels = depth * slice, part = C * pixels;
  const int64_t here = int64_t(y) * width + x;
  const float* image = p.image + picture * part + here;
  const int64_t own = picture * (Accelerate ? 6 : 3) * part + here;
  const float* dual = p.dual;
  const TvScale scale = {Accelerate ? p.weight : p.tau / p.weight, p.weight};

  float now[3][C], next[3][C] = {}, u[C], divergence[C];
  float distance = 0, variation = 0;
  // From the slices before first: only their dual along the outer axis is needed.
  IMGR_UNROLL
  for (int c = 0; c < C; ++c) {
    now[0][c] = dual && first && inside ? dual[own + c * pixels + (first - 1) * slice] : 0.0f;
    u[c] = divergence[c] = now[1][c] = now[2][c] = 0;
  }
  // Each turn computes u of a slice, and with it updates the slice before.
  for (int z = first; z <= last; ++z) {
    float after[C] = {}, ahead[C] = {};
    if (z < depth && inside) {
      IMGR_UNROLL
      for (int c = 0; c < C; ++c) {
        const int64_t at = c * pixels + z * slice;
        const float* from = dual + own + at;
        IMGR_UNROLL
        for (int a = 0; a < 3; ++a) next[a][c] = dual ? from[a * part] : 0.0f;
        const float middle = dual && y ? from[part - width] : 0.0f, left = dual && x ? from[2 * part - 1] : 0.0f;
        after[c] = (now[0][c] - next[0][c]) + (middle - next[1][c]) + (left - next[2][c]);
        ahead[c] = image[at] + after[c];
      }
    }
    if (z > first) {
      float g[3][C], gradients = 0, squares = 0;
      IMGR_UNROLL
      for (int c = 0; c < C; ++c) {
        const int row = line + 1 < kHigh ? line + 1 : line;
        const float below = held[((z + 1) % 2 * C + c) * kHigh * kWarp + row * kWarp + lane];
        const float beside = __shfl_down_sync(kAllLanes, u[c], 1);
        g[0][c] = z < depth ? ahead[c] - u[c] : 0.0f;
        g[1][c] = y + 1 < height ? below - u[c] : 0.0f;
        g[2][c] = x + 1 < width ? beside - u[c] : 0.0f;
        IMGR_UNROLL
        for (int a = 0; a < 3; ++a) {
          gradients += g[a][c] * g[a][c];
          now[a][c] -= p.tau * g[a][c];
          squares += now[a][c] * now[a][c];
        }
      }
      if (core) {
        IMGR_UNROLL
        for (int c = 0; c < C; ++c) distance += divergence[c] * divergence[c];
        if (p.slot[0] >= 0) variation += tv_length(gradients);
        const float factor = scale.of<Accelerate>(gradients, squares);
        IMGR_UNROLL
        for (int c = 0; c < C; ++c) {
          IMGR_UNROLL
          for (int a = 0; a < 3; ++a) {
            const int64_t i = own + a * part + c * pixels + (z - 1) * slice;
            const float moved = now[a][c] * factor;
            if (Accelerate) {
              const float before = dual ? dual[i + 3 * part] : 0.0f;
              p.next[i] = moved + p.momentum[0] * (moved - before);
              p.next[i + 3 * part] = moved;
            } else {
              p.next[i] = moved;
            }
          }
        }
      }
    }
    if (z == last) break;
    IMGR_UNROLL
    for (int c = 0; c < C; ++c) {
      divergence[c] = after[c];
      u[c] = ahead[c];
      held[(z % 2 * C + c) * kHigh * kWarp + line * kWarp + lane] = u[c];
      IMGR_UNROLL
      for (int a = 0; a < 3; ++a) now[a][c] = next[a][c];
    }
    __syncthreads();
  }
  if (p.slot[0] >= 0) {
    const double energy = block_sum(double(distance) + double(p.weight) * variation, sums);
    if (lane == 0 && line == 0) p.energies[(int64_t(picture) * kTvSlots + p.slot[0]) * blocks + block] = energy;
  }
}

template <int C>
void run(const TvPass& pass, Stream stream) {
  const int64_t blocks = tv_volume_blocks(pass.shape);
  launch("tv_slices", pass.shape.accelerate ? tv_slices<C, true> : tv_slices<C, false>,
         dim3(pass.shape.pictures * blocks), dim3(kWarp, kHigh),
         sizeof(float) * 2 * C * kHigh * kWarp + sizeof(double) * kHigh, stream, pass, int(blocks));
}

}  // namespace

bool tv_in_slices(const TvShape& shape) { return shape.ndim == 3 && (shape.channels == 1 || shape.channels == 3); }

int64_t tv_volume_blocks(const TvShape& shape) {
  const int64_t area = blocks_for(shape.size[2], kCoreWide) * blocks_for(shape.size[1], kCoreHigh);
  return area * blocks_for(shape.size[0], kSlices);
}

void launch_tv_slices(const TvPass& pass, Stream stream) {
  pass.shape.channels == 1 ? run<1>(pass, stream) : run<3>(pass, stream);
}

}  // namespace imgrestore
