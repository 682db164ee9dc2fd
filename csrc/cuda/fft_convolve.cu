#include "fft_convolve.h"

#include "fft_launch.h"
#include "overlap_save_kernel.h"

// Convolution with kernels too large to go through tap by tap: in tiles, of which the floor is one read of the picture and one
// write of the result, 8 bytes a pixel; or over the whole picture, which moves the spectrum three times as well, 24 more.
namespace imgrestore {
namespace {

// The picture and what is around it, by the places that the result's pixels see.
struct FromAround {
  Convolution p;
  int64_t offset[3];  // of the first

  struct Row {
    const float* first;  // null: dark
  };
  __device__ Row row(int picture, int z, int y) const {
    const int64_t from_z = boundary_index(z + offset[0], p.size[0], p.outside);
    const int64_t from_y = boundary_index(y + offset[1], p.size[1], p.outside);
    if (from_z < 0 || from_y < 0) return {nullptr};
    return {p.image + ((int64_t(picture) * p.size[0] + from_z) * p.size[1] + from_y) * p.size[2]};
  }
  __device__ float operator()(const Row& row, int x) const {
    const int64_t from = boundary_index(x + offset[2], p.size[2], p.outside);
    return row.first && from >= 0 ? row.first[from] : 0.0f;
  }
};

// The same inside a domain, dark beyond what the result sees.
struct FromSeen {
  FromAround around;
  int seen[3];

  __device__ FromAround::Row row(int picture, int z, int y) const {
    return z < seen[0] && y < seen[1] ? around.row(picture, z, y) : FromAround::Row{nullptr};
  }
  __device__ float operator()(const FromAround::Row& row, int x) const { return x < seen[2] ? around(row, x) : 0.0f; }
};

struct ToResult {
  float* out;
  int result[3], first[3];  // where the result begins

  struct Tally {};
  __device__ bool skips(int) const { return false; }
  __device__ float* row(int picture, int z, int y) const {
    z -= first[0], y -= first[1];
    if (z < 0 || z >= result[0] || y < 0 || y >= result[1]) return nullptr;
    return out + ((int64_t(picture) * result[0] + z) * result[1] + y) * result[2];
  }
  __device__ void operator()(Tally&, float* row, int x, float value) const {
    x -= first[2];
    if (row && x >= 0 && x < result[2]) row[x] = value;
  }
  __device__ void finish(Tally, int, float*) const {}
};

struct FromTaps {
  const float* kernel;
  int size[3];
  float scale;

  __device__ const float* row(int picture, int z, int y) const {
    if (z >= size[0] || y >= size[1]) return nullptr;
    return kernel + ((int64_t(picture) * size[0] + z) * size[1] + y) * size[2];
  }
  __device__ float operator()(const float* row, int x) const { return row && x < size[2] ? row[x] * scale : 0.0f; }
};

struct ByTransfer {
  const float2* otf;
  int64_t each;  // from picture to picture
  int apart;

  using Column = const float2*;
  __device__ bool skips(int) const { return false; }
  __device__ Column column(int picture, int64_t place, int, int) const { return otf + picture * each + place; }
  __device__ float2 operator()(Column column, int i) const { return column[int64_t(i) * apart]; }
};

ToResult to_result(const Convolution& c, bool after_kernel) {
  ToResult to = {c.out, {c.result[0], c.result[1], c.result[2]}, {0, 0, 0}};
  for (int axis = 0; axis < 3 && after_kernel; ++axis) to.first[axis] = c.kernel_size[axis] - 1;
  return to;
}

int smooth_from(int64_t n) {
  for (; n <= kFftLongest; ++n) {
    int64_t rest = n;
    for (const int prime : {2, 3, 5}) {
      while (rest % prime == 0) rest /= prime;
    }
    if (rest == 1) return int(n);
  }
  return 0;
}

}  // namespace

bool tiled_convolve_plan(const Convolution& c, OverlapSave* plan) {
  if (c.size[0] != 1 || c.kernel_size[0] != 1 || c.result[0] != 1 || c.shift[0] != 0) return false;
  if (c.kernel_size[1] > 1 << 7 || c.kernel_size[2] > 1 << 7) return false;
  // What is read is moved, not the centre: shifts may be large.
  const int kernel[2] = {c.kernel_size[1], c.kernel_size[2]}, centre[2] = {kernel[0] - 1, kernel[1] - 1};
  const int size[2] = {c.result[1], c.result[2]};
  return overlap_save_plan(kernel, centre, size, int(c.pictures), 1.0 / 3.0, plan);
}

void launch_tiled_convolve(const Convolution& c, const OverlapSave& plan, float2* response, Stream stream) {
  launch_overlap_save_response(plan, c.kernel, c.own_kernels ? int(c.pictures) : 1, false, response, stream);
  const FromAround from = {c, {0, c.shift[1], c.shift[2]}};
  launch_overlap_save("fft_convolve tiles", plan, from, to_result(c, false), stream);
}

bool whole_convolve_plan(const Convolution& c, FftPictures* fft) {
  int domain[3];
  for (int axis = 0; axis < 3; ++axis) domain[axis] = smooth_from(int64_t(c.result[axis]) + c.kernel_size[axis] - 1);
  return fft_pictures(c.pictures, domain[0], domain[1], domain[2], fft);
}

void launch_whole_convolve(const Convolution& c, const FftPictures& fft, float2* otf, float2* spectrum, Stream stream) {
  const FftShape& s = fft.shape;
  FftPictures kernels = fft;
  if (!c.own_kernels) kernels.shape.pictures = 1;
  const float scale = float(1.0 / (double(s.depth) * s.height * s.width));
  const FromTaps taps = {c.kernel, {c.kernel_size[0], c.kernel_size[1], c.kernel_size[2]}, scale};
  launch_fft_rows_forward("fft_convolve kernel rows", kernels, taps, otf, stream);
  launch_fft_columns_once("fft_convolve kernel columns", kernels, false, false, otf, stream);
  if (s.depth > 1) launch_fft_columns_once("fft_convolve kernel depth", kernels, true, false, otf, stream);
  FromSeen from = {{c, {c.shift[0], c.shift[1], c.shift[2]}}, {}};
  for (int axis = 0; axis < 3; ++axis) from.seen[axis] = c.result[axis] + c.kernel_size[axis] - 1;
  launch_fft_rows_forward("fft_convolve rows", fft, from, spectrum, stream);
  const int apart = (s.depth > 1 ? s.height : 1) << s.log_columns;
  const ByTransfer response = {otf, c.own_kernels ? s.picture_size() : 0, apart};
  launch_fft_columns_through("fft_convolve columns", fft, response, spectrum, stream);
  launch_fft_rows_backward("fft_convolve rows back", fft, to_result(c, true), spectrum, stream);
}

}  // namespace imgrestore
