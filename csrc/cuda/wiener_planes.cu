#include "wiener_planes.h"

#include "fft_launch.h"
#include "fft_pixels.h"
#include "lanes.h"

// Wiener deconvolution of planes with several ratios each. Of a plane of n bytes with R ratios the floor is n read and
// R n written. A plane's rows go forward once, 2 n bytes, and for its variance it is read once more; for each ratio
// columns go there and back through a response that is computed on the way, and rows back, 4 n bytes: (2 or 3) + 4 R in
// place of 1 + R. What is above the floor is the spectra's, and planes are done in groups whose spectra stay in the
// second cache.
namespace imgrestore {
namespace {

constexpr int kThreads = 256;
constexpr int kPixels = 8192;  // of a block's sum
constexpr int64_t kGroupBytes = int64_t(24) << 20;
constexpr float kLeastLevel = -14.0f, kMostLevel = 8.0f;

// gain conj(otf) / (|otf|^2 + ratio), the logarithm of the ratio within bounds that keep the quotient finite.
struct ByRatio {
  const float2* otf;
  const float *level, *power, *log_frequency;  // level: of the group's first plane
  int64_t first, size;                         // numbers of a transfer function
  int planes, half;
  float gain;

  struct Column {
    const float2* otf;
    const float* log_frequency;
    float level, power;
  };
  __device__ Column column(int picture, int64_t, int, int k) const {
    const int64_t at = first + picture, owner = at / planes;
    return {otf + owner * size + k, log_frequency + k, level[picture], power[at - owner * planes]};
  }
  __device__ float2 operator()(const Column& column, int i) const {
    const float2 v = column.otf[int64_t(i) * half];
    float log_ratio = column.log_frequency[int64_t(i) * half] * column.power + column.level;
    log_ratio = log_ratio < kLeastLevel ? kLeastLevel : log_ratio;  // NaN stays
    log_ratio = log_ratio > kMostLevel ? kMostLevel : log_ratio;
    const float scale = gain / (v.x * v.x + v.y * v.y + expf(log_ratio));
    return make_float2(v.x * scale, -v.y * scale);
  }
};

// Columns of a plane's spectrum to those of each of its results.
struct Spread : FftColumnsThrough<ByRatio> {
  const float2* planes;
  int repeats;

  __device__ const float2* reads(int c) const {
    const int64_t place = at.outer * columns.outer_apart + at.first + c;
    const float2* plane = planes + at.picture / repeats * columns.shape.picture_size();
    return at.first + c < columns.inner ? plane + place : nullptr;
  }
};

__global__ void __launch_bounds__(kFftThreads, 1)
    wiener_columns(const __grid_constant__ FftColumns columns, const __grid_constant__ ByRatio response,
                   const float2* planes, int repeats, float2* filtered) {
  IMGR_SHARED(float, memory);
  const FftShared held(memory, columns.plan.forward.n, columns.log_lines);
  const FftColumnsPlace at(columns);
  Spread pass = {{columns, at, filtered, response}, planes, repeats};
  fft_run(columns.plan, held, pass);
}

// Sums of what pixels are above the plane's first, and of its squares.
__global__ void __launch_bounds__(kThreads)
    wiener_sums(const float* image, int64_t pixels, int64_t blocks, double* sums) {
  IMGR_SHARED(double, scratch);
  const int64_t plane = blockIdx.x / blocks, begin = (blockIdx.x - plane * blocks) * kPixels;
  const int64_t end = begin + kPixels < pixels ? begin + kPixels : pixels;
  const float* values = image + plane * pixels;
  const double first = values[0];
  double sum = 0, squares = 0;
  for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
    const double above = double(values[i]) - first;
    sum += above;
    squares += above * above;
  }
  sum = block_sum(sum, scratch);
  squares = block_sum(squares, scratch);
  if (threadIdx.x == 0) sums[2 * int64_t(blockIdx.x)] = sum, sums[2 * int64_t(blockIdx.x) + 1] = squares;
}

// A block for each plane of the image.
__global__ void __launch_bounds__(kThreads) wiener_levels(const __grid_constant__ WienerPlanes p, int64_t first,
                                                         int64_t pixels, int64_t blocks) {
  IMGR_SHARED(double, scratch);
  double sum = 0, squares = 0;
  for (int64_t b = threadIdx.x; b < blocks; b += kThreads) {
    sum += p.sums[2 * (blockIdx.x * blocks + b)];
    squares += p.sums[2 * (blockIdx.x * blocks + b) + 1];
  }
  sum = block_sum(sum, scratch);
  squares = block_sum(squares, scratch);
  double rest = squares - sum * sum / double(pixels);
  rest = rest < 0 ? 0 : rest;
  const float height = logf(float(rest / double(pixels - 1)) + 1e-5f);
  for (int r = threadIdx.x; r < p.repeats; r += kThreads) {
    const int64_t at = int64_t(blockIdx.x) * p.repeats + r, plane = first + at;
    p.levels[at] = p.level[plane] - p.signal_power[plane % (int64_t(p.channels) * p.repeats)] * height;
  }
}

}  // namespace

int64_t wiener_planes_group(const FftShape& shape, int64_t planes, int repeats) {
  const int64_t most = kGroupBytes / (shape.picture_size() * int64_t(sizeof(float2)) * (1 + repeats));
  return most < 1 ? 1 : most < planes ? most : planes;
}

int64_t wiener_planes_sums(const FftShape& shape) {
  return 2 * blocks_for(int64_t(shape.height) * shape.width, kPixels);
}

void launch_wiener_planes(const WienerPlanes& p, Stream stream) {
  const FftShape& shape = p.fft.shape;
  const int64_t pixels = int64_t(shape.height) * shape.width, planes = p.pictures * p.channels;
  const int64_t blocks = blocks_for(pixels, kPixels);
  const int results = p.channels * p.repeats;
  const float gain = float(double(p.gain) / double(pixels));
  FftPictures in = p.fft, out = p.fft;
  for (int64_t plane = 0; plane < planes; plane += p.group) {
    const int64_t count = plane + p.group < planes ? p.group : planes - plane, first = plane * p.repeats;
    const float* image = p.image + plane * pixels;
    if (p.signal_power) {
      const size_t scratch = kThreads / kWarp * sizeof(double);
      launch("wiener_planes sums", wiener_sums, dim3(unsigned(count * blocks)), dim3(kThreads), scratch, stream, image,
             pixels, blocks, p.sums);
      launch("wiener_planes levels", wiener_levels, dim3(unsigned(count)), dim3(kThreads), scratch, stream, p, first,
             pixels, blocks);
    }
    in.shape.pictures = int(count);
    out.shape.pictures = int(count * p.repeats);
    const FftSource from = fft_source(image, int(count), 1, shape.height, shape.width);
    launch_fft_rows_from("wiener_planes rows", in, from, p.spectrum, stream);
    const FftColumnsLaunch l(out, false);
    const ByRatio response = {p.otf,   p.signal_power ? p.levels : p.level + first,
                              p.power, p.log_frequency,
                              first,   int64_t(shape.height) * shape.half(),
                              results, shape.half(),
                              gain};
    launch("wiener_planes columns", wiener_columns, l.grid, dim3(l.block.threads), l.block.shared, stream, l.columns,
           response, p.spectrum, p.repeats, p.filtered);
    FftTarget to = fft_target(p.out, results, 1, shape.height, shape.width);
    to.walk.dims = 2;
    to.walk.size[1] = results, to.walk.stride[1] = to.walk.stride[0];
    to.walk.size[0] = INT64_MAX, to.walk.stride[0] = p.out_picture;
    to.first_picture = first;
    launch_fft_rows_to("wiener_planes rows back", out, to, p.filtered, stream);
  }
}

}  // namespace imgrestore
