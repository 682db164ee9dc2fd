#include "sparse_steps.h"

#include "../math/sparse_steps.h"
#include "lanes.h"

// What `sparse_steps` does between its transforms, in one kernel: the data's split, the bounds, the gradients and their
// shrinkage, all duals, and the right side of the least squares. It reads and writes everything once, 44 bytes a pixel
// and channel, 8 more where the scene is bounded and 4 or 8 where pixels have weights.
//
// A lane goes down a column for some rows, a warp takes 31 of them side by side: its first lane only repeats the column
// on their left, of which the divergence needs the shrunk gradient, as it needs that of the row above the first. The
// scene's next row stays in registers; its next column comes from the first cache. There are no barriers.
namespace imgrestore {
namespace {

constexpr int kWarps = 4, kCore = kWarp - 1;
constexpr int kRun = 8;  // rows
constexpr int kThreads = 256;

struct SparseRoots {
  static IMGR_HD float inverse_root(float x) { return rsqrtf(x); }
  // A guess from the bits of the exponent, and Newton's method.
  static IMGR_HD float inverse_cube_root(float x) {
    int bits;
    __builtin_memcpy(&bits, &x, sizeof x);
    bits = 0x54a21d2a - (bits >> 16) * 21845;
    float y;
    __builtin_memcpy(&y, &bits, sizeof y);
    IMGR_UNROLL
    for (int i = 0; i < 3; ++i) y = y * (4.0f / 3.0f - x * (1.0f / 3.0f) * (y * y * y));
    return y;
  }
};

// SparsePoints as the kernel takes it.
struct Points {
  SparsePoints p;
  int across, runs;
  float data_penalty, share, bound_penalty, threshold, pull, dead, chroma_weight;
};

// The blurred scene of a pixel of the frame to what the transform is given of the data: data less their dual.
template <int C>
__device__ __forceinline__ void data_of_pixel(const Points& k, int64_t picture, int row, int column,
                                              const float* inverse_outlier, const float* own, float* out) {
  const SparsePoints& p = k.p;
  float rgb[C], change[C];
  opponent_join<C, float>(own, rgb);
  IMGR_UNROLL
  for (int c = 0; c < C; ++c) {
    const int64_t at = ((picture * C + c) * p.rows + row) * p.frame_pitch + column;
    const int64_t seen = picture * p.observed_picture + c * p.observed_plane + row * p.observed_row + column;
    const float observed = p.observed[seen];
    const float wanted = rgb[c] + p.dual_data[at];
    float dual;
    if (p.known) {
      float known = p.known[at];
      if (p.reweigh) {
        const float trust = cauchy_trust(rgb[c] - observed, inverse_outlier[c]);
        known = known > 0 ? trust : known;
        p.known[at] = known;
      }
      dual = wanted - nearest_to_data(wanted, observed, known, k.data_penalty);
    } else {
      dual = (wanted - observed) * k.share;
    }
    p.dual_data[at] = dual;
    change[c] = wanted - 2.0f * dual;
  }
  opponent_split<C, float>(change, out);
}

// What ties a pixel of the scene to its bounds, in units of the gradients' penalty.
template <int C>
__device__ __forceinline__ void bound_of_pixel(const Points& k, int64_t picture, int y, int x, bool framed,
                                               const float* lower, const float* own, float* out) {
  const SparsePoints& p = k.p;
  float rgb[C];
  opponent_join<C, float>(own, rgb);
  IMGR_UNROLL
  for (int c = 0; c < C; ++c) {
    float* dual = p.dual_bound + ((picture * C + c) * p.height + y) * p.pitch + x;
    const float free = rgb[c] + *dual;
    float held = p.dark_outside && !framed ? 0.0f : free;
    held = at_least(held, lower[c]);
    *dual = free - held;
    rgb[c] = (held + held - free) * k.bound_penalty;
  }
  opponent_split<C, float>(rgb, out);
}

template <int C>
__global__ void __launch_bounds__(kWarp* kWarps) sparse_points(Points k) {
  const SparsePoints& p = k.p;
  const int height = p.height, width = p.width, lane = threadIdx.x;
  const int64_t unit = int64_t(blockIdx.x) * kWarps + threadIdx.y;
  const int64_t picture = unit / (int64_t(k.across) * k.runs);
  if (picture >= p.pictures) return;
  const int within = int(unit - picture * k.across * k.runs);
  const int start = within % k.across * kCore - 1 + lane, first = within / k.across * kRun;
  const int last = first + kRun < height ? first + kRun : height;
  const int x = (start + width) % width, next_x = x + 1 < width ? x + 1 : 0;
  const bool writes = lane > 0 && start < width;
  const int64_t pixels = int64_t(height) * width, direction = int64_t(height) * p.pitch;

  float lower[C], inverse_outlier[C];
  IMGR_UNROLL
  for (int c = 0; c < C; ++c) {
    lower[c] = p.dual_bound ? float(p.levels[picture * kSparseLevels + 2 + c]) : 0.0f;
    inverse_outlier[c] = p.reweigh ? float(1 / p.levels[picture * kSparseLevels + 5 + c]) : 0.0f;
  }
  float2 own[C], next[C];
  float above[C] = {};
  const auto load_next = [&](int y) {
    const int64_t at = picture * C * pixels + int64_t(y < height ? y : 0) * width + x;
    IMGR_UNROLL
    for (int c = 0; c < C; ++c) next[c] = make_float2(p.from.first[at + c * pixels], p.from.second[at + c * pixels]);
  };
  // Row by row, from the one before the first, of which only the shrunk gradient is needed.
  load_next(first ? first - 1 : height - 1);
  for (int row = first - 1; row < last; ++row) {
    const int y = row < 0 ? height - 1 : row;
    const bool counts = row >= first;
    IMGR_UNROLL
    for (int c = 0; c < C; ++c) own[c] = next[c];
    load_next(y + 1);
    float along[C], down[C], square = 0;
    IMGR_UNROLL
    for (int c = 0; c < C; ++c) {
      const float weight = c ? k.chroma_weight : 1.0f;
      const int64_t at = (picture * C + c) * pixels + int64_t(y) * width + next_x;
      const float* dual = p.dual_gradient + (picture * C + c) * 2 * direction + int64_t(y) * p.pitch + x;
      along[c] = (p.from.first[at] - own[c].x) * weight + dual[direction];
      down[c] = (next[c].x - own[c].x) * weight + dual[0];
      square += along[c] * along[c] + down[c] * down[c];
    }
    const float keep = p.hyper_laplacian ? shrink_hyper_laplacian<SparseRoots>(square, k.pull, k.dead)
                                         : shrink_tv<SparseRoots>(square, k.threshold);
    float total[C];
    IMGR_UNROLL
    for (int c = 0; c < C; ++c) {
      const float factor = (keep + keep - 1.0f) * (c ? k.chroma_weight : 1.0f);
      const float right = along[c] * factor, below = down[c] * factor;
      total[c] = __shfl_up_sync(kAllLanes, right, 1) - right + above[c] - below;
      above[c] = below;
      if (counts && writes) {
        float* dual = p.next_dual_gradient + (picture * C + c) * 2 * direction + int64_t(y) * p.pitch + x;
        dual[0] = down[c] - keep * down[c];
        dual[direction] = along[c] - keep * along[c];
      }
    }
    if (!counts || !writes) continue;
    const int frame_row = y - p.top, frame_column = x - p.left;
    const bool framed = frame_row >= 0 && frame_row < p.rows && frame_column >= 0 && frame_column < p.columns;
    float part[C], out[C];
    if (p.dual_bound) {
      IMGR_UNROLL
      for (int c = 0; c < C; ++c) part[c] = own[c].x;
      bound_of_pixel<C>(k, picture, y, x, framed, lower, part, out);
      IMGR_UNROLL
      for (int c = 0; c < C; ++c) total[c] += out[c];
    }
    IMGR_UNROLL
    for (int c = 0; c < C; ++c) part[c] = out[c] = own[c].y;
    if (framed) data_of_pixel<C>(k, picture, frame_row, frame_column, inverse_outlier, part, out);
    IMGR_UNROLL
    for (int c = 0; c < C; ++c) {
      const int64_t at = (picture * C + c) * pixels + int64_t(y) * width + x;
      p.to.first[at] = out[c];
      p.to.second[at] = total[c];
    }
  }
}

// The squared responses of the differences, down and then along.
__global__ void __launch_bounds__(kThreads) sparse_steepness(int height, int width, float* steepness) {
  const int i = int(blockIdx.x) * kThreads + int(threadIdx.x);
  if (i >= height + width / 2 + 1) return;
  const int k = i < height ? i : i - height, n = i < height ? height : width;
  const double half = 2 * sin(3.14159265358979323846 * double(k) / double(n));
  steepness[i] = float(half * half);
}

template <int C, bool Join>
__global__ void __launch_bounds__(kThreads) sparse_colours(SparsePair<const float> from, SparsePair<float> to,
                                                           int64_t pixels, int64_t blocks) {
  const int64_t picture = blockIdx.x / blocks;
  const int64_t pixel = (blockIdx.x - picture * blocks) * kThreads + threadIdx.x;
  if (pixel >= pixels) return;
  const int64_t first = picture * C * pixels + pixel;
  float a[C], b[C], x[C], y[C];
  IMGR_UNROLL
  for (int c = 0; c < C; ++c) {
    a[c] = from.first[first + c * pixels];
    b[c] = from.second[first + c * pixels];
  }
  Join ? opponent_join<C, float>(a, x) : opponent_split<C, float>(a, x);
  Join ? opponent_join<C, float>(b, y) : opponent_split<C, float>(b, y);
  IMGR_UNROLL
  for (int c = 0; c < C; ++c) {
    to.first[first + c * pixels] = x[c];
    to.second[first + c * pixels] = y[c];
  }
}

template <bool Join>
void recolour(int64_t pictures, int channels, int64_t pixels, SparsePair<const float> from, SparsePair<float> to,
              Stream stream) {
  const int64_t blocks = blocks_for(pixels, kThreads);
  launch("sparse_colours", channels == 1 ? sparse_colours<1, Join> : sparse_colours<3, Join>,
         dim3(unsigned(pictures * blocks)), dim3(kThreads), 0, stream, from, to, pixels, blocks);
}

}  // namespace

void launch_sparse_points(const SparsePoints& p, Stream stream) {
  Points k = {p};
  k.across = int(blocks_for(p.width, kCore));
  k.runs = int(blocks_for(p.height, kRun));
  k.data_penalty = float(p.data_penalty);
  k.share = 1.0f / (1.0f + k.data_penalty);
  k.bound_penalty = float(p.bound_penalty);
  k.chroma_weight = float(p.chroma_weight);
  const double threshold = 1 / p.stiffness, power = 2.0 / 3.0, still = 2 * threshold * (1 - power);
  k.threshold = float(threshold);
  k.pull = float(threshold * power);
  k.dead = float(pow(still, 1 / (2 - power)) + threshold * power * pow(still, (power - 1) / (2 - power)));
  const auto kernel = p.channels == 1 ? sparse_points<1> : sparse_points<3>;
  launch("sparse_points", kernel, dim3(blocks_for(p.pictures * k.across * k.runs, kWarps)), dim3(kWarp, kWarps), 0,
         stream, k);
}

void launch_sparse_steepness(int height, int width, float* steepness, Stream stream) {
  launch("sparse_steepness", sparse_steepness, dim3(blocks_for(sparse_steepness_size(height, width), kThreads)),
         dim3(kThreads), 0, stream, height, width, steepness);
}

void launch_sparse_split(int64_t pictures, int channels, int64_t pixels, SparsePair<const float> rgb,
                         SparsePair<float> split, Stream stream) {
  recolour<false>(pictures, channels, pixels, rgb, split, stream);
}

void launch_sparse_join(int64_t pictures, int channels, int64_t pixels, SparsePair<const float> split,
                        SparsePair<float> rgb, Stream stream) {
  recolour<true>(pictures, channels, pixels, split, rgb, stream);
}

}  // namespace imgrestore
