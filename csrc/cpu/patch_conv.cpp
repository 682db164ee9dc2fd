#include "patch_conv.h"

#include <torch/csrc/stable/library.h>

#include <optional>

#include "net_tensors.h"
#include "packed_matrix.h"

namespace imgrestore {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

bool has_shape(const Tensor& t, int64_t n, int64_t c, int64_t h, int64_t w) {
  return t.scalar_type() == ScalarType::Float && t.is_contiguous() && t.dim() == 4 && t.size(0) == n && t.size(1) == c &&
         t.size(2) == h && t.size(3) == w;
}

void patch_conv_into(const Tensor& x_in, const Tensor& weight, const std::optional<Tensor>& bias,
                     const std::optional<Tensor>& plus, int64_t stride, int64_t padding, bool shuffle, bool narrow,
                     Tensor out) {
  STD_TORCH_CHECK(x_in.dim() == 4 && x_in.scalar_type() == ScalarType::Float, "patch_conv: x needs 4 dimensions, float32");
  STD_TORCH_CHECK(weight.dim() == 4 && is_float_or_bfloat16(weight) && weight.size(1) == x_in.size(1) &&
                      weight.size(2) == weight.size(3) && weight.size(2) > 0 && weight.size(0) > 0,
                  "patch_conv: weight needs the shape (outputs, channels of x, k, k)");
  STD_TORCH_CHECK((stride == 1 || stride == 2) && padding >= 0, "patch_conv: stride must be 1 or 2, padding at least 0");
  const int64_t outputs = weight.size(0), kernel = weight.size(2), pictures = x_in.size(0);
  STD_TORCH_CHECK(!shuffle || outputs % 4 == 0, "patch_conv: to shuffle, the outputs must be a multiple of 4");
  STD_TORCH_CHECK(!bias.has_value() || (is_float_or_bfloat16(*bias) && bias->numel() == outputs),
                  "patch_conv: bias needs a number for each output");
  const int64_t reach_y = x_in.size(2) + 2 * padding - kernel, reach_x = x_in.size(3) + 2 * padding - kernel;
  STD_TORCH_CHECK(reach_y >= 0 && reach_x >= 0, "patch_conv: the kernel is larger than the padded planes");
  const int64_t height = reach_y / stride + 1, width = reach_x / stride + 1, twice = shuffle ? 2 : 1;
  const auto fits = [&](const Tensor& t) {
    return has_shape(t, pictures, outputs / (twice * twice), twice * height, twice * width);
  };
  STD_TORCH_CHECK(fits(out) && (!plus.has_value() || fits(*plus)), "patch_conv: out or plus has not the result's shape");
  const Tensor x = torch::stable::contiguous(x_in);
  STD_TORCH_CHECK(!overlap(x, out) && (!plus.has_value() || plus->const_data_ptr() == out.const_data_ptr() ||
                                       !overlap(*plus, out)),
                  "patch_conv: out needs memory of its own");
  const PatchConvKernels& kernels = IMGR_KERNELS(patch_conv_f32);
  const bool paired = narrow && kernels.row_pairs && processor_has_pairs();
  const std::vector<float> none(outputs, 0.0f);
  const int64_t depth = x.size(1) * kernel * kernel;
  const Packed packed(numbers(weight), bias.has_value() ? numbers(*bias) : none, depth, kernels.rows, paired);
  const auto row = paired ? kernels.row_pairs : kernels.row;
  const int64_t in_size = x.size(1) * x.size(2) * x.size(3), out_size = outputs * height * width;
  const float* from = static_cast<const float*>(x.const_data_ptr());
  const float* added = plus.has_value() ? static_cast<const float*>(plus->const_data_ptr()) : nullptr;
  float* to = static_cast<float*>(out.mutable_data_ptr());
  const int64_t work_of_row = std::max<int64_t>(depth * outputs * width, 1);
  torch::stable::parallel_for(0, pictures * height, std::max<int64_t>(1, 500000 / work_of_row),
                              [&](int64_t begin, int64_t end) {
    PatchConvPicture p = {nullptr, x.size(1), x.size(2), x.size(3), nullptr, nullptr, outputs,
                          height,  width,     kernel,    stride,    padding, shuffle, packed.matrix};
    const Scratch work(sizeof(float) * patch_conv_floats(p, kernels.rows, kernels.columns));
    for (int64_t i = begin; i < end; ++i) {
      const int64_t picture = i / height;
      p.x = from + picture * in_size;
      p.out = to + picture * out_size;
      p.plus = added ? added + picture * out_size : nullptr;
      row(p, i % height, work.as<float>());
    }
  });
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(imgrestore, CPU, m) { m.impl("patch_conv_into", TORCH_BOX(&patch_conv_into)); }

}  // namespace imgrestore
