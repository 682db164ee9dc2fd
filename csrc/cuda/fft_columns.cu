#include "fft_launch.h"

// The transform of columns one way, which takes nothing from whoever asks for it.
namespace imgrestore {
namespace {

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
