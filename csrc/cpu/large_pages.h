#pragma once

#include <stddef.h>
#include <stdint.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace imgrestore {

constexpr size_t kLargePage = size_t(2) << 20;

// Asks for large pages in memory that nothing was written to yet. A large block is a mapping of its own, new with every
// call: in pages of 4 KiB, being given them one by one can take longer than the work on them, and reading down a column
// misses in the translation of addresses at every row.
inline void use_large_pages(const void* fresh, size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  const uintptr_t begin = reinterpret_cast<uintptr_t>(fresh), end = begin + bytes;
  const uintptr_t first = (begin + kLargePage - 1) / kLargePage * kLargePage, last = end / kLargePage * kLargePage;
  if (last > first) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#else
  (void)fresh;
  (void)bytes;
#endif
}

}  // namespace imgrestore
