#pragma once

#include <memory>

#include "fft_plan.h"

namespace imgrestore {

bool fft_supported(int64_t n);

// Throws std::invalid_argument where n has a prime factor above 5. Safe to call from several threads; the plan lives as
// long as the pointer is held.
template <class S>
std::shared_ptr<const FftPlan<S>> fft_plan(int64_t n);

}  // namespace imgrestore
