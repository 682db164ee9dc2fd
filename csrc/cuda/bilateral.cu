#include "bilateral.h"

// The bilateral filter over a disk. What it costs is the weights, 3 r^2 for each pixel: bytes, at a floor of one read
// of image and guide and one write, hardly count. A block stages 32 x 32 pixels and what the disk reaches beside them
// in shared memory; a thread makes four results, whose weights do not wait for each other. Where that does not fit,
// pixels come through the first cache instead. Weights are 2^x by the device's own function, which is nearer than the
// polynomial of csrc/math/exp2.h and no dearer; the CPU, which has no such function, takes the latter.
namespace imgrestore {
namespace {

constexpr int kWide = 32, kHigh = 32, kWarps = 8, kRows = kHigh / kWarps, kThreads = kWide * kWarps;
constexpr size_t kStaged = 96 * 1024;

struct Part {
  BilateralPictures p;
  int64_t first;
};

// Whose channels are the guide's: those of the image, one, or any number.
enum class Guide { kSelf, kOne, kAny };

IMGR_HD int staged_stride(int radius) { return kWide + 2 * radius; }
IMGR_HD int staged_plane(int radius) { return staged_stride(radius) * (kHigh + 2 * radius); }

// Pixels of planes, those of the guide and then those of the image, at a thread's places and round them: in shared
// memory.
struct StagedPixels {
  const float* first;  // that of the first place
  int stride, plane, row;
  __device__ __forceinline__ void go_to_row(int dy) { row = dy * stride; }
  __device__ __forceinline__ void go_to_column(int) {}
  __device__ __forceinline__ float near(int c, int j, int dx) const {
    return first[c * plane + row + j * kWarps * stride + dx];
  }
  __device__ __forceinline__ float centre(int c, int j) const { return first[c * plane + j * kWarps * stride]; }
};

// The same in memory.
struct FarPixels {
  const float *guide, *image;
  int64_t guide_stride, guide_channel_stride, image_stride, image_channel_stride;
  int guides, x, y, height, width;
  Boundary boundary;
  int rows[kRows], column;
  __device__ __forceinline__ void go_to_row(int dy) {
    IMGR_UNROLL
    for (int j = 0; j < kRows; ++j) rows[j] = edge_index(y + j * kWarps + dy, height, boundary);
  }
  __device__ __forceinline__ void go_to_column(int dx) { column = edge_index(x + dx, width, boundary); }
  __device__ __forceinline__ float at(int c, int row, int col) const {
    if (c < guides) return guide[c * guide_channel_stride + row * guide_stride + col];
    return image[(c - guides) * image_channel_stride + row * image_stride + col];
  }
  __device__ __forceinline__ float near(int c, int j, int) const {
    return rows[j] < 0 || column < 0 ? 0.0f : at(c, rows[j], column);
  }
  __device__ __forceinline__ float centre(int c, int j) const {
    return at(c, min(y + j * kWarps, height - 1), min(x, width - 1));
  }
};

// The largest e with e^2 <= m.
__device__ __forceinline__ int root(int m) {
  int e = int(sqrtf(float(m)));
  while (e * e > m) --e;
  while ((e + 1) * (e + 1) <= m) ++e;
  return e;
}

// C channels of the image, which are the guide's where it is its own.
template <int C, Guide G, class Pixels>
__device__ __forceinline__ void filter(const BilateralPictures& p, Pixels pixels, float (*values)[C], float* weights) {
  constexpr int D = G == Guide::kSelf ? C : 1;
  const int guides = p.guide_channels, image = G == Guide::kSelf ? 0 : guides;
  float centre[kRows][D];
  IMGR_UNROLL
  for (int j = 0; j < kRows; ++j) {
    weights[j] = 1;  // a pixel is always like itself, even where it is infinite
    IMGR_UNROLL
    for (int c = 0; c < C; ++c) values[j][c] = pixels.centre(image + c, j);
    IMGR_UNROLL
    for (int d = 0; d < D; ++d) centre[j][d] = pixels.centre(d, j);
  }
  for (int dy = -p.radius; dy <= p.radius; ++dy) {
    const int reach = root(p.radius * p.radius - dy * dy);
    pixels.go_to_row(dy);
    // Row by row, so that rounding hardly grows with the disk.
    float row_values[kRows][C] = {}, row_weights[kRows] = {};
    for (int dx = -reach; dx <= reach; ++dx) {
      if (dx == 0 && dy == 0) continue;
      pixels.go_to_column(dx);
      const float log_weight = float(dx * dx + dy * dy) * p.space;
      IMGR_UNROLL
      for (int j = 0; j < kRows; ++j) {
        float v[C], distance = 0;
        IMGR_UNROLL
        for (int c = 0; c < C; ++c) v[c] = pixels.near(image + c, j, dx);
        if (G == Guide::kSelf) {
          IMGR_UNROLL
          for (int c = 0; c < C; ++c) {
            const float d = v[c] - centre[j][c];
            distance += d * d;
          }
        } else {
          const float d = pixels.near(0, j, dx) - centre[j][0];
          distance = d * d;
          for (int c = 1; G == Guide::kAny && c < guides; ++c) {
            const float e = pixels.near(c, j, dx) - pixels.centre(c, j);
            distance += e * e;
          }
        }
        const float weight = exp2f(distance * p.range + log_weight);
        row_weights[j] += weight;
        IMGR_UNROLL
        for (int c = 0; c < C; ++c) row_values[j][c] += weight * v[c];
      }
    }
    IMGR_UNROLL
    for (int j = 0; j < kRows; ++j) {
      weights[j] += row_weights[j];
      IMGR_UNROLL
      for (int c = 0; c < C; ++c) values[j][c] += row_values[j][c];
    }
  }
}

template <int C, Guide G, bool Staged>
__global__ void __launch_bounds__(kThreads, Staged ? 3 : 2) bilateral_tile(Part part) {
  IMGR_SHARED(float, shared);
  const BilateralPictures& p = part.p;
  const int tiles_x = (p.width + kWide - 1) / kWide, tiles = tiles_x * ((p.height + kHigh - 1) / kHigh);
  const int64_t picture = part.first + blockIdx.x / tiles;
  const int tile = blockIdx.x % tiles, x0 = tile % tiles_x * kWide, y0 = tile / tiles_x * kHigh;
  const int lane = threadIdx.x % kWide, warp = threadIdx.x / kWide, x = x0 + lane, y = y0 + warp;
  const float* image = p.image + p.image_walk.offset(picture);
  const float* guide = G == Guide::kSelf ? image : p.guide + p.guide_walk.offset(picture);
  const int guides = G == Guide::kSelf ? 0 : p.guide_channels;
  float values[kRows][C], weights[kRows];
  if (Staged) {
    const int r = p.radius, stride = staged_stride(r), plane = staged_plane(r);
    for (int c = 0; c < guides + C; ++c) {
      const bool is_guide = c < guides;
      const float* from = is_guide ? guide + c * p.guide_channel_stride : image + (c - guides) * p.image_channel_stride;
      const int64_t from_stride = is_guide ? p.guide_stride : p.image_stride;
      for (int i = lane; i < stride; i += kWide) {
        const int column = edge_index(x0 - r + i, p.width, p.boundary);
        for (int k = warp; k < kHigh + 2 * r; k += kWarps) {
          const int row = edge_index(y0 - r + k, p.height, p.boundary);
          shared[c * plane + k * stride + i] = row < 0 || column < 0 ? 0.0f : from[row * from_stride + column];
        }
      }
    }
    __syncthreads();
    const StagedPixels pixels = {shared + (warp + r) * stride + lane + r, stride, plane, 0};
    filter<C, G>(p, pixels, values, weights);
  } else {
    const FarPixels pixels = {guide, image, p.guide_stride, p.guide_channel_stride, p.image_stride,
                              p.image_channel_stride, guides, x, y, p.height, p.width, p.boundary};
    filter<C, G>(p, pixels, values, weights);
  }
  if (x >= p.width) return;
  const int64_t plane = int64_t(p.height) * p.width;
  float* out = p.out + picture * p.image_channels * plane + x;
  IMGR_UNROLL
  for (int j = 0; j < kRows; ++j) {
    const int row = y + j * kWarps;
    if (row >= p.height) break;
    IMGR_UNROLL
    for (int c = 0; c < C; ++c) out[c * plane + int64_t(row) * p.width] = values[j][c] / weights[j];
  }
}

template <int C, Guide G>
void run(const BilateralPictures& p, Stream stream) {
  const size_t planes = C + (G == Guide::kSelf ? 0 : p.guide_channels);
  const size_t side = kWide + 2 * size_t(p.radius), shared = sizeof(float) * planes * side * side;
  const bool staged = shared <= kStaged;
  const int64_t blocks = blocks_for(p.width, kWide) * blocks_for(p.height, kHigh);
  for_planes(p.pictures, blocks, [&](int64_t first, int64_t count) {
    launch("bilateral_tile", staged ? bilateral_tile<C, G, true> : bilateral_tile<C, G, false>, dim3(blocks * count),
           dim3(kThreads), staged ? shared : 0, stream, Part{p, first});
  });
}

}  // namespace

// As many channels at once as the kernels have room for; the guide's weights are the same for all.
void launch_bilateral(const BilateralPictures& pictures, Stream stream) {
  const int channels = pictures.image_channels;
  if (pictures.self && channels == 1) return run<1, Guide::kSelf>(pictures, stream);
  if (pictures.self && channels == 3) return run<3, Guide::kSelf>(pictures, stream);
  for (int done = 0; done < channels;) {
    BilateralPictures some = pictures;
    some.image += done * pictures.image_channel_stride;
    some.out += done * int64_t(pictures.height) * pictures.width;
    const bool three = channels - done >= 3;
    if (three) {
      run<3, Guide::kAny>(some, stream);
    } else if (pictures.guide_channels == 1) {
      run<1, Guide::kOne>(some, stream);
    } else {
      run<1, Guide::kAny>(some, stream);
    }
    done += three ? 3 : 1;
  }
}

}  // namespace imgrestore
