#pragma once

#include "fft_spectrum.h"
#include "overlap_save.h"

namespace imgrestore {

// What is known of each picture, and how far it has come.
struct RichardsonLucyLevels {
  float background, tiny, light, sigma, weight;
};
struct RichardsonLucyState {
  float factor, active;  // of the extrapolation; not 0 while the picture is worked on
};

// Sizes and places are (depth, height, width). The scene lies at `origin` in the periodic domain of the transforms, which is
// dark around it, or, mirrored, at `before`, with its mirror images around it. The frame lies at `before`.
struct RichardsonLucy {
  FftShape domain;
  int frame[3], scene_size[3], before[3], origin[3];
  bool mirrored, periodic;
  int wrap[3];  // mirrored: from this place, counted from the frame's first pixel, on the domain is what is before the frame
  const float* observed;
  const uint8_t* status;  // or null; 0: left out, 1: to be fitted, 2: a lower bound
  const RichardsonLucyLevels* levels;
  const float* share;  // 1 / the light seen of each place of the scene, 0 where none is; or null
  bool share_each;     // one for each picture
  const float* window;  // of the residual: a line for each axis, one after the other; or null: the level is not judged
  const float2* otf;    // of the kernel, divided by the number of places; null in tiles
  float *scene, *previous, *change;  // previous and change: null without extrapolation
  float* damped;                     // room for a scene; null without total variation
  float tv_weight;
  float* unfolded;  // room for a domain where it is mirrored, else null
  float2* spectrum;  // null in tiles
  float* quotient;   // room for a frame in tiles, else null
  double* sums;      // 2 richardson_lucy_sums() of them
  RichardsonLucyState* state;
  int* steps;  // that any picture took
};

// How the blur is computed: over the whole domain, or, where the PSF is small beside a tile, in tiles, which move fewer bytes.
struct RichardsonLucyPlan {
  bool tiled;
  FftPictures fft;
  OverlapSave blur, adjoint;
};

// False where sizes are not covered. r: sizes and places alone are looked at, and its domain is set. The plans' twiddles, and in
// tiles the responses, are the caller's to give.
bool richardson_lucy_plan(RichardsonLucy* r, int pictures, const int domain[3], const int kernel[3], const int centre[3],
                          bool periodic, RichardsonLucyPlan* plan);

// Numbers of `sums`, at most, of one kind.
int64_t richardson_lucy_sums(const RichardsonLucyPlan& plan, const RichardsonLucy& r);

// Iterations begin ... end - 1. The scene after an odd number of them stands in `previous`, where there is one.
void launch_richardson_lucy(const RichardsonLucyPlan& plan, RichardsonLucy r, int64_t begin, int64_t end, Stream stream);

}  // namespace imgrestore
