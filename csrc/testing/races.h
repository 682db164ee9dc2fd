#pragma once

#include <stddef.h>
#include <stdint.h>

// Finds threads that touch a place in memory with no barrier between them, one of them writing, whatever came of it in
// the order in which the executor ran them; and loads and stores that are not aligned. Kernels are compiled for the
// compiler's own sanitizers, -fsanitize=thread,alignment, and linked without their library: races.cpp takes its place.
namespace imgrestore {
namespace executor {

// Where the thread that runs stands; the executor keeps it up to date.
struct Watched {
  bool on = false;  // only while a kernel's own code runs
  uint32_t launch = 0, block = 0, barriers = 0, warp_barriers = 0, thread = 0;
  const char *stack = nullptr, *stack_end = nullptr, *shared = nullptr, *shared_end = nullptr;
};
extern Watched watched;

// To be called where a thread stops. Threads may write what is there already: whether one did shows after its store.
void settle_watched();

}  // namespace executor
}  // namespace imgrestore
