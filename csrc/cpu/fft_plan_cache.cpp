#include "fft_plan_cache.h"

#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

namespace imgrestore {
namespace {

template <class S>
struct OwnedPlan {
  FftPlan<S> plan;
  std::vector<S> twiddles;
  std::vector<int32_t> position, frequency;
};

template <class S>
std::shared_ptr<const FftPlan<S>> build(int64_t n) {
  int radix[kMaxStages];
  const int stages = n < (int64_t(1) << 30) ? fft_radices(n, radix) : -1;
  if (stages < 0) throw std::invalid_argument("no native FFT of length " + std::to_string(n));
  auto owned = std::make_shared<OwnedPlan<S>>();
  size_t total = 0;
  int64_t left = n;
  for (int s = 0; s < stages; ++s) {
    left /= radix[s];
    total += size_t(2) * (radix[s] - 1) * left;
  }
  owned->twiddles.resize(total);
  owned->plan.n = n;
  owned->plan.stages = stages;
  S* w = owned->twiddles.data();
  left = n;
  for (int s = 0; s < stages; ++s) {
    const int64_t size = left;
    left /= radix[s];
    owned->plan.stage[s] = {radix[s], left, w};
    for (int64_t j = 0; j < left; ++j) {
      for (int q = 1; q < radix[s]; ++q) {
        double re, im;
        fft_twiddle(j * q % size, size, &re, &im);
        *w++ = S(re);
        *w++ = S(im);
      }
    }
  }
  owned->position.resize(n);
  owned->frequency.resize(n);
  for (int64_t k = 0; k < n; ++k) {
    const int64_t p = fft_position(k, n, radix, stages);
    owned->position[k] = int32_t(p);
    owned->frequency[p] = int32_t(k);
  }
  owned->plan.position = owned->position.data();
  owned->plan.frequency = owned->frequency.data();
  return std::shared_ptr<const FftPlan<S>>(owned, &owned->plan);
}

}  // namespace

bool fft_supported(int64_t n) {
  int radix[kMaxStages];
  return n < (int64_t(1) << 30) && fft_radices(n, radix) >= 0;
}

template <class S>
std::shared_ptr<const FftPlan<S>> fft_plan(int64_t n) {
  static std::mutex mutex;
  static std::map<int64_t, std::shared_ptr<const FftPlan<S>>> plans;
  const std::lock_guard<std::mutex> lock(mutex);
  const auto found = plans.find(n);
  if (found != plans.end()) return found->second;
  // Plans in use are kept alive by whoever uses them, so the cache may forget everything.
  if (plans.size() >= 64) plans.clear();
  return plans[n] = build<S>(n);
}

template std::shared_ptr<const FftPlan<float>> fft_plan<float>(int64_t);
template std::shared_ptr<const FftPlan<double>> fft_plan<double>(int64_t);

}  // namespace imgrestore
