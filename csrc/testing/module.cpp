// The kernels of csrc/cuda for the tests: their ops as torch.ops.imgrestore_executor, run on the CPU by the executor, and
// from Python what the executor did and how it is to go about it.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <torch/csrc/stable/library.h>

#include "../schema.h"
#include "bindings.h"
#include "executor.h"

STABLE_TORCH_LIBRARY(imgrestore_executor, m) { imgrestore::define_ops(m); }

namespace py = pybind11;

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  using namespace imgrestore::executor;
  m.doc() = "CUDA kernels on the CPU";
  m.def("configure", [](int order, size_t shared_limit, bool capturing) {
    settings().order = order;
    settings().shared_limit = shared_limit;
    settings().capturing = capturing;
  }, py::arg("order") = 0, py::arg("shared_limit") = 227 * 1024, py::arg("capturing") = false,
        "order: of threads and blocks, 0 rising, 1 falling, else shuffled by this seed; capturing: as if for a graph");
  m.def("forget_launches", [] { launches().clear(); });
  m.def("launches", [] {
    py::list list;
    for (const Launched& l : launches()) {
      py::dict d;
      d["name"] = l.name;
      d["grid"] = py::make_tuple(l.grid.x, l.grid.y, l.grid.z);
      d["block"] = py::make_tuple(l.block.x, l.block.y, l.block.z);
      d["shared"] = l.shared;
      d["barriers"] = l.barriers;
      list.append(d);
    }
    return list;
  });
  imgrestore::bind_faults(m);
  imgrestore::bind_mma(m);
}
