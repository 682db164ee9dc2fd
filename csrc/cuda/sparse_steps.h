#pragma once

#include <stdint.h>

#include "device.h"

namespace imgrestore {

// Two real pictures on the domain, (pictures, channels, height, width) each: either dense planes of their own, or as
// pairs, the real and the imaginary parts of one complex picture, second == first + 1.
template <class T>
struct SparsePair {
  T *first, *second;
  bool pairs;
};

// One step of `sparse_steps` between its transforms, for pictures of 1 or 3 channels. A step is:
// launch_sparse_points(); forward transforms of data and right side; launch_sparse_solve(); inverse transforms of both.
// launch_sparse_split() comes before the first step, launch_sparse_join() after the last.
struct SparsePoints {
  int64_t pictures;
  int channels, height, width;         // of the domain
  int top, left, rows, columns;        // of the frame in it
  SparsePair<const float> from;        // scene and blurred scene, luma and chroma
  SparsePair<float> to;                // data and right side, luma and chroma; not where `from` is
  const float* dual_gradient;          // (pictures, channels, down or along, height, pitch), luma and chroma
  float* next_dual_gradient;           // the same after the step, elsewhere, as neighbours need what was
  float* dual_data;                    // (pictures, channels, rows, frame_pitch), RGB
  float* dual_bound;                   // (pictures, channels, height, pitch), RGB; null where the scene has no bound
  float* known;                        // as dual_data; null where every pixel counts 1
  const float* observed;               // RGB, rows dense
  int64_t observed_picture, observed_plane, observed_row;
  int pitch, frame_pitch;
  const double* levels;                // of each picture: penalty, tie, 3 lower bounds, 3 levels of outliers
  double data_penalty, bound_penalty, stiffness, chroma_weight;
  bool hyper_laplacian, dark_outside, reweigh;
};

void launch_sparse_points(const SparsePoints& points, Stream stream);

// The spectra of data and right side become those of the scene and of the blurred scene, times `scale`: two half
// spectra (pictures, channels, height, width / 2 + 1), or as pairs one whole (pictures, channels, height, width),
// complex numbers in natural order.
struct SparseSolve {
  int64_t pictures;
  int channels, height, width;
  float2 *first, *second;  // second null: as pairs, the first the whole spectrum of data + i right side
  const float2* otf;  // (height, width / 2 + 1), otf_picture apart from picture to picture
  int64_t otf_picture;
  const float* steepness;  // sparse_steepness_size() floats
  const double* levels;
  double data_penalty, chroma_weight, scale;
};

inline int64_t sparse_steepness_size(int height, int width) { return int64_t(height) + width / 2 + 1; }
// The squared responses of the differences, down and then along.
void launch_sparse_steepness(int height, int width, float* steepness, Stream stream);
void launch_sparse_solve(const SparseSolve& solve, Stream stream);

// Between dense planes in RGB, (pictures, channels, pixels), and luma and chroma; of one channel a copy.
void launch_sparse_split(int64_t pictures, int channels, int64_t pixels, SparsePair<const float> rgb,
                         SparsePair<float> split, Stream stream);
void launch_sparse_join(int64_t pictures, int channels, int64_t pixels, SparsePair<const float> split,
                        SparsePair<float> rgb, Stream stream);

}  // namespace imgrestore
