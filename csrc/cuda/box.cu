#include "box.h"

#include "filter_tile.h"
#include "long_windows.h"
#include "short_windows.h"

// Means over windows. The floor is one read and one write, 8 bytes a pixel. Windows of a radius up to 20 are summed
// tile by tile in one kernel, first down the columns and then along the rows, eight results a thread that share most
// of their pixels: a pixel is added (n + 21) / 8 times in each direction, and what a tile reads beside itself mostly
// comes from the caches. Longer windows take the two passes of long_windows.cu, 16 bytes a pixel. Nothing is ever
// subtracted: rounding does not add up, and what is NaN, infinite or very bright tells in no window but those that
// hold it.
namespace imgrestore {
namespace {

constexpr int kMostRadius = 20;

template <class In>
struct One {
  const In& in;
  __device__ __forceinline__ void operator()(int k, float* x) const { *x = in(k); }
};
struct ToOne {
  const ToShared& out;
  __device__ __forceinline__ void operator()(int j, const float* x) const { out(j, *x); }
};

struct BoxFilter {
  int above, below, left, right;
  int height, width;
  Boundary boundary;

  template <class In>
  __device__ __forceinline__ void down(const In& in, const ToShared& out) const {
    short_windows<1, FilterTile::kGroup>(One<In>{in}, 2 * above + 1, ToOne{out});
  }
  template <class In>
  __device__ __forceinline__ void along(const In& in, const ToShared& out) const {
    short_windows<1, FilterTile::kGroup>(One<In>{in}, 2 * left + 1, ToOne{out});
  }
  __device__ __forceinline__ float finish(float sum, int y, int x) const {
    return sum * (window_factor(y, height, above, boundary) * window_factor(x, width, left, boundary));
  }
};

__global__ void __launch_bounds__(FilterTile::kThreads, 3) box_tile(BoxPlanes p, int64_t first_plane) {
  IMGR_SHARED(float, shared);
  const int ry = p.radius_y, rx = p.radius_x;
  const BoxFilter filter = {ry, ry, rx, rx, p.planes.height, p.planes.width, p.planes.boundary};
  filter_tile(p.planes, first_plane, filter, shared);
}

bool is_short(const BoxPlanes& p) { return p.radius_y <= kMostRadius && p.radius_x <= kMostRadius; }

}  // namespace

int64_t box_room(const BoxPlanes& p) {
  return is_short(p) ? 0 : p.planes.planes * long_windows_room(p.planes.height, p.planes.width, p.radius_y);
}

void launch_box(const BoxPlanes& planes, Stream stream) {
  const FilterPlanes& q = planes.planes;
  if (!is_short(planes)) {
    LongWindows w = {};
    w.source.a = q.image;
    w.source.a_walk = q.walk;
    w.source.a_stride = q.row_stride;
    w.out = q.out;
    w.room = planes.room;
    w.planes = q.planes;
    w.height = q.height;
    w.width = q.width;
    w.radius_y = planes.radius_y;
    w.radius_x = planes.radius_x;
    w.boundary = q.boundary;
    launch_long_windows(w, stream);
    return;
  }
  const int64_t blocks = FilterTile::blocks(q.height, q.width);
  const size_t shared = sizeof(float) * FilterTile::shared_floats(2 * planes.radius_x);
  for_planes(q.planes, blocks, [&](int64_t first, int64_t count) {
    BoxPlanes some = planes;
    some.planes = some_planes(q, first, count);
    launch("box_tile", box_tile, dim3(blocks * count), dim3(FilterTile::kThreads), shared, stream, some, first);
  });
}

}  // namespace imgrestore
