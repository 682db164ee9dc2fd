#include "guided_models.h"
#include "long_windows.h"
#include "short_windows.h"

// The guided filter with windows of a radius up to 16: a kernel that sums all products over a tile's windows in
// shared memory and solves for the models, and one that sums these and writes the result.
namespace imgrestore {
namespace {

// Tiles of sums of Q numbers. Fewer rows at a time where there are many numbers, as shared memory and registers have
// to hold them.
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

// The sums of Q numbers over the windows of a tile, number q's in slot q; of what is beyond the picture nothing
// counts. Down the columns first, into slot q + 1; from there along the rows one slot further down, which by then
// nobody needs.
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

template <class Model, class T = SumTile<Model::Q>>
__global__ void __launch_bounds__(T::kThreads, T::kBlocks) guided_fit(GuidedChunk chunk) {
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

template <class Model, class T = SumTile<Model::C>>
__global__ void __launch_bounds__(T::kThreads, T::kBlocks) guided_blend(GuidedChunk chunk) {
  constexpr int C = Model::C;
  IMGR_SHARED(float, slots);
  const GuidedPlanes& p = chunk.p;
  const Place<C> place(p);
  const int64_t plane = chunk.first + place.plane, pixels = int64_t(p.height) * p.width;
  const ModelPixels<C> models = {chunk.models + place.plane * pixels, chunk.planes * pixels, p.width};
  sum_tile<C>(place, models, p.height, p.width, p.radius, slots);
  const int stride = T::stride(p.radius), slot = T::slot(p.radius);
  const GuidedBlend<Model> blend(p, plane, chunk.levels);
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

}  // namespace

template <class Model>
void run_guided_short(const GuidedChunk& chunk, Stream stream) {
  const GuidedPlanes& p = chunk.p;
  typedef SumTile<Model::Q> Fit;
  typedef SumTile<Model::C> Mean;
  launch("guided_fit", guided_fit<Model>, dim3(Fit::blocks(p.height, p.width) * chunk.planes), dim3(Fit::kThreads),
         Fit::shared(p.radius), stream, chunk);
  launch("guided_blend", guided_blend<Model>, dim3(Mean::blocks(p.height, p.width) * chunk.planes),
         dim3(Mean::kThreads), Mean::shared(p.radius), stream, chunk);
}
template void run_guided_short<GuidedSelf>(const GuidedChunk&, Stream);
template void run_guided_short<GuidedGray>(const GuidedChunk&, Stream);
template void run_guided_short<GuidedColor>(const GuidedChunk&, Stream);

}  // namespace imgrestore
