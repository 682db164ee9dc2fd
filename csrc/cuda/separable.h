#pragma once

#include "filter_planes.h"

namespace imgrestore {

// Correlation along the rows and down the columns. The centre of count taps is tap count / 2.
struct SeparablePlanes {
  FilterPlanes planes;
  const float *row_taps, *column_taps;  // on the device
  int row_count, column_count;
  float* scratch;  // as many pixels as out, where separable_needs_scratch()
};

bool separable_needs_scratch(int row_count, int column_count);
void launch_separable(const SeparablePlanes& planes, Stream stream);

}  // namespace imgrestore
