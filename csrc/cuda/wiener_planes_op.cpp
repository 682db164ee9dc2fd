#include "wiener_planes.h"

#include <optional>

#include "fft_op.h"

namespace imgrestore {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

bool is_dense(const Tensor& t, int64_t a, int64_t b) {
  return is_float(t) && t.is_contiguous() && t.dim() == 2 && t.size(0) == a && t.size(1) == b;
}

void wiener_planes_into(const Tensor& image_in, const Tensor& otf_in, const Tensor& level, const Tensor& power,
                        const std::optional<Tensor>& signal_power, const Tensor& log_frequency, double gain,
                        Tensor out) {
  STD_TORCH_CHECK(image_in.dim() == 4 && is_float(image_in), "wiener_planes: image needs 4 dimensions, float32");
  const Tensor image = torch::stable::contiguous(image_in), otf = torch::stable::contiguous(otf_in);
  const int64_t n = image.size(0), c = image.size(1), h = image.size(2), w = image.size(3), half = w / 2 + 1;
  STD_TORCH_CHECK(otf.scalar_type() == ScalarType::ComplexFloat && otf.dim() == 4 && otf.size(0) == n &&
                      otf.size(1) == 1 && otf.size(2) == h && otf.size(3) == half,
                  "wiener_planes: otf needs the shape (N, 1, h, w / 2 + 1)");
  STD_TORCH_CHECK(out.dim() == 4 && is_float(out) && out.size(0) == n && out.size(2) == h && out.size(3) == w &&
                      out.stride(3) == 1 && out.stride(2) == w && out.stride(1) == h * w &&
                      (n == 1 || out.stride(0) >= out.size(1) * h * w),
                  "wiener_planes: out needs dense planes of the image's size");
  const int64_t planes = out.size(1);
  const auto one_each = [&](const Tensor& t) {
    return is_float(t) && t.is_contiguous() && t.dim() == 1 && t.size(0) == planes;
  };
  STD_TORCH_CHECK(c > 0 && planes % c == 0 && is_dense(level, n, planes) && one_each(power) &&
                      (!signal_power.has_value() || one_each(*signal_power)) && is_dense(log_frequency, h, half),
                  "wiener_planes: level, power, signal_power or log_frequency has not the shape it needs");
  if (n * planes == 0) return;
  const OnDevice device(image);
  FftTables tables;
  STD_TORCH_CHECK(tables.plan(image, n * planes, 1, h, w, device.stream()),
                  "wiener_planes: a size that the kernels do not cover");
  const int repeats = int(planes / c);
  const FftShape& shape = tables.fft.shape;
  const int64_t group = wiener_planes_group(shape, n * c, repeats);
  const auto room = [&](int64_t count, ScalarType type) { return torch::stable::new_empty(image, {count}, type); };
  Tensor spectrum = room(2 * group * shape.picture_size(), ScalarType::Float);
  Tensor filtered = room(2 * group * repeats * shape.picture_size(), ScalarType::Float);
  const bool varies = signal_power.has_value();
  Tensor sums = room(varies ? group * wiener_planes_sums(shape) : 0, ScalarType::Double);
  Tensor levels = room(varies ? group * repeats : 0, ScalarType::Float);
  launch_wiener_planes({tables.fft,
                        n,
                        int(c),
                        repeats,
                        data_of<float>(image),
                        data_of<float2>(otf),
                        data_of<float>(level),
                        data_of<float>(power),
                        varies ? data_of<float>(*signal_power) : nullptr,
                        data_of<float>(log_frequency),
                        float(gain),
                        room_of<float>(out),
                        out.stride(0),
                        group,
                        room_of<float2>(spectrum),
                        room_of<float2>(filtered),
                        room_of<double>(sums),
                        room_of<float>(levels)},
                       device.stream());
}

}  // namespace

IMGR_DEVICE_OPS(m) { m.impl("wiener_planes_into", TORCH_BOX(&wiener_planes_into)); }

}  // namespace imgrestore
