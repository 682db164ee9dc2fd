#pragma once

#include <stddef.h>
#include <stdint.h>

// The launches of faults.cu.
namespace imgrestore {

void launch_reverse(const float* from, float* to, int64_t rows, int n, bool with_barrier);
void launch_some_wait(const char* name, int how_many, int threads, size_t shared);
void launch_overrun(int by);
void launch_read_unwritten(float* to);
void launch_sums(const float* from, float* of_warps, float* of_blocks, int64_t blocks, int wide, int high);
void launch_blocks_wait(float* passed);
void launch_rotate(float* values, int warp_barriers);
void launch_write_one(float* to, bool same);
void launch_read_pair(const float* from, float* to);

}  // namespace imgrestore
