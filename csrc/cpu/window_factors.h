#pragma once

#include <stdint.h>

#include <algorithm>
#include <vector>

namespace imgrestore {

// One over the number of pixels that count in the window round each of size pixels.
inline std::vector<float> window_factors(int64_t size, int64_t radius, bool shrink) {
  std::vector<float> factors(size);
  for (int64_t i = 0; i < size; ++i) {
    const int64_t inside = std::min(i + radius, size - 1) - std::max<int64_t>(i - radius, 0) + 1;
    factors[i] = static_cast<float>(1.0 / static_cast<double>(shrink ? inside : 2 * radius + 1));
  }
  return factors;
}

}  // namespace imgrestore
