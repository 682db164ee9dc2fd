#pragma once

#include "filter_planes.h"

namespace imgrestore {

// Pictures of some channels, and the guides whose channels tell how alike two pixels are.
struct BilateralPictures {
  const float *image, *guide;  // the first channel
  PlaneWalk image_walk, guide_walk;
  int64_t image_stride, image_channel_stride;  // from row to row, from channel to channel
  int64_t guide_stride, guide_channel_stride;
  float* out;  // channels and rows follow each other
  int64_t pictures;
  int image_channels, guide_channels, height, width, radius;
  bool self;           // the image is its own guide
  float range, space;  // log2 of a weight: the squared distance of values times range, plus that of places times space
  Boundary boundary;
};

void launch_bilateral(const BilateralPictures& pictures, Stream stream);

}  // namespace imgrestore
