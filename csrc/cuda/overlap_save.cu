#include "overlap_save.h"

#include "overlap_save_kernel.h"

namespace imgrestore {
namespace {

// The kernel in the corner of a tile, transformed and scaled.
__global__ void __launch_bounds__(kOverlapThreads, 1) response_of(const __grid_constant__ OverlapSave plan,
                                                                  const float* kernels, bool turned, float2* responses) {
  IMGR_SHARED(float, memory);
  OverlapTile tile(plan, memory);
  const int height = plan.kernel[0], width = plan.kernel[1];
  const float* const kernel = kernels + int64_t(blockIdx.x) * height * width;
  const float scale = 1.0f / float(plan.tile_height() << plan.log_width);
  for (int i = threadIdx.x; i < plan.tile_height() << plan.log_width; i += blockDim.x) {
    const int y = i >> plan.log_width, x = i & (plan.tile_width() - 1), place = y * width + x;
    const bool inside = y < height && x < width;
    tile.re[tile.place(y, x)] = inside ? scale * kernel[turned ? height * width - 1 - place : place] : 0.0f;
    tile.im[tile.place(y, x)] = 0;
  }
  __syncthreads();
  OverlapOnce once;
  fft_run(plan.down_plan, tile, once);
  tile.along = true;
  fft_run(plan.along, tile, once);
  tile.along = false;
  float2* const response = responses + blockIdx.x * plan.response_apart;
  for (int i = threadIdx.x; i < plan.tile_height() << plan.log_width; i += blockDim.x) {
    const int place = tile.place(i >> plan.log_width, i & (plan.tile_width() - 1));
    response[i] = make_float2(tile.re[place], tile.im[place]);
  }
}

}  // namespace

bool overlap_save_plan(const int kernel[2], const int centre[2], const int size[2], int pictures, double share,
                       OverlapSave* plan) {
  for (const int wide : {6, 7}) {
    const int valid[2] = {(1 << 6) - kernel[0] + 1, (1 << wide) - kernel[1] + 1};
    if (valid[0] < 1 || valid[1] < 1 || valid[0] * valid[1] < share * (1 << (6 + wide))) continue;
    *plan = {};
    plan->log_height = 6;
    plan->log_width = wide;
    plan->pictures = pictures;
    for (int axis = 0; axis < 2; ++axis) {
      plan->kernel[axis] = kernel[axis];
      plan->centre[axis] = centre[axis];
      plan->size[axis] = size[axis];
      plan->valid[axis] = valid[axis];
    }
    plan->down = int(blocks_for(size[0], valid[0]));
    plan->across = int(blocks_for(size[1], valid[1]));
    const bool planned = fft_plan(1 << wide, &plan->along) && fft_plan(1 << 6, &plan->down_plan);
    return planned && int64_t(plan->down) * plan->across * pictures < int64_t(1) << 31;
  }
  return false;
}

void launch_overlap_save_response(const OverlapSave& plan, const float* kernel, int count, bool turned, float2* response,
                                  Stream stream) {
  const size_t shared = 2 * sizeof(float) << (plan.log_height + plan.log_width);
  OverlapSave one_after_the_other = plan;
  one_after_the_other.response_apart = int64_t(plan.tile_height()) << plan.log_width;
  launch("overlap_save response", response_of, dim3(count), dim3(kOverlapThreads), shared, stream, one_after_the_other,
         kernel, turned, response);
}

}  // namespace imgrestore
