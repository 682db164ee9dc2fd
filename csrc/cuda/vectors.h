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

// The type that the compiler loads and stores at once.
template <int Bytes>
struct WordOf;
template <>
struct WordOf<2> {
  typedef uint16_t type;
};
template <>
struct WordOf<4> {
  typedef uint32_t type;
};
template <>
struct WordOf<8> {
  typedef uint2 type;
};
template <>
struct WordOf<16> {
  typedef uint4 type;
};

// A number, or neighbours, from memory that nobody writes while the kernel runs: such loads may pass the stores before
// them.
__device__ __forceinline__ float fetch(const float* from) { return __ldg(from); }
__device__ __forceinline__ float fetch(const Bfloat16* from) { return to_float(Bfloat16{__ldg(&from->bits)}); }

template <class T, int N>
__device__ __forceinline__ void fetch_vector(const T* from, float (&to)[N]) {
  typedef typename WordOf<sizeof(T) * N>::type Word;
  const Word word = __ldg(reinterpret_cast<const Word*>(from));
  T numbers[N];
  __builtin_memcpy(numbers, &word, sizeof(word));
  IMGR_UNROLL
  for (int i = 0; i < N; ++i) to[i] = to_float(numbers[i]);
}

// Neighbours from memory that this thread may have written, or will write.
template <class T, int N>
__device__ __forceinline__ void read_vector(const T* from, float (&to)[N]) {
  typedef typename WordOf<sizeof(T) * N>::type Word;
  const Word word = *reinterpret_cast<const Word*>(from);
  T numbers[N];
  __builtin_memcpy(numbers, &word, sizeof(word));
  IMGR_UNROLL
  for (int i = 0; i < N; ++i) to[i] = to_float(numbers[i]);
}

template <class T, int N>
__device__ __forceinline__ void write_vector(T* to, const float (&from)[N]) {
  typedef typename WordOf<sizeof(T) * N>::type Word;
  T numbers[N];
  IMGR_UNROLL
  for (int i = 0; i < N; ++i) from_float(from[i], &numbers[i]);
  Word word;
  __builtin_memcpy(&word, numbers, sizeof(word));
#ifdef IMGR_EXECUTOR
  *reinterpret_cast<Word*>(to) = word;
#else
  __stwb(reinterpret_cast<Word*>(to), word);  // the default, but never taken apart
#endif
}

}  // namespace imgrestore
