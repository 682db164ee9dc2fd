#include "avx2.h"
#if IMGR_X86
#include "kernels_nets.h"
IMGR_ISA_END
#endif
