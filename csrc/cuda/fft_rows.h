#pragma once

#include "fft_spectrum.h"
#include "fft_stages.h"

// The passes over the rows of real pictures and their half spectra. Two rows are transformed as one line of complex numbers,
// a + i b. What a pass does with pixels is given by a functor with
//   row(picture, z, y)  whatever it has to know of a row, computed once for many pixels
// and by what it is called with such a row and the place in it.
namespace imgrestore {

struct FftRows {
  FftShape shape;
  FftPlan plan;
  int log_pairs, groups;  // pairs of rows a block takes, and blocks for a plane
};

// Where a block of rows stands: which picture, which plane of it, and its first row.
struct FftRowsPlace {
  int picture, z, first;

  __device__ explicit FftRowsPlace(const FftRows& rows) {
    const int planes = rows.groups * rows.shape.depth;
    picture = int(blockIdx.x) / planes;
    const int rest = int(blockIdx.x) - picture * planes;
    z = rest / rows.groups;
    first = (rest - z * rows.groups) * 2 << rows.log_pairs;
  }
};

// The two rows of a line, of which the last line may have but one, or none.
template <class Row>
struct FftPair {
  Row a, b;
  bool has_a, has_b;
};

template <class Pixels>
__device__ __forceinline__ auto fft_pair(const Pixels& pixels, const FftRows& rows, const FftRowsPlace& at, int c) {
  const int y = at.first + 2 * c, end = rows.shape.height;
  using Row = decltype(pixels.row(0, 0, 0));
  return FftPair<Row>{pixels.row(at.picture, at.z, min(y, end - 1)), pixels.row(at.picture, at.z, min(y + 1, end - 1)),
                      y < end, y + 1 < end};
}

// The spectra of a line's rows, joined to the spectrum of a + i b. Columns 0 and width / 2 of a real picture's are real.
struct FftJoin {
  const float2* spectrum;

  struct Row {
    const float2 *a, *b;
  };
  __device__ Row line(const FftRows& rows, const FftRowsPlace& at, int c) const {
    const FftShape& shape = rows.shape;
    const int y = at.first + 2 * c;
    const float2* a = spectrum + at.picture * shape.picture_size() + shape.place(at.z, y, 0);
    return {y < shape.height ? a : nullptr, y + 1 < shape.height ? a + shape.columns() : nullptr};
  }
  __device__ void read(const FftShape& shape, const Row& row, int i, float& re, float& im) const {
    const bool mirrored = 2 * i > shape.width, real = i == 0 || 2 * i == shape.width;
    const int place = shape.place(0, 0, mirrored ? shape.width - i : i);
    const float2 none = make_float2(0, 0), a = row.a ? row.a[place] : none, b = row.b ? row.b[place] : none;
    const float sign = mirrored ? -1.0f : 1.0f;
    re = real ? a.x : a.x - sign * b.y;
    im = real ? b.x : b.x + sign * a.y;
  }
};

// The spectra of the two rows of each line in shared memory, taken apart and written out.
__device__ __forceinline__ void fft_split(const FftRows& rows, const FftRowsPlace& at, const FftShared& held,
                                          float2* spectrum) {
  const FftShape& shape = rows.shape;
  const int pairs = 1 << rows.log_pairs, count = shape.tiles << (shape.log_columns + rows.log_pairs);
  float2* const picture = spectrum + at.picture * shape.picture_size();
  for (int item = threadIdx.x; item < count; item += blockDim.x) {
    // Neighbours in a tile first, then rows, then tiles: as they lie in memory.
    const int c = item >> shape.log_columns & (pairs - 1);
    const int k = (item >> (shape.log_columns + rows.log_pairs) << shape.log_columns) | (item & (shape.columns() - 1));
    const int y = at.first + 2 * c;
    if (y >= shape.height) continue;
    float2 a = make_float2(0, 0), b = a;
    if (k < shape.half()) {
      const int here = held.place(k, c), there = held.place(k ? shape.width - k : 0, c);
      const float zr = held.re[here], zi = held.im[here], mr = held.re[there], mi = held.im[there];
      a = make_float2(0.5f * (zr + mr), 0.5f * (zi - mi));
      b = make_float2(0.5f * (zi + mi), 0.5f * (mr - zr));
    }
    float2* const to = picture + shape.place(at.z, y, k);
    to[0] = a;
    if (y + 1 < shape.height) to[shape.columns()] = b;
  }
}

// Pixels to shared memory, transformed. from(row, x): the pixel.
template <class From>
struct FftRowsForward {
  static constexpr bool kTurns = false, kHeld = false, kPowers = false;
  const FftRows& rows;
  const FftRowsPlace& at;
  const FftShared& held;
  const From& from;

  __device__ auto reads(int c) const { return fft_pair(from, rows, at, c); }
  __device__ int changes(int c) const { return c; }
  __device__ int writes(int c) const { return c; }
  template <class Pair>
  __device__ void read(const Pair& pair, int i, float& re, float& im) const {
    re = pair.has_a ? from(pair.a, i) : 0.0f;
    im = pair.has_b ? from(pair.b, i) : 0.0f;
  }
  __device__ void change(int, int, float&, float&) const {}
  __device__ void write(int c, int i, float re, float im) const {
    const int place = held.place(i, c);
    held.re[place] = re, held.im[place] = im;
  }
};

// Spectra to pixels. to(tally, row, x, value); the tally is a thread's own.
template <class To>
struct FftRowsBackward {
  static constexpr bool kTurns = false, kHeld = false, kPowers = false;
  const FftRows& rows;
  const FftRowsPlace& at;
  const To& to;
  FftJoin join;
  typename To::Tally& tally;

  __device__ FftJoin::Row reads(int c) const { return join.line(rows, at, c); }
  __device__ int changes(int c) const { return c; }
  __device__ auto writes(int c) const { return fft_pair(to, rows, at, c); }
  // Real and imaginary parts exchanged: a forward transform of these is an inverse one.
  __device__ void read(const FftJoin::Row& row, int i, float& im, float& re) const { join.read(rows.shape, row, i, re, im); }
  __device__ void change(int, int, float&, float&) const {}
  template <class Pair>
  __device__ void write(const Pair& pair, int i, float im, float re) const {
    if (pair.has_a) to(tally, pair.a, i, re);
    if (pair.has_b) to(tally, pair.b, i, im);
  }
};

// Spectra to pixels and on to the spectra of what becomes of them, in shared memory. through(tally, row, x, value) gives the
// new pixel.
template <class Through>
struct FftRowsThrough {
  static constexpr bool kTurns = true, kHeld = false, kPowers = false;
  const FftRows& rows;
  const FftRowsPlace& at;
  const FftShared& held;
  const Through& through;
  FftJoin join;
  typename Through::Tally& tally;

  __device__ FftJoin::Row reads(int c) const { return join.line(rows, at, c); }
  __device__ auto changes(int c) const { return fft_pair(through, rows, at, c); }
  __device__ int writes(int c) const { return c; }
  __device__ void read(const FftJoin::Row& row, int i, float& im, float& re) const { join.read(rows.shape, row, i, re, im); }
  template <class Pair>
  __device__ void change(const Pair& pair, int i, float& im, float& re) const {
    re = pair.has_a ? through(tally, pair.a, i, re) : 0.0f;
    im = pair.has_b ? through(tally, pair.b, i, im) : 0.0f;
  }
  __device__ void write(int c, int i, float im, float re) const {
    const int place = held.place(i, c);
    held.re[place] = re, held.im[place] = im;
  }
};

// In all passes a block whose picture is skipped, skips(picture), leaves it as it is; and finish(tally, picture, scratch) is
// called at the end, by all threads, with the block's shared memory.
template <class From>
__global__ void __launch_bounds__(kFftThreads, 1)
    fft_rows_forward(const __grid_constant__ FftRows rows, const __grid_constant__ From from, float2* spectrum) {
  IMGR_SHARED(float, memory);
  const FftShared held(memory, rows.shape.width, rows.log_pairs);
  const FftRowsPlace at(rows);
  FftRowsForward<From> pass = {rows, at, held, from};
  fft_run(rows.plan, held, pass);
  fft_split(rows, at, held, spectrum);
}

template <class To>
__global__ void __launch_bounds__(kFftThreads, 1)
    fft_rows_backward(const __grid_constant__ FftRows rows, const __grid_constant__ To to, const float2* spectrum) {
  IMGR_SHARED(float, memory);
  const FftShared held(memory, rows.shape.width, rows.log_pairs);
  const FftRowsPlace at(rows);
  if (to.skips(at.picture)) return;
  typename To::Tally tally = {};
  FftRowsBackward<To> pass = {rows, at, to, {spectrum}, tally};
  fft_run(rows.plan, held, pass);
  to.finish(tally, at.picture, memory);
}

// In place.
template <class Through>
__global__ void __launch_bounds__(kFftThreads, 1)
    fft_rows_through(const __grid_constant__ FftRows rows, const __grid_constant__ Through through, float2* spectrum) {
  IMGR_SHARED(float, memory);
  const FftShared held(memory, rows.shape.width, rows.log_pairs);
  const FftRowsPlace at(rows);
  if (through.skips(at.picture)) return;
  typename Through::Tally tally = {};
  FftRowsThrough<Through> pass = {rows, at, held, through, {spectrum}, tally};
  fft_run(rows.plan, held, pass);
  fft_split(rows, at, held, spectrum);
  __syncthreads();
  through.finish(tally, at.picture, memory);
}

}  // namespace imgrestore
