// Kernels with one fault each, and sound ones beside them: what the tests of the executor run.
#include "faults.h"

#include "../cuda/lanes.h"

namespace imgrestore {
namespace {

__global__ void reverse(const float* from, float* to, int n, bool with_barrier) {
  IMGR_SHARED(float, held);
  const int t = threadIdx.x;
  held[t] = from[int(blockIdx.x) * n + t];
  if (with_barrier) __syncthreads();
  to[int(blockIdx.x) * n + t] = held[n - 1 - t];
}

__global__ void some_wait(int how_many) {
  if (int(threadIdx.x) < how_many) __syncthreads();
}

__global__ void overrun(int n) {
  IMGR_SHARED(float, held);
  held[threadIdx.x + n] = 1;
}

__global__ void read_unwritten(float* to) {
  IMGR_SHARED(float, held);
  to[threadIdx.x] = held[threadIdx.x];
}

__global__ void sums(const float* from, float* of_warps, float* of_blocks) {
  IMGR_SHARED(float, scratch);
  const int threads = blockDim.x * blockDim.y, t = threadIdx.y * blockDim.x + threadIdx.x;
  const float value = from[int(blockIdx.x) * threads + t];
  of_warps[int(blockIdx.x) * threads + t] = warp_sum(value);
  of_blocks[int(blockIdx.x) * threads + t] = block_sum(value, scratch);
}

__global__ void blocks_wait(float* passed) {
  if (blockIdx.x == 0) passed[0] = 1;
  if (blockIdx.x == 1) passed[1] = passed[0];
}

// Each lane gives its number to the one before; with two barriers of the warp as it should be, with one a lane may
// write before another has read. A shuffle orders no memory.
__global__ void rotate(float* values, int warp_barriers) {
  IMGR_SHARED(float, held);
  const int t = threadIdx.x;
  for (int round = 0; round < 2; ++round) {
    held[t] = values[t];
    if (warp_barriers > 0) __syncwarp();
    values[t] = held[(t + 1) % 32] + 0 * warp_sum(0.0f);
    if (warp_barriers > 1) __syncwarp();
  }
}

// All threads write to one place: the same, or each its own number.
__global__ void write_one(float* to, bool same) { *to = same ? 1.0f : float(threadIdx.x); }

// A pair of neighbours from any place, aligned or not.
__global__ void read_pair(const float* from, float* to) {
  const float2 two = *reinterpret_cast<const float2*>(from);
  to[0] = two.x;
  to[1] = two.y;
}

}  // namespace

void launch_reverse(const float* from, float* to, int64_t rows, int n, bool with_barrier) {
  launch("reverse", reverse, dim3(rows), dim3(n), n * sizeof(float), nullptr, from, to, n, with_barrier);
}
void launch_some_wait(const char* name, int how_many, int threads, size_t shared) {
  launch(name, some_wait, dim3(1), dim3(threads), shared, nullptr, how_many);
}
void launch_overrun(int by) { launch("overrun", overrun, dim3(2), dim3(8), 32, nullptr, by); }
void launch_read_unwritten(float* to) { launch("read_unwritten", read_unwritten, dim3(1), dim3(4), 16, nullptr, to); }
void launch_sums(const float* from, float* of_warps, float* of_blocks, int64_t blocks, int wide, int high) {
  launch("sums", sums, dim3(blocks), dim3(wide, high), 32 * sizeof(float), nullptr, from, of_warps, of_blocks);
}
void launch_blocks_wait(float* passed) { launch("blocks_wait", blocks_wait, dim3(2), dim3(1), 0, nullptr, passed); }
void launch_rotate(float* values, int warp_barriers) {
  launch("rotate", rotate, dim3(1), dim3(32), 32 * sizeof(float), nullptr, values, warp_barriers);
}
void launch_write_one(float* to, bool same) {
  launch("write_one", write_one, dim3(2), dim3(64), 0, nullptr, to, same);
}
void launch_read_pair(const float* from, float* to) {
  launch("read_pair", read_pair, dim3(1), dim3(1), 0, nullptr, from, to);
}

}  // namespace imgrestore
