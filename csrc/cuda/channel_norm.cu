#include "channel_norm.h"

#include "../math/bfloat16.h"
#include "../math/moments.h"
#include "lanes.h"
#include "vectors.h"

// Layer normalisation over the channels of each pixel. The floor is one read and one write. Where the channels are
// planes a thread has two neighbouring pixels, or one, and reads many channels before it needs the first: up to kMost
// of them stay in registers; more are read twice, the second time mostly from a cache. Where they lie side by side a
// warp has a pixel, and up to 256 channels of it stay in registers.
namespace imgrestore {
namespace {

constexpr int kThreads = 128, kMost = 48, kLanes = 8;

// A thread for N pixels, whose channels are planes. Whole: all channels stay in registers.
template <class T, int N, bool Whole>
__global__ void __launch_bounds__(kThreads) norm_planes(ChannelNormPlanes<T> p) {
  constexpr int kHeld = Whole ? kMost : 8;
  const int64_t pixel = (int64_t(blockIdx.x) * kThreads + threadIdx.x) * N;
  if (pixel >= p.pixels) return;
  const int64_t first = int64_t(blockIdx.y) * p.channels * p.pixels + pixel;
  float v[N][kHeld];
  const auto read = [&](int from) {
    const T* next = p.x + first + from * p.pixels;
    IMGR_UNROLL
    for (int c = 0; c < kHeld; ++c, next += p.pixels) {
      float some[N];
      IMGR_UNROLL
      for (int i = 0; i < N; ++i) some[i] = 0;
      if (from + c < p.channels) fetch_vector(next, some);
      IMGR_UNROLL
      for (int i = 0; i < N; ++i) v[i][c] = some[i];
    }
  };
  Moments all[N];
  float factor[N];
  for (int from = 0; from < p.channels; from += kHeld) {
    read(from);
    IMGR_UNROLL
    for (int i = 0; i < N; ++i) all[i].add(v[i], min(kHeld, p.channels - from));
    if (Whole) break;
  }
  IMGR_UNROLL
  for (int i = 0; i < N; ++i) factor[i] = 1.0f / sqrtf(all[i].squares / float(p.channels) + p.eps);
  for (int from = 0; from < p.channels; from += kHeld) {
    if (!Whole) read(from);
    T* next = p.out + first + from * p.pixels;
    IMGR_UNROLL
    for (int c = 0; c < kHeld; ++c, next += p.pixels) {
      if (from + c >= p.channels) continue;
      const float weight = fetch(p.weight + from + c), bias = fetch(p.bias + from + c);
      float some[N];
      IMGR_UNROLL
      for (int i = 0; i < N; ++i) some[i] = (v[i][c] - all[i].mean) * factor[i] * weight + bias;
      write_vector(next, some);
    }
    if (Whole) break;
  }
}

// A warp for a pixel, whose channels lie side by side; a lane has those that are kWarp apart, the first kLanes in
// registers.
template <class T>
__global__ void __launch_bounds__(kThreads) norm_pixels(ChannelNormPlanes<T> p) {
  const int lane = threadIdx.x % kWarp;
  const int64_t pixel = int64_t(blockIdx.x) * (kThreads / kWarp) + threadIdx.x / kWarp;
  if (pixel >= p.pixels) return;
  const int64_t first = (int64_t(blockIdx.y) * p.pixels + pixel) * p.channels;
  const T* x = p.x + first;
  T* out = p.out + first;
  const bool held = p.channels <= kLanes * kWarp;
  float v[kLanes], sum = 0, squares = 0;
  IMGR_UNROLL
  for (int j = 0; j < kLanes; ++j) {
    v[j] = lane + j * kWarp < p.channels ? fetch(x + lane + j * kWarp) : 0.0f;
    sum += v[j];
  }
  for (int c = lane + kLanes * kWarp; c < p.channels; c += kWarp) sum += fetch(x + c);
  const float mean = warp_sum(sum) / float(p.channels);
  IMGR_UNROLL
  for (int j = 0; j < kLanes; ++j) {
    const float d = lane + j * kWarp < p.channels ? v[j] - mean : 0.0f;
    squares += d * d;
  }
  for (int c = lane + kLanes * kWarp; !held && c < p.channels; c += kWarp) {
    const float d = fetch(x + c) - mean;
    squares += d * d;
  }
  const float factor = 1.0f / sqrtf(warp_sum(squares) / float(p.channels) + p.eps);
  IMGR_UNROLL
  for (int j = 0; j < kLanes; ++j) {
    const int c = lane + j * kWarp;
    if (c < p.channels) from_float((v[j] - mean) * factor * fetch(p.weight + c) + fetch(p.bias + c), &out[c]);
  }
  for (int c = lane + kLanes * kWarp; !held && c < p.channels; c += kWarp) {
    from_float((fetch(x + c) - mean) * factor * fetch(p.weight + c) + fetch(p.bias + c), &out[c]);
  }
}

}  // namespace

template <class T>
void launch_channel_norm(const ChannelNormPlanes<T>& planes, Stream stream) {
  constexpr int N = 2;
  const auto apart = reinterpret_cast<uintptr_t>(planes.x) | reinterpret_cast<uintptr_t>(planes.out);
  const bool vectors = planes.pixels % N == 0 && apart % (N * sizeof(T)) == 0;
  const bool whole = planes.channels <= kMost;
  auto kernel = norm_pixels<T>;
  int each = kThreads / kWarp;
  if (!planes.channels_last) {
    kernel = vectors ? whole ? norm_planes<T, N, true> : norm_planes<T, N, false>
                     : whole ? norm_planes<T, 1, true> : norm_planes<T, 1, false>;
    each = vectors ? kThreads * N : kThreads;
  }
  // A grid's second side has 65535 places.
  for (int64_t done = 0; done < planes.pictures; done += 65535) {
    ChannelNormPlanes<T> some = planes;
    some.x += done * planes.channels * planes.pixels;
    some.out += done * planes.channels * planes.pixels;
    const int64_t count = planes.pictures - done < 65535 ? planes.pictures - done : 65535;
    launch("channel_norm", kernel, dim3(blocks_for(planes.pixels, each), count), dim3(kThreads), 0, stream, some);
  }
}

template void launch_channel_norm(const ChannelNormPlanes<float>&, Stream);
template void launch_channel_norm(const ChannelNormPlanes<Bfloat16>&, Stream);

}  // namespace imgrestore
