#define IMGR_ISA avx2
#define IMGR_VECTOR_BYTES 32
#define IMGR_TARGET "avx2,fma"
#include "isa_begin.h"
#if IMGR_X86
#include "kernels.h"
IMGR_ISA_END
#endif
