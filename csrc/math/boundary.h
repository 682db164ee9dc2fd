#pragma once

#include <stdint.h>

#include "host_device.h"

namespace imgrestore {

// How a picture goes on past its edge. The numbers are those of the Python side.
enum class Boundary : int64_t {
  kReflect = 0,  // d c b a | a b c d | d c b a
  kNearest = 1,  // a a a a | a b c d | d d d d
  kMirror = 2,   //   d c b | a b c d | c b a
  kWrap = 3,     // a b c d | a b c d | a b c d
  kZero = 4,     // nothing but zeros
  kShrink = 5,   // zeros that are not counted: for means
};
constexpr int64_t kBoundaries = 6;

// Which of n pixels stands at place i, any distance outside; -1 where it is a zero.
IMGR_HD int64_t boundary_index(int64_t i, int64_t n, Boundary boundary) {
  if (i >= 0 && i < n) return i;
  if (boundary == Boundary::kNearest) return i < 0 ? 0 : n - 1;
  if (boundary == Boundary::kZero || boundary == Boundary::kShrink) return -1;
  if (boundary == Boundary::kWrap) {
    i %= n;
    return i < 0 ? i + n : i;
  }
  const bool mirror = boundary == Boundary::kMirror;
  if (mirror && n == 1) return 0;
  const int64_t last = mirror ? 2 * n - 2 : 2 * n - 1;  // i and last - i are the same pixel
  i = i < 0 ? (mirror ? -i : -1 - i) : i;
  if (i < n) return i;
  i %= mirror ? last : last + 1;
  return i < n ? i : last - i;
}

}  // namespace imgrestore
