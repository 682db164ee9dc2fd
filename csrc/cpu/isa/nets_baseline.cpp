#include "baseline.h"
#include "kernels_nets.h"
IMGR_ISA_END
