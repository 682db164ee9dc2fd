"""Pictures to measure with, and the loops that a user would write on torch, SciPy and FFTW."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import scipy.fft
import torch
from skimage import data

from benchmarks.common import THREADS

try:
    import pyfftw
except ImportError:
    pyfftw = None
try:
    import cv2
except ImportError:
    cv2 = None

# FFTW_MEASURE, with no more than these seconds for each plan; FFTW goes on with the best plan found by then.
PLANNING_SECONDS = 2.0
EPSILON = 1e-12  # scikit-image's


def picture(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """A photograph of any shape (..., H, W), or (H, W, 3): tiles that mirror each other, with 1 % noise; 0.02 to 1."""
    colour = len(shape) == 3 and shape[-1] == 3
    tile = (data.astronaut() if colour else data.camera()).astype(np.float32) / 255
    height, width = shape[:2] if colour else shape[-2:]
    photo = tile[_mirrored(height, len(tile))][:, _mirrored(width, tile.shape[1])]
    noise = np.random.default_rng(seed).standard_normal(shape, np.float32)
    return np.ascontiguousarray(np.clip(photo + 0.01 * noise, 0.02, 1), np.float32)


def point_spread(*shape: int) -> np.ndarray:
    """A blot without symmetry, that sums to 1: a flipped or shifted one would be seen."""
    axes = np.meshgrid(*(np.linspace(-2, 2, n) for n in shape), indexing="ij")
    blot = np.exp(-sum(axis**2 for axis in axes)) * (0.3 + np.random.default_rng(1).random(shape))
    return (blot / blot.sum()).astype(np.float32)


def by_channel(function: Callable[[np.ndarray], np.ndarray], image: np.ndarray, space: int = 2) -> np.ndarray:
    """A function of one plane (or stack) for each channel of (H, W, C), as users of most libraries write it."""
    if image.ndim == space:
        return function(image)
    return np.stack([function(np.ascontiguousarray(image[..., c])) for c in range(image.shape[-1])], axis=-1)


class TorchFft:
    """rfftn and irfftn of torch, which has its threads from `set_threads`."""

    def __init__(self, domain: tuple[int, ...]) -> None:
        self.domain = domain
        self.axes = tuple(range(-len(domain), 0))

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return torch.fft.rfftn(picture, s=self.domain, dim=self.axes)

    def inverse(self, spectrum: torch.Tensor) -> torch.Tensor:
        return torch.fft.irfftn(spectrum, s=self.domain, dim=self.axes)


class ScipyFft:
    """rfftn and irfftn of SciPy with workers."""

    def __init__(self, domain: tuple[int, ...]) -> None:
        self.domain = domain

    def forward(self, picture: np.ndarray) -> np.ndarray:
        return scipy.fft.rfftn(picture, s=self.domain, workers=THREADS)

    def inverse(self, spectrum: np.ndarray) -> np.ndarray:
        return scipy.fft.irfftn(spectrum, s=self.domain, workers=THREADS, overwrite_x=True)


class Fftw:
    """rfftn and irfftn of FFTW, in float32: both plans are made once, with FFTW_MEASURE, and keep their buffers.

    The results are the plans' own buffers, which the next call of the same method overwrites.
    """

    def __init__(self, domain: tuple[int, ...]) -> None:
        axes = tuple(range(len(domain)))
        self.domain, self._filled = domain, domain
        self._real = pyfftw.zeros_aligned(domain, np.float32)
        self._half = pyfftw.zeros_aligned((*domain[:-1], domain[-1] // 2 + 1), np.complex64)
        self._back = pyfftw.zeros_aligned(domain, np.float32)
        options = {"threads": THREADS, "planning_timelimit": PLANNING_SECONDS, "axes": axes}
        self._forward = pyfftw.FFTW(self._real, self._half, flags=("FFTW_MEASURE",), **options)
        options |= {"direction": "FFTW_BACKWARD", "flags": ("FFTW_MEASURE", "FFTW_DESTROY_INPUT")}
        self._inverse = pyfftw.FFTW(self._half, self._back, **options)

    def forward(self, picture: np.ndarray) -> np.ndarray:
        if picture.shape != self._filled:  # else what is beyond the picture is 0 already
            self._real[:] = 0
            self._filled = picture.shape
        self._real[tuple(slice(n) for n in picture.shape)] = picture
        self._forward.execute()
        return self._half

    def inverse(self, spectrum: np.ndarray) -> np.ndarray:
        if spectrum is not self._half:
            self._half[:] = spectrum
        self._inverse.execute()
        self._back *= 1 / self._back.size
        return self._back


class FftwCall:
    """A call on plans of FFTW that are cached, as a program that knows FFTW has them: `prepare` makes them."""

    def __init__(self, domain: tuple[int, ...], call: Callable[[Fftw], Any]) -> None:
        self.domain, self.call = domain, call
        self.plans: Fftw | None = None

    def prepare(self) -> None:
        if self.plans is None:
            self.plans = Fftw(self.domain)

    def __call__(self) -> Any:
        self.prepare()
        return self.call(self.plans)


def fftw_call(domain: tuple[int, ...], call: Callable[[Fftw], Any]) -> FftwCall | None:
    """A call on plans of FFTW; None where pyFFTW is not installed."""
    return None if pyfftw is None else FftwCall(domain, call)


def fast_domain(frame: tuple[int, ...], psf: np.ndarray) -> tuple[int, ...]:
    """A size that is fast to transform and has room for the convolution, so that nothing wraps round."""
    return tuple(scipy.fft.next_fast_len(n + k - 1, real=True) for n, k in zip(frame, psf.shape, strict=True))


def centred(psf: np.ndarray, domain: tuple[int, ...]) -> np.ndarray:
    """The PSF on a domain, its centre at the origin."""
    moved = np.zeros(domain, psf.dtype)
    moved[tuple(slice(k) for k in psf.shape)] = psf
    return np.roll(moved, [-(k // 2) for k in psf.shape], range(psf.ndim))


def richardson_lucy_loop(fft: Any, image: Any, psf: np.ndarray, num_iter: int) -> Any:
    """Richardson and Lucy's iteration with the boundary and the start of scikit-image, in four transforms a step."""
    tensors = isinstance(image, torch.Tensor)
    spread = centred(psf, fft.domain)
    response = 1 * fft.forward(torch.from_numpy(spread) if tensors else spread)  # a copy, out of a plan's buffer
    adjoint = response.conj()
    frame = tuple(slice(n) for n in image.shape)
    scene = torch.full_like(image, 0.5) if tensors else np.full_like(image, 0.5)
    for _ in range(num_iter):
        expected = fft.inverse(_times(fft.forward(scene), response))[frame]
        expected += EPSILON
        quotient = image / expected
        scene *= fft.inverse(_times(fft.forward(quotient), adjoint))[frame]
    return scene


def _times(spectrum: Any, response: Any) -> Any:
    spectrum *= response  # a spectrum is always fresh, or a buffer of its plan
    return spectrum


@cache
def _mirrored(count: int, size: int) -> np.ndarray:
    place = np.arange(count) % (2 * size)
    return np.where(place < size, place, 2 * size - 1 - place)
