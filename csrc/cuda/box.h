#pragma once

#include "filter_tile.h"

namespace imgrestore {

struct BoxPlanes {
  FilterPlanes planes;
  int radius_y, radius_x;
  float* scratch;  // as many pixels as out, where box_needs_scratch()
};

bool box_needs_scratch(int radius_y, int radius_x, int width);
void launch_box(const BoxPlanes& planes, Stream stream);

}  // namespace imgrestore
