"""A circular filter through the Fourier domain, beside the same on torch, SciPy and FFTW."""

import math

import numpy as np
import pytest
import scipy.fft
import torch

from benchmarks.common import OURS, THREADS, Case, Work, op, optional, size_name
from benchmarks.peers import centred, fftw_call, picture, point_spread


def case(shape):
    fft_filter = op("fft_filter")
    image = picture(shape)
    response = scipy.fft.rfft2(centred(point_spread(31, 31), shape)).astype(np.complex64)
    image_tensor, response_tensor = torch.from_numpy(image), torch.from_numpy(response)

    def with_torch():
        return torch.fft.irfft2(torch.fft.rfft2(image_tensor) * response_tensor, s=shape)

    def with_scipy():
        spectrum = scipy.fft.rfft2(image, workers=THREADS)
        spectrum *= response
        return scipy.fft.irfft2(spectrum, s=shape, workers=THREADS, overwrite_x=True)

    def with_fftw(plans):
        spectrum = plans.forward(image)
        spectrum *= response
        return plans.inverse(spectrum).copy()

    def exact():
        return scipy.fft.irfft2(scipy.fft.rfft2(image.astype(np.float64)) * response, s=shape)

    n = math.prod(shape)
    return Case(
        "fft_filter",
        size_name(shape),
        n,
        {
            OURS: lambda: fft_filter(image_tensor, response_tensor),
            **optional(
                **{"torch.fft": with_torch, "scipy.fft, 2 workers": with_scipy, "FFTW": fftw_call(shape, with_fftw)}
            ),
        },
        reference=exact,
        work=Work(flops=5 * n * math.log2(n) + 3 * n, traffic=12 * n, resident=12 * n),
    )


@pytest.mark.shapes(256, 512, 1024, 2048, 4096, quick=64)
def test_fft_filter(compare, shape):
    compare(case(shape))
