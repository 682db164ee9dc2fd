#include "guided.h"

#include "../math/guided.h"
#include "long_windows.h"
#include "short_windows.h"

// The guided filter: a linear model for each window from the means of the pictures' products, then the means of the models.
// The floor is one read of image and guide and one write, 12 bytes a pixel with a guide of one channel, 20 with three. Up to a
// radius of 16 one kernel sums all products tile by tile in shared memory and solves for the models, another sums these and writes
// the result: the models, of 2 or 4 numbers a pixel, are written and read between them, for so few planes at a time that the
// second cache has them. Longer windows take the two passes of long_windows.cu for each product and each number of a model.
//
// A level is taken off each picture first, or its square would drown the variance: the median of some pixels, as a mean would
// follow a star.
namespace imgrestore {
namespace {

constexpr int kMostRadius = 16, kPicked = 256, kPixelThreads = 256;
// Floats for models and means, unless a plane takes more. Little for the executor, so that its small pictures take several goes.
#ifdef IMGR_EXECUTOR
constexpr int64_t kShortRoom = 1 << 12, kLongRoom = 1 << 13;
#else
constexpr int64_t kShortRoom = int64_t(1) << 23, kLongRoom = int64_t(1) << 25;
#endif

struct Chunk {
  GuidedPlanes p;
  const float* levels;  // P numbers a plane
  float* models;        // planes of numbers, `planes` for each
  int64_t first, planes;
};

__device__ __forceinline__ const float* guide_of(const GuidedPlanes& p, int64_t plane, int channel) {
  return p.guide + p.guide_walk.offset(plane) + channel * p.channel_stride;
}

// ---- levels

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

// ---- short windows

// Tiles of sums of Q numbers. Fewer rows at a time where there are many numbers, as shared memory and registers have to hold them.
template <int Q>
struct SumTile {
  static constexpr bool kMany = Q > 4;
  static constexpr int kThreads = kMany ? 128 : 256, kRows = kMany ? 16 : 32, kGroup = kMany ? 4 : 8, kColumns = 64;
  static constexpr int kBlocks = kMany || Q <= 2 ? 3 : 2;  // that a multiprocessor's registers have to have room for
  static IMGR_HD int stride(int radius) { return (kColumns + 2 * radius) | 1; }
  static IMGR_HD int slot(int radius) { return kRows * stride(radius); }
  static IMGR_HD size_t shared(int radius) { return sizeof(float) * (Q + 1) * slot(radius); }
  static IMGR_HD int64_t blocks(int height, int width) {
    return blocks_for(height, kRows) * blocks_for(width, kColumns);
  }
};

template <int Q>
struct ToSlots {
  float* first;
  int stride, slot;
  __device__ __forceinline__ void operator()(int j, const float* x) const {
    IMGR_UNROLL
    for (int q = 0; q < Q; ++q) first[q * slot + j * stride] = x[q];
  }
};
struct FromRow {
  const float* first;
  __device__ __forceinline__ void operator()(int k, float* x) const { *x = first[k]; }
};
struct ToRow {
  float* first;
  __device__ __forceinline__ void operator()(int j, const float* x) const { first[j] = *x; }
};

// Where a block's tile is.
template <int Q>
struct Place {
  int64_t plane;
  int y, x, rows, columns;
  __device__ __forceinline__ Place(const GuidedPlanes& p) {
    typedef SumTile<Q> T;
    const int tiles_x = (p.width + T::kColumns - 1) / T::kColumns;
    const int tiles = tiles_x * ((p.height + T::kRows - 1) / T::kRows), tile = blockIdx.x % tiles;
    plane = blockIdx.x / tiles;
    y = tile / tiles_x * T::kRows;
    x = tile % tiles_x * T::kColumns;
    rows = min(T::kRows, p.height - y);
    columns = min(T::kColumns, p.width - x);
  }
};

// The sums of Q numbers over the windows of a tile, number q's in slot q; of what is beyond the picture nothing counts. Down
// the columns first, into slot q + 1; from there along the rows one slot further down, which by then nobody needs.
template <int Q, class Pixels>
__device__ __forceinline__ void sum_tile(const Place<Q>& place, const Pixels& pixels, int height, int width, int radius,
                                         float* slots) {
  typedef SumTile<Q> T;
  const int stride = T::stride(radius), slot = T::slot(radius), n = 2 * radius + 1, thread = threadIdx.x;
  const int groups = (place.rows + T::kGroup - 1) / T::kGroup, wide = place.columns + 2 * radius;
  for (int item = thread; item < groups * wide; item += T::kThreads) {
    const int group = item / wide, c = item - group * wide;
    const int column = place.x - radius + c, first = place.y + group * T::kGroup - radius;
    const bool inside = column >= 0 && column < width;
    const auto in = [&](int k, float* x) {
      if (inside && unsigned(first + k) < unsigned(height)) {
        pixels(first + k, column, x);
      } else {
        IMGR_UNROLL
        for (int q = 0; q < Q; ++q) x[q] = 0;
      }
    };
    short_windows<Q, T::kGroup>(in, n, ToSlots<Q>{slots + slot + group * T::kGroup * stride + c, stride, slot});
  }
  const int row_groups = (place.columns + 7) / 8;
  for (int q = 0; q < Q; ++q) {
    __syncthreads();
    for (int item = thread; item < row_groups * T::kRows; item += T::kThreads) {
      const int row = item % T::kRows, at = row * stride + item / T::kRows * 8;
      if (row >= place.rows) continue;
      short_windows<1, 8>(FromRow{slots + (q + 1) * slot + at}, n, ToRow{slots + q * slot + at});
    }
  }
  __syncthreads();
}

template <class Model>
struct ProductPixels {
  const float* at[Model::P];
  float level[Model::P];
  int64_t guide_stride, image_stride;
  __device__ __forceinline__ void operator()(int row, int column, float* x) const {
    float v[Model::P];
    IMGR_UNROLL
    for (int i = 0; i < Model::P; ++i) {
      v[i] = at[i][row * (i < Model::G ? guide_stride : image_stride) + column] - level[i];
    }
    Model::products(v, x);
  }
};

template <class Model>
__global__ void __launch_bounds__(SumTile<Model::Q>::kThreads, SumTile<Model::Q>::kBlocks) guided_fit(Chunk chunk) {
  typedef SumTile<Model::Q> T;
  IMGR_SHARED(float, slots);
  const GuidedPlanes& p = chunk.p;
  const Place<Model::Q> place(p);
  const int64_t plane = chunk.first + place.plane;
  ProductPixels<Model> pixels;
  IMGR_UNROLL
  for (int i = 0; i < Model::P; ++i) {
    pixels.at[i] = i < Model::G ? guide_of(p, plane, i) : p.image + p.image_walk.offset(plane);
    pixels.level[i] = chunk.levels[plane * Model::P + i];
  }
  pixels.guide_stride = p.guide_stride;
  pixels.image_stride = p.image_stride;
  sum_tile<Model::Q>(place, pixels, p.height, p.width, p.radius, slots);
  const int stride = T::stride(p.radius), slot = T::slot(p.radius);
  const int64_t apart = chunk.planes * p.height * p.width;
  for (int i = threadIdx.x; i < place.rows * T::kColumns; i += T::kThreads) {
    const int row = i / T::kColumns, c = i % T::kColumns;
    if (c >= place.columns) continue;
    const int y = place.y + row, x = place.x + c;
    const float factor = window_factor(y, p.height, p.radius, Boundary::kShrink) *
                         window_factor(x, p.width, p.radius, Boundary::kShrink);
    float mean[Model::Q], ab[Model::C];
    IMGR_UNROLL
    for (int q = 0; q < Model::Q; ++q) mean[q] = slots[q * slot + row * stride + c] * factor;
    Model::solve(mean, p.eps, ab);
    float* to = chunk.models + (place.plane * p.height + y) * p.width + x;
    IMGR_UNROLL
    for (int k = 0; k < Model::C; ++k) to[k * apart] = ab[k];
  }
}

template <int C>
struct ModelPixels {
  const float* first;
  int64_t apart;
  int width;
  __device__ __forceinline__ void operator()(int row, int column, float* x) const {
    const float* at = first + int64_t(row) * width + column;
    IMGR_UNROLL
    for (int k = 0; k < C; ++k) x[k] = at[k * apart];
  }
};

// The pixel from the sums or means of its models.
template <class Model>
struct Blend {
  const float* guide[Model::G];
  float level[Model::G], image_level;
  int64_t stride;
  __device__ __forceinline__ Blend(const GuidedPlanes& p, int64_t plane, const float* levels) {
    IMGR_UNROLL
    for (int i = 0; i < Model::G; ++i) {
      guide[i] = guide_of(p, plane, i);
      level[i] = levels[plane * Model::P + i];
    }
    image_level = levels[plane * Model::P + Model::P - 1];
    stride = p.guide_stride;
  }
  __device__ __forceinline__ float operator()(const float* ab, float factor, int y, int x) const {
    float out = ab[Model::G] * factor + image_level;
    IMGR_UNROLL
    for (int i = 0; i < Model::G; ++i) out += ab[i] * factor * (guide[i][y * stride + x] - level[i]);
    return out;
  }
};

template <class Model>
__global__ void __launch_bounds__(SumTile<Model::C>::kThreads, SumTile<Model::C>::kBlocks) guided_blend(Chunk chunk) {
  constexpr int C = Model::C;
  typedef SumTile<C> T;
  IMGR_SHARED(float, slots);
  const GuidedPlanes& p = chunk.p;
  const Place<C> place(p);
  const int64_t plane = chunk.first + place.plane, pixels = int64_t(p.height) * p.width;
  const ModelPixels<C> models = {chunk.models + place.plane * pixels, chunk.planes * pixels, p.width};
  sum_tile<C>(place, models, p.height, p.width, p.radius, slots);
  const int stride = T::stride(p.radius), slot = T::slot(p.radius);
  const Blend<Model> blend(p, plane, chunk.levels);
  float* out = p.out + plane * pixels;
  for (int i = threadIdx.x; i < place.rows * T::kColumns; i += T::kThreads) {
    const int row = i / T::kColumns, c = i % T::kColumns;
    if (c >= place.columns) continue;
    const int y = place.y + row, x = place.x + c;
    const float factor = window_factor(y, p.height, p.radius, Boundary::kShrink) *
                         window_factor(x, p.width, p.radius, Boundary::kShrink);
    float ab[C];
    IMGR_UNROLL
    for (int k = 0; k < C; ++k) ab[k] = slots[k * slot + row * stride + c];
    out[int64_t(y) * p.width + x] = blend(ab, factor, y, x);
  }
}

// ---- long windows: means are made elsewhere, here pixel by pixel

template <class Model>
__global__ void __launch_bounds__(kPixelThreads) guided_solve(Chunk chunk) {
  const int64_t i = int64_t(blockIdx.x) * kPixelThreads + threadIdx.x;
  const int64_t apart = chunk.planes * chunk.p.height * chunk.p.width;
  if (i >= apart) return;
  float mean[Model::Q], ab[Model::C];
  IMGR_UNROLL
  for (int q = 0; q < Model::Q; ++q) mean[q] = chunk.models[q * apart + i];
  Model::solve(mean, chunk.p.eps, ab);
  IMGR_UNROLL
  for (int k = 0; k < Model::C; ++k) chunk.models[k * apart + i] = ab[k];
}

template <class Model>
__global__ void __launch_bounds__(kPixelThreads) guided_pixels(Chunk chunk) {
  const GuidedPlanes& p = chunk.p;
  const int64_t i = int64_t(blockIdx.x) * kPixelThreads + threadIdx.x;
  const int64_t pixels = int64_t(p.height) * p.width, apart = chunk.planes * pixels;
  if (i >= apart) return;
  const int64_t plane = chunk.first + i / pixels;
  const int pixel_y = int(i % pixels / p.width), pixel_x = int(i % p.width);
  float ab[Model::C];
  IMGR_UNROLL
  for (int k = 0; k < Model::C; ++k) ab[k] = chunk.models[k * apart + i];
  p.out[chunk.first * pixels + i] = Blend<Model>(p, plane, chunk.levels)(ab, 1.0f, pixel_y, pixel_x);
}

// Which two pictures' product the q-th number is; -1: only the first.
struct Pair {
  int a, b;
};
template <class Model>
Pair pair_of(int q) {
  if (q < Model::P) return {q, -1};
  if (Model::G == 1) return {0, q - Model::P};
  constexpr Pair color[] = {{0, 0}, {0, 1}, {0, 2}, {1, 1}, {1, 2}, {2, 2}, {3, 0}, {3, 1}, {3, 2}};
  return color[q - Model::P];
}

// Planes of numbers that long windows need at once: products, or models and their means.
template <class Model>
constexpr int long_slots() {
  return Model::Q > 2 * Model::C ? Model::Q : 2 * Model::C;
}

template <class Model>
void run_long(const Chunk& chunk, float* room, Stream stream) {
  const GuidedPlanes& p = chunk.p;
  const int64_t pixels = int64_t(p.height) * p.width, apart = chunk.planes * pixels;
  LongWindows w = {};
  w.planes = chunk.planes;
  w.height = p.height;
  w.width = p.width;
  w.radius_y = w.radius_x = p.radius;
  w.boundary = Boundary::kShrink;
  w.room = room;
  const auto run = [&](float* out) {
    w.out = out;
    launch_long_windows(w, stream);
  };
  for (int q = 0; q < Model::Q; ++q) {
    const Pair pair = pair_of<Model>(q);
    const auto is_guide = [&](int i) { return i < Model::G; };
    const auto picture = [&](int i) { return is_guide(i) ? p.guide + i * p.channel_stride : p.image; };
    WindowSource& s = w.source;
    s.a = picture(pair.a);
    s.a_walk = is_guide(pair.a) ? p.guide_walk : p.image_walk;
    s.a_stride = is_guide(pair.a) ? p.guide_stride : p.image_stride;
    s.b = pair.b < 0 ? nullptr : picture(pair.b);
    s.b_walk = is_guide(pair.b) ? p.guide_walk : p.image_walk;
    s.b_stride = is_guide(pair.b) ? p.guide_stride : p.image_stride;
    s.levels = chunk.levels;
    s.levels_each = Model::P;
    s.a_level = pair.a;
    s.b_level = pair.b < 0 ? 0 : pair.b;
    w.first_plane = chunk.first;
    run(chunk.models + q * apart);
  }
  const dim3 blocks(blocks_for(apart, kPixelThreads));
  launch("guided_solve", guided_solve<Model>, blocks, dim3(kPixelThreads), 0, stream, chunk);
  w.source = {};
  w.source.a_walk = dense_walk(chunk.planes, pixels);
  w.source.a_stride = p.width;
  w.first_plane = 0;
  for (int k = 0; k < Model::C; ++k) {
    w.source.a = chunk.models + k * apart;
    run(chunk.models + (Model::C + k) * apart);
  }
  Chunk means = chunk;
  means.models += Model::C * apart;
  launch("guided_pixels", guided_pixels<Model>, blocks, dim3(kPixelThreads), 0, stream, means);
}

template <class Model>
void run_short(const Chunk& chunk, Stream stream) {
  const GuidedPlanes& p = chunk.p;
  typedef SumTile<Model::Q> Fit;
  typedef SumTile<Model::C> Mean;
  launch("guided_fit", guided_fit<Model>, dim3(Fit::blocks(p.height, p.width) * chunk.planes), dim3(Fit::kThreads),
         Fit::shared(p.radius), stream, chunk);
  launch("guided_blend", guided_blend<Model>, dim3(Mean::blocks(p.height, p.width) * chunk.planes),
         dim3(Mean::kThreads), Mean::shared(p.radius), stream, chunk);
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
               : color       ? long_slots<GuidedColor>()
               : p.self      ? long_slots<GuidedSelf>()
                             : long_slots<GuidedGray>();
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
    const Chunk chunk = {p, p.room, p.room + plan.levels, first, count};
    if (plan.is_short) {
      run_short<Model>(chunk, stream);
    } else {
      run_long<Model>(chunk, chunk.models + plan.slots * count * pixels, stream);
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
