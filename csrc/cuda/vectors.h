#pragma once

#include "lanes.h"

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
