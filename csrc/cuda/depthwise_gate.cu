#include "depthwise_gate.h"

#include "lanes.h"
#include "vectors.h"

// A 3x3 depthwise convolution and the product of the halves of its channels. The floor is one read of x and one write
// of half as many numbers. A thread has a few neighbouring pixels of a channel and its partner, or a few channels of a
// pixel, and walks down kTall rows: three rows stay in registers, so that a row is read once, and twice at the seams
// of threads, where like the columns next to a thread's own it is found in the first or second cache. All rows of a
// thread are unrolled: their loads do not wait for each other.
namespace imgrestore {
namespace {

constexpr int kThreads = 128, kTall = 8;

// Adds row `part` of the kernel times a row of pixels and its neighbours on both sides.
template <int N>
__device__ __forceinline__ void add_row(const float (&row)[N + 2], const float* taps, float (&sums)[N]) {
  IMGR_UNROLL
  for (int i = 0; i < N; ++i) {
    sums[i] += taps[0] * row[i];
    sums[i] += taps[1] * row[i + 1];
    sums[i] += taps[2] * row[i + 2];
  }
}

// V pixels of row y from column x on, and one on either side; zeros beyond the picture. whole: rows are whole vectors.
template <int V, class T>
__device__ __forceinline__ void read_row(const T* plane, int y, int x, int height, int width, bool whole,
                                         float (&row)[V + 2]) {
  const bool there = y >= 0 && y < height;
  const T* from = plane + (there ? int64_t(y) * width : 0);
  row[0] = there && x > 0 ? fetch(from + x - 1) : 0.0f;
  row[V + 1] = there && x + V < width ? fetch(from + x + V) : 0.0f;
  float own[V];
  IMGR_UNROLL
  for (int i = 0; i < V; ++i) own[i] = 0.0f;
  if (there && whole) {
    fetch_vector(from + x, own);
  } else if (there) {
    IMGR_UNROLL
    for (int i = 0; i < V; ++i) {
      if (x + i < width) own[i] = fetch(from + x + i);
    }
  }
  IMGR_UNROLL
  for (int i = 0; i < V; ++i) row[i + 1] = own[i];
}

// A thread for V pixels of a row, and for the rows below: neighbours in a row lie in neighbouring lanes.
template <class T, int V>
__global__ void __launch_bounds__(kThreads) gate_planes(DepthwiseGatePlanes<T> p, bool whole) {
  const int across = (p.width + V - 1) / V, down = (p.height + kTall - 1) / kTall;
  const int64_t each = int64_t(across) * down, at = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= each * p.half * p.pictures) return;
  const int64_t pixels = int64_t(p.height) * p.width, plane = at / each, place = at % each, picture = plane / p.half;
  const int c = int(plane % p.half), x = int(place % across) * V, y0 = int(place / across) * kTall;
  const T* planes[2] = {p.x + (picture * 2 * p.half + c) * pixels, p.x + (picture * 2 * p.half + p.half + c) * pixels};
  T* out = p.out + plane * pixels;
  float taps[2][9], bias[2], rows[2][V + 2], sums[2][3][V];
  IMGR_UNROLL
  for (int h = 0; h < 2; ++h) {
    IMGR_UNROLL
    for (int i = 0; i < 9; ++i) taps[h][i] = p.weight[(h * p.half + c) * int64_t(9) + i];
    bias[h] = p.bias[h * p.half + c];
  }
  IMGR_UNROLL
  for (int r = 0; r < kTall + 2; ++r) {
    const int y = y0 - 1 + r;
    IMGR_UNROLL
    for (int h = 0; h < 2; ++h) {
      read_row<V>(planes[h], y, x, p.height, p.width, whole, rows[h]);
      IMGR_UNROLL
      for (int i = 0; i < V; ++i) sums[h][r % 3][i] = bias[h];
      IMGR_UNROLL
      for (int back = 0; back < 3; ++back) {
        if (back <= r) add_row<V>(rows[h], taps[h] + 3 * back, sums[h][(r - back) % 3]);
      }
    }
    if (r < 2 || y - 1 >= p.height) continue;
    float product[V];
    IMGR_UNROLL
    for (int i = 0; i < V; ++i) product[i] = sums[0][(r + 1) % 3][i] * sums[1][(r + 1) % 3][i];
    T* to = out + int64_t(y - 1) * p.width + x;
    if (whole) {
      write_vector(to, product);
      continue;
    }
    IMGR_UNROLL
    for (int i = 0; i < V; ++i) {
      if (x + i < p.width) from_float(product[i], &to[i]);
    }
  }
}

// Taps and biases as threads read them that have neighbouring channels: [ten][2 half].
__global__ void __launch_bounds__(kThreads) turn_taps(const float* weight, const float* bias, int channels, float* to) {
  const int i = int(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= 10 * channels) return;
  const int c = i % channels, tap = i / channels;
  to[i] = tap < 9 ? weight[int64_t(c) * 9 + tap] : bias[c];
}

// A thread for V channels of a column, and for the rows below: channels lie in neighbouring lanes.
template <class T, int V>
__global__ void __launch_bounds__(kThreads) gate_pixels(DepthwiseGatePlanes<T> p, const float* turned) {
  const int across = p.half / V, down = (p.height + kTall - 1) / kTall;
  const int64_t each = int64_t(across) * p.width * down, at = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= each * p.pictures) return;
  const int64_t picture = at / each, pixels = int64_t(p.height) * p.width, rest = at % each;
  const int c = int(rest % across) * V, x = int(rest / across % p.width);
  const int y0 = int(rest / across / p.width) * kTall;
  const T* from = p.x + picture * 2 * p.half * pixels + c;
  T* out = p.out + picture * p.half * pixels + c;
  float taps[2][10][V], sums[2][3][V];
  IMGR_UNROLL
  for (int h = 0; h < 2; ++h) {
    IMGR_UNROLL
    for (int i = 0; i < 10; ++i) fetch_vector(turned + i * 2 * p.half + h * p.half + c, taps[h][i]);
  }
  IMGR_UNROLL
  for (int r = 0; r < kTall + 2; ++r) {
    const int y = y0 - 1 + r;
    IMGR_UNROLL
    for (int h = 0; h < 2; ++h) {
      IMGR_UNROLL
      for (int v = 0; v < V; ++v) sums[h][r % 3][v] = taps[h][9][v];
      IMGR_UNROLL
      for (int i = 0; i < 3; ++i) {
        float near[V];
        IMGR_UNROLL
        for (int v = 0; v < V; ++v) near[v] = 0.0f;
        if (y >= 0 && y < p.height && x + i >= 1 && x + i <= p.width) {
          fetch_vector(from + (int64_t(y) * p.width + x + i - 1) * 2 * p.half + h * p.half, near);
        }
        IMGR_UNROLL
        for (int back = 0; back < 3; ++back) {
          if (back > r) continue;
          IMGR_UNROLL
          for (int v = 0; v < V; ++v) sums[h][(r - back) % 3][v] += taps[h][3 * back + i][v] * near[v];
        }
      }
    }
    if (r < 2 || y - 1 >= p.height) continue;
    float product[V];
    IMGR_UNROLL
    for (int v = 0; v < V; ++v) product[v] = sums[0][(r + 1) % 3][v] * sums[1][(r + 1) % 3][v];
    write_vector(out + (int64_t(y - 1) * p.width + x) * p.half, product);
  }
}

template <class T, int V>
void run_pixels(const DepthwiseGatePlanes<T>& p, float* scratch, Stream stream) {
  launch("depthwise_gate_taps", turn_taps, dim3(blocks_for(int64_t(20) * p.half, kThreads)), dim3(kThreads), 0, stream,
         p.weight, p.bias, 2 * p.half, scratch);
  const int64_t threads = p.pictures * (p.half / V) * p.width * blocks_for(p.height, kTall);
  launch("depthwise_gate", gate_pixels<T, V>, dim3(blocks_for(threads, kThreads)), dim3(kThreads), 0, stream, p,
         scratch);
}

}  // namespace

template <class T>
void launch_depthwise_gate(const DepthwiseGatePlanes<T>& p, float* scratch, Stream stream) {
  constexpr int V = 16 / sizeof(T);
  const auto apart = reinterpret_cast<uintptr_t>(p.x) | reinterpret_cast<uintptr_t>(p.out);
  if (p.channels_last) {
    const bool paired = p.half % 2 == 0 && apart % (2 * sizeof(T)) == 0;
    return paired ? run_pixels<T, 2>(p, scratch, stream) : run_pixels<T, 1>(p, scratch, stream);
  }
  const bool whole = p.width % V == 0 && apart % 16 == 0;
  const int64_t threads = blocks_for(p.width, V) * blocks_for(p.height, kTall) * p.pictures * p.half;
  launch("depthwise_gate", gate_planes<T, V>, dim3(blocks_for(threads, kThreads)), dim3(kThreads), 0, stream, p, whole);
}

template void launch_depthwise_gate(const DepthwiseGatePlanes<float>&, float*, Stream);
template void launch_depthwise_gate(const DepthwiseGatePlanes<Bfloat16>&, float*, Stream);

}  // namespace imgrestore
