#pragma once

#include "filter_planes.h"

namespace imgrestore {

struct BoxPlanes {
  FilterPlanes planes;
  int radius_y, radius_x;
  float* room;  // box_room() floats
};

int64_t box_room(const BoxPlanes& planes);
void launch_box(const BoxPlanes& planes, Stream stream);

}  // namespace imgrestore
