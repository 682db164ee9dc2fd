#pragma once

#include "../math/bfloat16.h"
#include "device.h"

// Sums over a warp and over a block, and numbers stored as float or bfloat16.
namespace imgrestore {

// The sum over a warp, given to all its lanes.
template <class T>
__device__ __forceinline__ T warp_sum(T value) {
  for (int step = kWarp / 2; step > 0; step /= 2) value += __shfl_xor_sync(kAllLanes, value, step);
  return value;
}

// The sum over a block, given to all its threads; scratch holds a number for each warp. Its order does not depend on when
// threads run, so that results are the same bits every time.
template <class T>
__device__ __forceinline__ T block_sum(T value, T* scratch) {
  const int threads = int(blockDim.x * blockDim.y * blockDim.z);
  const int thread = int((threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x);
  value = warp_sum(value);
  __syncthreads();  // scratch may still be read by whoever used it before
  if (thread % kWarp == 0) scratch[thread / kWarp] = value;
  __syncthreads();
  T total = scratch[0];
  for (int warp = 1; warp < threads / kWarp; ++warp) total += scratch[warp];
  return total;
}

IMGR_HD void from_float(float value, float* to) { *to = value; }
IMGR_HD void from_float(float value, Bfloat16* to) { *to = to_bfloat16(value); }

}  // namespace imgrestore
