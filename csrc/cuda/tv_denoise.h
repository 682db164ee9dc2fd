#pragma once

#include <stdint.h>

#include "device.h"

namespace imgrestore {

// Pictures or volumes, dense: (pictures, channels, outer, middle, columns), where middle is 1 for pictures. A dual is
// (pictures, parts, channels, outer, middle, columns); the parts are the axes, and with `accelerate` the axes once
// more.
struct TvShape {
  int64_t pictures;
  int size[3];
  int channels;  // coupled
  int ndim;
  bool accelerate;

  IMGR_HD int parts() const { return accelerate ? 2 * ndim : ndim; }
  IMGR_HD int64_t pixels() const { return int64_t(size[0]) * size[1] * size[2]; }
  IMGR_HD int64_t plane() const { return channels * pixels(); }
};

// What a call of the op does, and the memory it does it in.
struct TvRun {
  TvShape shape;
  const float* image;
  const float* dual;   // to begin with; null: zero
  float* buffers[2];   // duals; the last iteration ends in the second. The first is needed from two passes on.
  float* picture;      // what comes out
  bool keep;           // whether the second buffer comes out as well
  double* outcome;     // of each picture: updates made, first energy, whether the rule stopped it
  double* energies;    // tv_energies() numbers
  int* where;          // of each picture: 0 its dual is the first, else it is in buffers[where - 1]
  double weight, tol, first_energy;
  int64_t done, count;
};

int64_t tv_passes(const TvShape& shape, int64_t done, int64_t count);
int64_t tv_energies(const TvShape& shape);
void launch_tv_denoise(const TvRun& run, Stream stream);

}  // namespace imgrestore
