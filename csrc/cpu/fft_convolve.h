#pragma once

#include "overlap_save.h"

namespace imgrestore {

struct FftConvolveKernels {
  int lanes;
  // The response of a kernel (its sizes: size) as a pass needs it; tile and lines are working memory.
  void (*response)(const FftTile&, const float* kernel, const int64_t* size, float* response, float* tile, float* lines);
  // One box or two, of a picture `in`, into a picture `out`.
  void (*boxes)(const OverlapSavePass&, const float* in, const OverlapSaveBox* boxes, int parts, float* out, float* tile,
                float* lines);
};

#define IMGR_DECLARE_FFT_CONVOLVE extern const FftConvolveKernels fft_convolve_f32;
namespace baseline {
IMGR_DECLARE_FFT_CONVOLVE
}
#if IMGR_X86
namespace avx2 {
IMGR_DECLARE_FFT_CONVOLVE
}
namespace avx512 {
IMGR_DECLARE_FFT_CONVOLVE
}
#endif

}  // namespace imgrestore
