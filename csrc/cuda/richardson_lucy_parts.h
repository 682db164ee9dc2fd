#pragma once

#include "lanes.h"
#include "richardson_lucy.h"

// What Richardson-Lucy does to pixels while they pass through the transforms, and sums for the whole picture.
namespace imgrestore {

__device__ __forceinline__ float not_below(float value, float least) { return value < least ? least : value; }  // NaN stays

// A place of the scene in memory.
__device__ __forceinline__ int64_t scene_row(const RichardsonLucy& r, int picture, int z, int y) {
  return ((int64_t(picture) * r.scene_size[0] + z) * r.scene_size[1] + y) * r.scene_size[2];
}

// Where an iteration starts from: the scene, extrapolated where there is a previous one.
struct RlStart {
  const float *scene, *previous;
  float factor;

  __device__ float operator()(int64_t i) const {
    const float now = scene[i];
    return previous ? not_below(now + factor * (now - previous[i]), 0) : now;
  }
};
__device__ __forceinline__ RlStart rl_start(const RichardsonLucy& r, int picture) {
  return {r.scene, r.previous, r.state[picture].factor};
}

// The place of the frame that a place of a mirrored domain shows. Not inlined: there is a call for every point that a thread
// of the transforms holds, of every radix.
static __device__ __noinline__ int mirrored_place(int place, int before, int size, int domain, int wrap) {
  int p = place - before;
  if (p >= wrap) p -= domain;
  p %= 2 * size;
  if (p < 0) p += 2 * size;
  return p < size ? p : 2 * size - 1 - p;
}

// The scene on its domain.
struct FromScene {
  RichardsonLucy r;

  struct Row {
    RlStart start;
    int64_t first;  // -1: dark
  };
  __device__ Row row(int picture, int z, int y) const {
    const FftShape& domain = r.domain;
    if (r.mirrored) {
      z = mirrored_place(z, r.before[0], r.scene_size[0], domain.depth, r.wrap[0]);
      y = mirrored_place(y, r.before[1], r.scene_size[1], domain.height, r.wrap[1]);
    } else {
      z -= r.origin[0], y -= r.origin[1];
    }
    const bool inside = z >= 0 && z < r.scene_size[0] && y >= 0 && y < r.scene_size[1];
    return {rl_start(r, picture), inside ? scene_row(r, picture, z, y) : -1};
  }
  __device__ float operator()(const Row& row, int x) const {
    x = r.mirrored ? mirrored_place(x, r.before[2], r.scene_size[2], r.domain.width, r.wrap[2]) : x - r.origin[2];
    return row.first >= 0 && x >= 0 && x < r.scene_size[2] ? row.start(row.first + x) : 0.0f;
  }
};

// The quotient of what was observed and what is expected, in the frame; and the squares of the residual under the window.
struct Ratio {
  RichardsonLucy r;

  using Tally = float;
  struct Row {
    const float* observed;  // null outside the frame
    const uint8_t* status;
    float background, tiny, window;
  };
  __device__ bool skips(int picture) const { return r.state[picture].active == 0; }
  __device__ Row row(int picture, int z, int y) const {
    z -= r.before[0], y -= r.before[1];
    if (z < 0 || z >= r.frame[0] || y < 0 || y >= r.frame[1]) return {nullptr, nullptr, 0, 0, 0};
    const int64_t first = ((int64_t(picture) * r.frame[0] + z) * r.frame[1] + y) * r.frame[2];
    const RichardsonLucyLevels& levels = r.levels[picture];
    return {r.observed + first, r.status ? r.status + first : nullptr, levels.background, levels.tiny,
            r.window ? r.window[z] * r.window[r.frame[0] + y] : 0.0f};
  }
  __device__ float operator()(Tally& tally, const Row& row, int x, float blurred) const {
    x -= r.before[2];
    if (!row.observed || x < 0 || x >= r.frame[2]) return 0;
    const int status = row.status ? row.status[x] : 1;
    if (status == 0) return 0;
    const float observed = not_below(row.observed[x], 0), expected = blurred + row.background;
    if (r.window) {
      const float residual = observed - expected, told = status == 2 ? not_below(residual, 0) : residual;
      tally += told * told * (row.window * r.window[r.frame[0] + r.frame[1] + x]);
    }
    const float quotient = observed / not_below(expected, row.tiny);
    return status == 2 ? not_below(quotient, 1) : quotient;
  }
  __device__ void finish(Tally tally, int, float* scratch) const {
    if (!r.window) return;
    const double sum = block_sum(double(tally), reinterpret_cast<double*>(scratch));
    if (threadIdx.x == 0) r.sums[blockIdx.x] = sum;
  }
};

// The step itself: the scene times what the quotients send back to each place.
struct Update {
  RichardsonLucy r;

  struct Tally {
    float agree, size;  // of the last two changes
  };
  __device__ float operator()(Tally& tally, int picture, int64_t i, float back) const {
    const float start = rl_start(r, picture)(i);
    float now = start * back;
    if (r.damped) now /= r.damped[i];
    const int64_t scene = int64_t(r.scene_size[0]) * r.scene_size[1] * r.scene_size[2];
    const float share = r.share ? r.share[r.share_each ? i : i - picture * scene] : 1.0f;
    now = share > 0 ? not_below(r.share ? now * share : now, 0) : start;
    if (r.state[picture].active == 0) now = start;
    if (r.change) {
      const float change = now - start, last = r.change[i];
      tally.agree += change * last;
      tally.size += last * last;
      r.change[i] = change;
    }
    (r.previous ? r.previous : r.scene)[i] = now;
    return now;
  }
  __device__ void finish(const Tally& tally, float* scratch) const {
    if (!r.change) return;
    const double agree = block_sum(double(tally.agree), reinterpret_cast<double*>(scratch));
    const double size = block_sum(double(tally.size), reinterpret_cast<double*>(scratch));
    if (threadIdx.x == 0) r.sums[2 * int64_t(blockIdx.x)] = agree, r.sums[2 * int64_t(blockIdx.x) + 1] = size;
  }
};

// The step where pixels pass on to the next transform, or stop here.
struct UpdateRows {
  Update update;

  using Tally = Update::Tally;
  struct Row {
    int picture;
    int64_t first;  // -1: outside the scene
  };
  // Nothing of a picture that is done changes any more; with extrapolation its start still has to be copied.
  __device__ bool skips(int picture) const { return !update.r.previous && update.r.state[picture].active == 0; }
  __device__ Row row(int picture, int z, int y) const {
    const RichardsonLucy& r = update.r;
    z -= r.origin[0], y -= r.origin[1];
    const bool inside = z >= 0 && z < r.scene_size[0] && y >= 0 && y < r.scene_size[1];
    return {picture, inside ? scene_row(r, picture, z, y) : -1};
  }
  __device__ float operator()(Tally& tally, const Row& row, int x, float back) const {
    x -= update.r.origin[2];
    if (row.first < 0 || x < 0 || x >= update.r.scene_size[2]) return 0;
    return update(tally, row.picture, row.first + x, back);
  }
  __device__ void finish(const Tally& tally, int, float* scratch) const { update.finish(tally, scratch); }
};

// The blur, or its adjoint.
struct Blur {
  RichardsonLucy r;
  bool adjoint;

  using Column = const float2*;
  __device__ bool skips(int picture) const { return r.state[picture].active == 0; }
  __device__ Column column(int, int64_t place, int, int) const { return r.otf + place; }
  __device__ float2 operator()(Column column, int i) const {
    const FftShape& shape = r.domain;
    const int apart = (shape.depth > 1 ? shape.height : 1) << shape.log_columns;
    const float2 v = column[int64_t(i) * apart];
    return make_float2(v.x, adjoint ? -v.y : v.y);
  }
};

}  // namespace imgrestore
