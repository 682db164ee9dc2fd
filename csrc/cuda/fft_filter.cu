#include "fft_filter.h"

#include "fft_launch.h"

// irfft(rfft(image) * response) in three passes, five for volumes. Of a picture of n bytes the floor is n read, n written, a
// response read and the spectrum written and read twice: 6 n bytes and more; each pass moves what it must, once.
namespace imgrestore {
namespace {

struct FromImage {
  const float* image;
  PlaneWalk walk;
  int64_t strides[3];

  __device__ const float* row(int picture, int z, int y) const {
    return image + walk.offset(picture) + z * strides[0] + y * strides[1];
  }
  __device__ float operator()(const float* row, int x) const { return row[x * strides[2]]; }
};

struct ToPicture {
  float* out;
  int depth, height, width;

  struct Tally {};
  __device__ bool skips(int) const { return false; }
  __device__ float* row(int picture, int z, int y) const {
    return out + ((int64_t(picture) * depth + z) * height + y) * width;
  }
  __device__ void operator()(Tally&, float* row, int x, float value) const { row[x] = value; }
  __device__ void finish(Tally, int, float*) const {}
};

struct ByResponse {
  const float2* response;
  PlaneWalk walk;
  int apart;  // from row to row, or, where the depth is transformed, from plane to plane
  int half;
  float scale;

  using Column = const float2*;
  __device__ bool skips(int) const { return false; }
  __device__ Column column(int picture, int64_t, int y, int k) const {
    return response + walk.offset(picture) + int64_t(y) * half + k;
  }
  __device__ float2 operator()(Column column, int i) const {
    const float2 v = column[int64_t(i) * apart];
    return make_float2(v.x * scale, v.y * scale);
  }
};

}  // namespace

void launch_fft_filter(const FftFilter& f, Stream stream) {
  const FftShape& shape = f.fft.shape;
  const FromImage from = {f.image, f.image_walk, {f.image_strides[0], f.image_strides[1], f.image_strides[2]}};
  const float scale = float(1.0 / (double(shape.depth) * shape.height * shape.width));
  const int apart = shape.depth > 1 ? shape.height * shape.half() : shape.half();
  launch_fft_rows_forward("fft_filter rows", f.fft, from, f.spectrum, stream);
  launch_fft_columns_through("fft_filter columns", f.fft,
                             ByResponse{f.response, f.response_walk, apart, shape.half(), scale}, f.spectrum, stream);
  launch_fft_rows_backward("fft_filter rows back", f.fft, ToPicture{f.out, shape.depth, shape.height, shape.width},
                           f.spectrum, stream);
}

}  // namespace imgrestore
