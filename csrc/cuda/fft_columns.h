#pragma once

#include "fft_spectrum.h"
#include "fft_stages.h"

// The passes down the height and the depth of half spectra, in place.
namespace imgrestore {

// Lines: `inner` of them side by side, `apart` between their points, `outer` times a picture.
struct FftColumns {
  FftShape shape;
  FftPlan plan;
  int log_lines, groups;  // lines a block takes, and blocks for `inner`
  int inner, outer;
  int64_t apart, outer_apart;
};

struct FftColumnsPlace {
  int picture, outer, first;
  int64_t base;

  __device__ explicit FftColumnsPlace(const FftColumns& columns) {
    const int all = int(blockIdx.x) / columns.groups;
    first = (int(blockIdx.x) - all * columns.groups) << columns.log_lines;
    picture = all / columns.outer;
    outer = all - picture * columns.outer;
    base = all * columns.outer_apart;
  }
};

// One way; back: with real and imaginary parts exchanged.
struct FftColumnsOnce {
  static constexpr bool kTurns = false, kHeld = false, kPowers = false;
  const FftColumns& columns;
  const FftColumnsPlace& at;
  float2* spectrum;
  bool exchanged;

  __device__ float2* reads(int c) const { return writes(c); }
  __device__ float2* changes(int) const { return nullptr; }
  __device__ float2* writes(int c) const {
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

// There, times a response, and back, for the last axis that is transformed: the depth, or the height of a flat picture.
template <class Response>
struct FftColumnsThrough {
  static constexpr bool kTurns = true, kHeld = false, kPowers = false;
  const FftColumns& columns;
  const FftColumnsPlace& at;
  float2* spectrum;
  const Response& response;

  struct Changes {
    typename Response::Column column;
    bool inside;
  };
  __device__ float2* reads(int c) const { return writes(c); }
  __device__ Changes changes(int c) const {
    const int inner = at.first + c, log_columns = columns.shape.log_columns;
    const int k = (at.outer << log_columns) | (inner & (columns.shape.columns() - 1));
    return {response.column(at.picture, at.outer * columns.outer_apart + inner,
                            columns.shape.depth > 1 ? inner >> log_columns : 0, min(k, columns.shape.half() - 1)),
            inner < columns.inner};
  }
  __device__ float2* writes(int c) const {
    return at.first + c < columns.inner ? spectrum + at.base + at.first + c : nullptr;
  }
  __device__ void read(const float2* line, int i, float& re, float& im) const {
    const float2 v = line ? line[i * columns.apart] : make_float2(0, 0);
    re = v.x, im = v.y;
  }
  __device__ void change(const Changes& l, int i, float& re, float& im) const {
    if (!l.inside) return;
    const float2 w = response(l.column, i);
    twiddle(re, im, w.x, w.y);
  }
  __device__ void write(float2* line, int i, float re, float im) const {
    if (line) line[i * columns.apart] = make_float2(re, im);
  }
};

// A Response has column(picture, place, y, k), of what it has to know of a column: its first point's place in a picture's
// spectrum, its row where the depth is transformed, its frequency along rows; and (column, i) -> float2, scale and all.
template <class Response>
__global__ void __launch_bounds__(kFftThreads, 1)
    fft_columns_through(const __grid_constant__ FftColumns columns, const __grid_constant__ Response response,
                        float2* spectrum) {
  IMGR_SHARED(float, memory);
  const FftShared held(memory, columns.plan.forward.n, columns.log_lines);
  const FftColumnsPlace at(columns);
  if (response.skips(at.picture)) return;
  FftColumnsThrough<Response> pass = {columns, at, spectrum, response};
  fft_run(columns.plan, held, pass);
}

}  // namespace imgrestore
