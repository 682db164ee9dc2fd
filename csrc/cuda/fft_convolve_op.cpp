#include "direct_convolve.h"
#include "op_support.h"

namespace imgrestore {
namespace {

using torch::stable::Tensor;

constexpr int64_t kLongest = 1 << 30;  // along an axis

// Pictures (P, d, h, w), and one kernel (d, h, w) for all or (P, d, h, w) one for each. Here it is chosen how they are
// convolved; `_covered` in imgrestore/ops/fft_convolve.py says for which kernels there is a way.
Tensor fft_convolve(const Tensor& image_in, const Tensor& kernel_in, std::vector<int64_t> result,
                    std::vector<int64_t> shift, int64_t outside) {
  STD_TORCH_CHECK(image_in.dim() == 4 && is_float(image_in), "fft_convolve: image must be float32 of (P, d, h, w)");
  STD_TORCH_CHECK((kernel_in.dim() == 3 || kernel_in.dim() == 4) && is_float(kernel_in),
                  "fft_convolve: kernel must be float32 of (d, h, w) or (P, d, h, w)");
  STD_TORCH_CHECK(result.size() == 3 && shift.size() == 3, "fft_convolve: result and shift must be three numbers");
  STD_TORCH_CHECK(outside >= 0 && outside <= 2, "fft_convolve: outside must be 0, 1 or 2");
  const Tensor image = torch::stable::contiguous(image_in), kernel = torch::stable::contiguous(kernel_in);
  DirectConvolve convolve = {};
  convolve.pictures = image.size(0);
  convolve.own_kernels = kernel.dim() == 4;
  STD_TORCH_CHECK(!convolve.own_kernels || kernel.size(0) == convolve.pictures,
                  "fft_convolve: one kernel, or one for each picture");
  constexpr Boundary kOutside[] = {Boundary::kZero, Boundary::kReflect, Boundary::kWrap};
  convolve.outside = kOutside[outside];
  int64_t taps[3];
  for (int axis = 0; axis < 3; ++axis) {
    taps[axis] = kernel.size(kernel.dim() - 3 + axis);
    const int64_t size = image.size(axis + 1);
    STD_TORCH_CHECK(taps[axis] > 0 && size > 0 && result[axis] > 0 && size < kLongest && result[axis] < kLongest,
                    "fft_convolve: sizes must be positive, and none above 2^30");
    convolve.size[axis] = int(size);
    convolve.kernel_size[axis] = int(taps[axis]);
    convolve.result[axis] = int(result[axis]);
    convolve.shift[axis] = shift[axis];
  }
  STD_TORCH_CHECK(direct_convolve_covers(taps), "fft_convolve: a kernel of ", taps[0], " x ", taps[1], " x ", taps[2],
                  " is too large on this device");
  Tensor out = torch::stable::new_empty(image, {convolve.pictures, result[0], result[1], result[2]});
  if (convolve.pictures == 0) return out;
  const OnDevice device(image);
  convolve.image = data_of<float>(image);
  convolve.kernel = data_of<float>(kernel);
  convolve.out = room_of<float>(out);
  launch_direct_convolve(convolve, device.stream());
  return out;
}

}  // namespace

IMGR_DEVICE_OPS(m) { m.impl("fft_convolve", TORCH_BOX(&fft_convolve)); }

}  // namespace imgrestore
