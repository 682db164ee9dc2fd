#include "long_windows.h"

#include "lanes.h"

// Sums over long windows, van Herk's way: the pixels of a tile's windows are cut into segments as long as a window, and summed
// in each segment from its beginning on and from its end back; a window is the end of one segment and the beginning of the next.
// Nothing is subtracted. Of a window longer than a tile what all results have in common is summed once for the tile.
//
// A pixel is read 1 + (n - 1) / 256 times on its way down, n being the window's height, mostly from the second cache, and
// written; read 1 + (n - 1) / 2048 times along the rows, and written: 16 bytes a pixel where caches serve the rest, the floor of
// a single pass being 8.
namespace imgrestore {
namespace {

constexpr int kChunk = 16;                               // elements a thread holds in registers
constexpr int kDownRows = 256, kDownWarps = 32;          // results of a block down the columns; a warp is 32 columns
constexpr int kAlongColumns = 2048, kAlongThreads = 256;  // results of a block along a row

// What is summed for one tile: windows that begin at `first`, n long; L of each, in `elements` neighbours of which those from L on
// are `skip` further. What is skipped is in all windows.
struct Run {
  int results, L, elements, first, skip;
  __device__ __forceinline__ Run(int begin, int size, int tile, int radius) {
    const int n = 2 * radius + 1;
    results = min(tile, size - begin);
    L = min(n, results);
    elements = results + L - 1;
    first = begin - radius;
    skip = n - L;
  }
  __device__ __forceinline__ int place(int i) const { return first + i + (i >= L ? skip : 0); }
};

// A sum and what rounding took from it. Settled sums of many numbers are as good as in twice the digits.
struct Settled {
  float hi = 0, lo = 0;
  __device__ __forceinline__ void add(float x) {
    const float sum = hi + x, part = sum - hi;
    const float error = (hi - (sum - part)) + (x - part);
    hi = sum;
    if (error == error) lo += error;  // not where the sum is infinite
  }
  __device__ __forceinline__ float value() const { return hi + lo; }
};

// Sums of a thread's chunk: up to the first beginning of a segment, and from the last one on.
struct Ends {
  float head, tail;
  bool open;  // no segment begins here
};
__device__ __forceinline__ Ends ends_of(const float* v, int at, int L) {
  Ends ends = {0, 0, true};
  IMGR_UNROLL
  for (int k = 0; k < kChunk; ++k) {
    if (at == 0) {
      ends.tail = 0;
      ends.open = false;
    }
    ends.tail += v[k];
    if (ends.open) ends.head += v[k];
    at = at + 1 == L ? 0 : at + 1;
  }
  return ends;
}

// v becomes the sums to the end of each segment, with what comes from further chunks.
__device__ __forceinline__ void sum_backwards(float* v, int at_end, int L, Settled carry) {
  float run = 0;
  int at = at_end;  // of the element behind the chunk
  IMGR_UNROLL
  for (int k = kChunk - 1; k >= 0; --k) {
    if (at == 0) {
      run = 0;
      carry = Settled();
    }
    at = at == 0 ? L - 1 : at - 1;
    run += v[k];
    v[k] = carry.hi + (carry.lo + run);
  }
}

__device__ __forceinline__ float pixel_at(const WindowSource& s, const float* a, const float* b, float a_level,
                                          float b_level, int row, int column) {
  const float x = a[row * s.a_stride + column] - a_level;
  return b ? x * (b[row * s.b_stride + column] - b_level) : x;
}

// Lanes are columns, and each warp has a chunk of rows.
__global__ void __launch_bounds__(kDownWarps* kWarp, 1) sum_down(LongWindows p) {
  IMGR_SHARED(float, shared);
  const int warps = blockDim.x / kWarp, warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  float* const forwards = shared;  // of each element, from its segment's beginning on
  float* const heads = forwards + warps * kChunk * kWarp;
  float* const tails = heads + warps * kWarp;
  float* const cores = tails + warps * kWarp;  // hi, then lo
  const int tiles_x = (p.width + kWarp - 1) / kWarp, tiles = tiles_x * ((p.height + kDownRows - 1) / kDownRows);
  const int64_t plane = blockIdx.x / tiles, walk = p.first_plane + plane;
  const int tile = blockIdx.x % tiles, x = tile % tiles_x * kWarp + lane, y0 = tile / tiles_x * kDownRows;
  const Run run(y0, p.height, kDownRows, p.radius_y);
  const WindowSource& s = p.source;
  const bool inside = x < p.width;
  const float* a = s.a + s.a_walk.offset(walk) + (inside ? x : 0);
  const float* b = s.b ? s.b + s.b_walk.offset(walk) + (inside ? x : 0) : nullptr;
  const float a_level = s.levels ? s.levels[walk * s.levels_each + s.a_level] : 0.0f;
  const float b_level = s.levels ? s.levels[walk * s.levels_each + s.b_level] : 0.0f;

  const int begin = warp * kChunk, at = begin % run.L;
  float v[kChunk];
  IMGR_UNROLL
  for (int k = 0; k < kChunk; ++k) {
    const int row = begin + k < run.elements ? edge_index(run.place(begin + k), p.height, p.boundary) : -1;
    v[k] = row < 0 ? 0.0f : pixel_at(s, a, b, a_level, b_level, row, 0);
  }
  Settled core;
  int common = run.first + run.L, common_end = common + run.skip;
  if (p.boundary == Boundary::kZero || p.boundary == Boundary::kShrink) {
    common = max(common, 0);
    common_end = min(common_end, p.height);
  }
  for (int i = common + warp; i < common_end; i += warps) {
    const int row = edge_index(i, p.height, p.boundary);
    core.add(pixel_at(s, a, b, a_level, b_level, row, 0));
  }
  const Ends ends = ends_of(v, at, run.L);
  heads[warp * kWarp + lane] = ends.head;
  tails[warp * kWarp + lane] = ends.tail;
  cores[warp * kWarp + lane] = core.hi;
  cores[(warps + warp) * kWarp + lane] = core.lo;
  __syncthreads();

  Settled before, behind;
  if (at != 0) {
    int from = begin - at;  // where the segment begins that this chunk begins in
    for (int w = from / kChunk; w < warp; ++w) before.add(tails[w * kWarp + lane]);
  }
  const int next = begin + kChunk, at_next = next % run.L;
  if (at_next != 0) {
    const int end = min(next - at_next + run.L, warps * kChunk);  // where the one ends that it ends in
    for (int w = warp + 1; w * kChunk < end; ++w) behind.add(heads[w * kWarp + lane]);
  }
  float sum = 0;
  Settled carry = before;
  int place = at;
  IMGR_UNROLL
  for (int k = 0; k < kChunk; ++k) {
    if (place == 0) {
      sum = 0;
      carry = Settled();
    }
    sum += v[k];
    forwards[(begin + k) * kWarp + lane] = carry.hi + (carry.lo + sum);
    place = place + 1 == run.L ? 0 : place + 1;
  }
  sum_backwards(v, at_next, run.L, behind);
  core = Settled();
  if (run.skip) {
    for (int w = 0; w < warps; ++w) core.add(cores[w * kWarp + lane]);
    for (int w = 0; w < warps; ++w) core.lo += cores[(warps + w) * kWarp + lane];
  }
  __syncthreads();
  if (!inside) return;
  float* out = p.scratch + (plane * p.height + y0) * p.width + x;
  place = at;
  IMGR_UNROLL
  for (int k = 0; k < kChunk; ++k) {
    const int j = begin + k;
    if (j < run.results) {
      const float rest = place == 0 ? 0.0f : forwards[(j + run.L - 1) * kWarp + lane];
      out[int64_t(j) * p.width] = (core.value() + v[k]) + rest;
    }
    place = place + 1 == run.L ? 0 : place + 1;
  }
}

// ---- along the rows

constexpr int kPadded = kChunk + 1;  // odd, so that chunks begin in different banks
__device__ __forceinline__ int padded(int i) { return i + i / kChunk; }

// The sum of what a warp's chunks before this lane's leave open, and whether any segment begins there.
struct Open {
  float sum;
  bool open;
};
template <bool Back>
__device__ __forceinline__ Open scan_open(Open x, int lane) {
  for (int step = 1; step < kWarp; step *= 2) {
    const float sum = Back ? __shfl_down_sync(kAllLanes, x.sum, step) : __shfl_up_sync(kAllLanes, x.sum, step);
    const int open = Back ? __shfl_down_sync(kAllLanes, int(x.open), step) : __shfl_up_sync(kAllLanes, int(x.open), step);
    if (x.open && (Back ? lane + step < kWarp : lane >= step)) {
      x.sum += sum;
      x.open = open != 0;
    }
  }
  return x;
}
template <bool Back>
__device__ __forceinline__ Open exclusive(Open x, int lane) {
  const float sum = Back ? __shfl_down_sync(kAllLanes, x.sum, 1) : __shfl_up_sync(kAllLanes, x.sum, 1);
  const int open = Back ? __shfl_down_sync(kAllLanes, int(x.open), 1) : __shfl_up_sync(kAllLanes, int(x.open), 1);
  if (lane == (Back ? kWarp - 1 : 0)) return {0, true};
  return {sum, open != 0};
}

// A block for a tile of one row, a thread for a chunk.
__global__ void __launch_bounds__(kAlongThreads) sum_along(LongWindows p) {
  IMGR_SHARED(float, shared);
  const int threads = blockDim.x, thread = threadIdx.x, warps = threads / kWarp, warp = thread / kWarp;
  const int lane = thread % kWarp;
  float* const elements = shared;  // then results
  float* const forwards = elements + threads * kPadded;
  float* const table = forwards + threads * kPadded;  // six numbers a warp
  const int tiles = (p.width + kAlongColumns - 1) / kAlongColumns;
  const int64_t row = blockIdx.x / tiles;  // of all planes
  const int x0 = int(blockIdx.x % tiles) * kAlongColumns, y = int(row % p.height);
  const Run run(x0, p.width, kAlongColumns, p.radius_x);
  const float* in = p.scratch + row * p.width;
  for (int i = thread; i < threads * kChunk; i += threads) {
    const int column = i < run.elements ? edge_index(run.place(i), p.width, p.boundary) : -1;
    elements[padded(i)] = column < 0 ? 0.0f : in[column];
  }
  Settled core;
  int common = run.first + run.L, common_end = common + run.skip;
  if (p.boundary == Boundary::kZero || p.boundary == Boundary::kShrink) {
    common = max(common, 0);
    common_end = min(common_end, p.width);
  }
  for (int i = common + thread; i < common_end; i += threads) core.add(in[edge_index(i, p.width, p.boundary)]);
  __syncthreads();

  const int begin = thread * kChunk, at = begin % run.L, at_next = (begin + kChunk) % run.L;
  float v[kChunk];
  IMGR_UNROLL
  for (int k = 0; k < kChunk; ++k) v[k] = elements[thread * kPadded + k];
  const Ends ends = ends_of(v, at, run.L);
  const Open tails = scan_open<false>({ends.tail, ends.open}, lane), heads = scan_open<true>({ends.head, ends.open}, lane);
  if (lane == kWarp - 1) {
    table[warp] = tails.sum;
    table[warps + warp] = float(tails.open);
  }
  if (lane == 0) {
    table[2 * warps + warp] = heads.sum;
    table[3 * warps + warp] = float(heads.open);
  }
  const float hi = warp_sum(core.hi), lo = warp_sum(core.lo);
  if (lane == 0) {
    table[4 * warps + warp] = hi;
    table[5 * warps + warp] = lo;
  }
  __syncthreads();

  Settled before, behind;
  const Open left = exclusive<false>(tails, lane), right = exclusive<true>(heads, lane);
  before.add(left.sum);
  bool open = left.open;
  for (int w = warp - 1; w >= 0 && open; --w) {
    before.add(table[w]);
    open = table[warps + w] != 0;
  }
  behind.add(right.sum);
  // What follows belongs to this chunk's segment as far as the next one's beginning, which may be the next chunk's.
  open = right.open;
  for (int w = warp + 1; w < warps && open; ++w) {
    behind.add(table[2 * warps + w]);
    open = table[3 * warps + w] != 0;
  }
  float sum = 0;
  Settled carry = before;
  int place = at;
  IMGR_UNROLL
  for (int k = 0; k < kChunk; ++k) {
    if (place == 0) {
      sum = 0;
      carry = Settled();
    }
    sum += v[k];
    forwards[thread * kPadded + k] = carry.hi + (carry.lo + sum);
    place = place + 1 == run.L ? 0 : place + 1;
  }
  sum_backwards(v, at_next, run.L, behind);
  core = Settled();
  if (run.skip) {
    for (int w = 0; w < warps; ++w) core.add(table[4 * warps + w]);
    for (int w = 0; w < warps; ++w) core.lo += table[5 * warps + w];
  }
  __syncthreads();
  place = at;
  IMGR_UNROLL
  for (int k = 0; k < kChunk; ++k) {
    const int j = begin + k;
    if (j < run.results) {
      const float rest = place == 0 ? 0.0f : forwards[padded(j + run.L - 1)];
      elements[thread * kPadded + k] = (core.value() + v[k]) + rest;
    }
    place = place + 1 == run.L ? 0 : place + 1;
  }
  __syncthreads();
  const float factor = window_factor(y, p.height, p.radius_y, p.boundary);
  float* out = p.out + row * p.width + x0;
  for (int j = thread; j < run.results; j += threads) {
    out[j] = elements[padded(j)] * (factor * window_factor(x0 + j, p.width, p.radius_x, p.boundary));
  }
}

int elements_of(int size, int tile, int radius) {
  const int results = size < tile ? size : tile;
  return results + (2 * radius + 1 < results ? 2 * radius + 1 : results) - 1;
}

}  // namespace

bool long_windows_need_scratch(int width) { return width > kAlongColumns; }

void launch_long_windows(const LongWindows& windows, Stream stream) {
  LongWindows p = windows;
  const int warps = int(blocks_for(elements_of(p.height, kDownRows, p.radius_y), kChunk));
  const size_t down = sizeof(float) * kWarp * warps * (kChunk + 4);
  const int64_t blocks = blocks_for(p.width, kWarp) * blocks_for(p.height, kDownRows);
  for_planes(windows.planes, blocks, [&](int64_t first, int64_t count) {
    LongWindows some = windows;
    some.scratch += first * p.height * p.width;
    some.first_plane += first;
    some.planes = count;
    launch("sum_down", sum_down, dim3(blocks * count), dim3(warps * kWarp), down, stream, some);
  });
  const int chunks = int(blocks_for(elements_of(p.width, kAlongColumns, p.radius_x), kChunk));
  const int threads = int(blocks_for(chunks, kWarp)) * kWarp;
  const size_t along = sizeof(float) * (2 * threads * kPadded + 6 * threads / kWarp);
  const int64_t row_blocks = p.height * blocks_for(p.width, kAlongColumns);
  for_planes(windows.planes, row_blocks, [&](int64_t first, int64_t count) {
    LongWindows some = windows;
    some.scratch += first * p.height * p.width;
    some.out += first * p.height * p.width;
    launch("sum_along", sum_along, dim3(row_blocks * count), dim3(threads), along, stream, some);
  });
}

}  // namespace imgrestore
