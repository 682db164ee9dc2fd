#include "sparse_steps.h"

#include <utility>

#include "../math/sparse_steps.h"
#include "fft_launch.h"
#include "fft_pixels.h"

// Whole steps of `sparse_steps`: pixels in one kernel, rows forward, columns, rows back. The least squares of a
// frequency join two spectra, and a block takes the same columns of both, one after the other in the same shared
// memory: the data's go forward, in place; the right side's go there, meet the data's at the turn, leave the scene's in
// their stead and come back as the blurred scene's; then the scene's come back. What a block wrote a moment ago it
// finds in the second cache. A step moves 92 bytes a pixel and channel: 44 for the pixels, 16 for rows each way, 16 for
// columns.
namespace imgrestore {
namespace {

// What the least squares know of a column of the right side's spectrum.
struct Solve {
  const float2* otf;
  int64_t otf_picture, size;  // numbers of a plane's spectrum
  const float* steepness;
  const double* levels;
  float2* data;
  float data_penalty, chroma, scale;
  int channels, height, half;

  struct Column {
    const float2* otf;
    float2* data;
    float steep, penalty, weight, tie;  // weight: the penalty of this channel's gradients
  };
  __device__ Column column(int plane, int64_t place, int, int k) const {
    const int picture = plane / channels;
    const float penalty = float(levels[picture * kSparseLevels]), tie = float(levels[picture * kSparseLevels + 1]);
    return {otf + picture * otf_picture + k,
            data + plane * size + place,
            steepness[height + k],
            penalty,
            plane - picture * channels ? penalty * chroma : penalty,
            tie};
  }
};

struct SolveColumns : FftColumnsThrough<Solve> {
  __device__ void change(const Changes& l, int i, float& re, float& im) const {
    if (!l.inside) return;
    const Solve::Column& k = l.column;
    float2* const data = k.data + i * columns.apart;
    const float2 transfer = __ldg(k.otf + int64_t(i) * response.half), seen = *data;
    const float h[2] = {transfer.x, transfer.y};
    const float stiff = (response.steepness[i] + k.steep) * k.weight + k.tie;
    float a[2] = {seen.x, seen.y}, b[2] = {re, im};
    sparse_least_squares(h, stiff, response.data_penalty, k.penalty, response.scale, a, b);
    *data = make_float2(a[0], a[1]);
    re = b[0], im = b[1];
  }
};

__global__ void __launch_bounds__(kFftThreads, 1)
    sparse_columns(const __grid_constant__ FftColumns columns, const __grid_constant__ Solve solve, float2* right) {
  IMGR_SHARED(float, memory);
  const FftShared held(memory, columns.plan.forward.n, columns.log_lines);
  const FftColumnsPlace at(columns);
  FftColumnsOnce one_way = {columns, at, solve.data, false};
  SolveColumns there_and_back = {{columns, at, right, solve}};
#pragma unroll 1
  for (int part = 0; part < 3; ++part) {
    if (part == 1) {
      fft_run(columns.plan, held, there_and_back);
    } else {
      one_way.exchanged = part == 2;
      fft_run(columns.plan, held, one_way);
    }
  }
}

}  // namespace

void launch_sparse_steps(SparseSteps s, int64_t first, int64_t count, int64_t reweigh_every, Stream stream) {
  SparsePoints& p = s.points;
  const FftShape& shape = s.fft.shape;
  const int64_t pixels = int64_t(p.height) * p.width;
  const int planes = shape.pictures / 2;
  FftPictures part = s.fft;
  part.shape.pictures = planes;
  const FftColumnsLaunch columns(part, false);
  float2 *const data = s.spectra, *const right = data + planes * shape.picture_size();
  FftSource from = fft_source(s.scene, planes, 1, p.height, p.width);
  from.second = s.blurred;
  const FftTarget to = fft_target(s.planes, 2 * planes, 1, p.height, p.width);
  const SparsePair<float> split = {s.planes, s.planes + planes * pixels};
  p.from = {split.first, split.second};
  p.to = {s.scene, s.blurred};
  const Solve solve = {s.otf,
                       s.otf_picture,
                       shape.picture_size(),
                       s.steepness,
                       p.levels,
                       data,
                       float(p.data_penalty),
                       float(p.chroma_weight * p.chroma_weight),
                       float(1.0 / double(pixels)),
                       p.channels,
                       p.height,
                       shape.half()};
  launch_sparse_steepness(p.height, p.width, s.steepness, stream);
  launch_sparse_split(p.pictures, p.channels, pixels, {s.scene, s.blurred}, split, stream);
  for (int64_t step = first; step < first + count; ++step) {
    p.reweigh = reweigh_every && step && step % reweigh_every == 0;
    p.dual_gradient = s.dual_gradient;
    launch_sparse_points(p, stream);
    std::swap(s.dual_gradient, p.next_dual_gradient);
    launch_fft_rows_from("sparse_steps rows", s.fft, from, data, stream);
    launch("sparse_steps columns", sparse_columns, columns.grid, dim3(columns.block.threads), columns.block.shared,
           stream, columns.columns, solve, right);
    launch_fft_rows_to("sparse_steps rows back", s.fft, to, data, stream);
  }
  launch_sparse_join(p.pictures, p.channels, pixels, p.from, {s.scene, s.blurred}, stream);
}

}  // namespace imgrestore
