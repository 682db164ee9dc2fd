#include "fft_launch.h"

// The transform of columns one way, which takes nothing from whoever asks for it.
namespace imgrestore {
namespace {

// One way; back: with real and imaginary parts exchanged.
struct FftColumnsOnce {
  static constexpr bool kTurns = false, kHeld = false, kPowers = false;
  const FftColumns& columns;
  const FftColumnsPlace& at;
  float2* spectrum;
  bool exchanged;

  __device__ float2* line(int c) const {
    return at.first + c < columns.inner ? spectrum + at.base + at.first + c : nullptr;
  }
  __device__ void read(const float2* line, int i, float& re, float& im) const {
    const float2 v = line ? line[i * columns.apart] : make_float2(0, 0);
    re = exchanged ? v.y : v.x, im = exchanged ? v.x : v.y;
  }
  __device__ void change(const float2*, int, float&, float&) const {}
  __device__ void write(float2* line, int i, float re, float im) const {
    if (line) line[i * columns.apart] = exchanged ? make_float2(im, re) : make_float2(re, im);
  }
};

__global__ void __launch_bounds__(kFftThreads, 1)
    fft_columns_once(const __grid_constant__ FftColumns columns, bool back, float2* spectrum) {
  IMGR_SHARED(float, memory);
  const FftShared held(memory, columns.plan.forward.n, columns.log_lines);
  const FftColumnsPlace at(columns);
  FftColumnsOnce pass = {columns, at, spectrum, back};
  fft_run(columns.plan, held, pass);
}

}  // namespace

void launch_fft_columns_once(const char* name, const FftPictures& fft, bool deep, bool back, float2* spectrum,
                             Stream stream) {
  const FftColumnsLaunch l(fft, deep);
  launch(name, fft_columns_once, l.grid, dim3(l.block.threads), l.block.shared, stream, l.columns, back, spectrum);
}

}  // namespace imgrestore
