#pragma once

#include "../math/guided.h"
#include "guided.h"

// What the kernels of the guided filter share: some of its planes, and the way from models to pixels.
namespace imgrestore {

struct GuidedChunk {
  GuidedPlanes p;
  const float* levels;  // of each plane: those of its P pictures
  float* models;        // planes of numbers, `planes` for each
  int64_t first, planes;
};

__device__ __forceinline__ const float* guide_of(const GuidedPlanes& p, int64_t plane, int channel) {
  return p.guide + p.guide_walk.offset(plane) + channel * p.channel_stride;
}

// The pixel from the sums or means of its models.
template <class Model>
struct GuidedBlend {
  const float* guide[Model::G];
  float level[Model::G], image_level;
  int64_t stride;
  __device__ __forceinline__ GuidedBlend(const GuidedPlanes& p, int64_t plane, const float* levels) {
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

// Planes of numbers that long windows need at once: products, or models and their means.
template <class Model>
constexpr int guided_long_slots() {
  return Model::Q > 2 * Model::C ? Model::Q : 2 * Model::C;
}

template <class Model>
void run_guided_short(const GuidedChunk& chunk, Stream stream);
// room: long_windows_room() floats for each plane
template <class Model>
void run_guided_long(const GuidedChunk& chunk, float* room, Stream stream);

}  // namespace imgrestore
