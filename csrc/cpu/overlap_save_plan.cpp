#include "overlap_save_plan.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <tuple>
#include <vector>

#include "fft_plan_cache.h"

namespace imgrestore {
namespace {

// The tile's size is a multiple of `step` and has no other primes than 2, 3 and 5.
int64_t smooth_from(int64_t n, int64_t step) {
  for (int64_t m = (n + step - 1) / step;; ++m) {
    if (fft_supported(m * step)) return m * step;
  }
}

struct Cut {
  int64_t tile, box, count;
};

// The ways to cut one axis: for each number of boxes the least tile, and of equal tiles the fewest boxes.
std::vector<Cut> cuts(int64_t result, int64_t kernel, int64_t step, int64_t multiple) {
  std::vector<Cut> found;
  if (result == 1 && kernel == 1 && step == 1) return {{1, 1, 1}};
  for (int64_t count = 1; count <= result; ++count) {
    const int64_t box = ((result + count - 1) / count + multiple - 1) / multiple * multiple;
    const int64_t tile = smooth_from(box + kernel - 1, step);
    if (!found.empty() && found.back().tile == tile) continue;
    const int64_t most = tile - kernel + 1;
    found.push_back({tile, box, (result + box - 1) / box});
    if (box < kernel / 4 && found.size() > 4) break;
    // Numbers of boxes that lead to the same tile are passed over.
    count = std::max(count, (result + most - 1) / most);
    if (tile <= 4 * kWidestLanes && most >= kernel) break;
  }
  return found;
}

// Seconds times a constant. The factors are measured ones: what a point costs when tile and response no longer fit in the
// second cache, and then not in the third.
double cost(const Cut& d, const Cut& h, const Cut& w) {
  const double points = double(d.tile) * double(h.tile) * double(w.tile);
  const double pairs = std::ceil(double(d.count) * double(h.count) * double(w.count) / 2);
  const double megabytes = points * 16 / 1e6;
  const double far = 1 + 0.5 * std::log1p(std::max(0.0, megabytes - 1.4) / 2);
  const double overhead = 4000;
  return (points * (4 + std::log2(points)) * far + overhead) * 2 * std::ceil(pairs / 2);
}

}  // namespace

OverlapSavePlan overlap_save_plan(const int64_t* result, const int64_t* kernel, int64_t columns) {
  typedef std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t> Key;
  static std::mutex mutex;
  static std::map<Key, OverlapSavePlan> plans;
  const Key key(result[0], result[1], result[2], kernel[0], kernel[1], kernel[2], columns);
  const std::lock_guard<std::mutex> lock(mutex);
  const auto known = plans.find(key);
  if (known != plans.end()) return known->second;
  if (plans.size() >= 64) plans.clear();

  Cut best[3] = {};
  double least = 0;
  const auto deep = cuts(result[0], kernel[0], 1, 1), high = cuts(result[1], kernel[1], kWidestLanes, 1),
             wide = cuts(result[2], kernel[2], kWidestLanes, columns);
  for (const Cut& d : deep) {
    for (const Cut& h : high) {
      for (const Cut& w : wide) {
        const double now = cost(d, h, w);
        if (least == 0 || now < least) {
          least = now;
          best[0] = d, best[1] = h, best[2] = w;
        }
      }
    }
  }
  OverlapSavePlan plan;
  plan.cost = least;
  for (int axis = 0; axis < 3; ++axis) {
    plan.owned[axis] = fft_plan<float>(best[axis].tile);
    plan.grid.size[axis] = result[axis];
    plan.grid.box[axis] = best[axis].box;
    plan.grid.count[axis] = best[axis].count;
  }
  plan.tile = {best[0].tile,          best[1].tile,          best[2].tile,
               plan.owned[0].get(), plan.owned[1].get(), plan.owned[2].get()};
  return plans[key] = plan;
}

}  // namespace imgrestore
