// The schema of every native op: the catalogue on one page.
#include <torch/csrc/stable/library.h>

#include "cpu/isa.h"

STABLE_TORCH_LIBRARY(imgrestore, m) {
  // irfft(rfft(image) * response) over the last two dimensions, both of the form 2^a 3^b 5^c
  m.def("fft_filter(Tensor image, Tensor response) -> Tensor");

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
