// Kernels of the filters, compiled once for each instruction set within a namespace of its own.
#include "../tv_denoise_kernel.h"
