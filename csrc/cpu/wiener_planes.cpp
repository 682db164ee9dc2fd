#include "wiener_planes.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <cmath>
#include <optional>

#include "fft_filter_run.h"
#include "fft_plan_cache.h"

namespace imgrestore {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

bool is_dense(const Tensor& t, int64_t a, int64_t b) {
  return t.scalar_type() == ScalarType::Float && t.is_contiguous() && t.dim() == 2 && t.size(0) == a && t.size(1) == b;
}

void wiener_planes_into(const Tensor& image_in, const Tensor& otf_in, const Tensor& level, const Tensor& power,
                        const std::optional<Tensor>& signal_power, const Tensor& log_frequency, double gain, Tensor out) {
  STD_TORCH_CHECK(image_in.dim() == 4 && image_in.scalar_type() == ScalarType::Float,
                  "wiener_planes: image needs 4 dimensions, float32");
  const Tensor image = torch::stable::contiguous(image_in), otf = torch::stable::contiguous(otf_in);
  const int64_t n = image.size(0), c = image.size(1), h = image.size(2), w = image.size(3), half = w / 2 + 1;
  STD_TORCH_CHECK(fft_supported(h) && fft_supported(w), "wiener_planes: height and width must be of the form 2^a 3^b 5^c");
  STD_TORCH_CHECK(otf.scalar_type() == ScalarType::ComplexFloat && otf.dim() == 4 && otf.size(0) == n &&
                      otf.size(1) == 1 && otf.size(2) == h && otf.size(3) == half,
                  "wiener_planes: otf needs the shape (N, 1, h, w / 2 + 1)");
  STD_TORCH_CHECK(out.dim() == 4 && out.scalar_type() == ScalarType::Float && out.size(0) == n && out.size(2) == h &&
                      out.size(3) == w && out.stride(3) == 1 && out.stride(2) == w && out.stride(1) == h * w &&
                      (n == 1 || out.stride(0) >= out.size(1) * h * w),
                  "wiener_planes: out needs dense planes of the image's size");
  const int64_t planes = out.size(1);
  const auto one_each = [&](const Tensor& t) {
    return t.scalar_type() == ScalarType::Float && t.is_contiguous() && t.dim() == 1 && t.size(0) == planes;
  };
  STD_TORCH_CHECK(c > 0 && planes % c == 0 && is_dense(level, n, planes) && one_each(power) &&
                      (!signal_power.has_value() || one_each(*signal_power)) && is_dense(log_frequency, h, half),
                  "wiener_planes: level, power, signal_power or log_frequency has not the shape it needs");
  if (n * planes == 0) return;
  const WienerPlanesKernels& own = IMGR_KERNELS(wiener_planes_f32);
  const FftFilterKernels<float>& kernels = IMGR_KERNELS(fft_filter_f32);
  const auto along_rows = fft_plan<float>(w), along_columns = fft_plan<float>(h);
  const float* images = static_cast<const float*>(image.const_data_ptr());
  const float* otfs = static_cast<const float*>(otf.const_data_ptr());
  const float* levels = static_cast<const float*>(level.const_data_ptr());
  const float* powers = static_cast<const float*>(power.const_data_ptr());
  const float* variances = signal_power.has_value() ? static_cast<const float*>(signal_power->const_data_ptr()) : nullptr;
  const float* logs = static_cast<const float*>(log_frequency.const_data_ptr());
  float* outs = static_cast<float*>(out.mutable_data_ptr());
  const int64_t out_stride = out.stride(0);
  const size_t spectrum_size = fft_filter_spectrum_size(h, w, kernels.lanes);
  // A whole plane for a thread: its spectrum and its response are then all the memory there is besides the result.
  torch::stable::parallel_for(0, n * planes, 1, [&](int64_t begin, int64_t end) {
    const Scratch spectrum(sizeof(float) * spectrum_size), response(sizeof(float) * 2 * h * half);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t picture = i / planes, plane = i % planes;
      const float* from = images + (picture * c + plane / (planes / c)) * h * w;
      float height = levels[i];
      if (variances) height -= variances[plane] * std::log(own.variance(from, h * w) + 1e-5f);
      own.response(otfs + 2 * picture * h * half, logs, height, powers[plane], float(gain), h * half, response.as<float>());
      const FftFilterPlane<float> p = {from, w, outs + picture * out_stride + plane * h * w, response.as<float>(), half,
                                       spectrum.as<float>(), h, w, along_rows.get(), along_columns.get()};
      run_fft_filter<float>(p, kernels, INT64_MAX);
    }
  });
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(imgrestore, CPU, m) { m.impl("wiener_planes_into", TORCH_BOX(&wiener_planes_into)); }

}  // namespace imgrestore
