#include "fft_line.h"

#include <algorithm>

#include "fft_spectrum.h"

namespace imgrestore {
namespace {

constexpr int kRadices[] = {16, 9, 8, 6, 5, 4, 3, 2};

// The fewest stages that a block's threads can hold, and of those with as many the most even ones.
void best_radices(int n, int rest, int largest, int* trial, int depth, int* best, int* count, int* best_sum) {
  if (rest == 1) {
    int sum = 0;
    for (int i = 0; i < depth; ++i) sum += trial[i];
    if (depth > *count || (depth == *count && sum >= *best_sum)) return;
    *count = depth;
    *best_sum = sum;
    for (int i = 0; i < depth; ++i) best[i] = trial[i];
    return;
  }
  if (depth == *count || depth == kFftStages) return;
  for (const int radix : kRadices) {
    if (radix > largest || rest % radix || n / radix > kFftThreads * fft_together(radix)) continue;
    trial[depth] = radix;
    best_radices(n, rest / radix, radix, trial, depth + 1, best, count, best_sum);
  }
}

FftLine line_of(int n, const int* radix, int stages, bool reversed) {
  FftLine line = {};
  line.n = n;
  line.stages = stages;
  for (int s = 0, spread = 1; s < stages; ++s) {
    line.radix[s] = radix[reversed ? stages - 1 - s : s];
    line.spread[s] = spread;
    line.per_spread[s] = 1.0f / float(spread);
    spread *= line.radix[s];
    line.step[s] = n / spread;
  }
  return line;
}

__global__ void __launch_bounds__(256) make_twiddles(float2* twiddles, int n) {
  const int j = int(blockIdx.x) * 256 + int(threadIdx.x);
  if (j >= n) return;
  double re, im;
  fft_twiddle(j, n, &re, &im);
  twiddles[j] = make_float2(float(re), float(im));
}

// Threads that the stages of so many lines need.
int threads_for(const FftLine& line, int lines) {
  int64_t most = 0;
  for (int s = 0; s < line.stages; ++s) {
    const int64_t items = int64_t(line.n / line.radix[s]) * lines;
    most = std::max<int64_t>(most, blocks_for(items, fft_together(line.radix[s])));
  }
  return int(blocks_for(most, kWarp) * kWarp);
}

}  // namespace

bool fft_plan(int64_t n, FftPlan* plan) {
  if (n < 1 || n > kFftLongest) return false;
  int rest = int(n);
  for (const int prime : {2, 3, 5}) {
    while (rest % prime == 0) rest /= prime;
  }
  if (rest != 1) return false;
  int trial[kFftStages], best[kFftStages + 1], stages = kFftStages + 1;
  int sum = 0;
  best_radices(int(n), int(n), 16, trial, 0, best, &stages, &sum);
  if (stages > kFftStages) return false;
  while (stages < 2) best[stages++] = 1;
  plan->forward = line_of(int(n), best, stages, false);
  plan->backward = line_of(int(n), best, stages, true);
  return true;
}

FftBlock fft_block(const FftLine& line, int most, size_t bytes) {
  for (int lines = most, log_lines = 31 - __builtin_clz(most); lines >= 1; lines /= 2, --log_lines) {
    const size_t shared = 2 * sizeof(float) * size_t(blocks_for(int64_t(line.n) * lines, kWarp) * kWarp);
    const int threads = threads_for(line, lines);
    if (threads <= kFftThreads && shared <= bytes) return {lines, log_lines, threads, shared};
  }
  return {};
}

bool fft_pictures(int64_t pictures, int64_t depth, int64_t height, int64_t width, FftPictures* fft) {
  if (!fft_plan(width, &fft->along) || !fft_plan(height, &fft->down) || !fft_plan(depth, &fft->deep)) return false;
  const int most = height <= 512 ? 8 : 4;
  FftBlock& block = fft->columns_block;
  block = fft_block(fft->down.forward, most, kFftShared);
  if (!block.lines) block = fft_block(fft->down.forward, most, shared_limit());
  if (!block.lines || !fft_block(fft->along.forward, 1, shared_limit()).lines) return false;
  const int64_t half = width / 2 + 1;
  fft->shape = {int(pictures), int(depth), int(height), int(width), block.log_lines, int(blocks_for(half, block.lines))};
  // Grids count blocks, and a picture's places are counted, in 31 bits.
  const int64_t limit = int64_t(1) << 31;
  return pictures * depth * fft->shape.tiles * height < limit && fft->shape.picture_size() < limit;
}

void launch_fft_twiddles(float2* twiddles, int n, Stream stream) {
  launch("fft_twiddles", make_twiddles, dim3(blocks_for(n, 256)), dim3(256), 0, stream, twiddles, n);
}

}  // namespace imgrestore
