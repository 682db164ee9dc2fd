#pragma once

#include "fft_spectrum.h"

namespace imgrestore {

// Dense planes on the domain, (pictures, channels, height, width) each.
template <class T>
struct SparsePair {
  T *first, *second;
};

// What a step does to pixels, for pictures of 1 or 3 channels.
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

constexpr int kSparseLevels = 8;

void launch_sparse_points(const SparsePoints& points, Stream stream);

inline int64_t sparse_steepness_size(int height, int width) { return int64_t(height) + width / 2 + 1; }
// The squared responses of the differences, down and then along.
void launch_sparse_steepness(int height, int width, float* steepness, Stream stream);

// Between dense planes in RGB, (pictures, channels, pixels), and luma and chroma; of one channel a copy.
void launch_sparse_split(int64_t pictures, int channels, int64_t pixels, SparsePair<const float> rgb,
                         SparsePair<float> split, Stream stream);
void launch_sparse_join(int64_t pictures, int channels, int64_t pixels, SparsePair<const float> split,
                        SparsePair<float> rgb, Stream stream);

// All of it. A step is: launch_sparse_points(); forward transforms of data and right side; the least squares of each
// frequency; inverse transforms of scene and blurred scene.
struct SparseSteps {
  SparsePoints points;     // but for from, to, reweigh and dual_gradient
  float* dual_gradient;    // after an odd number of steps the newest is points.next_dual_gradient
  FftPictures fft;         // 2 pictures * channels
  float *scene, *blurred;  // RGB; in between they hold data and right side
  const float2* otf;       // (height, width / 2 + 1), otf_picture apart from picture to picture
  int64_t otf_picture;
  float* planes;     // room for two times as many planes as the scene has
  float* steepness;  // room for sparse_steepness_size() floats
  float2* spectra;   // room for as many spectra
};

// Steps first ... first + count - 1; weights are looked at again every so many, or never where reweigh_every is 0.
void launch_sparse_steps(SparseSteps steps, int64_t first, int64_t count, int64_t reweigh_every, Stream stream);

}  // namespace imgrestore
