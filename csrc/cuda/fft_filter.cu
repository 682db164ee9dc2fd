#include "fft_filter.h"

#include "fft_launch.h"
#include "fft_pixels.h"

// irfft(rfft(image) * response) in three passes, five for volumes. Of a picture of n bytes the floor is n read, n written, a
// response read and the spectrum written and read twice: 6 n bytes and more; each pass moves what it must, once.
namespace imgrestore {
namespace {

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
  FftSource from = fft_source(f.image, shape.pictures, shape.depth, shape.height, shape.width);
  from.walk = f.image_walk;
  for (int axis = 0; axis < 3; ++axis) from.stride[axis] = f.image_strides[axis];
  const float scale = float(1.0 / (double(shape.depth) * shape.height * shape.width));
  const int apart = shape.depth > 1 ? shape.height * shape.half() : shape.half();
  launch_fft_rows_from("fft_filter rows", f.fft, from, f.spectrum, stream);
  launch_fft_columns_through("fft_filter columns", f.fft,
                             ByResponse{f.response, f.response_walk, apart, shape.half(), scale}, f.spectrum, stream);
  const FftTarget to = fft_target(f.out, shape.pictures, shape.depth, shape.height, shape.width);
  launch_fft_rows_to("fft_filter rows back", f.fft, to, f.spectrum, stream);
}

}  // namespace imgrestore
