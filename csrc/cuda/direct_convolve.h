#pragma once

#include "convolution.h"

namespace imgrestore {

// Whether a kernel is small enough.
bool direct_convolve_covers(const int64_t* kernel_size);

void launch_direct_convolve(const Convolution& convolution, Stream stream);

}  // namespace imgrestore
