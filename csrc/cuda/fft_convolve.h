#pragma once

#include "convolution.h"
#include "fft_spectrum.h"
#include "overlap_save.h"

namespace imgrestore {

// Flat pictures in tiles; false where the kernel is too large for one. The plan's twiddles and response are the caller's to
// give: room for one response, or one for each picture.
bool tiled_convolve_plan(const Convolution& convolution, OverlapSave* plan);
void launch_tiled_convolve(const Convolution& convolution, const OverlapSave& plan, float2* response, Stream stream);

// Whole pictures at once, in a domain so large that nothing wraps around; false where a size is not covered. The plans'
// twiddles are the caller's to give; otf: room for one spectrum, or one for each picture.
bool whole_convolve_plan(const Convolution& convolution, FftPictures* fft);
void launch_whole_convolve(const Convolution& convolution, const FftPictures& fft, float2* otf, float2* spectrum,
                           Stream stream);

}  // namespace imgrestore
