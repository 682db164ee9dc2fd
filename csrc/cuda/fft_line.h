#pragma once

#include "../math/fft_radix.h"
#include "device.h"

// How a block transforms lines of n = 2^a 3^b 5^c points that it holds in shared memory.
namespace imgrestore {

constexpr int kFftStages = 8;
constexpr int kFftThreads = 512;  // of a block, at most
constexpr int kFftPoints = 16;    // that a thread holds at a time, at most
constexpr int kFftLongest = 7680;  // known to ops/_fft_device.py, too

// The stages of one line, in Stockham's order: stage s makes transforms of spread[s] radix[s] points from radix[s] of
// spread[s] points. At least two stages, the last of one point if need be, so that the first may read where the last does not.
struct FftLine {
  int n, stages;
  int radix[kFftStages];
  int spread[kFftStages];        // the product of the radices before
  float per_spread[kFftStages];  // one over it
  int step[kFftStages];          // of the twiddle table, n / (spread radix)
};

// A line there and back; the way back takes the radices in the other order, so that what the last stage leaves in a
// thread's registers is what its first stage needs.
struct FftPlan {
  FftLine forward, backward;
  const float2* twiddles;  // exp(-2 pi i j / n)
};

// Transforms of this radix that a thread holds at a time. A line of which the last stage has one point is short.
constexpr IMGR_HD int fft_together(int radix) { return radix == 1 ? 1 : kFftPoints / radix; }

// False where n is not of the form, or too long. The twiddles are the caller's to give.
bool fft_plan(int64_t n, FftPlan* plan);

// How many lines (a power of two, at most `most`) a block takes with at most `bytes` of shared memory, in how many threads; 0
// lines where not even one fits.
struct FftBlock {
  int lines, log_lines, threads;
  size_t shared;
};
FftBlock fft_block(const FftLine& line, int most, size_t bytes);

// exp(-2 pi i j / n) for 0 <= j < n
void launch_fft_twiddles(float2* twiddles, int n, Stream stream);

}  // namespace imgrestore
