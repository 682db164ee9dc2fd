#pragma once

#include <stdint.h>

#include "../math/host_device.h"

namespace imgrestore {

// Floats before and behind a row whose windows are summed.
IMGR_HD int64_t window_margin(int64_t radius) { return (radius + 47) / 16 * 16; }

}  // namespace imgrestore
