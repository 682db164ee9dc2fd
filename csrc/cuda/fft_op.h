#pragma once

#include <map>
#include <mutex>
#include <utility>

#include "fft_spectrum.h"
#include "op_support.h"

// What the ops with transforms share: tables of twiddles, and room for spectra.
namespace imgrestore {

#ifdef IMGR_EXECUTOR
inline bool is_capturing(Stream) { return executor::settings().capturing; }
inline void wait_for(Stream) {}
#else
inline bool is_capturing(Stream stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check_cuda("cudaStreamIsCapturing", cudaStreamIsCapturing(stream, &status));
  return status != cudaStreamCaptureStatusNone;
}
inline void wait_for(Stream stream) { check_cuda("cudaStreamSynchronize", cudaStreamSynchronize(stream)); }
#endif

// exp(-2 pi i j / n) on the device of `like`. Tables are kept, one for each length and device, but for those of a graph that
// is being captured: their memory is the graph's, and is given to others as soon as the tensor is gone. So whoever asks
// keeps the tensor until the last launch that reads it.
inline torch::stable::Tensor twiddles_for(const torch::stable::Tensor& like, int64_t n, Stream stream) {
  using Key = std::pair<int, int64_t>;
  static auto* const tables = new std::map<Key, torch::stable::Tensor>;  // outlives the device
  static std::mutex one;
  const std::lock_guard<std::mutex> lock(one);
  const Key key(like.get_device_index(), n);
  const auto found = tables->find(key);
  if (found != tables->end()) return found->second;
  torch::stable::Tensor table = torch::stable::new_empty(like, {n, 2}, torch::headeronly::ScalarType::Float);
  launch_fft_twiddles(room_of<float2>(table), int(n), stream);
  if (!is_capturing(stream)) {
    wait_for(stream);  // once: other streams may read it from now on
    tables->emplace(key, table);
  }
  return table;
}

// The plans for pictures of a size, and the tables that they point to.
struct FftTables {
  torch::stable::Tensor along, down, deep;
  FftPictures fft;

  // False where the kernels do not cover the size.
  bool plan(const torch::stable::Tensor& like, int64_t pictures, int64_t depth, int64_t height, int64_t width,
            Stream stream) {
    if (!fft_pictures(pictures, depth, height, width, &fft)) return false;
    along = twiddles_for(like, width, stream);
    down = twiddles_for(like, height, stream);
    deep = twiddles_for(like, depth, stream);
    fft.along.twiddles = data_of<float2>(along);
    fft.down.twiddles = data_of<float2>(down);
    fft.deep.twiddles = data_of<float2>(deep);
    return true;
  }

  // Of all pictures, or of one.
  torch::stable::Tensor spectrum(const torch::stable::Tensor& like, bool one = false) const {
    const int64_t count = (one ? 1 : fft.shape.pictures) * fft.shape.picture_size();
    return torch::stable::new_empty(like, {count, 2}, torch::headeronly::ScalarType::Float);
  }
};

}  // namespace imgrestore
