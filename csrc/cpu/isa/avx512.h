#define IMGR_ISA avx512
#define IMGR_VECTOR_BYTES 64
#define IMGR_TARGET "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"
#include "begin.h"
