#include "baseline.h"
#include "kernels_filters.h"
IMGR_ISA_END
