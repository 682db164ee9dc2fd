#include "patch_conv.h"
#include "patch_conv_gather.h"

// A convolution by 3x3 or 5x5 kernels with stride 1 in float32. The floor is one read of x (and of plus) and one write
// of the result. Here patches share nearly all of their pixels: a block copies a tile of 8 x 32 pixels and what is
// around it into shared memory, some channels at a time, with their weights, so that each number is copied once and
// not for each row of the kernel and each of its columns. A thread has eight outputs of four pixels: the few numbers
// of a row that it loads serve 32 products for each column of the kernel. Several blocks of a multiprocessor hide each
// other's copies.
namespace imgrestore {
namespace {

constexpr int kTall = 8, kWide = 32, kQuads = kTall * kWide / 4, kChannels = 4;

template <int K>
constexpr int kStride = (kWide + K - 1 + 3) / 4 * 4;

// Parts x 8 outputs.
template <int K, int Parts>
__global__ void __launch_bounds__(kQuads * Parts, 8 / Parts) conv_direct(PatchConvPlanes p, bool vectors, bool pairs) {
  constexpr int kThreads = kQuads * Parts, kOutputs = Parts * 8, S = kStride<K>, R = kTall + K - 1, C = kWide + K - 1;
  constexpr int W = kOutputs + 4;                   // four to spare keep writers out of each other's banks
  IMGR_SHARED(float, tile);                         // [kChannels][R][S]
  float* const weights = tile + kChannels * R * S;  // [kChannels][K][K][W]
  const int parts = (p.outputs + kOutputs - 1) / kOutputs, first_output = int(blockIdx.x % parts) * kOutputs;
  const int across = (p.out_width + kWide - 1) / kWide, down = (p.out_height + kTall - 1) / kTall;
  const int64_t block = blockIdx.x / parts, picture = block / (int64_t(across) * down);
  const int y0 = int(block / across % down) * kTall, x0 = int(block % across) * kWide;
  const int64_t plane = int64_t(p.height) * p.width;
  const float* x = p.x + picture * p.channels * plane;
  const int quad = threadIdx.x / Parts, part = threadIdx.x % Parts;
  const int row = quad / (kWide / 4), column = quad % (kWide / 4) * 4;

  float sums[8][4];
  IMGR_UNROLL
  for (int j = 0; j < 8; ++j) {
    const int output = first_output + part * 8 + j;
    const float bias = p.bias && output < p.outputs ? p.bias[output] : 0.0f;
    sums[j][0] = sums[j][1] = sums[j][2] = sums[j][3] = bias;
  }
  for (int c0 = 0; c0 < p.channels; c0 += kChannels) {
    const int some = min(kChannels, p.channels - c0);
    __syncthreads();  // whoever still multiplies the channels before these
    IMGR_UNROLL_4
    for (int i = threadIdx.x; i < some * R * C; i += kThreads) {
      const int c = i / (R * C), r = i / C % R, k = i % C, y = y0 - p.padding + r, at = x0 - p.padding + k;
      const bool inside = y >= 0 && y < p.height && at >= 0 && at < p.width;
      tile[(c * R + r) * S + k] = inside ? x[(c0 + c) * plane + int64_t(y) * p.width + at] : 0.0f;
    }
    IMGR_UNROLL_4
    for (int i = threadIdx.x; i < some * K * K * kOutputs; i += kThreads) {
      // Neighbouring threads read neighbours in memory.
      const int k = i % (some * K * K), o = i / (some * K * K), output = first_output + o;
      const float* from = p.weight + (int64_t(output) * p.channels + c0) * K * K;
      weights[k * W + o] = output < p.outputs ? from[k] : 0.0f;
    }
    __syncthreads();
    for (int c = 0; c < some; ++c) {
      IMGR_UNROLL
      for (int i = 0; i < K; ++i) {
        const float* from = tile + (c * R + row + i) * S + column;
        float near[8];
        IMGR_UNROLL
        for (int k = 0; k < 8; k += 4) {
          const float4 four = *reinterpret_cast<const float4*>(from + k);
          near[k] = four.x, near[k + 1] = four.y, near[k + 2] = four.z, near[k + 3] = four.w;
        }
        IMGR_UNROLL
        for (int k = 0; k < K; ++k) {
          const float* w = weights + ((c * K + i) * K + k) * W + part * 8;
          const float4 low = *reinterpret_cast<const float4*>(w), high = *reinterpret_cast<const float4*>(w + 4);
          const float of[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
          IMGR_UNROLL
          for (int j = 0; j < 8; ++j) {
            IMGR_UNROLL
            for (int l = 0; l < 4; ++l) sums[j][l] += of[j] * near[k + l];
          }
        }
      }
    }
  }

  const int y = y0 + row, there = min(4, p.out_width - x0 - column), output = first_output + part * 8;
  if (y >= p.out_height) return;
  const int64_t pixel = int64_t(y) * p.out_width + x0 + column;
  if (p.plus) touch_sums<false>(p, picture, output, pixel, there, sums, vectors, pairs);
  touch_sums<true>(p, picture, output, pixel, there, sums, vectors, pairs);
}

template <int K, int Parts>
void run(const PatchConvPlanes& p, Stream stream) {
  const bool vectors = !p.shuffle && p.out_width % 4 == 0 && patch_aligned(p, 16);
  const int64_t blocks = p.pictures * blocks_for(p.out_height, kTall) * blocks_for(p.out_width, kWide);
  const size_t shared = sizeof(float) * kChannels * ((kTall + K - 1) * kStride<K> + K * K * (Parts * 8 + 4));
  launch("patch_conv", conv_direct<K, Parts>, dim3(blocks * blocks_for(p.outputs, Parts * 8)), dim3(kQuads * Parts),
         shared, stream, p, vectors, patch_aligned(p, 8));
}

}  // namespace

void launch_patch_conv_direct(const PatchConvPlanes& p, Stream stream) {
  const bool few = p.outputs <= 16;
  if (p.kernel == 3) return few ? run<3, 2>(p, stream) : run<3, 4>(p, stream);
  few ? run<5, 2>(p, stream) : run<5, 4>(p, stream);
}

}  // namespace imgrestore
