"""Whether a PSF that was found can be believed: what the sharpest edges allow, and whether several searches agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from imgrestore.classical.admm import sparse_planes
from imgrestore.ops.blur_operator import BlurOperator
from imgrestore.psf import Psf

__all__ = ["agreement", "away_from_bad", "likeness", "overshoot", "ramp", "shake_confidence", "steepness", "width"]

Array = NDArray[Any]

# Neighbours whose difference is looked at: so many pixels down and to the right.
NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0))
# Of the differences so many are left out, as hot pixels and drawn lines are, and so many noise levels are taken off.
ODD, NOISE = 12, 4.0
# Black and white of the scene are these quantiles of the picture, which a blur can only bring nearer to each other.
TAILS = 1e-4
# The restored scene is held against the quantiles of the picture, after so many steps.
RANGE_TAILS, STEPS = 1e-3, 15
# Searches are compared with so many that found the most similar PSF; for one that stands alone this is taken.
CLOSEST, ALONE = 3, 0.75
# Logistic regression on 125 sharp pictures and 110 that were blurred by drawn camera paths, two thirds of them seen
# through a tone curve, 8 bits and JPEG. A PSF counted as right where total variation came nearer to the truth with it.
WEIGHTS = (-8.42, 1.74, -2.44, -0.41, 7.99, 1.48)
# What saturated pixels do not reach has to be so large a part.
LEAST_AWAY = 0.3


def steepness(gray: Array, noise: float, psf: Psf, good: Array | None = None) -> float:
    """The picture's steepest step against the steepest that a PSF leaves of a scene between black and white.

    Above 1 the picture is sharper than this PSF would have left it.

    Parameters
    ----------
    gray : ndarray, shape (H, W)
    noise : float
        Standard deviation.
    psf : Psf
    good : ndarray of bool, shape (H, W), optional
        False where a pixel is saturated: light that was cut off makes steps around it steeper than they seem.

    Returns
    -------
    float
    """
    black, white = np.quantile(gray, (TAILS, 1 - TAILS))
    far = None if good is None or good.all() else away_from_bad(good, psf)
    kernel = np.pad(psf.array, 2)
    found = 0.0
    for down, right in NEIGHBOURS:
        # Half the total variation: all of the kernel's rises on white, all of its falls on black.
        most = 0.5 * np.abs(kernel - np.roll(kernel, (down, right), (0, 1))).sum() * (white - black)
        found = max(found, (_step(gray, far, down, right) - NOISE * noise) / max(most, 1e-9))
    return found


def away_from_bad(good: Array, psf: Psf) -> Array:
    """The good pixels that no bad one reaches through a PSF; all good ones where few would be left."""
    reached = cv2.erode(good.astype(np.uint8), np.ones(psf.shape, np.uint8), borderValue=1).astype(bool)
    return reached if reached.mean() > LEAST_AWAY else good


def _step(gray: Array, counts: Array | None, down: int, right: int) -> float:
    """The largest differences between neighbours but for a few."""
    height, width_ = gray.shape
    later = np.s_[down:, max(right, 0) : width_ + min(right, 0)]
    earlier = np.s_[: height - down, max(-right, 0) : width_ - max(right, 0)]
    steps = np.abs(gray[later] - gray[earlier])
    if counts is not None:
        steps = steps * (counts[later] & counts[earlier])
    return float(np.partition(steps.ravel(), -ODD)[-ODD])


def overshoot(gray: torch.Tensor, good: torch.Tensor, noise: float, psf: Psf) -> float:
    """How far the scene that a PSF gives leaves the picture's range, as the ringing beside edges does.

    A PSF that is too wide makes what is white brighter than white; the true one hardly does.

    Parameters
    ----------
    gray : Tensor of float32, shape (H, W)
    good : Tensor of bool, of that shape
    noise : float
        Standard deviation.
    psf : Psf

    Returns
    -------
    float
        Mean over the picture, in thousandths of its range.
    """
    planes = gray[None, None]
    blur = BlurOperator(psf, (gray.shape[0], gray.shape[1]), "unknown", planes)
    sigma = planes.new_full((1, 1, 1, 1), noise)
    valid = None if bool(good.all()) else good[None, None]
    scene = sparse_planes(planes, blur, sigma, num_iter=STEPS, valid=valid, robust=False).scene
    black, white = np.quantile(gray[good].numpy(), (RANGE_TAILS, 1 - RANGE_TAILS))
    seen = blur.framed(scene)[0, 0][torch.from_numpy(away_from_bad(good.numpy(), psf))]
    beyond = (seen - white).clamp_min(0) + (black - seen).clamp_min(0)
    return float(beyond.mean()) / max(white - black, 1e-9) * 1e3


def likeness(first: Psf, second: Psf) -> float:
    """How alike two PSFs are, wherever they lie: 1 for the same.

    Parameters
    ----------
    first, second : Psf

    Returns
    -------
    float
        The maximum of their normalised cross-correlation (Hu & Yang 2012).
    """
    shape = [a + b for a, b in zip(first.shape, second.shape, strict=True)]
    spectra = [np.fft.rfft2(psf.array, shape) for psf in (first, second)]
    product = np.fft.irfft2(spectra[0] * spectra[1].conj(), shape)
    return float(product.max() / np.linalg.norm(first.array) / np.linalg.norm(second.array))


def width(psf: Psf) -> float:
    """The root mean square distance of a PSF's light from its centroid, in pixels."""
    places = np.indices(psf.shape)
    centroid = (psf.array * places).sum((1, 2))
    return float(np.sqrt((psf.array * ((places - centroid[:, None, None]) ** 2).sum(0)).sum()))


def ramp(value: float, nothing: float, whole: float) -> float:
    """0 up to one value, 1 from another on."""
    return float(np.clip((value - nothing) / (whole - nothing), 0, 1))


def agreement(psf: Psf, others: Sequence[Psf]) -> float:
    """The mean likeness of a PSF to the few others that are most like it."""
    alike = sorted((likeness(psf, other) for other in others), reverse=True)[:CLOSEST]
    return float(np.mean(alike)) if alike else ALONE


def shake_confidence(share: float, steep: float, beyond: float, agree: float, spread: float) -> float:
    """How probable it is that deblurring by a PSF of any shape makes a picture better.

    Parameters
    ----------
    share : float
        Of what no blur leaves unexplained of the spectrum, the part that this PSF explains.
    steep, beyond, agree, spread : float
        Its `steepness`, `overshoot`, `agreement` with the PSFs of other searches, and `width`.

    Returns
    -------
    float
        From 0 to 1.
    """
    clues = (1.0, np.clip(share, -0.6, 0.9), min(steep, 2.0), np.log(beyond + 0.1), agree, np.log(spread + 0.5))
    return float(expit(np.dot(WEIGHTS, clues)))
