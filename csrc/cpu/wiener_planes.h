#pragma once

#include <stdint.h>

#include "isa.h"

namespace imgrestore {

struct WienerPlanesKernels {
  // Variance of numbers, without bias.
  float (*variance)(const float* values, int64_t count);
  // response = gain conj(otf) / (|otf|² + exp(level + power log_frequency)) in (re, im) pairs, the exponent within
  // kLeastLevel ... kMostLevel.
  void (*response)(const float* otf, const float* log_frequency, float level, float power, float gain, int64_t count,
                   float* response);
};

// Bounds keep the quotient finite whatever is learned, also where the transfer function is zero.
constexpr float kLeastLevel = -14.0f, kMostLevel = 8.0f;

#define IMGR_DECLARE_WIENER_PLANES extern const WienerPlanesKernels wiener_planes_f32;

namespace baseline {
IMGR_DECLARE_WIENER_PLANES
}
#if IMGR_X86
namespace avx2 {
IMGR_DECLARE_WIENER_PLANES
}
namespace avx512 {
IMGR_DECLARE_WIENER_PLANES
}
#endif

}  // namespace imgrestore
