// The library's ops are defined here; each file of cpu/ registers what computes its own.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <vector>

#include "cpu/isa.h"
#include "cpu/large_pages.h"
#include "schema.h"

STABLE_TORCH_LIBRARY(imgrestore, m) {
  imgrestore::define_ops(m);
  // For build_info(): 0 the instruction set in use, 1 a mask of those compiled, 2 a mask of those the processor has
  m.def("isa(int what) -> int");
  // A float32 tensor on the CPU, not filled, in large pages where the system gives them
  m.def("large_empty(int[] size) -> Tensor");
}

namespace {

int64_t isa(int64_t what) {
  if (what == 0) return static_cast<int64_t>(imgrestore::isa_in_use());
  return what == 1 ? imgrestore::isa_compiled() : imgrestore::isa_supported();
}

torch::stable::Tensor large_empty(std::vector<int64_t> size) {
  torch::stable::Tensor t = torch::stable::empty(size, torch::headeronly::ScalarType::Float);
  imgrestore::use_large_pages(t.const_data_ptr(), size_t(t.numel()) * sizeof(float));
  return t;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(imgrestore, CompositeExplicitAutograd, m) {
  m.impl("isa", TORCH_BOX(&isa));
  m.impl("large_empty", TORCH_BOX(&large_empty));
}
