// The product of csrc/cuda/mma.h, whose factors a kernel puts where the lanes are to have them.
#include "../cuda/mma.h"

#include <pybind11/numpy.h>

#include <vector>

#include "bindings.h"

namespace py = pybind11;

namespace imgrestore {
namespace {

using Floats = py::array_t<float, py::array::c_style | py::array::forcecast>;

// d (16 x 8) += a (16 x 16) b (16 x 8), by each warp of a block for its own matrices
__global__ void products(const float* a, const float* b, float* d) {
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, g = lane / 4, t = lane % 4;
  a += warp * 256;
  b += warp * 128;
  d += warp * 128;
  uint32_t x[4], y[2];
  for (int i = 0; i < 4; ++i) {
    const float* from = a + (g + 8 * (i % 2)) * 16 + 2 * t + 8 * (i / 2);
    x[i] = pack_bf16(from[0], from[1]);
  }
  for (int i = 0; i < 2; ++i) y[i] = pack_bf16(b[(2 * t + 8 * i) * 8 + g], b[(2 * t + 8 * i + 1) * 8 + g]);
  float sums[4];
  for (int i = 0; i < 4; ++i) sums[i] = d[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2];
  mma_bf16(sums, x, y[0], y[1]);
  for (int i = 0; i < 4; ++i) d[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2] = sums[i];
}

}  // namespace

void bind_mma(py::module_& m) {
  m.def("mma", [](Floats a, Floats b, Floats d, int lanes) {
    Floats out(std::vector<py::ssize_t>{d.shape(0), 16, 8});
    std::copy(d.data(), d.data() + d.size(), out.mutable_data());
    launch("mma", products, dim3(1), dim3(lanes * d.shape(0)), 0, nullptr, a.data(), b.data(), out.mutable_data());
    return out;
  }, py::arg("a"), py::arg("b"), py::arg("d"), py::arg("lanes") = kWarp);
}

}  // namespace imgrestore
