#pragma once

// CUDA for a CPU, as far as the kernels of csrc/cuda use it: each thread of a block is a fiber, blocks run one after the
// other. Meant for tests: barriers that not all threads reach, shared memory that nobody wrote or that is overrun, and
// exchanges between lanes that are not there are errors, and the order of threads and blocks can be turned round, so that
// whatever depends on it shows.

#include <math.h>
#include <stdint.h>
#include <string.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__
#define __launch_bounds__(...)
#define __grid_constant__

struct dim3 {
  unsigned x, y, z;
  dim3(int64_t x = 1, int64_t y = 1, int64_t z = 1) : x(unsigned(x)), y(unsigned(y)), z(unsigned(z)) {}
};
struct uint3 {
  unsigned x, y, z;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

namespace imgrestore {

using std::max;
using std::min;

namespace executor {

struct Settings {
  int order = 0;  // of threads and blocks: 0 rising, 1 falling, else shuffled by this seed
  size_t shared_limit = 227 * 1024;
  int multiprocessors = 4;
  bool capturing = false;  // as if launches went to a graph
};
Settings& settings();

// What was launched since the list was last emptied.
struct Launched {
  std::string name;
  dim3 grid, block;
  size_t shared;
  int64_t barriers;  // of the block that had most
};
std::vector<Launched>& launches();

// Where the thread that runs stands.
struct Now {
  uint3 thread, block;
  dim3 block_size, grid_size;
};
extern Now now;

void run_grid(const char* name, dim3 grid, dim3 block, size_t shared, const std::function<void()>& thread);

void* shared_memory();
void block_barrier();
void warp_barrier();
int lane();
[[noreturn]] void fail(const std::string& why);  // ends the launch with an error

// Gives each lane the value of another lane of its warp.
void exchange(void* value, size_t bytes, int source);
constexpr size_t kLargestExchange = 64;

template <class T>
T from_lane(unsigned mask, T value, int source) {
  static_assert(sizeof(T) <= kLargestExchange, "too large for an exchange between lanes");
  if (mask != 0xffffffffu) fail("an exchange between some lanes only, expected all of the warp");
  exchange(&value, sizeof(T), source);
  return value;
}

// Gives each lane the values of all lanes of its warp, which must all be there.
void collect(const void* value, size_t bytes, void* all);
template <class T>
void share(const T& value, T (&all)[32]) {
  static_assert(sizeof(T) <= kLargestExchange, "too large for an exchange between lanes");
  collect(&value, sizeof(T), all);
}

}  // namespace executor
}  // namespace imgrestore

#define threadIdx (::imgrestore::executor::now.thread)
#define blockIdx (::imgrestore::executor::now.block)
#define blockDim (::imgrestore::executor::now.block_size)
#define gridDim (::imgrestore::executor::now.grid_size)

inline void __syncthreads() { imgrestore::executor::block_barrier(); }
inline void __syncwarp(unsigned = 0xffffffffu) { imgrestore::executor::warp_barrier(); }
template <class T>
T __shfl_sync(unsigned mask, T value, int lane) {
  return imgrestore::executor::from_lane(mask, value, lane & 31);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int with) {
  return imgrestore::executor::from_lane(mask, value, imgrestore::executor::lane() ^ with);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, int by) {
  const int lane = imgrestore::executor::lane();
  return imgrestore::executor::from_lane(mask, value, lane + by < 32 ? lane + by : lane);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, int by) {
  const int lane = imgrestore::executor::lane();
  return imgrestore::executor::from_lane(mask, value, lane >= by ? lane - by : lane);
}
template <class T>
T __ldg(const T* from) {
  return *from;
}
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
