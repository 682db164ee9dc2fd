// Kernels with one fault each, and sound ones beside them: what the tests of the executor run.
#include <pybind11/numpy.h>

#include <vector>

#include "../cuda/lanes.h"
#include "bindings.h"

namespace py = pybind11;

namespace imgrestore {
namespace {

using Floats = py::array_t<float, py::array::c_style | py::array::forcecast>;

__global__ void reverse(const float* from, float* to, int n, bool with_barrier) {
  IMGR_SHARED(float, held);
  const int t = threadIdx.x;
  held[t] = from[int(blockIdx.x) * n + t];
  if (with_barrier) __syncthreads();
  to[int(blockIdx.x) * n + t] = held[n - 1 - t];
}

__global__ void some_wait(int how_many) {
  if (int(threadIdx.x) < how_many) __syncthreads();
}

__global__ void overrun(int n) {
  IMGR_SHARED(float, held);
  held[threadIdx.x + n] = 1;
}

__global__ void read_unwritten(float* to) {
  IMGR_SHARED(float, held);
  to[threadIdx.x] = held[threadIdx.x];
}

__global__ void sums(const float* from, float* of_warps, float* of_blocks) {
  IMGR_SHARED(float, scratch);
  const int threads = blockDim.x * blockDim.y, t = threadIdx.y * blockDim.x + threadIdx.x;
  const float value = from[int(blockIdx.x) * threads + t];
  of_warps[int(blockIdx.x) * threads + t] = warp_sum(value);
  of_blocks[int(blockIdx.x) * threads + t] = block_sum(value, scratch);
}

__global__ void blocks_wait(float* passed) {
  if (blockIdx.x == 0) passed[0] = 1;
  if (blockIdx.x == 1) passed[1] = passed[0];
}

}  // namespace

void bind_faults(py::module_& m) {
  m.def("reverse", [](Floats values, bool with_barrier) {
    Floats out(std::vector<py::ssize_t>{values.shape(0), values.shape(1)});
    const int n = int(values.shape(1));
    launch("reverse", reverse, dim3(values.shape(0)), dim3(n), n * sizeof(float), nullptr, values.data(),
           out.mutable_data(), n, with_barrier);
    return out;
  });
  m.def("some_wait", [](int how_many, int threads) { launch("some_wait", some_wait, dim3(1), dim3(threads), 0, nullptr, how_many); });
  m.def("overrun", [](int by) { launch("overrun", overrun, dim3(2), dim3(8), 32, nullptr, by); });
  m.def("read_unwritten", [] {
    Floats out(4);
    launch("read_unwritten", read_unwritten, dim3(1), dim3(4), 16, nullptr, out.mutable_data());
    return out;
  });
  m.def("sums", [](Floats values, int wide) {
    const std::vector<py::ssize_t> shape = {values.shape(0), values.shape(1)};
    Floats of_warps(shape), of_blocks(shape);
    launch("sums", sums, dim3(shape[0]), dim3(wide, shape[1] / wide), 32 * sizeof(float), nullptr, values.data(),
           of_warps.mutable_data(), of_blocks.mutable_data());
    return py::make_tuple(of_warps, of_blocks);
  });
  m.def("blocks_wait", [] {
    Floats out(2);
    out.mutable_at(0) = out.mutable_at(1) = 0;
    launch("blocks_wait", blocks_wait, dim3(2), dim3(1), 0, nullptr, out.mutable_data());
    return out;
  });
  m.def("ask", [](int threads, size_t shared) { launch("ask", some_wait, dim3(1), dim3(threads), shared, nullptr, 0); });
}

}  // namespace imgrestore
