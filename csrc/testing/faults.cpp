// The kernels of faults.cu for Python.
#include "faults.h"

#include <pybind11/numpy.h>

#include <vector>

#include "bindings.h"

namespace py = pybind11;

namespace imgrestore {
namespace {

using Floats = py::array_t<float, py::array::c_style | py::array::forcecast>;

}  // namespace

void bind_faults(py::module_& m) {
  m.def("reverse", [](Floats values, bool with_barrier) {
    Floats out(std::vector<py::ssize_t>{values.shape(0), values.shape(1)});
    launch_reverse(values.data(), out.mutable_data(), values.shape(0), int(values.shape(1)), with_barrier);
    return out;
  });
  m.def("some_wait", [](int how_many, int threads) { launch_some_wait("some_wait", how_many, threads, 0); });
  m.def("overrun", &launch_overrun);
  m.def("read_unwritten", [] {
    Floats out(4);
    launch_read_unwritten(out.mutable_data());
    return out;
  });
  m.def("sums", [](Floats values, int wide) {
    const std::vector<py::ssize_t> shape = {values.shape(0), values.shape(1)};
    Floats of_warps(shape), of_blocks(shape);
    launch_sums(values.data(), of_warps.mutable_data(), of_blocks.mutable_data(), shape[0], wide, int(shape[1]) / wide);
    return py::make_tuple(of_warps, of_blocks);
  });
  m.def("blocks_wait", [] {
    Floats out(2);
    out.mutable_at(0) = out.mutable_at(1) = 0;
    launch_blocks_wait(out.mutable_data());
    return out;
  });
  m.def("rotate", [](int warp_barriers) {
    Floats values(32);
    for (int i = 0; i < 32; ++i) values.mutable_at(i) = float(i);
    launch_rotate(values.mutable_data(), warp_barriers);
    return values;
  });
  m.def("write_one", [](bool same) {
    Floats out(1);
    out.mutable_at(0) = -1;
    launch_write_one(out.mutable_data(), same);
    return out;
  });
  m.def("read_pair", [](int first) {
    alignas(8) const float from[4] = {0, 1, 2, 3};
    Floats out(2);
    launch_read_pair(from + first, out.mutable_data());
    return out;
  });
  m.def("ask", [](int threads, size_t shared) { launch_some_wait("ask", 0, threads, shared); });
}

}  // namespace imgrestore
