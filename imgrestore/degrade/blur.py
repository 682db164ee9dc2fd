"""Blur: convolution with a point spread function, sensor noise and an 8-bit camera.

The scene goes on past the frame, so that only the 'valid' part of the convolution is observed. A PSF is an array
``(kh, kw)`` that sums to 1 with its centre at index ``(kh // 2, kw // 2)``, for odd and even sizes alike::

    y[i] = sum_j psf[j] x[i + kh // 2 - j]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from scipy.ndimage import gaussian_filter, shift

Kernel = NDArray[np.float32]
Kind = Literal["shake", "gaussian", "disk", "motion", "mixture"]

# Small, round lens blur and long, thin hand shake are both common; a set of test PSFs usually holds some of each.
KINDS: dict[Kind, float] = {"shake": 0.42, "gaussian": 0.30, "mixture": 0.13, "disk": 0.08, "motion": 0.07}


@dataclass(frozen=True)
class BlurParams:
    """What happened to one blurred picture.

    Attributes
    ----------
    psf : ndarray of float32, shape (kh, kw)
        Non-negative, sums to 1, centre at ``(kh // 2, kw // 2)``.
    sigma : float
        Standard deviation of the signal-independent Gaussian noise, for a range of 1.
    gain : float
        Variance of the photon noise per unit of signal (the Gaussian approximation of Poisson noise).
    bits : int or None
        Bits of the file that the observation went through (quantised and clipped to [0, 1]), or None.
    seed : int
        Seed of the noise: the same parameters give the same observation.
    """

    psf: Kernel
    sigma: float = 0.01
    gain: float = 0.0
    bits: int | None = None
    seed: int = 0


def sample(shape: tuple[int, ...], rng: np.random.Generator) -> BlurParams:
    """Draw the parameters of one blur.

    Parameters
    ----------
    shape : tuple of int
        Shape (..., H, W) of the clean picture; the PSF takes at most a quarter of its shorter side.
    rng : numpy.random.Generator
        The source of randomness.

    Returns
    -------
    BlurParams
        A PSF of at most 41 pixels, noise between 0 and 0.06.
    """
    psf = sample_psf(rng, max_size=max(5, min(41, min(shape[-2:]) // 4)))
    sigma = 0.0 if rng.random() < 0.06 else float(np.exp(rng.uniform(np.log(1e-3), np.log(0.06))))
    photon = rng.random() < 0.2
    return BlurParams(
        psf=psf,
        sigma=sigma,
        gain=float(sigma**2 * rng.uniform(0.2, 2.0)) if photon else 0.0,
        bits=8 if rng.random() < 0.25 else None,
        seed=int(rng.integers(2**31)),
    )


def apply(clean: torch.Tensor, params: BlurParams) -> torch.Tensor:
    """Blur a clean picture, add noise, and store it as the camera would.

    Parameters
    ----------
    clean : Tensor, shape (..., H, W), floating point
        The scene, range [0, 1].
    params : BlurParams
        The blur; a pure function of it and of the scene.

    Returns
    -------
    Tensor, shape (..., H - kh + 1, W - kw + 1)
        The observed frame. Its pixel (0, 0) is the scene's pixel ``(kh - 1 - kh // 2, kw - 1 - kw // 2)``.
        Differentiable with respect to `clean`; rounding passes gradients straight through.
    """
    psf = torch.from_numpy(params.psf).to(clean)
    blurred = convolve_valid(clean, psf)
    generator = torch.Generator().manual_seed(params.seed)
    white = torch.randn(blurred.shape, generator=generator, dtype=torch.float32).to(blurred)
    return expose(blurred, white, params.sigma, params.gain, params.bits)


def expose(
    blurred: torch.Tensor,
    white: torch.Tensor,
    sigma: torch.Tensor | float,
    gain: torch.Tensor | float = 0.0,
    bits: int | None = None,
) -> torch.Tensor:
    """Add Gaussian and photon noise, and quantise.

    Parameters
    ----------
    blurred : Tensor
        The light that arrives, range [0, 1].
    white : Tensor, same shape
        White noise of unit variance.
    sigma, gain : Tensor or float, broadcastable
        As in `BlurParams`.
    bits : int or None
        As in `BlurParams`; the result is clipped to [0, 1] when given.

    Returns
    -------
    Tensor, same shape
        The observation.
    """
    variance = gain * blurred.detach().clamp(min=0) + sigma**2
    observed = blurred + white * variance.sqrt()
    if bits is None:
        return observed
    levels = 2**bits - 1
    clipped = observed.clamp(0, 1)
    return clipped + ((clipped * levels).round() / levels - clipped).detach()


def convolve_valid(x: torch.Tensor, psf: torch.Tensor) -> torch.Tensor:
    """The 'valid' part of a true convolution, by FFT.

    Parameters
    ----------
    x : Tensor, shape (..., H, W)
        The scene.
    psf : Tensor, shape (kh, kw), or (N, kh, kw) with x of shape (N, C, H, W)
        One PSF, or one for each picture of the batch.

    Returns
    -------
    Tensor, shape (..., H - kh + 1, W - kw + 1)
        The observed frame.
    """
    size = _fft_size(x.shape)
    kh, kw = psf.shape[-2:]
    spectrum = torch.fft.rfft2(x, s=size) * _spectrum(psf, size)
    full = torch.fft.irfft2(spectrum, s=size)
    return full[..., kh - 1 : x.shape[-2], kw - 1 : x.shape[-1]]


def adjoint(y: torch.Tensor, psf: torch.Tensor) -> torch.Tensor:
    """The adjoint of `convolve_valid`: the full correlation with the PSF.

    Parameters
    ----------
    y : Tensor, shape (..., h, w)
        An observed frame.
    psf : Tensor, shape (kh, kw) or (N, kh, kw)
        As in `convolve_valid`.

    Returns
    -------
    Tensor, shape (..., h + kh - 1, w + kw - 1)
        A picture of the scene's size.
    """
    kh, kw = psf.shape[-2:]
    height, width = y.shape[-2] + kh - 1, y.shape[-1] + kw - 1
    size = _fft_size((height, width))
    placed = torch.nn.functional.pad(y, (kw - 1, 0, kh - 1, 0))
    spectrum = torch.fft.rfft2(placed, s=size) * _spectrum(psf, size).conj()
    return torch.fft.irfft2(spectrum, s=size)[..., :height, :width]


def otf(psf: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """The transfer function of a PSF on a periodic domain, its centre moved to the origin.

    Parameters
    ----------
    psf : Tensor, shape (kh, kw) or (N, kh, kw)
        The PSF, no larger than the domain.
    shape : (int, int)
        Size of the domain (H, W).

    Returns
    -------
    Tensor of complex, shape (H, W // 2 + 1) or (N, 1, H, W // 2 + 1)
        To be multiplied with ``rfft2`` of planes (N, C, H, W).
    """
    kh, kw = psf.shape[-2:]
    placed = torch.nn.functional.pad(psf, (0, shape[1] - kw, 0, shape[0] - kh))
    placed = torch.roll(placed, (-(kh // 2), -(kw // 2)), dims=(-2, -1))
    spectrum = torch.fft.rfft2(placed)
    return spectrum.unsqueeze(-3) if psf.ndim == 3 else spectrum


def _fft_size(shape: tuple[int, ...] | torch.Size) -> tuple[int, int]:
    return next_fast_len(int(shape[-2]), real=True), next_fast_len(int(shape[-1]), real=True)


def _spectrum(psf: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    spectrum = torch.fft.rfft2(psf, s=size)
    return spectrum.unsqueeze(-3) if psf.ndim == 3 else spectrum


def sample_psf(rng: np.random.Generator, kind: Kind | None = None, max_size: int = 41) -> Kernel:
    """Draw a PSF.

    Parameters
    ----------
    rng : numpy.random.Generator
        The source of randomness.
    kind : str, optional
        ``shake`` (a hand-held camera), ``gaussian`` (also elongated), ``disk`` (defocus), ``motion`` (a straight
        line) or ``mixture`` (shake through a soft lens); drawn by default.
    max_size : int
        Largest side, at least 5.

    Returns
    -------
    ndarray of float32, shape (k, k), k odd
        Non-negative, sums to 1; its centroid lies within a few pixels of the centre ``(k // 2, k // 2)``.
    """
    if kind is None:
        kind = rng.choice(np.array(list(KINDS)), p=np.array(list(KINDS.values())))
    odd = max_size - 1 + max_size % 2
    # Most real shake spans less than 27 pixels; the tail up to the limit is kept thin.
    size = int(rng.integers(3, 14)) * 2 + 1 if rng.random() < 0.85 else int(rng.integers(13, 21)) * 2 + 1
    size = min(max(size, 11) if kind == "mixture" else size, odd)
    half = size // 2
    if kind == "gaussian":
        widest = min(4.2, odd / 6)
        s1 = np.exp(rng.uniform(np.log(0.4), np.log(widest)))
        s2 = s1 if rng.random() < 0.4 else np.exp(rng.uniform(np.log(0.4), np.log(widest)))
        return gaussian_psf(float(s1), float(s2), float(rng.uniform(0, np.pi)), max_size=odd)
    if kind == "disk":
        soft = float(rng.uniform(0.0, min(0.8, odd / 12))) if rng.random() < 0.5 else 0.0
        return disk_psf(float(rng.uniform(0.8, min(9.0, odd / 2 - 0.5 - 2.5 * soft))), soft)
    if kind == "motion":
        angle, length = rng.uniform(0, np.pi), rng.uniform(1.5, max(2.0, size - 2.0))
        steps = np.linspace(-0.5, 0.5, 8 * size)[:, None] * length
        path = steps * np.array([np.sin(angle), np.cos(angle)])
        return _rasterise(path, np.ones(len(path)), half, blur=float(rng.uniform(0.0, 0.5)))
    blur = float(rng.uniform(0.5, 2.0)) if kind == "mixture" else float(rng.uniform(0.0, 0.5))
    return _rasterise(*_trajectory(rng, max(1.5, half - 1.0 - 1.5 * blur)), half, blur)


def gaussian_psf(s1: float, s2: float | None = None, angle: float = 0.0, max_size: int = 41) -> Kernel:
    """A Gaussian PSF with standard deviations `s1` and `s2` (pixels) along axes turned by `angle` (radians).

    Parameters
    ----------
    s1, s2 : float
        Standard deviations; `s2` equals `s1` by default.
    angle : float
        Angle of the first axis to the rows.
    max_size : int
        Largest side; beyond it the tails are cut.

    Returns
    -------
    ndarray of float32, shape (k, k), k odd
        Sums to 1.
    """
    s2 = s1 if s2 is None else s2
    half = int(min((max_size - 1) // 2, np.ceil(3.5 * max(s1, s2)) + 1))
    # Four samples a pixel: a sharp Gaussian integrates over the pixel, it is not sampled at its middle.
    fine = (np.arange((2 * half + 1) * 4) + 0.5) / 4 - half - 0.5
    yy, xx = np.meshgrid(fine, fine, indexing="ij")
    u, v = yy * np.cos(angle) + xx * np.sin(angle), -yy * np.sin(angle) + xx * np.cos(angle)
    dense = np.exp(-0.5 * ((u / s1) ** 2 + (v / s2) ** 2))
    return _normalise(dense.reshape(2 * half + 1, 4, 2 * half + 1, 4).sum((1, 3)))


def disk_psf(radius: float, soft: float = 0.0) -> Kernel:
    """A defocus disk with anti-aliased rim.

    Parameters
    ----------
    radius : float
        Radius in pixels.
    soft : float
        Standard deviation of a Gaussian that softens the rim, pixels.

    Returns
    -------
    ndarray of float32, shape (k, k), k odd
        Sums to 1.
    """
    half = int(np.ceil(radius + 2.5 * soft))
    fine = (np.arange((2 * half + 1) * 8) + 0.5) / 8 - half - 0.5
    dense = (fine[:, None] ** 2 + fine**2 <= radius**2).astype(np.float64)
    disk = dense.reshape(2 * half + 1, 8, 2 * half + 1, 8).mean((1, 3))
    return _normalise(gaussian_filter(disk, soft, mode="constant") if soft > 0 else disk)


def perturb_psf(psf: Kernel, rng: np.random.Generator, strength: float = 1.0) -> Kernel:
    """A slightly wrong PSF, as a blind estimate would give: shifted, softened and noisy.

    Parameters
    ----------
    psf : ndarray of float32, shape (kh, kw)
        The true PSF.
    rng : numpy.random.Generator
        The source of randomness.
    strength : float
        1 is mild: shifts up to 0.35 pixels, a softening up to 0.6 pixels, noise of a few per cent of the peak.

    Returns
    -------
    ndarray of float32, shape (kh, kw)
        Non-negative, sums to 1.
    """
    wrong = shift(psf.astype(np.float64), rng.uniform(-0.35, 0.35, 2) * strength, order=1, mode="constant")
    wrong = gaussian_filter(wrong, rng.uniform(0.0, 0.6) * strength, mode="constant")
    peak = wrong.max()
    wrong = wrong * (1 + rng.normal(0, 0.15 * strength, wrong.shape))
    wrong = wrong + rng.normal(0, rng.uniform(0, 0.015) * strength, wrong.shape) * peak
    # Estimators threshold their kernels, so that noise far below the peak does not stay.
    wrong[wrong < 0.02 * strength * peak] = 0
    return _normalise(wrong)


def centred(psf: Kernel, size: int) -> Kernel:
    """A PSF in a larger square array, its centre kept at ``(size // 2, size // 2)``.

    Parameters
    ----------
    psf : ndarray, shape (kh, kw)
        The PSF, no larger than `size`.
    size : int
        Side of the result.

    Returns
    -------
    ndarray of float32, shape (size, size)
        Zero outside the PSF.
    """
    kh, kw = psf.shape
    out = np.zeros((size, size), np.float32)
    top, left = size // 2 - kh // 2, size // 2 - kw // 2
    out[top : top + kh, left : left + kw] = psf
    return out


def _trajectory(rng: np.random.Generator, reach: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions (n, 2) and dwell times (n,) of a shaken camera that stays within `reach` pixels of its middle.

    A velocity with inertia, pulled back to the start, and now and then a jerk; the speed varies, so that the
    light dwells at turning points, as it does in real shake.
    """
    steps = 240
    inertia = 1 - np.exp(rng.uniform(np.log(0.002), np.log(0.08)))
    pull = rng.uniform(0.0, 0.004)
    jerk = rng.uniform(0.0, 0.02)
    kicks = rng.normal(0, 1, (steps, 2)) * np.sqrt(1 - inertia**2)
    jerks = rng.random(steps) < jerk
    kicks[jerks] += rng.normal(0, 1.5, (int(jerks.sum()), 2))
    velocity, place = rng.normal(0, 1, 2), np.zeros(2)
    path = np.empty((steps, 2))
    for i in range(steps):
        velocity = inertia * velocity + kicks[i] - pull * place
        place = place + velocity
        path[i] = place
    # Shake is often stronger along one axis.
    squeeze, angle = rng.uniform(0.35, 1.0), rng.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    path = (path - path.mean(0)) @ (turn * np.array([1.0, squeeze])) @ turn.T
    extent = np.abs(path - (path.max(0) + path.min(0)) / 2).max() + 1e-9
    path = (path - (path.max(0) + path.min(0)) / 2) * (reach * rng.uniform(0.55, 1.0) / extent)
    dwell = np.exp(np.interp(np.arange(steps), np.linspace(0, steps, 6), rng.normal(0, 0.6, 6)))
    fine = np.linspace(0, steps - 1, 6 * steps)
    dense = np.stack([np.interp(fine, np.arange(steps), path[:, axis]) for axis in (0, 1)], axis=1)
    return dense, np.interp(fine, np.arange(steps), dwell)


def _rasterise(path: NDArray[np.float64], dwell: NDArray[np.float64], half: int, blur: float) -> Kernel:
    """Lay a path (n, 2) of offsets from the centre on a grid of side 2 half + 1, bilinearly."""
    side = 2 * half + 1
    psf = np.zeros((side, side))
    place = np.clip(path + half, 0, side - 1.001)
    low = np.floor(place).astype(int)
    part = place - low
    for dy in (0, 1):
        for dx in (0, 1):
            weight = np.abs(1 - dy - part[:, 0]) * np.abs(1 - dx - part[:, 1])
            np.add.at(psf, (low[:, 0] + dy, low[:, 1] + dx), weight * dwell)
    return _normalise(gaussian_filter(psf, blur, mode="constant", truncate=3) if blur > 0.1 else psf)


def _normalise(psf: NDArray[np.float64]) -> Kernel:
    psf = np.maximum(psf, 0)
    return (psf / psf.sum()).astype(np.float32)
