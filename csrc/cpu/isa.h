#pragma once

// The instruction sets that kernels are compiled for. Which one is used is settled once, when the library is loaded.
namespace imgrestore {

enum class Isa : int { kBaseline = 0, kAvx2 = 1, kAvx512 = 2 };

Isa isa_in_use();
int isa_compiled();   // bit i: Isa i is in this library
int isa_supported();  // bit i: this processor and its system can run Isa i

}  // namespace imgrestore

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define IMGR_X86 1
// Picks the table of an op's kernels for the instruction set in use.
#define IMGR_KERNELS(table)                                             \
  (::imgrestore::isa_in_use() == ::imgrestore::Isa::kAvx512 ? avx512::table \
   : ::imgrestore::isa_in_use() == ::imgrestore::Isa::kAvx2 ? avx2::table   \
                                                            : baseline::table)
#else
#define IMGR_X86 0
#define IMGR_KERNELS(table) (baseline::table)
#endif
