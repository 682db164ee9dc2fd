// Opens a translation unit that is compiled for one instruction set: include baseline.h, avx2.h or avx512.h, then the
// kernels of a group. A target pragma needs no flags of its own for each file, so that any build system can compile these
// files like all others. Kernel code must not use lambdas (clang's pragma misses them) or templates of the standard library
// (the linker would share them).
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "../isa.h"

#if IMGR_X86 && defined(IMGR_TARGET)
#define IMGR_PRAGMA(x) _Pragma(#x)
#define IMGR_SET_TARGET(t) IMGR_SET_TARGET_(t)
#if defined(__clang__)
#define IMGR_SET_TARGET_(t) IMGR_PRAGMA(clang attribute push(__attribute__((target(t))), apply_to = function))
#define IMGR_ISA_END IMGR_PRAGMA(clang attribute pop)
#else
#define IMGR_SET_TARGET_(t) IMGR_PRAGMA(GCC target(t))
#define IMGR_ISA_END
#endif
IMGR_SET_TARGET(IMGR_TARGET)
#else
#define IMGR_ISA_END
#endif
