// The pointwise kernels of `sparse_steps`, whose transforms the tests do themselves.
#include "../cuda/sparse_steps.h"

#include <pybind11/complex.h>
#include <pybind11/numpy.h>

#include "bindings.h"

namespace py = pybind11;

namespace imgrestore {
namespace {

// Written in place: arrays have to be float32 and dense as they come.
using Floats = py::array_t<float, py::array::c_style>;
using Doubles = py::array_t<double, py::array::c_style>;
using Spectra = py::array_t<std::complex<float>, py::array::c_style>;

// `pairs`: one array (..., 2) given twice; else two.
SparsePair<float> pair_of(Floats& first, Floats& second, bool pairs) {
  return {first.mutable_data(), pairs ? first.mutable_data() + 1 : second.mutable_data(), pairs};
}
SparsePair<const float> read(const SparsePair<float>& p) { return {p.first, p.second, p.pairs}; }

float* maybe(const py::dict& d, const char* name) {
  return d.contains(name) && !d[name].is_none() ? d[name].cast<Floats>().mutable_data() : nullptr;
}

}  // namespace

void bind_sparse_steps(py::module_& m) {
  m.def("sparse_points", [](const py::dict& d) {
    const auto whole = [&](const char* name) { return d[name].cast<int>(); };
    const auto number = [&](const char* name) { return d[name].cast<double>(); };
    const auto floats = [&](const char* name) { return d[name].cast<Floats>(); };
    const bool pairs = whole("pairs");
    Floats scene = floats("scene"), blurred = floats("blurred"), data = floats("data"), right = floats("right");
    const Floats dual_data = floats("dual_data"), observed = floats("observed");
    SparsePoints p = {};
    p.pictures = scene.shape(0), p.channels = int(scene.shape(1));
    p.height = int(scene.shape(2)), p.width = int(scene.shape(3));
    p.top = whole("top"), p.left = whole("left");
    p.rows = int(observed.shape(2)), p.columns = int(observed.shape(3));
    p.from = read(pair_of(scene, blurred, pairs));
    p.to = pair_of(data, right, pairs);
    p.dual_gradient = floats("dual_gradient").data();
    p.next_dual_gradient = floats("next_dual_gradient").mutable_data();
    p.pitch = int(floats("dual_gradient").shape(4));
    p.dual_data = floats("dual_data").mutable_data();
    p.frame_pitch = int(dual_data.shape(3));
    p.dual_bound = maybe(d, "dual_bound");
    p.known = maybe(d, "known");
    p.observed = observed.data();
    p.observed_row = p.columns, p.observed_plane = int64_t(p.rows) * p.columns;
    p.observed_picture = p.channels * p.observed_plane;
    p.levels = d["levels"].cast<Doubles>().data();
    p.data_penalty = number("data_penalty"), p.bound_penalty = number("bound_penalty");
    p.stiffness = number("stiffness"), p.chroma_weight = number("chroma_weight");
    p.hyper_laplacian = whole("hyper_laplacian"), p.dark_outside = whole("dark_outside"), p.reweigh = whole("reweigh");
    launch_sparse_points(p, nullptr);
  });
  m.def("sparse_solve", [](Spectra first, py::object second, Spectra otf, Doubles levels, int width,
                           double data_penalty, double chroma_weight, double scale) {
    SparseSolve p = {};
    p.pictures = first.shape(0), p.channels = int(first.shape(1)), p.height = int(first.shape(2)), p.width = width;
    p.first = reinterpret_cast<float2*>(first.mutable_data());
    if (!second.is_none()) p.second = reinterpret_cast<float2*>(second.cast<Spectra>().mutable_data());
    p.otf = reinterpret_cast<const float2*>(otf.data());
    p.otf_picture = otf.shape(0) == 1 ? 0 : int64_t(p.height) * (width / 2 + 1);
    Floats steepness(sparse_steepness_size(p.height, width));
    launch_sparse_steepness(p.height, width, steepness.mutable_data(), nullptr);
    p.steepness = steepness.data();
    p.levels = levels.data();
    p.data_penalty = data_penalty, p.chroma_weight = chroma_weight, p.scale = scale;
    launch_sparse_solve(p, nullptr);
  });
  m.def("sparse_recolour", [](Floats from_a, Floats from_b, Floats to_a, Floats to_b, int channels, bool join,
                              bool pairs) {
    const int64_t pictures = from_a.shape(0), pixels = from_a.shape(2) * from_a.shape(3);
    const auto from = read(pair_of(from_a, from_b, pairs && join));
    const auto to = pair_of(to_a, to_b, pairs && !join);
    (join ? launch_sparse_join : launch_sparse_split)(pictures, channels, pixels, from, to, nullptr);
  });
}

}  // namespace imgrestore
