#pragma once

#include <stdint.h>

#include "host_device.h"

namespace imgrestore {

// bfloat16 as it lies in memory: the upper half of a float.
struct Bfloat16 {
  uint16_t bits;
};

IMGR_HD float to_float(float value) { return value; }

IMGR_HD float to_float(Bfloat16 value) {
  const uint32_t bits = uint32_t(value.bits) << 16;
  float result;
  __builtin_memcpy(&result, &bits, sizeof(result));
  return result;
}

// Rounded to nearest, ties to even; a NaN stays one.
IMGR_HD Bfloat16 to_bfloat16(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof(bits));
  if (value != value) return {uint16_t(bits >> 16 | 0x40)};
  return {uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

}  // namespace imgrestore
