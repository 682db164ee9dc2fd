// Kernels of the transforms, compiled once for each instruction set within a namespace of its own.
#include "../fft_filter_kernel.h"
#include "../wiener_planes_kernel.h"
#include "../fft_convolve_kernel.h"
#include "../richardson_lucy_kernel.h"
#include "../sparse_steps_kernel.h"
