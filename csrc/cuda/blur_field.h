#pragma once

#include <stdint.h>

#include "device.h"

namespace imgrestore {

// sum_w m_w * (k_w (x) x) of dense planes x (height, width) that repeat without end, or its adjoint
// sum_w k_w^T (m_w * x): a grid of kernels, each with its centre at size // 2, and m_w the product of how much of a row
// of the grid there is at each row of the plane, and of a column of the grid at each column.
struct BlurField {
  const float* x;
  float* out;
  int64_t planes;
  int height, width;
  const float* kernels;        // (rows, columns, tap_rows, tap_columns)
  const float *down, *right;   // (rows, height), (columns, width)
  int rows, columns, tap_rows, tap_columns;
  bool adjoint;
};

// Whether the kernels are small enough, and the grid (its rows and columns are marked in shared memory).
bool blur_field_covers(int64_t rows, int64_t columns, int64_t tap_rows, int64_t tap_columns);

void launch_blur_field(const BlurField& field, Stream stream);

}  // namespace imgrestore
