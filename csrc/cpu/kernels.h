// Every op's kernel, compiled once in each of isa_*.cpp within the namespace of its instruction set.
#include "fft_filter_kernel.h"
