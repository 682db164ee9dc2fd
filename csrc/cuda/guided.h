#pragma once

#include "filter_planes.h"

namespace imgrestore {

// Planes with a guide of 1 or 3 channels each.
struct GuidedPlanes {
  const float *image, *guide;
  PlaneWalk image_walk, guide_walk;
  int64_t image_stride, guide_stride, channel_stride;  // from row to row, from channel to channel
  float* out;                                          // dense planes
  int64_t planes;
  int height, width, radius, channels;
  bool self;     // the image is its own guide
  float eps;
  float* room;   // guided_room() floats
};

int64_t guided_room(const GuidedPlanes& planes);
void launch_guided(const GuidedPlanes& planes, Stream stream);

}  // namespace imgrestore
