#pragma once

// The schema of every native op: the catalogue on one page.
namespace imgrestore {

template <class Library>
void define_ops(Library& m) {
  // irfft(rfft(image) * response) over the last two dimensions, both of the form 2^a 3^b 5^c
  m.def("fft_filter(Tensor image, Tensor response) -> Tensor");
  // The same over the last three; on CUDA devices only
  m.def("fft_filter_3d(Tensor image, Tensor response) -> Tensor");

  // irfft(rfft(image) * gain * conj(otf) / (|otf|^2 + ratio)) of planes (N, C, h, w), h and w as above, each with P / C
  // ratios exp(level + power * log_frequency - signal_power * log(variance + 1e-5)); out (N, P, h, w) has dense planes
  m.def(
      "wiener_planes_into(Tensor image, Tensor otf, Tensor level, Tensor power, Tensor? signal_power, "
      "Tensor log_frequency, float gain, Tensor(a!) out) -> ()");

  // out[i] = sum_j kernel[j] image[i + shift + size of the kernel - 1 - j] for pictures (P, d, h, w) and a kernel (d, h, w)
  // or (P, d, h, w); outside: 0 zero, 1 reflect, 2 wrap
  m.def("fft_convolve(Tensor image, Tensor kernel, int[] result, int[] shift, int outside) -> Tensor");

  // sum_w m_w * (k_w (x) scene) for a scene (..., h, w) that repeats without end, a grid of kernels (rows, columns, kh,
  // kw) with their centres at size // 2, and m_w = down[row, y] * right[column, x]; or its adjoint. For devices only
  m.def("blur_field(Tensor scene, Tensor kernels, Tensor down, Tensor right, bool adjoint) -> Tensor");

  // Work units begin ... end - 1 of Richardson-Lucy's iterations, each `richardson_lucy_units` long; the iterations done
  m.def("richardson_lucy_units(int[] size, int[] kernel, int[] before, int outside, bool unknown, bool damped) -> int");
  m.def("richardson_lucy_run(Tensor observed, Tensor? status, Tensor(a!) scene, Tensor(b!)? previous, "
        "Tensor(c!)? change, Tensor(d!) ratio, Tensor(e!)? damped, Tensor(f!)? spread, Tensor? inverse_share, "
        "Tensor? window, Tensor kernel, Tensor(g!) planes, Tensor(h!) sums, int[] size, int[] before, "
        "int outside, bool unknown, float tv_weight, int begin, int end) -> int");

  // The same on CUDA devices: iterations begin ... end - 1 on a scene (P, d, h, w) at `origin` in its domain, or mirrored to
  // fill it; levels (P, 5): background, least expectation, light, noise, weight of the window; state (P, 2): extrapolation,
  // and whether the picture is worked on; steps: those that any picture took
  m.def(
      "richardson_lucy_device(Tensor observed, Tensor? status, Tensor levels, Tensor? share, Tensor? window, Tensor kernel, "
      "Tensor(a!) scene, Tensor(b!)? previous, Tensor(c!)? change, Tensor(d!) state, Tensor(e!) steps, int[] domain, "
      "int[] centre, int[] before, int[] origin, int[] wrap, bool mirrored, bool periodic, float tv_weight, int begin, int end) -> ()");

  // Pictures (N, C, d, h, w) in strips of as many columns as a vector has lanes, (N C, d, strips, h, lanes), and back as
  // (N C, d, h, w)
  m.def("to_strips(Tensor pictures) -> Tensor");
  m.def("from_strips(Tensor strips, int width) -> Tensor");
  // Of each picture in strips, where its status is not 0: the largest light, its sum, and the number of pixels, in float64
  m.def("light_of_strips(Tensor strips, Tensor? status, int width) -> Tensor");
  // Steps of the alternating direction method for a scene with sparse gradients; the state changes in place
  m.def(
      "sparse_steps(Tensor(a!) scene, Tensor(b!) blurred, Tensor(c!) dual_gradient, Tensor(d!) dual_data, "
      "Tensor(e!)? dual_bound, Tensor(f!)? known, Tensor(g!) work, Tensor observed, Tensor otf, Tensor levels, int top, "
      "int left, int first, int steps, int reweigh_every, bool hyper_laplacian, bool dark_outside, float data_penalty, "
      "float bound_penalty, float stiffness, float chroma_weight) -> ()");
  // count iterations of total-variation denoising, of which done went before: the picture, the dual if it is to be kept, and
  // of each picture the iterations made, the first energy and whether the stopping rule held
  m.def(
      "tv_denoise(Tensor image, Tensor? dual, float weight, int ndim, bool accelerate, int done, int count, float tol, "
      "float first_energy, bool keep) -> (Tensor, Tensor, Tensor)");

  // (x - mean) / sqrt(variance + eps) * weight + bias over the channels of each pixel of x (N, C, H, W)
  m.def("channel_norm(Tensor x, Tensor weight, Tensor bias, float eps) -> Tensor");
  // 3x3 depthwise convolution of x (N, 2C, H, W) with zero padding; then the first half times the second
  m.def("depthwise_gate(Tensor x, Tensor weight, Tensor bias) -> Tensor");
  // x + scale * project(depthwise_gate(expand(channel_norm(x)))) with 1x1 convolutions; no norm where it is None
  m.def(
      "gated_block(Tensor x, Tensor? norm_weight, Tensor? norm_bias, Tensor expand_weight, Tensor expand_bias, "
      "Tensor depthwise_weight, Tensor depthwise_bias, Tensor project_weight, Tensor project_bias, Tensor scale, "
      "float eps) -> Tensor");
  // The same into `out`, which has x's shape and layout; narrow: the convolutions' factors may be rounded to bfloat16
  m.def(
      "gated_block_into(Tensor x, Tensor? norm_weight, Tensor? norm_bias, Tensor expand_weight, Tensor expand_bias, "
      "Tensor depthwise_weight, Tensor depthwise_bias, Tensor project_weight, Tensor project_bias, Tensor scale, "
      "float eps, bool narrow, Tensor(a!) out) -> ()");
  // Convolution of planes (N, C, H, W) by (O, C, k, k), zeros beyond the frame; shuffle: then each four planes become one of
  // twice the size; plus is added, and may be out itself; narrow: factors may be rounded to bfloat16
  m.def(
      "patch_conv_into(Tensor x, Tensor weight, Tensor? bias, Tensor? plus, int stride, int padding, bool shuffle, "
      "bool narrow, Tensor(a!) out) -> ()");
  // correlation with two 1-D kernels over the last two dimensions; boundary: the number of a Boundary
  m.def("separable(Tensor image, Tensor row_taps, Tensor column_taps, int boundary) -> Tensor");

  // mean over (2 radius_y + 1) x (2 radius_x + 1) pixels of the last two dimensions
  m.def("box(Tensor image, int radius_y, int radius_x, int boundary) -> Tensor");

  // guided filter; channels: the guide has 3 of them before its height
  m.def("guided(Tensor image, Tensor guide, int radius, float eps, bool channels) -> Tensor");

  // bilateral filter over a disk, weights from the guide; channels: one weight for all channels, before the height
  m.def("bilateral(Tensor image, Tensor guide, float sigma_space, float sigma_range, int radius, int boundary, "
        "bool channels) -> Tensor");
}

}  // namespace imgrestore
