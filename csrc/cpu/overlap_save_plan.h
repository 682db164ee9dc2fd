#pragma once

#include <memory>

#include "overlap_save.h"

namespace imgrestore {

constexpr int64_t kWidestLanes = 16;  // of float32: what depends on it and not on the lanes is cut alike everywhere

// How a result is cut into boxes, with the plans that the tiles need.
struct OverlapSavePlan {
  FftTile tile;
  OverlapSaveGrid grid;
  double cost;  // about how long it takes, in no unit
  std::shared_ptr<const FftPlan<float>> owned[3];

  // Two boxes go at a time, of one picture: so a NaN or a bright lamp never tells in another picture.
  int64_t boxes() const { return overlap_save_boxes(grid); }
  int64_t pairs() const { return (boxes() + 1) / 2; }
};

// The cheapest tile for a result of a size and a kernel of a size, in boxes whose columns begin at multiples of `columns`.
// It depends on nothing else, not on the number of threads either, so that results do not.
OverlapSavePlan overlap_save_plan(const int64_t* result, const int64_t* kernel, int64_t columns = 1);

}  // namespace imgrestore
