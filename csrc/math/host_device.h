#pragma once

// Functions of csrc/math are inlined wherever they are used. On the host that is also what keeps code compiled for one
// instruction set from being shared by the linker with a caller compiled for another.
#if defined(__CUDACC__)
#define IMGR_HD __host__ __device__ __forceinline__
#elif defined(__GNUC__) || defined(__clang__)
#define IMGR_HD inline __attribute__((always_inline))
#else
#define IMGR_HD inline
#endif

// Before a loop over a local array of values: it has to vanish, or the array goes to memory.
#if defined(__CUDACC__) || defined(__clang__)
#define IMGR_UNROLL _Pragma("unroll")
#else
#define IMGR_UNROLL _Pragma("GCC unroll 16")
#endif
