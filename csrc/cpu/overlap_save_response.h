#pragma once

#include <memory>

#include "overlap_save_plan.h"

namespace imgrestore {

// The response of a kernel (its sizes: size) on a plan's tiles, aligned to 64 bytes. turned: of the kernel point-mirrored.
// lead: columns by which a tile begins before the input that its box needs. The last responses are kept, and found again
// by the kernel's values. Safe to call from several threads.
std::shared_ptr<const float> overlap_save_response(const OverlapSavePlan& plan, const float* kernel, const int64_t* size,
                                                   bool turned, int64_t lead = 0);

}  // namespace imgrestore
