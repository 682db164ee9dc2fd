#pragma once

#include "fft_stages.h"
#include "overlap_save.h"

// The kernel of overlap-save: included where it is given what to read and what to do with the result.
namespace imgrestore {

// A tile in shared memory, row by row, whose lines are its columns or, with along, its rows.
struct OverlapTile {
  float *re, *im;
  int log_height, log_width;
  bool along;

  __device__ OverlapTile(const OverlapSave& plan, float* memory)
      : re(memory),
        im(memory + (plan.tile_height() << plan.log_width)),
        log_height(plan.log_height),
        log_width(plan.log_width),
        along(false) {}
  __device__ __forceinline__ int place(int i, int c) const {
    const int x = along ? c << log_width | i : i << log_width | c;
    return x ^ (x >> 4 & 31);
  }
  __device__ __forceinline__ void split(int item, int apart, int& j, int& c) const {
    if (along) {
      c = item / apart, j = item - c * apart;
    } else {
      j = item >> log_width, c = item & ((1 << log_width) - 1);
    }
  }
  __device__ __forceinline__ int log() const { return along ? log_height : log_width; }
};

// One way.
struct OverlapOnce {
  static constexpr bool kTurns = false, kHeld = true, kPowers = true;
  __device__ int reads(int c) const { return c; }
  __device__ int changes(int c) const { return c; }
  __device__ int writes(int c) const { return c; }
  __device__ void read(int, int, float&, float&) const {}
  __device__ void change(int, int, float&, float&) const {}
  __device__ void write(int, int, float, float) const {}
};

// Along the rows, times the response, and back.
struct OverlapTurn {
  static constexpr bool kTurns = true, kHeld = true, kPowers = true;
  const float2* response;
  int log_width;

  __device__ int reads(int c) const { return c; }
  __device__ const float2* changes(int c) const { return response + (c << log_width); }
  __device__ int writes(int c) const { return c; }
  __device__ void read(int, int, float&, float&) const {}
  __device__ void change(const float2* row, int i, float& re, float& im) const {
    const float2 w = __ldg(row + i);
    twiddle(re, im, w.x, w.y);
  }
  __device__ void write(int, int, float, float) const {}
};

// from has row(picture, 0, y) for any y, and (row, x) for any x, which lie in the result's coordinates and may be outside; to has
// row(picture, 0, y), (tally, row, x, value), skips(picture) and finish(tally, picture, scratch), as the passes over rows.
template <class From, class To>
__global__ void __launch_bounds__(kOverlapThreads, 1)
    overlap_save(const __grid_constant__ OverlapSave plan, const __grid_constant__ From from, const __grid_constant__ To to) {
  IMGR_SHARED(float, memory);
  OverlapTile tile(plan, memory);
  const int blocks = int(plan.blocks()), picture = int(blockIdx.x) / blocks, first = 2 * (int(blockIdx.x) - picture * blocks);
  if (to.skips(picture)) return;
  const int warp = int(threadIdx.x) / kWarp, lane = int(threadIdx.x) % kWarp, warps = int(blockDim.x) / kWarp;
  for (int half = 0; half < 2; ++half) {
    float* const part = half ? tile.im : tile.re;
    const int t = first + half, ty = t / plan.across, tx = t - ty * plan.across;
    const int y0 = ty * plan.valid[0] + plan.centre[0] + 1 - plan.kernel[0];
    const int x0 = tx * plan.valid[1] + plan.centre[1] + 1 - plan.kernel[1];
    for (int y = warp; y < plan.tile_height(); y += warps) {
      const bool is = ty < plan.down;
      const auto row = from.row(picture, 0, is ? y0 + y : 0);
      for (int x = lane; x < plan.tile_width(); x += kWarp) part[tile.place(y, x)] = is ? from(row, x0 + x) : 0.0f;
    }
  }
  __syncthreads();
  OverlapOnce once;
  fft_run(plan.down_plan, tile, once);
  tile.along = true;
  OverlapTurn turn = {plan.response + picture * plan.response_apart, plan.log_width};
  fft_run(plan.along, tile, turn);
  tile.along = false;
  OverlapTile back = tile;
  back.re = tile.im, back.im = tile.re;
  fft_run(plan.down_plan, back, once);
  typename To::Tally tally = {};
  for (int half = 0; half < 2; ++half) {
    const float* const part = half ? tile.im : tile.re;
    const int t = first + half, ty = t / plan.across, tx = t - ty * plan.across;
    if (ty >= plan.down) continue;
    for (int s = warp; s < plan.valid[0] && ty * plan.valid[0] + s < plan.size[0]; s += warps) {
      const auto row = to.row(picture, 0, ty * plan.valid[0] + s);
      for (int x = lane; x < plan.valid[1] && tx * plan.valid[1] + x < plan.size[1]; x += kWarp) {
        to(tally, row, tx * plan.valid[1] + x, part[tile.place(s + plan.kernel[0] - 1, x + plan.kernel[1] - 1)]);
      }
    }
  }
  __syncthreads();
  to.finish(tally, picture, memory);
}

template <class From, class To>
void launch_overlap_save(const char* name, const OverlapSave& plan, const From& from, const To& to, Stream stream) {
  const size_t shared = 2 * sizeof(float) << (plan.log_height + plan.log_width);
  launch(name, overlap_save<From, To>, dim3(unsigned(plan.blocks() * plan.pictures)), dim3(kOverlapThreads), shared, stream, plan,
         from, to);
}

}  // namespace imgrestore
