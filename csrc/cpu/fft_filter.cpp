#include "fft_filter.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <algorithm>
#include <vector>

#include "fft_filter_run.h"
#include "fft_plan_cache.h"

namespace imgrestore {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// Where each output plane finds its image and its response: the leading dimensions broadcast.
struct Broadcast {
  std::vector<int64_t> sizes;
  std::vector<int64_t> offset[2];
};

Broadcast broadcast(const Tensor& image, const Tensor& response) {
  const Tensor* both[2] = {&image, &response};
  const int64_t dims = std::max(image.dim(), response.dim()) - 2;
  Broadcast b;
  b.sizes.assign(dims, 1);
  std::vector<int64_t> stride[2];
  for (int t = 0; t < 2; ++t) {
    stride[t].assign(dims, 0);
    const int64_t shift = dims - (both[t]->dim() - 2);
    for (int64_t d = shift; d < dims; ++d) {
      const int64_t size = both[t]->size(d - shift);
      if (size == 1) continue;
      STD_TORCH_CHECK(b.sizes[d] == 1 || b.sizes[d] == size,
                      "fft_filter: leading dimensions of image and response do not broadcast");
      b.sizes[d] = size;
      stride[t][d] = both[t]->stride(d - shift);
    }
  }
  int64_t planes = 1;
  for (const int64_t size : b.sizes) planes *= size;
  std::vector<int64_t> index(dims, 0);
  for (int64_t plane = 0; plane < planes; ++plane) {
    for (int t = 0; t < 2; ++t) {
      int64_t offset = 0;
      for (int64_t d = 0; d < dims; ++d) offset += index[d] * stride[t][d];
      b.offset[t].push_back(offset);
    }
    for (int64_t d = dims - 1; d >= 0 && ++index[d] == b.sizes[d]; --d) index[d] = 0;
  }
  return b;
}

template <class S>
void run(const Tensor& image, const Tensor& response, const Broadcast& b, Tensor& out,
         const FftFilterKernels<S>& kernels) {
  const int64_t h = image.size(image.dim() - 2), w = image.size(image.dim() - 1);
  const auto along_rows = fft_plan<S>(w), along_columns = fft_plan<S>(h);
  const int64_t planes = b.offset[0].size();
  const size_t spectrum_bytes = sizeof(S) * fft_filter_spectrum_size(h, w, kernels.lanes);
  const S* images = static_cast<const S*>(image.const_data_ptr());
  const S* responses = static_cast<const S*>(response.const_data_ptr());
  S* outs = static_cast<S*>(out.mutable_data_ptr());
  const auto plane_at = [&](int64_t i, S* spectrum) {
    return FftFilterPlane<S>{images + b.offset[0][i],       image.stride(image.dim() - 2),       outs + i * h * w,
                             responses + 2 * b.offset[1][i], response.stride(response.dim() - 2), spectrum,
                             h, w, along_rows.get(), along_columns.get()};
  };
  // Whole planes to threads where there are plenty, else the blocks of one plane after the other; and no threads at all
  // where waking them would cost more than they save: that is once for a batch, three times for a plane.
  const int64_t threads = torch::stable::get_num_threads();
  const int64_t worthwhile = 32768;
  if (planes >= 4 * threads) {
    torch::stable::parallel_for(0, planes, worthwhile / (h * w) + 1, [&](int64_t begin, int64_t end) {
      const Scratch spectrum(spectrum_bytes);
      for (int64_t i = begin; i < end; ++i) run_fft_filter<S>(plane_at(i, spectrum.as<S>()), kernels, INT64_MAX);
    });
  } else {
    const Scratch spectrum(spectrum_bytes);
    const int64_t grain = h * w >= 3 * worthwhile ? 1 : INT64_MAX;
    for (int64_t i = 0; i < planes; ++i) run_fft_filter<S>(plane_at(i, spectrum.as<S>()), kernels, grain);
  }
}

Tensor fft_filter(const Tensor& image_in, const Tensor& response_in) {
  STD_TORCH_CHECK(image_in.dim() >= 2 && response_in.dim() >= 2, "fft_filter: image and response need 2 dimensions");
  const bool wide = image_in.scalar_type() == ScalarType::Double;
  STD_TORCH_CHECK(wide || image_in.scalar_type() == ScalarType::Float, "fft_filter: image must be float32 or float64");
  STD_TORCH_CHECK(response_in.scalar_type() == (wide ? ScalarType::ComplexDouble : ScalarType::ComplexFloat),
                  "fft_filter: response must be complex and of the image's precision");
  const int64_t h = image_in.size(image_in.dim() - 2), w = image_in.size(image_in.dim() - 1);
  STD_TORCH_CHECK(fft_supported(h) && fft_supported(w), "fft_filter: height and width must be of the form 2^a 3^b 5^c");
  STD_TORCH_CHECK(response_in.size(response_in.dim() - 2) == h && response_in.size(response_in.dim() - 1) == w / 2 + 1,
                  "fft_filter: response must end in (height, width // 2 + 1)");
  // Any strides will do but the last, which must be that of neighbours.
  const auto dense = [](const Tensor& t) {
    return t.stride(t.dim() - 1) == 1 || t.size(t.dim() - 1) == 1 ? t : torch::stable::contiguous(t);
  };
  const Tensor image = dense(image_in), response = dense(response_in);
  const Broadcast b = broadcast(image, response);
  std::vector<int64_t> sizes = b.sizes;
  sizes.push_back(h);
  sizes.push_back(w);
  Tensor out = torch::stable::new_empty(image, sizes);
  if (wide) {
    run<double>(image, response, b, out, IMGR_KERNELS(fft_filter_f64));
  } else {
    run<float>(image, response, b, out, IMGR_KERNELS(fft_filter_f32));
  }
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(imgrestore, CPU, m) { m.impl("fft_filter", TORCH_BOX(&fft_filter)); }

}  // namespace imgrestore
