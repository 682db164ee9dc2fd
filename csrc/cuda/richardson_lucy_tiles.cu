#include "richardson_lucy_tiles.h"

#include "overlap_save_kernel.h"
#include "richardson_lucy_parts.h"

// Richardson-Lucy with a small PSF: an iteration reads and writes the scene, the quotients and the observed picture and no
// spectrum, 24 bytes a pixel and the rims of the tiles, where the passes over the whole domain move 52.
namespace imgrestore {
namespace {

// Half of a tile at least is to be of use: there the rims of both passes cost less than the spectrum.
constexpr double kUse = 0.5;

__device__ __forceinline__ int wrapped(int at, int size) {
  at %= size;
  return at < 0 ? at + size : at;
}

// The scene as the frame's pixels see it.
struct SceneAround {
  FromScene scene;

  __device__ FromScene::Row row(int picture, int, int y) const {
    y += scene.r.before[1];
    return scene.row(picture, 0, scene.r.periodic ? wrapped(y, scene.r.domain.height) : y);
  }
  __device__ float operator()(const FromScene::Row& row, int x) const {
    x += scene.r.before[2];
    return scene(row, scene.r.periodic ? wrapped(x, scene.r.domain.width) : x);
  }
};

struct ToQuotient {
  Ratio ratio;

  using Tally = Ratio::Tally;
  struct Row {
    Ratio::Row seen;
    float* out;
  };
  __device__ bool skips(int picture) const { return ratio.skips(picture); }
  __device__ Row row(int picture, int, int y) const {
    const RichardsonLucy& r = ratio.r;
    return {ratio.row(picture, r.before[0], y + r.before[1]),
            r.quotient + (int64_t(picture) * r.frame[1] + y) * r.frame[2]};
  }
  __device__ void operator()(Tally& tally, const Row& row, int x, float blurred) const {
    row.out[x] = ratio(tally, row.seen, x + ratio.r.before[2], blurred);
  }
  __device__ void finish(Tally tally, int picture, float* scratch) const { ratio.finish(tally, picture, scratch); }
};

// The quotients as the scene's places see them: dark beyond the frame.
struct QuotientAround {
  RichardsonLucy r;

  __device__ int place(int axis, int at, int domain) const {
    at += r.origin[axis] - r.before[axis];
    if (r.periodic) at = wrapped(at, domain);
    return at < r.frame[axis] ? at : -1;
  }
  __device__ const float* row(int picture, int, int y) const {
    y = place(1, y, r.domain.height);
    return y < 0 ? nullptr : r.quotient + (int64_t(picture) * r.frame[1] + y) * r.frame[2];
  }
  __device__ float operator()(const float* row, int x) const {
    x = place(2, x, r.domain.width);
    return row && x >= 0 ? row[x] : 0.0f;
  }
};

struct ToScene {
  UpdateRows rows;

  using Tally = UpdateRows::Tally;
  __device__ bool skips(int picture) const { return rows.skips(picture); }
  __device__ UpdateRows::Row row(int picture, int, int y) const {
    return rows.row(picture, rows.update.r.origin[0], y + rows.update.r.origin[1]);
  }
  __device__ void operator()(Tally& tally, const UpdateRows::Row& row, int x, float back) const {
    rows(tally, row, x + rows.update.r.origin[2], back);
  }
  __device__ void finish(const Tally& tally, int picture, float* scratch) const { rows.finish(tally, picture, scratch); }
};

}  // namespace

bool richardson_lucy_plan(RichardsonLucy* r, int pictures, const int domain[3], const int kernel[3], const int centre[3],
                          bool periodic, RichardsonLucyPlan* plan) {
  *plan = {};
  r->periodic = periodic;
  if (domain[0] == 1 && !r->mirrored && kernel[1] <= 64 && kernel[2] <= 128) {
    const int* const flat = kernel + 1;
    const int turned[2] = {flat[0] - 1 - centre[1], flat[1] - 1 - centre[2]};
    plan->tiled = overlap_save_plan(flat, centre + 1, r->frame + 1, pictures, kUse, &plan->blur) &&
                  overlap_save_plan(flat, turned, r->scene_size + 1, pictures, kUse, &plan->adjoint);
    r->domain = {pictures, 1, domain[1], domain[2], 0, 0};
    if (plan->tiled) return true;
  }
  const bool covered = fft_pictures(pictures, domain[0], domain[1], domain[2], &plan->fft);
  r->domain = plan->fft.shape;
  return covered;
}

void launch_richardson_lucy_ratio(const RichardsonLucyPlan& plan, const RichardsonLucy& r, Stream stream) {
  launch_overlap_save("richardson_lucy tiles ratio", plan.blur, SceneAround{{r}}, ToQuotient{{r}}, stream);
}

void launch_richardson_lucy_update(const RichardsonLucyPlan& plan, const RichardsonLucy& r, Stream stream) {
  launch_overlap_save("richardson_lucy tiles update", plan.adjoint, QuotientAround{r}, ToScene{{{r}}}, stream);
}

}  // namespace imgrestore
