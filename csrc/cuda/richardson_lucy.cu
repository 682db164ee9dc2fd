#include "richardson_lucy.h"

#include <algorithm>
#include <utility>

#include "fft_launch.h"
#include "fft_pixels.h"
#include "richardson_lucy_parts.h"
#include "richardson_lucy_tiles.h"

// Richardson-Lucy on the half spectrum. Four passes an iteration, of which each reads and writes the spectrum once, 8 bytes a
// pixel: columns through the transfer function, rows to the quotients and back, columns through its conjugate, rows to the
// new scene and back; besides, the transfer function is read twice, the observed picture once, and the scene read and
// written, 52 bytes a pixel together. Extrapolation needs a sum over the whole picture before the next rows go forward, and a
// mirrored domain is folded first: a pass more each.
namespace imgrestore {
namespace {

constexpr int kThreads = 256;

// What each pixel's value is divided by for total variation: 1 - weight times the curvature, but no less than 0.1.
__global__ void __launch_bounds__(kThreads) curve(RichardsonLucy r) {
  const int d = r.scene_size[0], h = r.scene_size[1], w = r.scene_size[2];
  const int64_t scene = int64_t(d) * h * w, per_picture = blocks_for(scene, kThreads);
  const int picture = int(blockIdx.x / per_picture);
  const int64_t i = (blockIdx.x - picture * per_picture) * kThreads + threadIdx.x;
  if (i >= scene || r.state[picture].active == 0) return;
  const RlStart start = rl_start(r, picture);
  const int x = int(i % w), y = int(i / w % h), z = int(i / w / h);
  const float light = r.levels[picture].light, least = 1e-6f * (light < 1e-12f ? 1e-12f : light);
  const float stiff = 4.0f * (d > 1 ? 3.0f : 2.0f) * r.tv_weight;
  // The unit gradient's part along an axis at a place, which lies in the scene.
  const auto unit = [&](int pz, int py, int px, int axis) {
    const int64_t at = picture * scene + (int64_t(pz) * h + py) * w + px;
    const float here = start(at);
    const float gx = px + 1 < w ? start(at + 1) - here : 0.0f;
    const float gy = py + 1 < h ? start(at + w) - here : 0.0f;
    const float gz = pz + 1 < d ? start(at + int64_t(h) * w) - here : 0.0f;
    const float floor = least * least + (stiff * here) * (stiff * here);
    const float part = axis == 0 ? gz : axis == 1 ? gy : gx;
    return part / sqrtf(gx * gx + gy * gy + gz * gz + floor);
  };
  float total = unit(z, y, x, 2) + unit(z, y, x, 1);
  if (x > 0) total -= unit(z, y, x - 1, 2);
  if (y > 0) total -= unit(z, y - 1, x, 1);
  if (d > 1) total += unit(z, y, x, 0) - (z > 0 ? unit(z - 1, y, x, 0) : 0.0f);
  r.damped[picture * scene + i] = not_below(1.0f - r.tv_weight * total, 0.1f);
}

// The places of a mirrored domain that show place i of an axis: visits each.
template <class Visit>
__device__ __forceinline__ void for_mirrored(int i, int before, int size, int domain, int wrap, const Visit& visit) {
  for (int image = 0; image < 2; ++image) {
    const int same = image ? 2 * size - 1 - i : i;
    int p = wrap - domain;
    int ahead = (same - p) % (2 * size);
    if (ahead < 0) ahead += 2 * size;
    for (p += ahead; p < wrap; p += 2 * size) visit(p + before < 0 ? p + before + domain : p + before);
  }
}

// The step where the domain is mirrored: all its places that show a pixel send something back to it.
__global__ void __launch_bounds__(kThreads, 4) fold(Update update) {
  IMGR_SHARED(float, scratch);
  const RichardsonLucy& r = update.r;
  const FftShape& domain = r.domain;
  const int d = r.scene_size[0], h = r.scene_size[1], w = r.scene_size[2];
  const int64_t scene = int64_t(d) * h * w, per_picture = blocks_for(scene, kThreads);
  const int picture = int(blockIdx.x / per_picture);
  const int64_t i = (blockIdx.x - picture * per_picture) * kThreads + threadIdx.x;
  Update::Tally tally = {};
  if (i < scene) {
    const int x = int(i % w), y = int(i / w % h), z = int(i / w / h);
    float back = 0;
    for_mirrored(z, r.before[0], d, domain.depth, r.wrap[0], [&](int pz) {
      for_mirrored(y, r.before[1], h, domain.height, r.wrap[1], [&](int py) {
        const float* row = r.unfolded + ((int64_t(picture) * domain.depth + pz) * domain.height + py) * domain.width;
        for_mirrored(x, r.before[2], w, domain.width, r.wrap[2], [&](int px) { back += row[px]; });
      });
    });
    update(tally, picture, picture * scene + i, back);
  }
  update.finish(tally, scratch);
}

// The sums of a picture's blocks, each `kinds` numbers.
__device__ double sum_of_blocks(const double* sums, int64_t blocks, int kinds, double* scratch) {
  double sum = 0;
  for (int64_t b = threadIdx.x; b < blocks; b += kThreads) sum += sums[b * kinds];
  return block_sum(sum, scratch);
}

// A picture whose residual has come down to its noise is done. The first estimate is flat, and is not judged.
__global__ void __launch_bounds__(kThreads) judge(RichardsonLucy r, int64_t blocks, bool first) {
  IMGR_SHARED(double, scratch);
  const int picture = blockIdx.x;
  if (first || r.state[picture].active == 0) return;
  const double sum = sum_of_blocks(r.sums + picture * blocks, blocks, 1, scratch);
  const RichardsonLucyLevels& levels = r.levels[picture];
  if (threadIdx.x == 0 && !(sqrt(sum / levels.weight) > levels.sigma)) r.state[picture].active = 0;
}

__global__ void __launch_bounds__(kWarp) count_step(RichardsonLucy r, int pictures) {
  float any = 0;
  for (int p = threadIdx.x; p < pictures; p += kWarp) any += r.state[p].active;
  any = warp_sum(any);
  if (threadIdx.x == 0 && any > 0) *r.steps += 1;
}

// How far the next step starts ahead: by as much as the last two changes agree.
__global__ void __launch_bounds__(kThreads) extrapolate(RichardsonLucy r, int64_t blocks) {
  IMGR_SHARED(double, scratch);
  const int picture = blockIdx.x;
  const double agree = sum_of_blocks(r.sums + 2 * picture * blocks, blocks, 2, scratch);
  const double size = sum_of_blocks(r.sums + 2 * picture * blocks + 1, blocks, 2, scratch);
  if (threadIdx.x) return;
  const double least = 1.17549435e-38, factor = agree / (size < least ? least : size);
  r.state[picture].factor = float(factor < 0 ? 0 : factor > 1 ? 1 : factor);
}

int64_t scene_blocks(const RichardsonLucy& r) {
  return blocks_for(int64_t(r.scene_size[0]) * r.scene_size[1] * r.scene_size[2], kThreads);
}

}  // namespace

int64_t richardson_lucy_sums(const RichardsonLucyPlan& plan, const RichardsonLucy& r) {
  if (plan.tiled) return std::max(plan.blur.blocks(), plan.adjoint.blocks()) * r.domain.pictures;
  const int64_t rows = FftRowsLaunch(plan.fft).grid.x, folded = r.domain.pictures * scene_blocks(r);
  return r.mirrored ? std::max(rows, folded) : rows;
}

void launch_richardson_lucy(const RichardsonLucyPlan& plan, RichardsonLucy r, int64_t begin, int64_t end, Stream stream) {
  const int pictures = r.domain.pictures;
  const FftPictures& fft = plan.fft;
  const int64_t rows = plan.tiled ? 0 : FftRowsLaunch(fft).grid.x / pictures;
  const int64_t judged = plan.tiled ? plan.blur.blocks() : rows;
  const int64_t updated = plan.tiled ? plan.adjoint.blocks() : r.mirrored ? scene_blocks(r) : rows;
  const size_t scratch = kThreads / kWarp * sizeof(double);
  // Where nothing has to be known of the whole picture, the new scene goes straight on to its transform.
  const bool straight = !r.previous && !r.mirrored;
  if (r.previous && begin % 2) std::swap(r.scene, r.previous);
  for (int64_t i = begin; i < end; ++i) {
    if (plan.tiled) {
      launch_richardson_lucy_ratio(plan, r, stream);
    } else {
      if (!straight || i == begin) launch_fft_rows_forward("richardson_lucy scene", fft, FromScene{r}, r.spectrum, stream);
      launch_fft_columns_through("richardson_lucy blur", fft, Blur{r, false}, r.spectrum, stream);
      launch_fft_rows_through("richardson_lucy ratio", fft, Ratio{r}, r.spectrum, stream);
    }
    if (r.window) {
      launch("richardson_lucy judge", judge, dim3(pictures), dim3(kThreads), scratch, stream, r, judged, i == 0);
      launch("richardson_lucy count", count_step, dim3(1), dim3(kWarp), 0, stream, r, pictures);
    }
    if (r.damped) {
      launch("richardson_lucy curve", curve, dim3(pictures * scene_blocks(r)), dim3(kThreads), 0, stream, r);
    }
    if (plan.tiled) {
      launch_richardson_lucy_update(plan, r, stream);
    } else {
      launch_fft_columns_through("richardson_lucy adjoint", fft, Blur{r, true}, r.spectrum, stream);
      if (r.mirrored) {
        const FftTarget whole = fft_target(r.unfolded, pictures, r.domain.depth, r.domain.height, r.domain.width);
        launch_fft_rows_to("richardson_lucy unfolded", fft, whole, r.spectrum, stream);
        launch("richardson_lucy fold", fold, dim3(pictures * scene_blocks(r)), dim3(kThreads), scratch, stream, Update{r});
      } else if (straight) {
        launch_fft_rows_through("richardson_lucy update", fft, UpdateRows{{r}}, r.spectrum, stream);
      } else {
        launch_fft_rows_backward("richardson_lucy update", fft, UpdateRows{{r}}, r.spectrum, stream);
      }
    }
    if (!r.previous) continue;
    launch("richardson_lucy extrapolate", extrapolate, dim3(pictures), dim3(kThreads), scratch, stream, r, updated);
    std::swap(r.scene, r.previous);
  }
}

}  // namespace imgrestore
