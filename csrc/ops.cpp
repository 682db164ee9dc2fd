// The schema of every native op: the catalogue on one page.
#include <torch/csrc/stable/library.h>

#include "cpu/isa.h"

STABLE_TORCH_LIBRARY(imgrestore, m) {
  // irfft(rfft(image) * response) over the last two dimensions, both of the form 2^a 3^b 5^c
  m.def("fft_filter(Tensor image, Tensor response) -> Tensor");

  // out[i] = sum_j kernel[j] image[i + shift + size of the kernel - 1 - j] for pictures (P, d, h, w) and a kernel (d, h, w)
  // or (P, d, h, w); outside: 0 zero, 1 reflect, 2 wrap
  m.def("fft_convolve(Tensor image, Tensor kernel, int[] result, int[] shift, int outside) -> Tensor");

  // Work units begin ... end - 1 of Richardson-Lucy's iterations, each `richardson_lucy_units` long; the iterations done
  m.def("richardson_lucy_units(int[] observed, int[] kernel, int outside, bool unknown, bool damped) -> int");
  m.def("richardson_lucy_run(Tensor observed, Tensor? status, Tensor(a!) scene, Tensor(b!)? previous, "
        "Tensor(c!)? change, Tensor(d!) ratio, Tensor(e!)? damped, Tensor(f!)? spread, Tensor? inverse_share, "
        "Tensor? window, Tensor kernel, Tensor(g!) planes, Tensor(h!) sums, int[] before, "
        "int outside, bool unknown, float tv_weight, int begin, int end) -> int");

  // For build_info(): 0 the instruction set in use, 1 a mask of those compiled, 2 a mask of those the processor has
  m.def("isa(int what) -> int");
}

namespace {

int64_t isa(int64_t what) {
  if (what == 0) return static_cast<int64_t>(imgrestore::isa_in_use());
  return what == 1 ? imgrestore::isa_compiled() : imgrestore::isa_supported();
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(imgrestore, CompositeExplicitAutograd, m) { m.impl("isa", TORCH_BOX(&isa)); }
