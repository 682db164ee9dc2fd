#pragma once

#include "overlap_save.h"
#include "strips.h"

namespace imgrestore {

// One picture under Richardson-Lucy's iteration. Sizes: frame (observed, status, ratio) and scene (all others). Pictures are
// in strips, but for the share, which is in rows.
struct RichardsonLucyPlane {
  const float *observed, *status;   // status may be null: all pixels are to be fitted
  float *scene, *previous, *change;  // the last two are null without acceleration; the next scene goes to previous then
  float* ratio;
  float* damped;               // null without total variation
  const float* inverse_share;  // null: 1 throughout; else rows as richardson_lucy_share_row() finds them
  float factor, background, tiny, light;
  bool active;
};

struct RichardsonLucyTask {
  OverlapSavePass blur, adjoint;
  int64_t frame[3], scene[3];
  int64_t share[2];  // planes and rows of inverse_share
  // Weights of the residual along each axis of the frame; null where it is not asked for.
  const float* window[3];
  float tv_weight;
  // boundary "reflect": what the adjoint gives lies on the frame and `before` pixels around it, and is folded.
  bool fold;
  int64_t before[3], spread[3];
};

// Away from the rim the share is the same in every row (and plane), which is then kept once: `kept` rows stand for `size`.
IMGR_HD int64_t richardson_lucy_share_row(int64_t i, int64_t size, int64_t kept) {
  const int64_t rim = (kept - 1) / 2;
  if (kept == size || i < rim) return i;
  return i < size - rim ? rim : i - (size - kept);
}

struct RichardsonLucyKernels {
  int lanes;
  // Boxes of the ratio, and of the next estimate. sums: 2 numbers a box, each box its own.
  void (*blur)(const RichardsonLucyTask&, const RichardsonLucyPlane&, const OverlapSaveBox* boxes, int parts,
               double* const* sums, float* tile, float* lines);
  void (*adjoint)(const RichardsonLucyTask&, const RichardsonLucyPlane&, const OverlapSaveBox* boxes, int parts,
                  double* const* sums, float* tile, float* lines);
  // Boxes of what the adjoint gives around the frame, in rows.
  void (*spread)(const RichardsonLucyTask&, const RichardsonLucyPlane&, const OverlapSaveBox* boxes, int parts, float* to,
                 float* tile, float* lines);
  // Rows begin ... end - 1 of all the scene's rows: the estimate divided by total variation's damping; the update from a
  // correction that is spread beyond the frame. rows is scratch: richardson_lucy_rows() scalars.
  void (*damp)(const RichardsonLucyTask&, const RichardsonLucyPlane&, int64_t begin, int64_t end, float* rows);
  void (*fold)(const RichardsonLucyTask&, const RichardsonLucyPlane&, const float* spread, int64_t begin, int64_t end,
               double* sums, float* rows);
};

IMGR_HD int64_t richardson_lucy_rows(int64_t width) { return 8 * (width + 64); }

#define IMGR_DECLARE_RICHARDSON_LUCY extern const RichardsonLucyKernels richardson_lucy_f32;
namespace baseline {
IMGR_DECLARE_RICHARDSON_LUCY
}
#if IMGR_X86
namespace avx2 {
IMGR_DECLARE_RICHARDSON_LUCY
}
namespace avx512 {
IMGR_DECLARE_RICHARDSON_LUCY
}
#endif

}  // namespace imgrestore
