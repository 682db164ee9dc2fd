#pragma once

#include "../math/fft_butterfly.h"
#include "fft_line.h"

// The transform of a block's lines: in each stage a thread reads R points at a time, transforms them in registers and writes
// them where the next stage wants them. The first stage reads, and the last writes, where the pass says, not in shared
// memory; and on a way there and back the last stage forward and the first one back are one, with a change in between.
namespace imgrestore {

// Shared memory of a block's lines: point i of line c is number i * lines + c. Numbers are shuffled within 32 of them, so that
// strides of 8, 16, 32 and 64 go to different banks.
struct FftShared {
  float *re, *im;
  int log_lines;

  __device__ FftShared(float* memory, int n, int log_lines)
      : re(memory), im(memory + ((n << log_lines) + kWarp - 1) / kWarp * kWarp), log_lines(log_lines) {}
  __device__ __forceinline__ int place(int i, int c) const {
    const int x = i << log_lines | c;
    return x ^ (x >> 4 & 31);
  }
  __device__ __forceinline__ int log() const { return log_lines; }
  // Which of a line's `apart` transforms, and of which line, an item is: neighbours in memory go to neighbours.
  __device__ __forceinline__ void split(int item, int, int& j, int& c) const {
    j = item >> log_lines, c = item & ((1 << log_lines) - 1);
  }
};

// exp(-2 pi i k m / n) for the powers k = 1, 2, 4, 8 from the table; the others as their products.
template <int R>
__device__ __forceinline__ void fft_rotate(const float2* twiddles, int m, float* re, float* im) {
  float2 w[4];
  IMGR_UNROLL
  for (int bit = 0; bit < 4; ++bit) {
    if (1 << bit < R) w[bit] = __ldg(twiddles + (m << bit));
  }
  IMGR_UNROLL
  for (int k = 1; k < R; ++k) {
    float wr = 1, wi = 0;
    bool first = true;
    IMGR_UNROLL
    for (int bit = 0; bit < 4; ++bit) {
      if (!(k >> bit & 1)) continue;
      if (first) {
        wr = w[bit].x, wi = w[bit].y;
      } else {
        twiddle(wr, wi, w[bit].x, w[bit].y);
      }
      first = false;
    }
    twiddle(re[k], im[k], wr, wi);
  }
}

// The thread's number, of which the compiler believes that it may have changed: what is computed from it is then not kept in
// registers from one stage to the next, for every radix at once, nor loads moved up before a fence.
__device__ __forceinline__ int fft_thread() {
  int thread = int(threadIdx.x);
#ifdef __CUDA_ARCH__
  asm volatile("" : "+r"(thread));
#endif
  return thread;
}
__device__ __forceinline__ void fft_fence() {
#ifdef __CUDA_ARCH__
  asm volatile("" ::: "memory");
#endif
}

// What a stage does besides its transforms.
struct FftStep {
  const FftLine& line;
  int stage;
  bool first, turn, last, back;
};

// One stage of all lines. Pass: see fft_run.
template <int R, class Held, class Pass>
__device__ __forceinline__ void fft_stage(const FftStep& step, const float2* twiddles, const Held& held, Pass& pass) {
  constexpr int kTogether = fft_together(R);
  const FftLine& line = step.line;
  const int s = step.stage, apart = line.n / R, items = apart << held.log(), spread = line.spread[s];
  // On the way back real and imaginary parts change places: a forward transform of these is an inverse one.
  float *const from_re = step.back ? held.im : held.re, *const from_im = step.back ? held.re : held.im;
  // Not left undefined where a thread has no item: they would stay alive from stage to stage, those of every radix.
  float re[kTogether][R] = {}, im[kTogether][R] = {};
  int thread = fft_thread();
  IMGR_UNROLL
  for (int t = 0; t < kTogether; ++t) {
    const int item = thread + t * int(blockDim.x);
    int j, c;
    held.split(item, apart, j, c);
    if (item < items) {
      if (step.first && !Pass::kHeld) {
        const auto at = pass.reads(c);
        IMGR_UNROLL
        for (int k = 0; k < R; ++k) {
          pass.read(at, j + k * apart, re[t][k], im[t][k]);
          if (k % 4 == 3) fft_fence();
        }
      } else {
        IMGR_UNROLL
        for (int k = 0; k < R; ++k) {
          const int place = held.place(j + k * apart, c);
          re[t][k] = from_re[place], im[t][k] = from_im[place];
        }
        const int within = j - int((float(j) + 0.5f) * line.per_spread[s]) * spread;
        if (!Pass::kHeld || !step.first) fft_rotate<R>(twiddles, within * line.step[s], re[t], im[t]);
      }
      Butterfly<R, float, float>::apply(re[t], im[t]);
      if (Pass::kTurns && step.turn) {
        const auto at = pass.changes(c);
        IMGR_UNROLL
        for (int k = 0; k < R; ++k) {
          pass.change(at, j + k * apart, re[t][k], im[t][k]);
          if (k % 4 == 3) fft_fence();
        }
        Butterfly<R, float, float>::apply(im[t], re[t]);
      }
    }
  }
  if (!step.first || Pass::kHeld) __syncthreads();
  thread = fft_thread();
  IMGR_UNROLL
  for (int t = 0; t < kTogether; ++t) {
    const int item = thread + t * int(blockDim.x);
    int j, c;
    held.split(item, apart, j, c);
    if (item < items) {
      if (step.last && !Pass::kHeld) {
        const auto at = pass.writes(c);
        IMGR_UNROLL
        for (int k = 0; k < R; ++k) {
          if (step.back) {
            pass.write(at, j + k * apart, im[t][k], re[t][k]);
          } else {
            pass.write(at, j + k * apart, re[t][k], im[t][k]);
          }
        }
      } else {
        const int apart_now = step.turn ? 1 : spread;
        const int before = step.turn ? j : int((float(j) + 0.5f) * line.per_spread[s]) * spread;
        const int first = before * (R - 1) + j;
        IMGR_UNROLL
        for (int k = 0; k < R; ++k) {
          const int place = held.place(first + k * apart_now, c);
          from_re[place] = re[t][k], from_im[place] = im[t][k];
        }
      }
    }
  }
}

// All stages of a block's lines. A Pass has
//   kPowers                   whether lines are powers of two, from 16 to 256
//   kTurns                    whether it goes there and back, and how it changes the points in between:
//   change(line, i, re&, im&)
//   kHeld                     whether it finds the points in shared memory and leaves the result there; else
//   read(line, i, re&, im&)   point i, once, before anything is written
//   write(line, i, re, im)    point i of the result; shared memory is free by then
// and gives reads(c), changes(c) and writes(c), whatever these have to know of line c.
// A transform back is n times too large.
template <class Held, class Pass>
__device__ __forceinline__ void fft_run(const FftPlan& plan, const Held& held, Pass& pass) {
  const int turn = plan.forward.stages - 1, last = Pass::kTurns ? 2 * turn : turn;
  for (int s = 0; s <= last; ++s) {
    const bool back = s > turn;
    const FftStep step = {back ? plan.backward : plan.forward, back ? s - turn : s, s == 0, Pass::kTurns && s == turn,
                          s == last, back};
    const int radix = step.line.radix[step.stage];
    if constexpr (Pass::kPowers) {  // of two, from 16 to 256 points
      radix == 16 ? fft_stage<16>(step, plan.twiddles, held, pass)
      : radix == 8 ? fft_stage<8>(step, plan.twiddles, held, pass)
                   : fft_stage<4>(step, plan.twiddles, held, pass);
    } else {
      switch (radix) {
        case 16: fft_stage<16>(step, plan.twiddles, held, pass); break;
        case 9: fft_stage<9>(step, plan.twiddles, held, pass); break;
        case 8: fft_stage<8>(step, plan.twiddles, held, pass); break;
        case 6: fft_stage<6>(step, plan.twiddles, held, pass); break;
        case 5: fft_stage<5>(step, plan.twiddles, held, pass); break;
        case 4: fft_stage<4>(step, plan.twiddles, held, pass); break;
        case 3: fft_stage<3>(step, plan.twiddles, held, pass); break;
        case 2: fft_stage<2>(step, plan.twiddles, held, pass); break;
        default: fft_stage<1>(step, plan.twiddles, held, pass); break;
      }
    }
    __syncthreads();
  }
}

}  // namespace imgrestore
