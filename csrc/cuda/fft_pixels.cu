#include "fft_pixels.h"

#include "fft_launch.h"

// Rows from pictures in memory, and back to them, for whoever does nothing else to their pixels: two kernels for all ops.
namespace imgrestore {
namespace {

// Not inlined: there are calls for every point that a thread holds, of every radix.
__device__ __noinline__ int64_t walked(const PlaneWalk& walk, int64_t picture) { return walk.offset(picture); }

__device__ __forceinline__ int64_t picture_offset(const PlaneWalk& walk, int64_t picture) {
  return walk.dims == 1 ? picture * walk.stride[0] : walked(walk, picture);
}

__device__ __noinline__ int place_outside(int64_t at, int size, Boundary outside) {
  return int(boundary_index(at, size, outside));
}

struct FromPixels {
  FftSource s;

  __device__ int place(int axis, int at) const {
    if (at >= s.seen[axis]) return -1;
    int64_t i = at + s.offset[axis];
    if (s.period[axis] && i >= s.period[axis]) i -= s.period[axis];
    return i >= 0 && i < s.size[axis] ? int(i) : place_outside(i, s.size[axis], s.outside);
  }
  __device__ const float* row(int picture, int z, int y) const {
    const int from_z = place(0, z), from_y = place(1, y);
    if (from_z < 0 || from_y < 0) return nullptr;
    const bool first = picture < s.split;
    const int64_t offset = picture_offset(s.walk, first ? picture : picture - s.split);
    return (first ? s.data : s.second) + offset + from_z * s.stride[0] + from_y * s.stride[1];
  }
  __device__ float operator()(const float* row, int x) const {
    const int from = place(2, x);
    return row && from >= 0 ? row[from * s.stride[2]] * s.scale : 0.0f;
  }
};

struct ToPixels {
  FftTarget t;

  struct Tally {};
  __device__ bool skips(int) const { return false; }
  __device__ float* row(int picture, int z, int y) const {
    z += t.first[0], y += t.first[1];
    if (z < 0 || z >= t.size[0] || y < 0 || y >= t.size[1]) return nullptr;
    return t.data + picture_offset(t.walk, t.first_picture + picture) + (int64_t(z) * t.size[1] + y) * t.size[2];
  }
  __device__ void operator()(Tally&, float* row, int x, float value) const {
    x += t.first[2];
    if (row && x >= 0 && x < t.size[2]) row[x] = value;
  }
  __device__ void finish(Tally, int, float*) const {}
};

PlaneWalk one_after_the_other(int64_t pictures, int64_t apart) {
  PlaneWalk walk = {};
  walk.dims = 1;
  walk.size[0] = pictures;
  walk.stride[0] = apart;
  return walk;
}

}  // namespace

FftSource fft_source(const float* data, int pictures, int depth, int height, int width) {
  FftSource s = {};
  s.data = data;
  s.split = pictures;
  s.walk = one_after_the_other(pictures, int64_t(depth) * height * width);
  const int64_t stride[3] = {int64_t(height) * width, width, 1};
  const int size[3] = {depth, height, width};
  for (int axis = 0; axis < 3; ++axis) {
    s.stride[axis] = stride[axis];
    s.size[axis] = s.seen[axis] = size[axis];
  }
  s.outside = Boundary::kZero;
  s.scale = 1;
  return s;
}

FftTarget fft_target(float* data, int pictures, int depth, int height, int width) {
  return {data, one_after_the_other(pictures, int64_t(depth) * height * width), 0, {depth, height, width}, {0, 0, 0}};
}

void launch_fft_rows_from(const char* name, const FftPictures& fft, const FftSource& from, float2* spectrum,
                          Stream stream) {
  launch_fft_rows_forward(name, fft, FromPixels{from}, spectrum, stream);
}

void launch_fft_rows_to(const char* name, const FftPictures& fft, const FftTarget& to, const float2* spectrum,
                        Stream stream) {
  launch_fft_rows_backward(name, fft, ToPixels{to}, spectrum, stream);
}

void launch_fft_kernels(const char* name, const FftPictures& fft, const float* kernels, const int size[3],
                        const int* centre, float2* spectrum, Stream stream) {
  const FftShape& shape = fft.shape;
  const int domain[3] = {shape.depth, shape.height, shape.width};
  FftSource from = fft_source(kernels, shape.pictures, size[0], size[1], size[2]);
  from.scale = float(1.0 / (double(domain[0]) * domain[1] * domain[2]));
  for (int axis = 0; axis < 3; ++axis) {
    from.seen[axis] = from.period[axis] = domain[axis];
    from.offset[axis] = centre ? centre[axis] : 0;
  }
  launch_fft_rows_from(name, fft, from, spectrum, stream);
  launch_fft_columns_once(name, fft, false, false, spectrum, stream);
  if (shape.depth > 1) launch_fft_columns_once(name, fft, true, false, spectrum, stream);
}

}  // namespace imgrestore
