#define IMGR_ISA baseline
#define IMGR_VECTOR_BYTES 16
#include "isa_begin.h"
#include "kernels.h"
IMGR_ISA_END
