#pragma once

#include <memory>

#include "overlap_save.h"

namespace imgrestore {

// How a result is cut into boxes, with the plans that the tiles need.
struct OverlapSavePlan {
  FftTile tile;
  OverlapSaveGrid grid;
  std::shared_ptr<const FftPlan<float>> owned[3];
};

// The cheapest tile for results of a size, one for each picture, and a kernel of a size. It depends on nothing else, not on
// the number of threads either, so that results do not.
OverlapSavePlan overlap_save_plan(const int64_t* result, const int64_t* kernel, int64_t pictures);

}  // namespace imgrestore
