#include "tv_denoise.h"

#include "tv_denoise_update.h"

// Total-variation denoising by iterations on the dual: passes over image and dual from one buffer to the other, and
// after every eighth iteration a look at the energies, which a small kernel does on the device, so that the host never
// waits. Pictures that have stopped are left alone by all that follows. Those of 1 or 3 channels go through
// tv_denoise_tile.cu, volumes through tv_denoise_volume.cu; here is the iteration for any other number of coupled
// channels. It moves at least 4 * (1 + 2 * parts) bytes a pixel and channel; what a pixel needs of its neighbours it
// takes from the caches, and each channel it computes twice, as all of them decide the factor.
namespace imgrestore {
namespace {

constexpr int kAcross = 32, kDown = 4, kThreads = 256;
constexpr int kCheck = 8;  // iterations from one look at the stopping rule to the next

// A thread for a pixel, blocks of kAcross columns and kDown rows of all outer * middle.
int64_t row_blocks(const TvShape& s) {
  return blocks_for(s.size[2], kAcross) * blocks_for(int64_t(s.size[0]) * s.size[1], kDown);
}

struct TvPlace {
  int at[3];
  bool inside;
  int64_t pixel;
};

__device__ __forceinline__ TvPlace place_of(const TvShape& s, int block) {
  const int across = (s.size[2] + kAcross - 1) / kAcross;
  const int row = block / across * kDown + int(threadIdx.y);
  TvPlace p;
  p.at[0] = row / s.size[1];
  p.at[1] = row % s.size[1];
  p.at[2] = block % across * kAcross + int(threadIdx.x);
  p.inside = p.at[0] < s.size[0] && p.at[2] < s.size[2];
  p.pixel = int64_t(row) * s.size[2] + p.at[2];
  return p;
}

// The axes in turn: outer, middle where there is one, columns.
template <int N>
__device__ __forceinline__ constexpr int side(int axis) {
  return axis == N - 1 ? 2 : axis;
}

// A bit for each axis along which a pixel is the first.
template <int N>
__device__ __forceinline__ unsigned beginnings(const TvPlace& p) {
  unsigned begins = 0;
  IMGR_UNROLL
  for (int a = 0; a < N; ++a) begins |= p.at[side<N>(a)] == 0 ? 1u << a : 0u;
  return begins;
}

// The divergence of one channel of a dual, whose parts are `part` apart.
template <int N>
__device__ __forceinline__ float divergence(const float* dual, int64_t part, const int64_t* step, unsigned begins) {
  float sum = 0;
  IMGR_UNROLL
  for (int a = 0; a < N; ++a) sum += (begins >> a & 1 ? 0.0f : dual[a * part - step[a]]) - dual[a * part];
  return sum;
}

template <int N, bool Accelerate>
__global__ void __launch_bounds__(kAcross* kDown) tv_step_rows(TvPass p, int blocks) {
  IMGR_SHARED(double, sums);
  const int64_t picture = int(blockIdx.x) / blocks;
  const int block = int(blockIdx.x) % blocks;
  if (tv_stopped(p.outcome, picture)) return;
  const TvPlace place = place_of(p.shape, block);
  const int channels = p.shape.channels;
  const int64_t pixels = p.shape.pixels(), plane = channels * pixels;
  const int64_t step[3] = {int64_t(p.shape.size[1]) * p.shape.size[2], N == 3 ? p.shape.size[2] : 1, 1};
  const TvScale scale = {Accelerate ? p.weight : p.tau / p.weight, p.weight};
  const float* image = p.image + picture * plane + place.pixel;
  const int64_t first = picture * (Accelerate ? 2 * N : N) * plane + place.pixel;

  const unsigned begins = beginnings<N>(place);
  float g[N], moved[N], gradients = 0, squares = 0, distance = 0;
  // Of a channel: its gradient, and the dual moved against it.
  const auto move = [&](int64_t at) {
    const float* dual = p.dual ? p.dual + first + at : nullptr;
    const float own = dual ? divergence<N>(dual, plane, step, begins) : 0.0f;
    const float u = image[at] + own;
    IMGR_UNROLL
    for (int a = 0; a < N; ++a) {
      g[a] = 0;
      if (place.at[side<N>(a)] + 1 < p.shape.size[side<N>(a)]) {
        const float there = dual ? divergence<N>(dual + step[a], plane, step, begins & ~(1u << a)) : 0.0f;
        g[a] = image[at + step[a]] + there - u;
      }
      moved[a] = (dual ? dual[a * plane] : 0.0f) - p.tau * g[a];
    }
    return own;
  };
  if (place.inside) {
    for (int c = 0; c < channels; ++c) {
      const float own = move(c * pixels);
      distance += own * own;
      IMGR_UNROLL
      for (int a = 0; a < N; ++a) {
        gradients += g[a] * g[a];
        squares += moved[a] * moved[a];
      }
    }
    const float factor = scale.of<Accelerate>(gradients, squares);
    for (int c = 0; c < channels; ++c) {
      const int64_t at = c * pixels;
      if (channels > 1) move(at);
      float* next = p.next + first + at;
      IMGR_UNROLL
      for (int a = 0; a < N; ++a) {
        const float now = moved[a] * factor;
        if (Accelerate) {
          const float last = p.dual ? p.dual[first + at + (N + a) * plane] : 0.0f;
          next[a * plane] = now + p.momentum[0] * (now - last);
          next[(N + a) * plane] = now;
        } else {
          next[a * plane] = now;
        }
      }
    }
  }
  if (p.slot[0] >= 0) {
    const float length = place.inside ? tv_length(gradients) : 0.0f;
    const double energy = block_sum(double(distance) + double(p.weight) * length, sums);
    if (threadIdx.x == 0 && threadIdx.y == 0) p.energies[(picture * kTvSlots + p.slot[0]) * blocks + block] = energy;
  }
}

struct TvJudge {
  const double* energies;
  double* outcome;
  int* where;
  int blocks;
  bool first, last;  // whether to sum the first energy, and to look at the last two
  double tol, updates;
  int buffer;  // where the dual is now
};

// A block for a picture.
__global__ void __launch_bounds__(kThreads) tv_judge(TvJudge p) {
  IMGR_SHARED(double, sums);
  const int64_t picture = blockIdx.x;
  double* outcome = p.outcome + 3 * picture;
  if (tv_stopped(p.outcome, picture)) return;
  double energy[kTvSlots] = {0, 0, 0};
  IMGR_UNROLL
  for (int slot = 0; slot < kTvSlots; ++slot) {
    if (slot ? !p.last : !p.first) continue;
    const double* from = p.energies + (picture * kTvSlots + slot) * p.blocks;
    double sum = 0;
    for (int i = threadIdx.x; i < p.blocks; i += kThreads) sum += from[i];
    energy[slot] = block_sum(sum, sums);
  }
  if (threadIdx.x) return;
  if (p.first) outcome[1] = energy[0];
  if (p.last && fabs(energy[2] - energy[1]) < p.tol * outcome[1]) {
    outcome[0] = p.updates;
    outcome[2] = 1;
    p.where[picture] = p.buffer;
  }
}

struct TvBegin {
  double* outcome;
  int* where;
  int64_t pictures;
  double updates, first_energy;
  int buffer;
};

// As it will be for pictures that nothing stops.
__global__ void __launch_bounds__(kThreads) tv_begin(TvBegin p) {
  const int64_t picture = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (picture >= p.pictures) return;
  p.outcome[3 * picture] = p.updates;
  p.outcome[3 * picture + 1] = p.first_energy;
  p.outcome[3 * picture + 2] = 0;
  p.where[picture] = p.buffer;
}

struct TvEnd {
  TvShape shape;
  const float *image, *start, *other;
  float* kept;  // the second buffer
  float* picture;
  const int* where;
  bool keep;
};

// image + div dual, and the dual to where it is to be kept.
template <int N>
__global__ void __launch_bounds__(kAcross* kDown) tv_end(TvEnd p, int blocks) {
  const int64_t picture = int(blockIdx.x) / blocks;
  const TvPlace place = place_of(p.shape, int(blockIdx.x) % blocks);
  if (!place.inside) return;
  const int where = p.where[picture], parts = p.shape.parts();
  const int64_t pixels = p.shape.pixels(), plane = p.shape.channels * pixels;
  const int64_t first = picture * parts * plane + place.pixel;
  const int64_t step[3] = {int64_t(p.shape.size[1]) * p.shape.size[2], N == 3 ? p.shape.size[2] : 1, 1};
  const unsigned begins = beginnings<N>(place);
  const float* dual = where == 0 ? p.start : where == 1 ? p.other : p.kept;
  for (int c = 0; c < p.shape.channels; ++c) {
    const int64_t at = c * pixels, here = picture * plane + place.pixel + at;
    const float* last = dual ? dual + first + at + (parts - N) * plane : nullptr;
    p.picture[here] = p.image[here] + (last ? divergence<N>(last, plane, step, begins) : 0.0f);
    if (!p.keep || where == 2) continue;
    IMGR_UNROLL
    for (int part = 0; part < 2 * N; ++part) {
      const int64_t i = first + at + part * plane;
      if (part < parts) p.kept[i] = dual ? dual[i] : 0.0f;
    }
  }
}

void launch_rows(const TvPass& pass, Stream stream) {
  const auto kernel = pass.shape.ndim == 2 ? (pass.shape.accelerate ? tv_step_rows<2, true> : tv_step_rows<2, false>)
                                           : (pass.shape.accelerate ? tv_step_rows<3, true> : tv_step_rows<3, false>);
  const int64_t blocks = row_blocks(pass.shape);
  launch("tv_step", kernel, dim3(pass.shape.pictures * blocks), dim3(kAcross, kDown),
         sizeof(double) * kAcross * kDown / kWarp, stream, pass, int(blocks));
}

// Passes end where the rule looks.
int64_t levels_of(const TvShape& shape, int64_t made, int64_t left) {
  if (!tv_in_tiles(shape)) return 1;
  const int64_t to_check = kCheck - made % kCheck;
  const int64_t most = left < to_check ? left : to_check;
  return most < kTvLevels ? most : kTvLevels;
}

int64_t energy_blocks(const TvShape& shape) {
  if (tv_in_tiles(shape)) return tv_tile_blocks(shape);
  return tv_in_slices(shape) ? tv_volume_blocks(shape) : row_blocks(shape);
}

void launch_pass(const TvPass& pass, Stream stream) {
  if (tv_in_tiles(pass.shape)) return launch_tv_tiles(pass, stream);
  tv_in_slices(pass.shape) ? launch_tv_slices(pass, stream) : launch_rows(pass, stream);
}

}  // namespace

int64_t tv_passes(const TvShape& shape, int64_t done, int64_t count) {
  int64_t passes = 0;
  for (int64_t i = 0; i < count; ++passes) i += levels_of(shape, done + i, count - i);
  return passes;
}

int64_t tv_energies(const TvShape& shape) { return shape.pictures * kTvSlots * energy_blocks(shape); }

void launch_tv_denoise(const TvRun& run, Stream stream) {
  const TvShape& shape = run.shape;
  const int64_t passes = tv_passes(shape, run.done, run.count), blocks = energy_blocks(shape);
  const bool judged = run.tol > 0;
  launch("tv_begin", tv_begin, dim3(blocks_for(shape.pictures, kThreads)), dim3(kThreads), 0, stream,
         TvBegin{run.outcome, run.where, shape.pictures, double(run.count), run.first_energy, passes ? 2 : 0});
  TvPass pass = {};
  pass.shape = shape;
  pass.image = run.image;
  pass.dual = run.dual;
  pass.outcome = judged ? run.outcome : nullptr;
  pass.energies = run.energies;
  pass.weight = float(run.weight);
  pass.tau = float(tv_step(shape.ndim, shape.accelerate));
  double t = 1;
  for (int64_t i = 0; i < run.done; ++i) t = tv_next_t(t);
  int64_t updates = 0;
  for (int64_t i = 0; i < passes; ++i) {
    pass.levels = int(levels_of(shape, run.done + updates, run.count - updates));
    for (int level = 0; level < kTvLevels; ++level) pass.slot[level] = -1;
    bool first = false;
    for (int level = 0; level < pass.levels; ++level, ++updates) {
      const double next = tv_next_t(t);
      pass.momentum[level] = float((t - 1) / next);
      t = next;
      const int64_t made = run.done + updates;
      if (!judged) continue;
      if (made == 0) pass.slot[level] = 0, first = true;
      if (made % kCheck >= kCheck - 2) pass.slot[level] = int(made % kCheck) - (kCheck - 3);
    }
    const int buffer = (passes - 1 - i) % 2 == 0 ? 1 : 0;  // the last one is to end in the second
    pass.next = run.buffers[buffer];
    launch_pass(pass, stream);
    pass.dual = pass.next;
    // Both energies must be of this call.
    const bool last = judged && (run.done + updates) % kCheck == 0 && updates >= 2;
    if (first || last) {
      launch("tv_judge", tv_judge, dim3(shape.pictures), dim3(kThreads), sizeof(double) * kThreads / kWarp, stream,
             TvJudge{run.energies, run.outcome, run.where, int(blocks), first, last, run.tol, double(updates),
                     buffer + 1});
    }
  }
  const TvEnd end = {shape,   run.image, run.dual, run.buffers[0], run.buffers[1], run.picture, run.where, run.keep};
  const int64_t rows = row_blocks(shape);
  launch("tv_end", shape.ndim == 2 ? tv_end<2> : tv_end<3>, dim3(shape.pictures * rows), dim3(kAcross, kDown), 0,
         stream, end, int(rows));
}

}  // namespace imgrestore
