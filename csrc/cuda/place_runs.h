#pragma once

#include "filter_planes.h"

namespace imgrestore {

// The pixels that stand at places begin to end - 1, of which many may be the same, as runs of neighbours inside and
// how often each is met: run(first, end, times). Their order is not kept: it is meant for sums.
template <class Run>
__device__ __forceinline__ void place_runs(int begin, int end, int n, Boundary boundary, const Run& run) {
  const int inner = max(begin, 0), inner_end = min(end, n);
  if (begin >= end) return;
  if (boundary == Boundary::kZero || boundary == Boundary::kShrink) {
    if (inner < inner_end) run(inner, inner_end, 1);
    return;
  }
  if (boundary == Boundary::kNearest) {
    if (begin < 0) run(0, 1, min(end, 0) - begin);
    if (inner < inner_end) run(inner, inner_end, 1);
    if (end > n) run(n - 1, n, end - max(begin, n));
    return;
  }
  // A period is the picture, or the picture and its mirror image, of which `edge` pixels at either end are left out.
  const int edge = boundary == Boundary::kMirror && n > 1 ? 1 : 0;
  const bool turns = boundary != Boundary::kWrap && n > 1;
  const int back = turns ? n - 2 * edge : 0, period = n + back;
  const int whole = (end - begin) / period;
  if (whole > 0) {
    run(0, n, whole);
    if (back > 0) run(edge, n - edge, whole);
  }
  int from = begin % period;
  if (from < 0) from += period;
  int left = end - begin - whole * period;
  while (left > 0) {
    const bool forwards = from < n;
    const int count = min(left, (forwards ? n : period) - from);
    const int first = forwards ? from : edge + (period - from) - count;
    run(first, first + count, 1);
    left -= count;
    from = from + count == period ? 0 : from + count;
  }
}

}  // namespace imgrestore
