#define IMGR_ISA avx2
#define IMGR_VECTOR_BYTES 32
#define IMGR_TARGET "avx2,fma"
#include "begin.h"
