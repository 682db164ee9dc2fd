#include "channel_norm.h"

#include "../math/bfloat16.h"
#include "lanes.h"

// Layer normalisation over the channels of each pixel. The floor is one read and one write: the second and third look at a
// pixel's channels find them in the first cache, as a block's pixels fill 32 KiB at 64 channels.
namespace imgrestore {
namespace {

constexpr int kThreads = 128;

// A thread for a pixel: neighbours read neighbours.
template <class T>
__global__ void __launch_bounds__(kThreads) norm_planes(ChannelNormPlanes<T> p) {
  const int64_t pixel = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (pixel >= p.pixels) return;
  const int64_t first = int64_t(blockIdx.y) * p.channels * p.pixels + pixel;
  const T* x = p.x + first;
  T* out = p.out + first;
  float sum = 0;
  for (int c = 0; c < p.channels; ++c) sum += to_float(x[c * p.pixels]);
  const float mean = sum / float(p.channels);
  float squares = 0;
  for (int c = 0; c < p.channels; ++c) {
    const float d = to_float(x[c * p.pixels]) - mean;
    squares += d * d;
  }
  const float factor = 1.0f / sqrtf(squares / float(p.channels) + p.eps);
  for (int c = 0; c < p.channels; ++c) {
    const float d = to_float(x[c * p.pixels]) - mean;
    from_float(d * factor * p.weight[c] + p.bias[c], &out[c * p.pixels]);
  }
}

// A warp for a pixel, whose channels lie side by side.
template <class T>
__global__ void __launch_bounds__(kThreads) norm_pixels(ChannelNormPlanes<T> p) {
  const int lane = threadIdx.x % kWarp;
  const int64_t pixel = int64_t(blockIdx.x) * (kThreads / kWarp) + threadIdx.x / kWarp;
  if (pixel >= p.pixels) return;
  const int64_t first = (int64_t(blockIdx.y) * p.pixels + pixel) * p.channels;
  const T* x = p.x + first;
  T* out = p.out + first;
  float sum = 0;
  for (int c = lane; c < p.channels; c += kWarp) sum += to_float(x[c]);
  const float mean = warp_sum(sum) / float(p.channels);
  float squares = 0;
  for (int c = lane; c < p.channels; c += kWarp) {
    const float d = to_float(x[c]) - mean;
    squares += d * d;
  }
  const float factor = 1.0f / sqrtf(warp_sum(squares) / float(p.channels) + p.eps);
  for (int c = lane; c < p.channels; c += kWarp) {
    from_float((to_float(x[c]) - mean) * factor * p.weight[c] + p.bias[c], &out[c]);
  }
}

}  // namespace

template <class T>
void launch_channel_norm(const ChannelNormPlanes<T>& planes, Stream stream) {
  const int each = planes.channels_last ? kThreads / kWarp : kThreads;
  // A grid's second side has 65535 places.
  for (int64_t done = 0; done < planes.pictures; done += 65535) {
    ChannelNormPlanes<T> some = planes;
    some.x += done * planes.channels * planes.pixels;
    some.out += done * planes.channels * planes.pixels;
    const int64_t count = planes.pictures - done < 65535 ? planes.pictures - done : 65535;
    launch("channel_norm", planes.channels_last ? norm_pixels<T> : norm_planes<T>,
           dim3(blocks_for(planes.pixels, each), count), dim3(kThreads), 0, stream, some);
  }
}

template void launch_channel_norm(const ChannelNormPlanes<float>&, Stream);
template void launch_channel_norm(const ChannelNormPlanes<Bfloat16>&, Stream);

}  // namespace imgrestore
