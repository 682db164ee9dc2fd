#pragma once

#include "lanes.h"

// Before a loop that is not to vanish: some of its rounds together, so that their loads do not wait for each other.
#ifdef __CUDACC__
#define IMGR_UNROLL_2 _Pragma("unroll 2")
#define IMGR_UNROLL_4 _Pragma("unroll 4")
#define IMGR_UNROLL_8 _Pragma("unroll 8")
#else
#define IMGR_UNROLL_2
#define IMGR_UNROLL_4
#define IMGR_UNROLL_8
#endif

// Neighbouring numbers read or written at once, from where they are aligned to their size together.
namespace imgrestore {

template <class T, int N>
struct alignas(sizeof(T) * N) Vector {
  T number[N];
};

template <class T, int N>
__device__ __forceinline__ void read_vector(const T* from, float (&to)[N]) {
  const Vector<T, N> all = *reinterpret_cast<const Vector<T, N>*>(from);
  IMGR_UNROLL
  for (int i = 0; i < N; ++i) to[i] = to_float(all.number[i]);
}

template <class T, int N>
__device__ __forceinline__ void write_vector(T* to, const float (&from)[N]) {
  Vector<T, N> all;
  IMGR_UNROLL
  for (int i = 0; i < N; ++i) from_float(from[i], &all.number[i]);
  *reinterpret_cast<Vector<T, N>*>(to) = all;
}

}  // namespace imgrestore
