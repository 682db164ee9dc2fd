"""The PSF of a shaken camera, searched coarse to fine in frames of several sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imgrestore.classical.psf_parametric import Candidate
from imgrestore.classical.psf_spectrum import Spectrum, kernel_power
from imgrestore.classical.psf_steps import Level, gradients, kernel_step, otf, pruned, recentred, sketch
from imgrestore.psf import Psf

__all__ = ["shake_psf", "shaken", "telling"]

# Each level of the pyramid is so much smaller than the next; the coarsest PSF is so wide.
SCALE = math.sqrt(0.5)
COARSEST = 5
ROUNDS = 2
# Frames in which a PSF is looked for; those after the first few only while what was found fills this part of them, or
# explains more by this factor, or in pictures without a steep step.
SIZES, FIRST, FILLED, GROWS = (15, 21, 27, 35, 51, 75, 107), 3, 0.8, 1.1
# Of more pixels than this the part with the steepest gradients is taken.
MOST_PIXELS = 1_100_000
WORTH_THREADS = 400_000
# Weight of an edge in the sketch; it falls by this factor each round, down to this part of its first value.
SPARSITY, FALLS, LEAST = 2e-3, 0.9, 0.5
# The picture is made smaller with this much of the Gaussian that avoids aliasing.
ANTIALIAS = 0.6


def shaken(
    picture: Tensor,
    good: Tensor,
    spectrum: Spectrum,
    most: int,
    soft: bool,
    progress: Callable[[str, float], None] | None = None,
) -> list[Candidate]:
    """Search a PSF of any shape in frames of several sizes.

    Parameters
    ----------
    picture, good : Tensor, shape (H, W)
        As in `shake_psf`.
    spectrum : Spectrum
        Of the whole picture.
    most : int
        Odd; the PSF is at most so many pixels across.
    soft : bool
        The picture has no steep steps, so that large frames are worth the time.
    progress : callable, optional
        Called with what is being done and the part that is done.

    Returns
    -------
    list of Candidate
        One for each size.
    """
    found: list[Candidate] = []
    for number, size in enumerate(SIZES):
        if found and size > most:
            break
        if number > FIRST and not (soft or _growing(found)):
            break
        psf = Psf(shake_psf(picture, good, min(size, most), progress=progress).numpy())
        gain = spectrum.without_blur - spectrum.misfit(kernel_power(spectrum.size, psf.array))
        found.append(Candidate("shake", psf, gain, {}))
    return found


def _growing(found: list[Candidate]) -> bool:
    """Whether no PSF explains anything yet, or the last one fills its frame, or explains more than all before."""
    last = found[-1]
    if max(candidate.gain for candidate in found) <= 0:
        return True
    filled = reach(last.psf.array) >= FILLED * last.psf.shape[0]
    return filled or last.gain > GROWS * max(candidate.gain for candidate in found[:-1])


def shake_psf(
    picture: Tensor,
    good: Tensor,
    size: int,
    *,
    sparsity: float = SPARSITY,
    progress: Callable[[str, float], None] | None = None,
) -> Tensor:
    """Estimate a PSF of any shape.

    Parameters
    ----------
    picture : Tensor of float32, shape (H, W)
        Values from 0 to about 1.
    good : Tensor of bool, shape (H, W)
        False where a pixel is saturated or filled in, and says nothing of the PSF.
    size : int
        Odd; the PSF is looked for within so many pixels.
    sparsity : float
        Weight of an edge of the sketch; higher sees fewer edges.
    progress : callable, optional
        Called at each level of the pyramid.

    Returns
    -------
    Tensor, shape (size, size)
        Non-negative, sums to 1, its centroid in the middle.

    References
    ----------
    Pan, Hu, Su & Yang, "Deblurring text images via L0-regularized intensity and gradient prior" (2014); Anger, Facciolo
    & Delbracio, "Blind image deblurring using the l0 gradient prior" (2019).
    """
    psf = None
    weight = sparsity
    levels = _levels(size)
    for number, (scale, width) in enumerate(reversed(levels)):
        if progress is not None:
            progress(f"camera shake within {size} pixels, level {number + 1} of {len(levels)}", number / len(levels))
        level = Level.of(_smaller(picture, scale), _smaller(good.float(), scale) > 0.99, width)
        psf = _two_pixels(width) if psf is None else _enlarged(psf, width)
        with _threads_for(level.picture.numel()):
            for _ in range(ROUNDS):
                scene = sketch(level.picture, otf(psf, level.shape), weight)
                psf = pruned(kernel_step(scene, level.picture, width, level.weight))
                weight = max(weight * FALLS, LEAST * sparsity)
        psf = recentred(psf)
    assert psf is not None
    return psf


def reach(psf: NDArray[Any]) -> int:
    """The larger side of the box that holds a PSF's light."""
    return max(int(np.ptp(np.flatnonzero(psf.any(axis)))) + 1 for axis in (0, 1))


def telling(picture: Tensor, good: Tensor, most: int = MOST_PIXELS) -> tuple[Tensor, Tensor]:
    """The part of a large picture with most gradients among its good pixels.

    Parameters
    ----------
    picture, good : Tensor, shape (H, W)
    most : int
        Count of pixels.

    Returns
    -------
    tuple of Tensor
        Both cut out.
    """
    height, width = picture.shape
    if height * width <= most:
        return picture, good
    shrink = math.sqrt(most / (height * width))
    tall, wide = int(height * shrink), int(width * shrink)
    across, along = gradients(picture)
    seen = cv2.boxFilter(
        ((across.abs() + along.abs()) * good).numpy(), -1, (wide, tall), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT
    )[: height - tall + 1, : width - wide + 1]
    top, left = np.unravel_index(int(np.argmax(seen)), seen.shape)
    part = slice(top, top + tall), slice(left, left + wide)
    return picture[part], good[part]


@contextmanager
def _threads_for(pixels: int) -> Iterator[None]:
    """One thread of torch for what is small, since waking others takes longer; only for the thread that calls."""
    before = torch.get_num_threads()
    if pixels < WORTH_THREADS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _levels(size: int) -> list[tuple[float, int]]:
    count = max(1, math.floor(math.log(COARSEST / size) / math.log(SCALE)) + 1)
    return [(SCALE**i, math.ceil(size * SCALE**i) // 2 * 2 + 1) for i in range(count)]


def _smaller(picture: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return picture
    smooth = cv2.GaussianBlur(picture.numpy(), (0, 0), ANTIALIAS * math.sqrt(1 / scale**2 - 1))
    return torch.from_numpy(cv2.resize(smooth, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR))


def _enlarged(psf: Tensor, width: int) -> Tensor:
    larger = torch.from_numpy(cv2.resize(psf.numpy(), (width, width), interpolation=cv2.INTER_CUBIC)).clamp_min(0)
    return recentred(larger / larger.sum())


def _two_pixels(width: int) -> Tensor:
    psf = torch.zeros(width, width)
    psf[width // 2, width // 2 - 1 : width // 2 + 1] = 0.5
    return psf
