#include "isa.h"

#include <cstdlib>
#include <cstring>

namespace imgrestore {

int isa_compiled() { return IMGR_X86 ? 7 : 1; }

int isa_supported() {
  int mask = 1;
#if IMGR_X86
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  mask |= (avx2 ? 2 : 0) | (avx512 ? 4 : 0);
#endif
  return mask;
}

static Isa choose() {
  const int usable = isa_compiled() & isa_supported();
  int limit = 2;
  if (const char* wish = std::getenv("IMGRESTORE_ISA")) {
    if (std::strcmp(wish, "baseline") == 0) limit = 0;
    if (std::strcmp(wish, "avx2") == 0) limit = 1;
  }
  while (limit > 0 && !(usable >> limit & 1)) --limit;
  return static_cast<Isa>(limit);
}

static const Isa chosen = choose();

Isa isa_in_use() { return chosen; }

}  // namespace imgrestore
