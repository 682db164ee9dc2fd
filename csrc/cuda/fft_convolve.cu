#include "fft_convolve.h"

#include "fft_launch.h"
#include "fft_pixels.h"
#include "overlap_save_kernel.h"

// Convolution with kernels too large to go through tap by tap: in tiles, of which the floor is one read of the picture and one
// write of the result, 8 bytes a pixel; or over the whole picture, which moves the spectrum three times as well, 24 more.
namespace imgrestore {
namespace {

// The picture and what is around it, by the places that the result's pixels see.
struct FromAround {
  Convolution p;

  __device__ const float* row(int picture, int, int y) const {
    const int64_t from = boundary_index(y + p.shift[1], p.size[1], p.outside);
    return from < 0 ? nullptr : p.image + (int64_t(picture) * p.size[1] + from) * p.size[2];
  }
  __device__ float operator()(const float* row, int x) const {
    const int64_t from = boundary_index(x + p.shift[2], p.size[2], p.outside);
    return row && from >= 0 ? row[from] : 0.0f;
  }
};

struct ToResult {
  float* out;
  int height, width;

  struct Tally {};
  __device__ bool skips(int) const { return false; }
  __device__ float* row(int picture, int, int y) const { return out + (int64_t(picture) * height + y) * width; }
  __device__ void operator()(Tally&, float* row, int x, float value) const { row[x] = value; }
  __device__ void finish(Tally, int, float*) const {}
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
  launch_overlap_save("fft_convolve tiles", plan, FromAround{c}, ToResult{c.out, c.result[1], c.result[2]}, stream);
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
  launch_fft_kernels("fft_convolve kernels", kernels, c.kernel, c.kernel_size, nullptr, otf, stream);
  FftSource from = fft_source(c.image, s.pictures, c.size[0], c.size[1], c.size[2]);
  FftTarget to = fft_target(c.out, s.pictures, c.result[0], c.result[1], c.result[2]);
  from.outside = c.outside;
  for (int axis = 0; axis < 3; ++axis) {
    from.offset[axis] = c.shift[axis];
    from.seen[axis] = c.result[axis] + c.kernel_size[axis] - 1;
    to.first[axis] = 1 - c.kernel_size[axis];
  }
  launch_fft_rows_from("fft_convolve rows", fft, from, spectrum, stream);
  const int apart = (s.depth > 1 ? s.height : 1) << s.log_columns;
  const ByTransfer response = {otf, c.own_kernels ? s.picture_size() : 0, apart};
  launch_fft_columns_through("fft_convolve columns", fft, response, spectrum, stream);
  launch_fft_rows_to("fft_convolve rows back", fft, to, spectrum, stream);
}

}  // namespace imgrestore
