#include "fft_convolve.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <vector>

#include "overlap_save_response.h"
#include "scratch.h"

namespace imgrestore {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

void check(const Tensor& t, int64_t least, int64_t most, const char* name) {
  STD_TORCH_CHECK(t.dim() >= least && t.dim() <= most && t.scalar_type() == ScalarType::Float, "fft_convolve: ", name,
                  " must be float32 of (P, d, h, w)");
}

// result[i] = sum_j kernel[j] image[i + shift + size of the kernel - 1 - j] for (P, d, h, w) pictures, and one (d, h, w)
// kernel for all or (P, d, h, w) one for each
Tensor fft_convolve(const Tensor& image_in, const Tensor& kernel_in, std::vector<int64_t> result,
                    std::vector<int64_t> shift, int64_t outside) {
  check(image_in, 4, 4, "image");
  check(kernel_in, 3, 4, "kernel");
  STD_TORCH_CHECK(result.size() == 3 && shift.size() == 3, "fft_convolve: result and shift must be three numbers");
  STD_TORCH_CHECK(outside >= 0 && outside <= 2, "fft_convolve: outside must be 0, 1 or 2");
  const Tensor image = torch::stable::contiguous(image_in), kernel = torch::stable::contiguous(kernel_in);
  const int64_t pictures = image.size(0);
  const bool own_kernels = kernel.dim() == 4;
  STD_TORCH_CHECK(!own_kernels || kernel.size(0) == pictures, "fft_convolve: one kernel, or one for each picture");
  int64_t size[3];
  OverlapSavePass pass = {};
  for (int axis = 0; axis < 3; ++axis) {
    size[axis] = kernel.size(kernel.dim() - 3 + axis);
    pass.input[axis] = image.size(axis + 1);
    pass.shift[axis] = shift[axis];
    STD_TORCH_CHECK(size[axis] > 0 && pass.input[axis] > 0 && result[axis] > 0, "fft_convolve: sizes must be positive");
  }
  Tensor out = torch::stable::new_empty(image, {pictures, result[0], result[1], result[2]});
  if (pictures == 0) return out;
  const OverlapSavePlan plan = overlap_save_plan(result.data(), size);
  pass.tile = plan.tile;
  pass.grid = plan.grid;
  pass.outside = Outside(int(outside));
  const int64_t in_points = pass.input[0] * pass.input[1] * pass.input[2], out_points = result[0] * result[1] * result[2];
  const int64_t kernel_points = size[0] * size[1] * size[2];
  const int64_t boxes = plan.boxes(), pairs = plan.pairs();
  const float* from = static_cast<const float*>(image.const_data_ptr());
  const float* kernels_at = static_cast<const float*>(kernel.const_data_ptr());
  float* to = static_cast<float*>(out.mutable_data_ptr());
  const FftConvolveKernels& run = IMGR_KERNELS(fft_convolve_f32);
  torch::stable::parallel_for(0, pictures * pairs, 1, [&](int64_t begin, int64_t end) {
    const Scratch tile(sizeof(float) * fft_tile_size(plan.tile, run.lanes));
    const Scratch lines(sizeof(float) * fft_tile_lines(plan.tile, run.lanes));
    std::shared_ptr<const float> response;
    OverlapSavePass own = pass;
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t picture = unit / pairs, first = unit % pairs * 2;
      if (!response || (own_kernels && first == 0)) {
        response = overlap_save_response(plan, kernels_at + (own_kernels ? picture * kernel_points : 0), size, false);
        own.response = response.get();
      }
      const int parts = first + 1 < boxes ? 2 : 1;
      OverlapSaveBox box[2];
      for (int i = 0; i < parts; ++i) box[i] = overlap_save_box(plan.grid, first + i);
      run.boxes(own, from + picture * in_points, box, parts, to + picture * out_points, tile.as<float>(),
                lines.as<float>());
    }
  });
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(imgrestore, CPU, m) { m.impl("fft_convolve", TORCH_BOX(&fft_convolve)); }

}  // namespace imgrestore
