#pragma once

#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <vector>

#include "../math/bfloat16.h"
#include "../tensors.h"
#include "device.h"
#include "plane_walk.h"

#ifndef IMGR_EXECUTOR
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#endif

// What the registrations of the device ops share: which device and stream, and tensors as the kernels take them. The same
// files make the library for CUDA and, with the executor, one for the tests, whose tensors lie on the CPU.
namespace imgrestore {

#ifdef IMGR_EXECUTOR
#define IMGR_DEVICE_OPS(m) STABLE_TORCH_LIBRARY_IMPL(imgrestore_executor, CPU, m)

class OnDevice {
 public:
  explicit OnDevice(const torch::stable::Tensor&) {}
  Stream stream() const { return nullptr; }
};
#else
#define IMGR_DEVICE_OPS(m) STABLE_TORCH_LIBRARY_IMPL(imgrestore, CUDA, m)

// Makes a tensor's device the current one while it lives, and gives the stream that torch is using there.
class OnDevice {
 public:
  explicit OnDevice(const torch::stable::Tensor& t) : guard_(t.get_device_index()) {
    void* stream = nullptr;
    STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(t.get_device_index(), &stream));
    stream_ = static_cast<Stream>(stream);
  }
  Stream stream() const { return stream_; }

 private:
  torch::stable::accelerator::DeviceGuard guard_;
  Stream stream_ = nullptr;
};
#endif

// A tensor's numbers, one after the other, as float; on its device.
inline torch::stable::Tensor dense_floats(const torch::stable::Tensor& t) {
  return torch::stable::contiguous(is_float(t) ? t : torch::stable::to(t, torch::headeronly::ScalarType::Float));
}

// The walk of a tensor whose dimensions but the last `skip` broadcast to `sizes`, of which there are at most eight.
inline PlaneWalk walk_of(const torch::stable::Tensor& t, const std::vector<int64_t>& sizes, int64_t skip) {
  STD_TORCH_CHECK(sizes.size() <= PlaneWalk::kMost, "at most 8 leading dimensions are supported");
  PlaneWalk walk = {};
  walk.dims = int(sizes.size());
  for (int d = 0; d < walk.dims; ++d) {
    const int64_t own = d - (walk.dims - (t.dim() - skip));
    walk.size[d] = sizes[d];
    walk.stride[d] = own < 0 || t.size(own) == 1 ? 0 : t.stride(own);
  }
  return walk;
}

template <class T>
const T* data_of(const torch::stable::Tensor& t) {
  return static_cast<const T*>(t.const_data_ptr());
}
template <class T>
T* room_of(torch::stable::Tensor& t) {
  return static_cast<T*>(t.mutable_data_ptr());
}

}  // namespace imgrestore
