#include "strips.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <vector>

#include "fft_convolve.h"
#include "large_pages.h"

namespace imgrestore {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

void check(const Tensor& t, int64_t dims, const char* name) {
  STD_TORCH_CHECK(t.dim() == dims && t.scalar_type() == ScalarType::Float, name, " must be float32 of ", dims,
                  " dimensions");
}

Tensor fresh(const Tensor& like, std::vector<int64_t> size) {
  Tensor t = torch::stable::new_empty(like, size);
  use_large_pages(t.const_data_ptr(), size_t(t.numel()) * sizeof(float));
  return t;
}

// A row of a strip; in words of a size that the compiler knows, since a call for each takes longer than the copy.
void copy(float* to, const float* from, int64_t columns) {
  switch (columns) {
#define IMGR_CASE(L) case L: std::memcpy(to, from, L * sizeof(float)); return;
    IMGR_CASE(4) IMGR_CASE(8) IMGR_CASE(16)
#undef IMGR_CASE
    default: std::memcpy(to, from, columns * sizeof(float));
  }
}

// Rows in a unit of work: a band of the picture and of the strips stay in cache together.
constexpr int64_t kBand = 32;

// each(plane, row, strip, columns)
template <class Each>
void for_each_piece(int64_t planes, int64_t height, int64_t width, int64_t lanes, Each each) {
  const int64_t strips = (width + lanes - 1) / lanes, bands = (height + kBand - 1) / kBand;
  torch::stable::parallel_for(0, planes * bands, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t plane = i / bands, first = i % bands * kBand, last = std::min(first + kBand, height);
      for (int64_t s = 0; s < strips; ++s) {
        const int64_t columns = std::min(lanes, width - s * lanes);
        for (int64_t y = first; y < last; ++y) each(plane, y, s, columns);
      }
    }
  });
}

// (N, C, d, h, w) of any strides -> (N C, d, strips, h, lanes)
Tensor to_strips(const Tensor& pictures) {
  check(pictures, 5, "pictures");
  const int64_t lanes = IMGR_KERNELS(fft_convolve_f32).lanes, channels = pictures.size(1), depth = pictures.size(2);
  const int64_t height = pictures.size(3), width = pictures.size(4), strips = (width + lanes - 1) / lanes;
  Tensor out = fresh(pictures, {pictures.size(0) * channels, depth, strips, height, lanes});
  const float* const from = static_cast<const float*>(pictures.const_data_ptr());
  float* const to = static_cast<float*>(out.mutable_data_ptr());
  int64_t stride[5];
  for (int d = 0; d < 5; ++d) stride[d] = pictures.stride(d);
  for_each_piece(out.size(0) * depth, height, width, lanes, [=](int64_t plane, int64_t y, int64_t s, int64_t columns) {
    const int64_t picture = plane / depth;
    const float* row = from + picture / channels * stride[0] + picture % channels * stride[1] +
                       plane % depth * stride[2] + y * stride[3] + s * lanes * stride[4];
    float* at = to + ((plane * strips + s) * height + y) * lanes;
    if (stride[4] == 1) {
      copy(at, row, columns);
    } else {
      for (int64_t x = 0; x < columns; ++x) at[x] = row[x * stride[4]];
    }
    std::fill(at + columns, at + lanes, 0.0f);
  });
  return out;
}

// (P, d, strips, h, lanes) -> (P, d, h, w)
Tensor from_strips(const Tensor& in, int64_t width) {
  check(in, 5, "strips");
  const int64_t strips = in.size(2), height = in.size(3), lanes = in.size(4);
  STD_TORCH_CHECK(in.is_contiguous() && width > (strips - 1) * lanes && width <= strips * lanes,
                  "strips must be contiguous and fit the width");
  Tensor out = fresh(in, {in.size(0), in.size(1), height, width});
  const float* const from = static_cast<const float*>(in.const_data_ptr());
  float* const to = static_cast<float*>(out.mutable_data_ptr());
  for_each_piece(in.size(0) * in.size(1), height, width, lanes, [=](int64_t plane, int64_t y, int64_t s, int64_t columns) {
    copy(to + (plane * height + y) * width + s * lanes, from + ((plane * strips + s) * height + y) * lanes, columns);
  });
  return out;
}

struct Light {
  double largest = 0, sum = 0, count = 0;
};

// Of `rows` rows of a strip, `columns` of their `lanes` columns.
Light light_of(const float* value, const float* status, int64_t rows, int64_t lanes, int64_t columns) {
  Light light;
  for (int64_t y = 0; y < rows; ++y, value += lanes) {
    float largest = 0, sum = 0, count = 0;
    for (int64_t x = 0; x < columns; ++x) {
      const bool seen = !status || status[y * lanes + x] != 0;
      const float v = !seen || value[x] < 0 ? 0.0f : value[x];
      largest = v > largest ? v : largest;
      sum += v;
      count += seen ? 1.0f : 0.0f;
    }
    light.largest = std::max(light.largest, double(largest));
    light.sum += sum;
    light.count += count;
  }
  if (!(light.sum <= std::numeric_limits<double>::max())) light.largest = light.sum;  // infinite, or NaN
  return light;
}

// (P, 3): of what is above 0 the largest and the sum, and how many there are; without the pixels of status 0
Tensor light_of_strips(const Tensor& in, std::optional<Tensor> status, int64_t width) {
  check(in, 5, "strips");
  STD_TORCH_CHECK(in.is_contiguous() && (!status || (status->is_contiguous() && status->numel() == in.numel())),
                  "strips and status must be contiguous and of one size");
  const int64_t depth = in.size(1), strips = in.size(2), height = in.size(3), lanes = in.size(4);
  STD_TORCH_CHECK(width > (strips - 1) * lanes && width <= strips * lanes, "strips must fit the width");
  const int64_t pieces = depth * strips;
  const float* const value = static_cast<const float*>(in.const_data_ptr());
  const float* const weigh = status ? static_cast<const float*>(status->const_data_ptr()) : nullptr;
  std::vector<Light> lights(in.size(0) * pieces);
  torch::stable::parallel_for(0, int64_t(lights.size()), 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t at = i * height * lanes, columns = std::min(lanes, width - i % strips * lanes);
      lights[i] = light_of(value + at, weigh ? weigh + at : nullptr, height, lanes, columns);
    }
  });
  Tensor out = torch::stable::new_empty(in, {in.size(0), 3}, ScalarType::Double);
  double* to = static_cast<double*>(out.mutable_data_ptr());
  for (int64_t picture = 0; picture < in.size(0); ++picture, to += 3) {
    Light all;
    for (int64_t i = picture * pieces; i < (picture + 1) * pieces; ++i) {
      all.largest = lights[i].largest > all.largest ? lights[i].largest : all.largest;
      all.sum += lights[i].sum;
      all.count += lights[i].count;
    }
    to[0] = all.sum != all.sum ? all.sum : all.largest;
    to[1] = all.sum;
    to[2] = all.count;
  }
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(imgrestore, CPU, m) {
  m.impl("to_strips", TORCH_BOX(&to_strips));
  m.impl("from_strips", TORCH_BOX(&from_strips));
  m.impl("light_of_strips", TORCH_BOX(&light_of_strips));
}

}  // namespace imgrestore
