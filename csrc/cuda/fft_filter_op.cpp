#include "fft_filter.h"

#include "../planes.h"
#include "fft_op.h"

namespace imgrestore {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

std::vector<int64_t> broadcast(const Tensor& image, const Tensor& response, int64_t space) {
  std::vector<int64_t> lead;
  STD_TORCH_CHECK(broadcast_sizes(leading_sizes(image, space), leading_sizes(response, space), &lead),
                  "fft_filter: leading dimensions do not broadcast");
  return lead;
}

Tensor filter(const Tensor& image, const Tensor& response_in, int64_t space) {
  STD_TORCH_CHECK(is_float(image) && response_in.scalar_type() == ScalarType::ComplexFloat,
                  "fft_filter: expected a float32 image and a complex64 response");
  STD_TORCH_CHECK(image.dim() >= space && response_in.dim() >= space, "fft_filter: too few dimensions");
  const std::vector<int64_t> lead = broadcast(image, response_in, space);
  const int64_t d = image.dim(), depth = space == 3 ? image.size(d - 3) : 1;
  const int64_t height = image.size(d - 2), width = image.size(d - 1);
  int64_t pictures = 1;
  for (const int64_t n : lead) pictures *= n;
  std::vector<int64_t> shape = lead;
  for (int64_t k = d - space; k < d; ++k) shape.push_back(image.size(k));
  Tensor out = torch::stable::new_empty(image, shape);
  if (out.numel() == 0) return out;
  const Tensor response = torch::stable::contiguous(response_in);
  const OnDevice device(image);
  FftTables tables;
  STD_TORCH_CHECK(tables.plan(image, pictures, depth, height, width, device.stream()),
                  "fft_filter: a size that the kernels do not cover");
  Tensor spectrum = tables.spectrum(image);
  launch_fft_filter({tables.fft,
                     data_of<float>(image),
                     walk_of(image, lead, space),
                     {space == 3 ? image.stride(d - 3) : 0, image.stride(d - 2), image.stride(d - 1)},
                     data_of<float2>(response),
                     walk_of(response, lead, space),
                     room_of<float>(out),
                     room_of<float2>(spectrum)},
                    device.stream());
  return out;
}

Tensor fft_filter(const Tensor& image, const Tensor& response) { return filter(image, response, 2); }
Tensor fft_filter_3d(const Tensor& image, const Tensor& response) { return filter(image, response, 3); }

}  // namespace

IMGR_DEVICE_OPS(m) {
  m.impl("fft_filter", TORCH_BOX(&fft_filter));
  m.impl("fft_filter_3d", TORCH_BOX(&fft_filter_3d));
}

}  // namespace imgrestore
