#pragma once

#include "fft_columns.h"
#include "fft_rows.h"

// The passes as launches over all pictures; included where kernels are compiled.
namespace imgrestore {

inline FftBlock fft_block_within(const FftLine& line, int most) {
  const FftBlock block = fft_block(line, most, kFftShared);
  return block.lines ? block : fft_block(line, most, shared_limit());
}

// Fewer lines a block where there would be too few blocks to fill the device.
inline FftBlock fft_block_for(const FftLine& line, int most, int64_t lines) {
  FftBlock block = fft_block_within(line, most);
  while (block.lines > 1 && blocks_for(lines, block.lines) < 2 * multiprocessors()) {
    block = fft_block_within(line, block.lines / 2);
  }
  return block;
}

struct FftRowsLaunch {
  FftRows rows;
  FftBlock block;
  dim3 grid;

  explicit FftRowsLaunch(const FftPictures& fft) : rows{fft.shape, fft.along, 0, 0} {
    const FftShape& shape = fft.shape;
    const int64_t planes = int64_t(shape.pictures) * shape.depth;
    block = fft_block_for(fft.along.forward, 4, planes * blocks_for(shape.height, 2));
    rows.log_pairs = block.log_lines;
    rows.groups = int(blocks_for(shape.height, 2 * block.lines));
    grid = dim3(unsigned(planes * rows.groups));
  }
};

template <class From>
void launch_fft_rows_forward(const char* name, const FftPictures& fft, const From& from, float2* spectrum, Stream stream) {
  const FftRowsLaunch l(fft);
  launch(name, fft_rows_forward<From>, l.grid,
         dim3(l.block.threads), l.block.shared, stream, l.rows, from, spectrum);
}

template <class To>
void launch_fft_rows_backward(const char* name, const FftPictures& fft, const To& to, const float2* spectrum,
                              Stream stream) {
  const FftRowsLaunch l(fft);
  launch(name, fft_rows_backward<To>, l.grid,
         dim3(l.block.threads), l.block.shared, stream, l.rows, to, spectrum);
}

template <class Through>
void launch_fft_rows_through(const char* name, const FftPictures& fft, const Through& through, float2* spectrum,
                             Stream stream) {
  const FftRowsLaunch l(fft);
  launch(name, fft_rows_through<Through>, l.grid,
         dim3(l.block.threads), l.block.shared, stream, l.rows, through, spectrum);
}

struct FftColumnsLaunch {
  FftColumns columns;
  FftBlock block;
  dim3 grid;

  FftColumnsLaunch(const FftPictures& fft, bool deep) : columns{fft.shape, deep ? fft.deep : fft.down, 0, 0, 0, 0, 0, 0} {
    const FftShape& shape = fft.shape;
    columns.inner = deep ? shape.height << shape.log_columns : shape.columns();
    columns.outer = deep ? shape.tiles : shape.tiles * shape.depth;
    columns.apart = columns.inner;
    columns.outer_apart = deep ? int64_t(columns.inner) * shape.depth : int64_t(shape.height) << shape.log_columns;
    block = deep ? fft_block_within(columns.plan.forward, 16) : fft.columns_block;
    columns.log_lines = block.log_lines;
    columns.groups = int(blocks_for(columns.inner, block.lines));
    grid = dim3(unsigned(int64_t(shape.pictures) * columns.outer * columns.groups));
  }
};

void launch_fft_columns_once(const char* name, const FftPictures& fft, bool deep, bool back, float2* spectrum,
                             Stream stream);

// Rows' spectra times a response: one pass for pictures, three for volumes.
template <class Response>
void launch_fft_columns_through(const char* name, const FftPictures& fft, const Response& response, float2* spectrum,
                                Stream stream) {
  const bool deep = fft.shape.depth > 1;
  if (deep) launch_fft_columns_once(name, fft, false, false, spectrum, stream);
  const FftColumnsLaunch l(fft, deep);
  launch(name, fft_columns_through<Response>, l.grid, dim3(l.block.threads), l.block.shared, stream, l.columns, response, spectrum);
  if (deep) launch_fft_columns_once(name, fft, false, true, spectrum, stream);
}

}  // namespace imgrestore
