#pragma once

#include <stdint.h>

#include "../math/fft_radix.h"

namespace imgrestore {

template <class S>
struct FftStage {
  int radix;
  int64_t m;         // points of each sub-transform after this stage
  const S* twiddle;  // (radix - 1) pairs for each j < m: exp(-2 pi i j q / (radix m)), q = 1 ... radix - 1
};

template <class S>
struct FftPlan {
  int64_t n;
  int stages;
  FftStage<S> stage[kMaxStages];
  const int32_t* position;   // of each frequency
  const int32_t* frequency;  // at each position
};

}  // namespace imgrestore
