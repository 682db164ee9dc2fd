// What this machine can do at best: multiply-adds, and bytes moved, by each instruction set and on any number of cores.
// benchmarks/probe.py compiles it when the benchmarks run; the library has no part of it.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#define PROBE_X86 1
#endif

namespace baseline {
#define PROBE_TARGET
#define PROBE_BYTES 16
#include "probe_kernels.h"
#undef PROBE_TARGET
#undef PROBE_BYTES
}  // namespace baseline

#if PROBE_X86
namespace avx2 {
#define PROBE_TARGET __attribute__((target("avx2,fma")))
#define PROBE_BYTES 32
#include "probe_kernels.h"
#undef PROBE_TARGET
#undef PROBE_BYTES
}  // namespace avx2

namespace avx512 {
#define PROBE_TARGET __attribute__((target("avx512f,fma")))
#define PROBE_BYTES 64
#include "probe_kernels.h"
#undef PROBE_TARGET
#undef PROBE_BYTES
}  // namespace avx512
#endif

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Stores that do not fetch the line first: what memory gives at best. Narrow stores fill a line as well as wide ones.
void stream_copy(float* to, const float* from, long n) {
#if PROBE_X86
  for (long i = 0; i < n; i += 4) _mm_stream_ps(to + i, _mm_load_ps(from + i));
  _mm_sfence();
#else
  baseline::copy(to, from, n);
#endif
}

// Runs a job on some threads that start together; the seconds of the slowest.
template <class Job>
double together(int threads, Job job) {
  std::atomic<int> ready{0};
  std::vector<double> seconds(threads);
  std::vector<std::thread> crew;
  for (int t = 0; t < threads; ++t) {
    crew.emplace_back([&, t] {
      ++ready;
      while (ready < threads) std::this_thread::yield();
      const double start = now();
      job(t);
      seconds[t] = now() - start;
    });
  }
  for (auto& member : crew) member.join();
  double slowest = 0;
  for (double s : seconds) slowest = s > slowest ? s : slowest;
  return slowest;
}

volatile float sink;

}  // namespace

extern "C" {

// Seconds for `rounds` rounds of 12 vectors of multiply-adds on each thread. isa: 0 baseline, 1 AVX2, 2 AVX-512.
double probe_multiply_add(int isa, int threads, long rounds) {
  return together(threads, [&](int) {
#if PROBE_X86
    if (isa == 2) sink = avx512::multiply_add(rounds);
    if (isa == 1) sink = avx2::multiply_add(rounds);
#endif
    if (isa == 0) sink = baseline::multiply_add(rounds);
  });
}

// Seconds for `repeats` passes over n floats (a multiple of 64) of each thread. what: 0 copy, 1 streaming copy, 2 triad.
double probe_bytes(int isa, int threads, int what, long n, long repeats) {
  std::vector<float*> memory(threads);
  for (auto& block : memory) {
    block = static_cast<float*>(std::aligned_alloc(4096, (3 * n * sizeof(float) + 4095) / 4096 * 4096));
    for (long i = 0; i < 3 * n; ++i) block[i] = 1.0f;
  }
  const double seconds = together(threads, [&](int t) {
    float* to = memory[t];
    const float *b = to + n, *c = b + n;
    for (long r = 0; r < repeats; ++r) {
      if (what == 1) {
        stream_copy(to, b, n);
        continue;
      }
#if PROBE_X86
      if (isa == 2) what == 0 ? avx512::copy(to, b, n) : avx512::triad(to, b, c, n);
      if (isa == 1) what == 0 ? avx2::copy(to, b, n) : avx2::triad(to, b, c, n);
#endif
      if (isa == 0) what == 0 ? baseline::copy(to, b, n) : baseline::triad(to, b, c, n);
    }
    sink = to[n / 2];
  });
  for (auto* block : memory) std::free(block);
  return seconds;
}
}
