"""Convolution with a kernel of 31 × 31, zero outside, beside the same on torch, SciPy and FFTW."""

import math

import numpy as np
import pytest
import scipy.fft
import scipy.signal
import torch

from benchmarks.common import OURS, THREADS, Case, Work, op, optional, size_name
from benchmarks.peers import fast_domain, fftw_call, picture, point_spread


def case(shape):
    fft_convolve = op("fft_convolve")
    image, kernel = picture(shape), point_spread(31, 31)
    tensor, kernel_tensor = torch.from_numpy(image), torch.from_numpy(kernel)
    domain = fast_domain(shape, kernel)
    inside = tuple(slice(k // 2, k // 2 + n) for n, k in zip(shape, kernel.shape, strict=True))

    def with_torch():
        spectrum = torch.fft.rfft2(tensor, s=domain) * torch.fft.rfft2(kernel_tensor, s=domain)
        return torch.fft.irfft2(spectrum, s=domain)[inside]

    def with_scipy():
        with scipy.fft.set_workers(THREADS):
            return scipy.signal.fftconvolve(image, kernel, mode="same")

    def with_fftw(plans):
        padded = np.zeros(domain, np.float32)
        padded[: shape[0], : shape[1]] = image
        spectrum = plans.forward(padded).copy()
        padded[:] = 0
        padded[: kernel.shape[0], : kernel.shape[1]] = kernel
        spectrum *= plans.forward(padded)
        return plans.inverse(spectrum)[inside].copy()

    n = math.prod(shape)
    return Case(
        "fft_convolve",
        size_name(shape),
        n,
        {
            OURS: lambda: fft_convolve(tensor, kernel_tensor),
            **optional(
                **{"torch.fft": with_torch, "scipy.signal, 2 workers": with_scipy, "FFTW": fftw_call(domain, with_fftw)}
            ),
        },
        reference=lambda: scipy.signal.fftconvolve(image.astype(np.float64), kernel, mode="same"),
        work=Work(flops=5 * n * math.log2(n), traffic=8 * n, resident=8 * n),
    )


@pytest.mark.shapes(512, 1024, 2048, quick=64)
def test_fft_convolve(compare, shape):
    compare(case(shape))
