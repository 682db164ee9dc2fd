#include "patch_conv.h"

#include "patch_conv_gather.h"

// A convolution in float32 as the product of its weights with the patches of 128 pixels. The floor is one read of x
// (and of plus) and one write of the result; with c k^2 multiplications for each result the nets' convolutions stand
// between that and the arithmetic. A block gathers eight rows of patches into registers while it multiplies the eight
// before them from shared memory: a thread has eight outputs of four pixels, so that three loads of 16 bytes serve 32
// products. All outputs of a pixel are computed by one block, or by blocks that follow each other; what patches share
// comes from the first cache.
namespace imgrestore {
namespace {

constexpr int kDeep = 8;

// Parts x 8 outputs, by Parts x 32 threads, of which the first 128 (or all 64, for two pixels each) gather.
template <int Parts>
__global__ void __launch_bounds__(Parts * 32, 16 / Parts)
    conv_floats(PatchConvPlanes p, PatchKind kind, bool vectors, bool pairs) {
  constexpr int kThreads = Parts * 32, kOutputs = Parts * 8, kGathering = kThreads < kPixels ? kThreads : kPixels;
  constexpr int kEach = kPixels / kGathering, kWeights = kDeep * kOutputs / kThreads;
  IMGR_SHARED(float, patches);                              // [2][kDeep][kPixels]
  float* const weights = patches + 2 * kDeep * kPixels;     // [2][kDeep][kOutputs]
  PatchPlace* const places = reinterpret_cast<PatchPlace*>(weights + 2 * kDeep * kOutputs);  // [2][kDeep]
  const PatchBlock block = PatchBlock::of(p, kOutputs);
  const int thread = threadIdx.x, depth = p.channels * p.kernel * p.kernel, lots = (depth + kDeep - 1) / kDeep;
  const int quad = thread / Parts, part = thread % Parts;
  Patch patch[kEach];
  IMGR_UNROLL
  for (int i = 0; i < kEach; ++i) patch[i] = Patch::of(p, block, thread % kGathering + i * kGathering);

  float next[kEach][kDeep], more[kWeights];
  const auto find = [&](int lot) {
    if (kind != PatchKind::kAny || thread >= kDeep) return;
    places[lot % 2 * kDeep + thread] = patch_place(p, lot * kDeep + thread);
  };
  const auto read = [&](int lot) {
    if (thread < kGathering) {
      IMGR_UNROLL
      for (int i = 0; i < kEach; ++i) patch[i].read(p, kind, lot * kDeep, depth, places + lot % 2 * kDeep, next[i]);
    }
    IMGR_UNROLL
    for (int i = 0; i < kWeights; ++i) {
      const int k = (thread + i * kThreads) % kDeep, output = block.output + (thread + i * kThreads) / kDeep;
      const bool real = output < p.outputs && lot * kDeep + k < depth;
      more[i] = real ? p.weight[int64_t(output) * depth + lot * kDeep + k] : 0.0f;
    }
  };
  const auto keep = [&](int lot) {
    float* to = patches + lot % 2 * kDeep * kPixels + thread;
    if (thread < kGathering) {
      IMGR_UNROLL
      for (int i = 0; i < kEach; ++i) {
        IMGR_UNROLL
        for (int k = 0; k < kDeep; ++k) to[k * kPixels + i * kGathering] = next[i][k];
      }
    }
    IMGR_UNROLL
    for (int i = 0; i < kWeights; ++i) {
      const int at = thread + i * kThreads;
      weights[(lot % 2 * kDeep + at % kDeep) * kOutputs + at / kDeep] = more[i];
    }
  };

  float sums[8][4];
  IMGR_UNROLL
  for (int j = 0; j < 8; ++j) {
    const int output = block.output + part * 8 + j;
    const float bias = p.bias && output < p.outputs ? p.bias[output] : 0.0f;
    sums[j][0] = sums[j][1] = sums[j][2] = sums[j][3] = bias;
  }
  find(0);
  __syncthreads();
  read(0);
  keep(0);
  find(1);
  __syncthreads();
  for (int lot = 0; lot < lots; ++lot) {
    if (lot + 1 < lots) read(lot + 1);
    const float* x = patches + lot % 2 * kDeep * kPixels + quad * 4;
    const float* w = weights + lot % 2 * kDeep * kOutputs + part * 8;
    IMGR_UNROLL_4
    for (int k = 0; k < kDeep; ++k) {
      const float4 four = *reinterpret_cast<const float4*>(x + k * kPixels);
      const float4 low = *reinterpret_cast<const float4*>(w + k * kOutputs);
      const float4 high = *reinterpret_cast<const float4*>(w + k * kOutputs + 4);
      const float row[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
      IMGR_UNROLL
      for (int j = 0; j < 8; ++j) {
        sums[j][0] += row[j] * four.x, sums[j][1] += row[j] * four.y;
        sums[j][2] += row[j] * four.z, sums[j][3] += row[j] * four.w;
      }
    }
    if (lot + 1 < lots) keep(lot + 1);
    if (lot + 2 < lots) find(lot + 2);
    __syncthreads();
  }

  const int64_t pixel = block.first + quad * 4, left = int64_t(p.out_height) * p.out_width - pixel;
  const int there = int(left < 4 ? left : 4), output = block.output + part * 8;
  if (p.plus) touch_sums<false>(p, block.picture, output, pixel, there, sums, vectors, pairs);
  touch_sums<true>(p, block.picture, output, pixel, there, sums, vectors, pairs);
}

template <int Parts>
void run(const PatchConvPlanes& p, Stream stream) {
  const bool vectors = !p.shuffle && int64_t(p.out_height) * p.out_width % 4 == 0 && patch_aligned(p, 16);
  const size_t shared = 2 * kDeep * (sizeof(float) * (kPixels + Parts * 8) + sizeof(PatchPlace));
  launch("patch_conv", conv_floats<Parts>, dim3(PatchBlock::count(p, Parts * 8)), dim3(Parts * 32), shared, stream, p,
         patch_kind(p), vectors, patch_aligned(p, 8));
}

}  // namespace

void launch_patch_conv(const PatchConvPlanes& planes, bool narrow, Stream stream) {
  if (narrow) return launch_patch_conv_narrow(planes, stream);
  if (planes.stride == 1 && (planes.kernel == 3 || planes.kernel == 5)) {
    return launch_patch_conv_direct(planes, stream);
  }
  // The width with the fewest outputs to spare, of equals the largest.
  int best = 8;
  for (const int parts : {5, 4, 2}) {
    if (blocks_for(planes.outputs, parts * 8) * parts < blocks_for(planes.outputs, best * 8) * best) best = parts;
  }
  if (best == 8) return run<8>(planes, stream);
  if (best == 5) return run<5>(planes, stream);
  if (best == 4) return run<4>(planes, stream);
  run<2>(planes, stream);
}

}  // namespace imgrestore
