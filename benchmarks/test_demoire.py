"""`imgrestore.demoire` as it is called, on stripes: seconds and memory, beside an FFT notch and NLMeans."""

import math

import numpy as np
import pytest

from benchmarks.common import OURS, Case, size_name
from benchmarks.peers import picture
from imgrestore import demoire


def striped(shape):
    y, x = np.indices(shape[:2])
    wave = 0.08 * np.sin(2 * np.pi * (0.13 * y + 0.21 * x))
    return (picture(shape) + wave[..., None]).astype(np.float32)


def fft_notch(image, threshold=4.0):
    """The usual recipe: what stands out of the log spectrum away from its centre is set to its median."""
    out = np.empty_like(image)
    for c in range(image.shape[2]):
        spectrum = np.fft.fft2(image[..., c])
        log = np.log1p(np.abs(spectrum))
        radius = np.hypot(np.fft.fftfreq(image.shape[0])[:, None], np.fft.fftfreq(image.shape[1]))
        high = (radius > 0.05) & (log > np.median(log) + threshold * log.std())
        spectrum[high] *= np.expm1(np.median(log)) / np.abs(spectrum[high])
        out[..., c] = np.fft.ifft2(spectrum).real
    return out


def nl_means(image):
    import cv2

    return cv2.fastNlMeansDenoisingColored((image.clip(0, 1) * 255).astype(np.uint8), None, 10, 10, 7, 21)


def case(shape):
    image = striped(shape)
    ways = {OURS: lambda: demoire(image), "NumPy, FFT notch": lambda: fft_notch(image)}
    ways["OpenCV, NLMeans"] = lambda: nl_means(image)
    return Case("demoire", size_name(shape), math.prod(shape), ways)


def memory_case(shape):
    image = striped(shape)
    return Case("demoire", size_name(shape), math.prod(shape), {OURS: lambda: demoire(image)})


@pytest.mark.shapes((512, 512, 3), (1024, 1024, 3), quick=(64, 64, 3))
def test_demoire(compare, shape):
    compare(case(shape))


@pytest.mark.shapes((512, 512, 3), (1024, 1024, 3), quick=(64, 64, 3))
def test_demoire_memory(peak_memory, shape):
    peak_memory(memory_case, shape)
