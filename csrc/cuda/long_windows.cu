#include "long_windows.h"

#include "lanes.h"
#include "place_runs.h"

// Sums over long windows, van Herk's way: the pixels of a tile's windows are cut into segments as long as a window,
// and summed in each segment from its beginning on and from its end back; a window is the end of one segment and the
// beginning of the next. Nothing is subtracted. Of a window longer than a tile what all results have in common is
// summed once for the tile.
//
// Down the columns a pixel is read 1 + (n - 1) / 256 times, n being the window's height, mostly from the second
// cache, and where that would be more than four times, sums of 64 rows made beforehand take the pixels' place: for n
// = 2001 it is read 3.5 times, and a window higher by 16384 costs one more. Along the rows it is 1 + (n - 1) / 2048
// times. With what both passes write that is 16 bytes a pixel where caches serve the rest; the floor of a single pass
// is 8.
namespace imgrestore {
namespace {

constexpr int kChunk = 16;                               // elements a thread holds in registers
constexpr int kDownRows = 256, kDownWarps = 32;          // results of a block down the columns; a warp is 32 columns
constexpr int kGroupRows = 64, kGroupWarps = 8;          // rows of a sum made beforehand; such sums of a block
constexpr int kAlongColumns = 2048, kAlongThreads = 256;  // results of a block along a row

// What is summed for one tile: windows that begin at `first`, n long; L of each, in `elements` neighbours of which
// those from L on are `skip` further. What is skipped is in all windows.
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
  __device__ __forceinline__ void add(const Settled& x, int times) {
    add(x.hi * float(times));
    lo += x.lo * float(times);
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

// A plane's pictures at one column.
struct Column {
  const float *a, *b;
  float a_level, b_level;
  __device__ __forceinline__ Column(const WindowSource& s, int64_t plane, int x) {
    a = s.a + s.a_walk.offset(plane) + x;
    b = s.b ? s.b + s.b_walk.offset(plane) + x : nullptr;
    a_level = s.levels ? s.levels[plane * s.levels_each + s.a_level] : 0.0f;
    b_level = s.levels ? s.levels[plane * s.levels_each + s.b_level] : 0.0f;
  }
  __device__ __forceinline__ float operator()(const WindowSource& s, int row) const {
    const float x = a[row * s.a_stride] - a_level;
    return b ? x * (b[row * s.b_stride] - b_level) : x;
  }
};

// A launch's windows, and what their room is cut into.
struct Work {
  LongWindows p;
  float* scratch;  // sums down the columns
  float* groups;   // those of each kGroupRows rows that are whole, plane by plane; nullptr where there are none
};

// A warp for one group of rows.
__global__ void __launch_bounds__(kGroupWarps* kWarp) sum_groups(Work work) {
  const LongWindows& p = work.p;
  const int count = p.height / kGroupRows, tiles_x = (p.width + kWarp - 1) / kWarp;
  const int tiles = tiles_x * ((count + kGroupWarps - 1) / kGroupWarps), tile = blockIdx.x % tiles;
  const int64_t plane = blockIdx.x / tiles;
  const int x = tile % tiles_x * kWarp + int(threadIdx.x % kWarp);
  const int group = tile / tiles_x * kGroupWarps + int(threadIdx.x / kWarp);
  if (x >= p.width || group >= count) return;
  const Column column(p.source, p.first_plane + plane, x);
  Settled sum;
  for (int k = 0; k < kGroupRows; k += 8) {
    float v[8];
    IMGR_UNROLL
    for (int i = 0; i < 8; ++i) v[i] = column(p.source, group * kGroupRows + k + i);
    sum.add(((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7])));
  }
  work.groups[(plane * count + group) * p.width + x] = sum.value();
}

// Lanes are columns, and each warp has a chunk of rows.
__global__ void __launch_bounds__(kDownWarps* kWarp, 1) sum_down(Work work) {
  IMGR_SHARED(float, shared);
  const LongWindows& p = work.p;
  const int warps = blockDim.x / kWarp, warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  float* const forwards = shared;  // of each element, from its segment's beginning on
  float* const heads = forwards + warps * kChunk * kWarp;
  float* const tails = heads + warps * kWarp;
  float* const cores = tails + warps * kWarp;  // hi, then lo
  const int tiles_x = (p.width + kWarp - 1) / kWarp, tiles = tiles_x * ((p.height + kDownRows - 1) / kDownRows);
  const int64_t plane = blockIdx.x / tiles, walk = p.first_plane + plane;
  const int tile = blockIdx.x % tiles, x = tile % tiles_x * kWarp + lane, y0 = tile / tiles_x * kDownRows;
  const Run run(y0, p.height, kDownRows, p.radius_y);
  const bool inside = x < p.width;
  const Column column(p.source, walk, inside ? x : 0);

  const int begin = warp * kChunk, at = begin % run.L;
  float v[kChunk];
  IMGR_UNROLL
  for (int k = 0; k < kChunk; ++k) {
    const int row = begin + k < run.elements ? edge_index(run.place(begin + k), p.height, p.boundary) : -1;
    v[k] = row < 0 ? 0.0f : column(p.source, row);
  }
  Settled core;
  const int common = run.first + run.L, count = p.height / kGroupRows;
  place_runs(common, common + run.skip, p.height, p.boundary, [&](int first, int end, int times) {
    // Whole groups in the middle, single rows before and behind.
    const int group = (first + kGroupRows - 1) / kGroupRows, group_end = end / kGroupRows;
    const bool grouped = work.groups && group < group_end;
    const int before_end = grouped ? group * kGroupRows : end, behind = grouped ? group_end * kGroupRows : end;
    Settled sum;
    for (int i = first + warp; i < before_end; i += warps) sum.add(column(p.source, i));
    for (int i = behind + warp; i < end; i += warps) sum.add(column(p.source, i));
    if (grouped) {
      const float* sums = work.groups + plane * count * p.width + (inside ? x : 0);
      for (int g = group + warp; g < group_end; g += warps) sum.add(sums[int64_t(g) * p.width]);
    }
    core.add(sum, times);
  });
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
  float* out = work.scratch + (plane * p.height + y0) * p.width + x;
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
template <bool Back, class T>
__device__ __forceinline__ T shifted(T value, int step) {
  return Back ? __shfl_down_sync(kAllLanes, value, step) : __shfl_up_sync(kAllLanes, value, step);
}
template <bool Back>
__device__ __forceinline__ Open scan_open(Open x, int lane) {
  for (int step = 1; step < kWarp; step *= 2) {
    const Open further = {shifted<Back>(x.sum, step), shifted<Back>(int(x.open), step) != 0};
    if (x.open && (Back ? lane + step < kWarp : lane >= step)) x = {x.sum + further.sum, further.open};
  }
  return x;
}
template <bool Back>
__device__ __forceinline__ Open exclusive(Open x, int lane) {
  const Open next = {shifted<Back>(x.sum, 1), shifted<Back>(int(x.open), 1) != 0};
  return lane == (Back ? kWarp - 1 : 0) ? Open{0, true} : next;
}

// A block for a tile of one row, a thread for a chunk.
__global__ void __launch_bounds__(kAlongThreads) sum_along(Work work) {
  IMGR_SHARED(float, shared);
  const LongWindows& p = work.p;
  const int threads = blockDim.x, thread = threadIdx.x, warps = threads / kWarp, warp = thread / kWarp;
  const int lane = thread % kWarp;
  float* const elements = shared;  // then results
  float* const forwards = elements + threads * kPadded;
  float* const table = forwards + threads * kPadded;  // six numbers a warp
  const int tiles = (p.width + kAlongColumns - 1) / kAlongColumns;
  const int64_t row = blockIdx.x / tiles;  // of all planes
  const int x0 = int(blockIdx.x % tiles) * kAlongColumns, y = int(row % p.height);
  const Run run(x0, p.width, kAlongColumns, p.radius_x);
  const float* in = work.scratch + row * p.width;
  for (int i = thread; i < threads * kChunk; i += threads) {
    const int column = i < run.elements ? edge_index(run.place(i), p.width, p.boundary) : -1;
    elements[padded(i)] = column < 0 ? 0.0f : in[column];
  }
  Settled core;
  const int common = run.first + run.L;
  place_runs(common, common + run.skip, p.width, p.boundary, [&](int first, int end, int times) {
    Settled sum;
    for (int i = first + thread; i < end; i += threads) sum.add(in[i]);
    core.add(sum, times);
  });
  __syncthreads();

  const int begin = thread * kChunk, at = begin % run.L, at_next = (begin + kChunk) % run.L;
  float v[kChunk];
  IMGR_UNROLL
  for (int k = 0; k < kChunk; ++k) v[k] = elements[thread * kPadded + k];
  const Ends ends = ends_of(v, at, run.L);
  const Open tails = scan_open<false>({ends.tail, ends.open}, lane);
  const Open heads = scan_open<true>({ends.head, ends.open}, lane);
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

// Where a row is more than one tile these would write over each other's pixels.
bool needs_scratch(int width) { return width > kAlongColumns; }
// Where a tile's windows share more rows than are worth reading one by one.
bool needs_groups(int height, int radius_y) {
  return 2 * radius_y + 1 >= 3 * kDownRows && height >= 2 * kGroupRows;
}

}  // namespace

int64_t long_windows_room(int height, int width, int radius_y) {
  return (needs_scratch(width) ? int64_t(height) * width : 0) +
         (needs_groups(height, radius_y) ? int64_t(height / kGroupRows) * width : 0);
}

void launch_long_windows(const LongWindows& p, Stream stream) {
  const int64_t pixels = int64_t(p.height) * p.width, groups = p.height / kGroupRows;
  const bool scratch = needs_scratch(p.width), grouped = needs_groups(p.height, p.radius_y);
  const Work work = {p, scratch ? p.room : p.out, grouped ? p.room + (scratch ? p.planes * pixels : 0) : nullptr};
  const auto run = [&](const char* name, void (*kernel)(Work), int64_t blocks, int threads, size_t shared) {
    for_planes(p.planes, blocks, [&](int64_t first, int64_t count) {
      Work some = work;
      some.p.first_plane += first;
      some.p.out += first * pixels;
      some.scratch += first * pixels;
      if (grouped) some.groups += first * groups * p.width;
      launch(name, kernel, dim3(blocks * count), dim3(threads), shared, stream, some);
    });
  };
  const int64_t tiles_x = blocks_for(p.width, kWarp);
  if (grouped) run("sum_groups", sum_groups, tiles_x * blocks_for(groups, kGroupWarps), kGroupWarps * kWarp, 0);
  const int warps = int(blocks_for(elements_of(p.height, kDownRows, p.radius_y), kChunk));
  run("sum_down", sum_down, tiles_x * blocks_for(p.height, kDownRows), warps * kWarp,
      sizeof(float) * kWarp * warps * (kChunk + 4));
  const int chunks = int(blocks_for(elements_of(p.width, kAlongColumns, p.radius_x), kChunk));
  const int threads = int(blocks_for(chunks, kWarp)) * kWarp;
  run("sum_along", sum_along, p.height * blocks_for(p.width, kAlongColumns), threads,
      sizeof(float) * (2 * threads * kPadded + 6 * threads / kWarp));
}

}  // namespace imgrestore
