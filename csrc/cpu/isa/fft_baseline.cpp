#include "baseline.h"
#include "kernels_fft.h"
IMGR_ISA_END
