#include "box.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "large_pages.h"
#include "../planes.h"
#include "scratch.h"
#include "window_factors.h"

namespace imgrestore {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::parallel_for;
using torch::stable::Tensor;

// Blocks of as many rows as a window is high. Rows of sums that have not made up a whole group wait for the next block.
void run_blocks(const std::vector<BoxPlane>& planes, int64_t blocks, const BoxKernels& kernels) {
  const BoxPlane& any = planes[0];
  const int64_t n = 2 * any.radius_y + 1, group = kernels.group, stride = box_sums_stride(any.width, any.radius_x);
  const int64_t grain = 65536 / (n * any.width) + 1;
  parallel_for(0, blocks * planes.size(), grain, [&](int64_t begin, int64_t end) {
    const Scratch sums(sizeof(float) * (n + group) * stride);
    const Scratch lanes(sizeof(float) * box_lanes_size(any.radius_y, any.radius_x, kernels.group));
    std::vector<const float*> rows(3 * n);
    BoxWork work = {sums.as<float>(), 0, lanes.as<float>(), rows.data()};
    int64_t waiting = 0;
    for (int64_t i = begin; i < end; ++i) {
      const BoxPlane& p = planes[i / blocks];
      const int64_t row = i % blocks * n, row_end = std::min(row + n, p.height);
      const bool last = i + 1 == end || row_end == p.height;
      work.first_row = row - waiting;
      kernels.down(p, work, row, row_end, 0, p.width);
      int64_t done = work.first_row;
      for (; row_end - done >= group || (last && done < row_end); done += group) {
        kernels.along(p, work, done, std::min(group, row_end - done));
      }
      waiting = std::max<int64_t>(row_end - done, 0);
      const float* left = work.sums + (done - work.first_row) * stride;
      if (waiting) std::memmove(work.sums, left, sizeof(float) * waiting * stride);
    }
  });
}

// Windows so high that there are too few blocks: all sums down the columns first, strips of columns going to threads.
void run_plane(const BoxPlane& p, const BoxKernels& kernels) {
  const int64_t n = 2 * p.radius_y + 1, tile = 64, tiles = std::max<int64_t>(1, p.width / tile);
  const Scratch sums(sizeof(float) * p.height * box_sums_stride(p.width, p.radius_x));
  const size_t lanes_bytes = sizeof(float) * box_lanes_size(p.radius_y, p.radius_x, kernels.group);
  parallel_for(0, tiles, 1, [&](int64_t begin, int64_t end) {
    const Scratch lanes(lanes_bytes);
    std::vector<const float*> rows(p.height + 2 * n);
    const BoxWork work = {sums.as<float>(), 0, lanes.as<float>(), rows.data()};
    for (int64_t i = begin; i < end; ++i) {
      kernels.down(p, work, 0, p.height, i * tile, i + 1 == tiles ? p.width : (i + 1) * tile);
    }
  });
  parallel_for(0, (p.height + kernels.group - 1) / kernels.group, 1, [&](int64_t begin, int64_t end) {
    const Scratch lanes(lanes_bytes);
    const BoxWork work = {sums.as<float>(), 0, lanes.as<float>(), nullptr};
    for (int64_t i = begin; i < end; ++i) {
      kernels.along(p, work, i * kernels.group, std::min<int64_t>(kernels.group, p.height - i * kernels.group));
    }
  });
}

// Rows that one thread does from their own beginning. It does not depend on the number of threads, so that sums do not.
int64_t band_rows(int64_t height, int64_t radius_y) {
  const int64_t rows = std::max<int64_t>(128, std::min(4 * radius_y, height / 4));
  return (rows + 15) / 16 * 16;
}

// By running sums; leaves the planes where these would not do.
std::vector<BoxPlane> run_bands(const std::vector<BoxPlane>& planes, const BoxKernels& kernels) {
  const BoxPlane& any = planes[0];
  const int64_t rows = band_rows(any.height, any.radius_y), bands = (any.height + rows - 1) / rows;
  std::vector<char> done(bands * planes.size(), 0);
  parallel_for(0, done.size(), 65536 / (rows * any.width) + 1, [&](int64_t begin, int64_t end) {
    const Scratch work(sizeof(double) * box_band_size(any.width, any.radius_x));
    for (int64_t i = begin; i < end; ++i) {
      const BoxPlane& p = planes[i / bands];
      const int64_t row = i % bands * rows;
      done[i] = kernels.band(p, work.as<double>(), row, std::min(row + rows, p.height));
    }
  });
  std::vector<BoxPlane> left;
  for (size_t i = 0; i < planes.size(); ++i) {
    const auto first = done.begin() + i * bands;
    if (!std::all_of(first, first + bands, [](char c) { return c; })) left.push_back(planes[i]);
  }
  return left;
}

void run(const Tensor& image, int64_t radius_y, int64_t radius_x, Boundary boundary, Tensor& out) {
  const BoxKernels& kernels = IMGR_KERNELS(box_f32);
  const int64_t h = image.size(image.dim() - 2), w = image.size(image.dim() - 1);
  const bool shrink = boundary == Boundary::kShrink;
  const std::vector<float> row_factors = window_factors(h, radius_y, shrink);
  std::vector<float> column_factors = window_factors(w, radius_x, shrink);
  column_factors.resize(w + 16);  // whole vectors are read
  std::vector<int64_t> edge_columns;
  for (int64_t k = 0; k < radius_x; ++k) edge_columns.push_back(boundary_index(k - radius_x, w, boundary));
  for (int64_t k = 0; k < radius_x; ++k) edge_columns.push_back(boundary_index(w + k, w, boundary));
  const std::vector<float> zeros(w, 0.0f);
  const float* images = static_cast<const float*>(image.const_data_ptr());
  float* outs = static_cast<float*>(out.mutable_data_ptr());
  std::vector<BoxPlane> planes;
  for (const int64_t offset : plane_offsets(image, leading_sizes(image, 2), 2)) {
    planes.push_back({images + offset, image.stride(image.dim() - 2), outs + planes.size() * h * w, zeros.data(), h, w,
                      radius_y, radius_x, row_factors.data(), column_factors.data(), boundary, edge_columns.data()});
  }
  planes = run_bands(planes, kernels);
  if (planes.empty()) return;
  const int64_t blocks = (h + 2 * radius_y) / (2 * radius_y + 1), items = blocks * planes.size();
  const int64_t threads = torch::stable::get_num_threads();
  if (items >= 4 * threads || threads == 1 || h * w < 65536) {
    run_blocks(planes, blocks, kernels);
  } else {
    for (const BoxPlane& p : planes) run_plane(p, kernels);
  }
}

Tensor box(const Tensor& image_in, int64_t radius_y, int64_t radius_x, int64_t boundary) {
  STD_TORCH_CHECK(image_in.dim() >= 2 && image_in.scalar_type() == ScalarType::Float,
                  "box: image must be float32 with 2 dimensions or more");
  STD_TORCH_CHECK(radius_y >= 0 && radius_x >= 0 && radius_y < (int64_t(1) << 24) && radius_x < (int64_t(1) << 24),
                  "box: radius must be from 0 to 2^24");
  STD_TORCH_CHECK(boundary >= 0 && boundary < kBoundaries, "box: unknown boundary");
  const bool dense = image_in.stride(image_in.dim() - 1) == 1 || image_in.size(image_in.dim() - 1) == 1;
  const Tensor image = dense ? image_in : torch::stable::contiguous(image_in);
  Tensor out = torch::stable::new_empty(image, leading_sizes(image, 0));
  use_large_pages(out.const_data_ptr(), sizeof(float) * out.numel());
  if (out.numel()) run(image, radius_y, radius_x, static_cast<Boundary>(boundary), out);
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(imgrestore, CPU, m) { m.impl("box", TORCH_BOX(&box)); }

}  // namespace imgrestore
