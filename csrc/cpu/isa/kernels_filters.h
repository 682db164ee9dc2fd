// Kernels of the filters, compiled once for each instruction set within a namespace of its own.
#include "../tv_denoise_kernel.h"
#include "../separable_kernel.h"
#include "../box_kernel.h"
#include "../guided_kernel.h"
#include "../bilateral_kernel.h"
