#include "guided.h"

#include "guided_models.h"
#include "long_windows.h"

// The guided filter: a linear model for each window from the means of the pictures' products, then the means of the
// models. The floor is one read of image and guide and one write, 12 bytes a pixel with a guide of one channel, 20
// with three. Up to a radius of 16 one kernel sums all products tile by tile in shared memory and solves for the
// models, another sums these and writes the result: the models, of 2 or 4 numbers a pixel, are written and read
// between them, for so few planes at a time that the second cache has them. Longer windows take the two passes of
// long_windows.cu for each product and each number of a model.
//
// A level is taken off each picture first, or its square would drown the variance: the median of some pixels, as a
// mean would follow a star.
namespace imgrestore {
namespace {

constexpr int kMostRadius = 16, kPicked = 256;
// Floats for models and means, unless a plane takes more. Little for the executor, so that its small pictures take
// several goes.
#ifdef IMGR_EXECUTOR
constexpr int64_t kShortRoom = 1 << 12, kLongRoom = 1 << 13;
#else
constexpr int64_t kShortRoom = int64_t(1) << 23, kLongRoom = int64_t(1) << 25;
#endif

// A block for each picture of each plane: the median of pixels on a grid, those left out that are NaN or infinite.
__global__ void __launch_bounds__(kPicked) guided_levels(GuidedPlanes p, float* levels, int pictures, int64_t first) {
  IMGR_SHARED(float, picked);
  const int64_t index = first + blockIdx.x;
  const int64_t plane = index / pictures, which = index % pictures;
  const bool is_guide = which < p.channels;
  const float* picture = is_guide ? guide_of(p, plane, int(which)) : p.image + p.image_walk.offset(plane);
  const int i = threadIdx.x;
  const int64_t y = (2 * (i / 16) + 1) * int64_t(p.height) / 32, x = (2 * (i % 16) + 1) * int64_t(p.width) / 32;
  const float value = picture[y * (is_guide ? p.guide_stride : p.image_stride) + x];
  picked[i] = fabsf(value) < INFINITY ? value : INFINITY;
  for (int size = 2; size <= kPicked; size *= 2) {
    for (int step = size / 2; step > 0; step /= 2) {
      __syncthreads();
      const int other = i ^ step;
      if (other > i) {
        const float a = picked[i], b = picked[other];
        if ((i & size ? a < b : a > b)) {
          picked[i] = b;
          picked[other] = a;
        }
      }
    }
  }
  __syncthreads();
  const bool counts = picked[i] < INFINITY, last = i + 1 == kPicked || !(picked[i + 1] < INFINITY);
  if (counts && last) levels[index] = picked[i / 2];
  if (i == 0 && !counts) levels[index] = 0;
}

// How the room is shared out: levels, then as many planes of numbers as `slots` for some of the planes at a time.
struct Plan {
  int pictures, slots;
  bool is_short;
  int64_t each, levels, planes;
};
Plan plan_of(const GuidedPlanes& p) {
  Plan plan = {};
  plan.pictures = p.self ? 1 : p.channels + 1;
  plan.is_short = p.radius <= kMostRadius;
  const bool color = p.channels == 3;
  plan.slots = plan.is_short ? p.channels + 1
               : color       ? guided_long_slots<GuidedColor>()
               : p.self      ? guided_long_slots<GuidedSelf>()
                             : guided_long_slots<GuidedGray>();
  plan.each = int64_t(p.height) * p.width * plan.slots;
  if (!plan.is_short) plan.each += long_windows_room(p.height, p.width, p.radius);
  plan.levels = (p.planes * plan.pictures + 63) / 64 * 64;
  const int64_t most = (plan.is_short ? kShortRoom : kLongRoom) / plan.each;
  plan.planes = most < 1 ? 1 : most < p.planes ? most : p.planes;
  return plan;
}

template <class Model>
void run(const GuidedPlanes& p, Stream stream) {
  const Plan plan = plan_of(p);
  const int64_t pixels = int64_t(p.height) * p.width;
  for_planes(p.planes * plan.pictures, 1, [&](int64_t first, int64_t count) {
    launch("guided_levels", guided_levels, dim3(count), dim3(kPicked), sizeof(float) * kPicked, stream, p, p.room,
           plan.pictures, first);
  });
  for (int64_t first = 0; first < p.planes; first += plan.planes) {
    const int64_t count = p.planes - first < plan.planes ? p.planes - first : plan.planes;
    const GuidedChunk chunk = {p, p.room, p.room + plan.levels, first, count};
    if (plan.is_short) {
      run_guided_short<Model>(chunk, stream);
    } else {
      run_guided_long<Model>(chunk, chunk.models + plan.slots * count * pixels, stream);
    }
  }
}

}  // namespace

int64_t guided_room(const GuidedPlanes& planes) {
  const Plan plan = plan_of(planes);
  return plan.levels + plan.planes * plan.each;
}

void launch_guided(const GuidedPlanes& planes, Stream stream) {
  (planes.channels == 3 ? run<GuidedColor> : planes.self ? run<GuidedSelf> : run<GuidedGray>)(planes, stream);
}

}  // namespace imgrestore
