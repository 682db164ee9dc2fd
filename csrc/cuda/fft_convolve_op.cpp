#include "fft_convolve.h"

#include "direct_convolve.h"
#include "fft_op.h"

namespace imgrestore {
namespace {

using torch::stable::Tensor;

constexpr int64_t kLongest = 1 << 30;  // along an axis

// Up to this many taps a flat kernel is gone through tap by tap: a tile's transforms cost about 150 operations a pixel and 150
// bytes of shared memory, whatever its kernel.
constexpr int64_t kFewTaps = 121;

// In tiles, or over whole pictures; false where neither will do.
bool by_transforms(Convolution convolution, const Tensor& image, Stream stream) {
  const int64_t responses = convolution.own_kernels ? convolution.pictures : 1;
  OverlapSave tiles;
  if (tiled_convolve_plan(convolution, &tiles)) {
    const Tensor along = twiddles_for(image, tiles.tile_width(), stream);
    const Tensor down = twiddles_for(image, tiles.tile_height(), stream);
    const int64_t points = int64_t(tiles.tile_height()) << tiles.log_width;
    Tensor response = torch::stable::new_empty(image, {responses * points, 2});
    tiles.along.twiddles = data_of<float2>(along);
    tiles.down_plan.twiddles = data_of<float2>(down);
    tiles.response = data_of<float2>(response);
    tiles.response_apart = convolution.own_kernels ? points : 0;
    launch_tiled_convolve(convolution, tiles, room_of<float2>(response), stream);
    return true;
  }
  FftTables tables;
  FftPictures whole;
  if (!whole_convolve_plan(convolution, &whole)) return false;
  const FftShape& shape = whole.shape;
  if (!tables.plan(image, shape.pictures, shape.depth, shape.height, shape.width, stream)) return false;
  Tensor otf = tables.spectrum(image, !convolution.own_kernels), spectrum = tables.spectrum(image);
  launch_whole_convolve(convolution, tables.fft, room_of<float2>(otf), room_of<float2>(spectrum), stream);
  return true;
}

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
  Convolution convolve = {};
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
  Tensor out = torch::stable::new_empty(image, {convolve.pictures, result[0], result[1], result[2]});
  if (convolve.pictures == 0) return out;
  const OnDevice device(image);
  convolve.image = data_of<float>(image);
  convolve.kernel = data_of<float>(kernel);
  convolve.out = room_of<float>(out);
  const bool direct = direct_convolve_covers(taps);
  if (direct && (taps[0] * taps[1] * taps[2] <= kFewTaps || result[0] > 1 || taps[0] > 1)) {
    launch_direct_convolve(convolve, device.stream());
  } else if (!by_transforms(convolve, image, device.stream())) {
    STD_TORCH_CHECK(direct, "fft_convolve: a kernel of ", taps[0], " x ", taps[1], " x ", taps[2],
                    " is too large for pictures of this size on this device");
    launch_direct_convolve(convolve, device.stream());
  }
  return out;
}

}  // namespace

IMGR_DEVICE_OPS(m) { m.impl("fft_convolve", TORCH_BOX(&fft_convolve)); }

}  // namespace imgrestore
