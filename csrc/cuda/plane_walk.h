#pragma once

#include "device.h"

namespace imgrestore {

// Where each plane of an output finds its data in a tensor whose leading dimensions broadcast to the output's: a walk over
// up to eight of them, of any strides.
struct PlaneWalk {
  static constexpr int kMost = 8;
  int dims;
  int64_t size[kMost], stride[kMost];

  IMGR_HD int64_t offset(int64_t plane) const {
    int64_t offset = 0;
    for (int d = dims - 1; d >= 0; --d) {
      offset += plane % size[d] * stride[d];
      plane /= size[d];
    }
    return offset;
  }
};

}  // namespace imgrestore
