#pragma once

// What kernels and their launchers are written in: CUDA where nvcc compiles them, and where g++ does the executor of
// csrc/testing, which runs the same blocks and threads on the CPU. Nothing here knows of torch.
#ifdef IMGR_EXECUTOR
#include "../testing/executor.h"
#else
#include <cuda_runtime.h>

#include <stdexcept>
#include <string>
#endif

#include <stddef.h>
#include <stdint.h>

#include "../math/host_device.h"

namespace imgrestore {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;
constexpr size_t kParameterBytes = 4000;  // of 4096, where each parameter may begin after a gap

// Quotients rounded up, for grids.
IMGR_HD int64_t blocks_for(int64_t items, int64_t each) { return (items + each - 1) / each; }

#ifdef IMGR_EXECUTOR

using Stream = void*;

template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, Stream, A... arguments) {
  static_assert((sizeof(P) + ... + 0) <= kParameterBytes, "more parameters than a kernel can have");
  executor::run_grid(name, grid, block, shared, [&] { kernel(P(arguments)...); });
}

// Shared memory that a block may ask for.
inline size_t shared_limit() { return executor::settings().shared_limit; }
inline int multiprocessors() { return executor::settings().multiprocessors; }
inline void fill_zero(void* memory, size_t bytes, Stream) { __builtin_memset(memory, 0, bytes); }

#define IMGR_SHARED(type, name) type* const name = reinterpret_cast<type*>(::imgrestore::executor::shared_memory())

#else

using Stream = cudaStream_t;

inline void check_cuda(const char* what, cudaError_t error) {
  if (error != cudaSuccess) throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}

inline int device_attribute(cudaDeviceAttr attribute) {
  int device = 0, value = 0;
  check_cuda("cudaGetDevice", cudaGetDevice(&device));
  check_cuda("cudaDeviceGetAttribute", cudaDeviceGetAttribute(&value, attribute, device));
  return value;
}

// Shared memory that a block may ask for.
inline size_t shared_limit() { return size_t(device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin)); }
inline int multiprocessors() { return device_attribute(cudaDevAttrMultiProcessorCount); }
inline void fill_zero(void* memory, size_t bytes, Stream stream) {
  check_cuda("cudaMemsetAsync", cudaMemsetAsync(memory, 0, bytes, stream));
}

#ifdef __CUDACC__
// Runs a kernel on the current device. No synchronisation, so that it can be captured in a graph.
template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, Stream stream,
            A... arguments) {
  static_assert((sizeof(P) + ... + 0) <= kParameterBytes, "more parameters than a kernel can have");
  if (shared > 48 * 1024) {
    // All there is, not what this launch takes: another thread may launch the same kernel with less in between.
    check_cuda(name, cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared_limit())));
  }
  kernel<<<grid, block, shared, stream>>>(P(arguments)...);
  check_cuda(name, cudaGetLastError());
}
#endif

// The block's dynamic shared memory; a kernel names it once and cuts it up itself.
#define IMGR_SHARED(type, name)                                   \
  extern __shared__ __align__(16) unsigned char imgr_shared_[];   \
  type* const name = reinterpret_cast<type*>(imgr_shared_)

#endif

}  // namespace imgrestore
