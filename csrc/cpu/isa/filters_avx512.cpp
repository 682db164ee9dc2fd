#include "avx512.h"
#if IMGR_X86
#include "kernels_filters.h"
IMGR_ISA_END
#endif
