#include "mma.h"
#include "patch_conv.h"
#include "patch_conv_gather.h"

// The same convolution on the tensor cores, with its factors rounded to bfloat16. The floor is one read of x (and of
// plus) and one write of the result. A block of four warps gathers 32 rows of the patches of 128 pixels into
// registers, in pairs, while it multiplies the 32 before them from shared memory: a warp has 32 pixels and all the
// block's outputs. The pixels are the rows of the first factor, at a stride that gives the lanes of a warp 32 banks.
namespace imgrestore {
namespace {

constexpr int kThreads = 128, kDeep = 32, kWords = kDeep / 2 + 4;  // pairs of a row of a factor, with some to spare

// Adds `plus` to what a lane has, or writes it.
template <int Parts, bool Write>
__device__ __forceinline__ void touch_products(const PatchConvPlanes& p, const PatchBlock& block, int64_t first, int t,
                                               float (&sums)[2][Parts][4], bool pairs) {
  IMGR_UNROLL
  for (int i = 0; i < 2; ++i) {
    IMGR_UNROLL
    for (int j = 0; j < Parts; ++j) {
      IMGR_UNROLL
      for (int k = 0; k < 2; ++k) {
        touch_two<Write>(p, block.picture, block.output + j * 8 + 2 * t, first + i * 16 + 8 * k, sums[i][j][2 * k],
                         sums[i][j][2 * k + 1], pairs);
      }
    }
  }
}

// Parts x 8 outputs.
template <int Parts>
__global__ void __launch_bounds__(kThreads, Parts < 8 ? 3 : 2) conv_narrow(PatchConvPlanes p, PatchKind kind, bool pairs) {
  constexpr int kOutputs = Parts * 8, kWeights = kDeep / 2 * kOutputs / kThreads;
  IMGR_SHARED(uint32_t, patches);                            // [2][kPixels][kWords]
  uint32_t* const weights = patches + 2 * kPixels * kWords;  // [2][kOutputs][kWords]
  PatchPlace* const places = reinterpret_cast<PatchPlace*>(weights + 2 * kOutputs * kWords);  // [2][kDeep]
  const PatchBlock block = PatchBlock::of(p, kOutputs);
  const int thread = threadIdx.x, depth = p.channels * p.kernel * p.kernel, lots = (depth + kDeep - 1) / kDeep;
  const int lane = thread % kWarp, warp = thread / kWarp, g = lane / 4, t = lane % 4;
  const Patch patch = Patch::of(p, block, thread);

  uint32_t next[kDeep / 2], more[kWeights];
  const auto find = [&](int lot) {
    if (kind != PatchKind::kAny || thread >= kDeep) return;
    places[lot % 2 * kDeep + thread] = patch_place(p, lot * kDeep + thread);
  };
  const auto read = [&](int lot) {
    float v[kDeep];
    patch.read(p, kind, lot * kDeep, depth, places + lot % 2 * kDeep, v);
    IMGR_UNROLL
    for (int k = 0; k < kDeep / 2; ++k) next[k] = pack_bf16(v[2 * k], v[2 * k + 1]);
    IMGR_UNROLL
    for (int i = 0; i < kWeights; ++i) {
      const int at = thread + i * kThreads, k = lot * kDeep + at % (kDeep / 2) * 2;
      const int output = block.output + at / (kDeep / 2);
      const float* from = p.weight + int64_t(output) * depth + k;
      const bool real = output < p.outputs;
      more[i] = pack_bf16(real && k < depth ? from[0] : 0.0f, real && k + 1 < depth ? from[1] : 0.0f);
    }
  };
  const auto keep = [&](int lot) {
    uint4* to = reinterpret_cast<uint4*>(patches + (lot % 2 * kPixels + thread) * kWords);
    IMGR_UNROLL
    for (int k = 0; k < kDeep / 8; ++k) {
      to[k] = make_uint4(next[4 * k], next[4 * k + 1], next[4 * k + 2], next[4 * k + 3]);
    }
    IMGR_UNROLL
    for (int i = 0; i < kWeights; ++i) {
      const int at = thread + i * kThreads;
      weights[(lot % 2 * kOutputs + at / (kDeep / 2)) * kWords + at % (kDeep / 2)] = more[i];
    }
  };

  float sums[2][Parts][4];
  IMGR_UNROLL
  for (int j = 0; j < Parts; ++j) {
    IMGR_UNROLL
    for (int l = 0; l < 2; ++l) {
      const int output = block.output + j * 8 + 2 * t + l;
      const float bias = p.bias && output < p.outputs ? p.bias[output] : 0.0f;
      sums[0][j][l] = sums[0][j][2 + l] = sums[1][j][l] = sums[1][j][2 + l] = bias;
    }
  }
  find(0);
  __syncthreads();
  read(0);
  keep(0);
  find(1);
  __syncthreads();
  for (int lot = 0; lot < lots; ++lot) {
    if (lot + 1 < lots) read(lot + 1);
    const uint32_t* x = patches + (lot % 2 * kPixels + warp * 32 + g) * kWords + t;
    const uint32_t* w = weights + (lot % 2 * kOutputs + g) * kWords + t;
    IMGR_UNROLL
    for (int k = 0; k < kDeep / 2; k += 8) {
      uint32_t a[2][4];
      IMGR_UNROLL
      for (int i = 0; i < 2; ++i) {
        const uint32_t* row = x + i * 16 * kWords + k;
        a[i][0] = row[0], a[i][1] = row[8 * kWords], a[i][2] = row[4], a[i][3] = row[8 * kWords + 4];
      }
      IMGR_UNROLL
      for (int j = 0; j < Parts; ++j) {
        const uint32_t b0 = w[j * 8 * kWords + k], b1 = w[j * 8 * kWords + k + 4];
        mma_bf16(sums[0][j], a[0], b0, b1);
        mma_bf16(sums[1][j], a[1], b0, b1);
      }
    }
    if (lot + 1 < lots) keep(lot + 1);
    if (lot + 2 < lots) find(lot + 2);
    __syncthreads();
  }

  const int64_t first = block.first + warp * 32 + g;
  if (p.plus) touch_products<Parts, false>(p, block, first, t, sums, pairs);
  touch_products<Parts, true>(p, block, first, t, sums, pairs);
}

template <int Parts>
void run(const PatchConvPlanes& p, Stream stream) {
  const size_t shared = 2 * (4 * size_t(kPixels + Parts * 8) * kWords + kDeep * sizeof(PatchPlace));
  launch("patch_conv", conv_narrow<Parts>, dim3(PatchBlock::count(p, Parts * 8)), dim3(kThreads), shared, stream, p,
         patch_kind(p), patch_aligned(p, 8));
}

}  // namespace

void launch_patch_conv_narrow(const PatchConvPlanes& planes, Stream stream) {
  // The width with the fewest outputs to spare, of equals the largest.
  int best = 8;
  for (const int parts : {6, 5, 3}) {
    if (blocks_for(planes.outputs, parts * 8) * parts < blocks_for(planes.outputs, best * 8) * best) best = parts;
  }
  if (best == 8) return run<8>(planes, stream);
  if (best == 6) return run<6>(planes, stream);
  if (best == 5) return run<5>(planes, stream);
  run<3>(planes, stream);
}

}  // namespace imgrestore
