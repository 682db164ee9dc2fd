"""Wiener's filter with a known PSF, beside scikit-image and the same formula on torch."""

import math

import numpy as np
import pytest
import torch
from skimage import restoration

from benchmarks.common import OURS, Case, Work, size_name
from benchmarks.peers import by_channel, centred, picture, point_spread
from imgrestore.classical import wiener

BALANCE = 0.01


def gradient_power(shape):
    """Squared response of the gradient on the half spectrum: the prior of imgrestore."""
    height, width = shape
    rows = 2 * np.sin(np.pi * np.arange(height) / height)
    columns = 2 * np.sin(np.pi * np.arange(width // 2 + 1) / width)
    return (rows[:, None] ** 2 + columns**2).astype(np.float32)


def case(shape):
    image, psf = picture(shape), point_spread(31, 31)
    plane = shape[:2]

    def with_torch():
        def one(channel):
            response = torch.fft.rfft2(torch.from_numpy(centred(psf, plane)))
            prior = BALANCE * torch.from_numpy(gradient_power(plane))
            gain = response.conj() / (response.abs().square() + prior)
            return torch.fft.irfft2(torch.fft.rfft2(torch.from_numpy(channel)) * gain, s=plane).numpy()

        return by_channel(one, image)

    def scikit_image():
        return by_channel(lambda channel: restoration.wiener(channel, psf, BALANCE, clip=False), image)

    def scikit_image_same_prior():
        def one(channel):
            prior = np.sqrt(gradient_power(plane)).astype(np.complex64)
            return restoration.wiener(channel, psf, BALANCE, reg=prior, clip=False)

        return by_channel(one, image)

    n = math.prod(plane)
    channels = math.prod(shape) // n
    # The PSF's transform, and two for each channel; 15 operations a coefficient for the filter.
    flops = 2.5 * n * math.log2(n) * (1 + 2 * channels) + 15 * n / 2
    return Case(
        "wiener",
        size_name(shape),
        math.prod(shape),
        {
            OURS: lambda: wiener(image, psf, BALANCE, boundary="periodic"),
            "torch.fft": with_torch,
            "scikit-image, same prior": scikit_image_same_prior,
            "scikit-image": scikit_image,
            "imgrestore, boundary unknown": lambda: wiener(image, psf, BALANCE),
        },
        reference="scikit-image, same prior",
        differs={
            "scikit-image": "its default prior is the squared Laplacian",
            "imgrestore, boundary unknown": "the scene goes on beyond the frame: 20 steps in place of one filter",
        },
        tolerance=1e-4,
        work=Work(flops, traffic=8 * channels * n, resident=8 * channels * n),
    )


@pytest.mark.shapes(512, 1024, (1024, 1024, 3), 2048, quick=64)
def test_wiener(compare, shape):
    compare(case(shape))
