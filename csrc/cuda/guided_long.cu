#include "guided_models.h"
#include "long_windows.h"

// The guided filter with longer windows: two passes of long_windows.cu for each product and for each number of a
// model. What is left is done pixel by pixel.
namespace imgrestore {
namespace {

constexpr int kPixelThreads = 256;

template <class Model>
__global__ void __launch_bounds__(kPixelThreads) guided_solve(GuidedChunk chunk) {
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
__global__ void __launch_bounds__(kPixelThreads) guided_pixels(GuidedChunk chunk) {
  const GuidedPlanes& p = chunk.p;
  const int64_t i = int64_t(blockIdx.x) * kPixelThreads + threadIdx.x;
  const int64_t pixels = int64_t(p.height) * p.width, apart = chunk.planes * pixels;
  if (i >= apart) return;
  const int64_t plane = chunk.first + i / pixels;
  const int pixel_y = int(i % pixels / p.width), pixel_x = int(i % p.width);
  float ab[Model::C];
  IMGR_UNROLL
  for (int k = 0; k < Model::C; ++k) ab[k] = chunk.models[k * apart + i];
  p.out[chunk.first * pixels + i] = GuidedBlend<Model>(p, plane, chunk.levels)(ab, 1.0f, pixel_y, pixel_x);
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

}  // namespace

template <class Model>
void run_guided_long(const GuidedChunk& chunk, float* room, Stream stream) {
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
  GuidedChunk means = chunk;
  means.models += Model::C * apart;
  launch("guided_pixels", guided_pixels<Model>, blocks, dim3(kPixelThreads), 0, stream, means);
}
template void run_guided_long<GuidedSelf>(const GuidedChunk&, float*, Stream);
template void run_guided_long<GuidedGray>(const GuidedChunk&, float*, Stream);
template void run_guided_long<GuidedColor>(const GuidedChunk&, float*, Stream);

}  // namespace imgrestore
