#define IMGR_ISA baseline
#define IMGR_VECTOR_BYTES 16
#include "begin.h"
