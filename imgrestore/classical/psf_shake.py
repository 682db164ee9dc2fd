"""The PSF of a shaken camera, searched coarse to fine in frames of several sizes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from imgrestore.classical.psf_parametric import Candidate
from imgrestore.classical.psf_pyramid import Search, coarse_to_fine
from imgrestore.classical.psf_spectrum import Spectrum, kernel_power
from imgrestore.classical.psf_steps import AWAY, gradients, sketch
from imgrestore.psf import Psf

__all__ = ["shake_psf", "shaken", "telling"]

ROUNDS = 2
# Frames in which a PSF is looked for; those after the first few only while what was found fills this part of them, or
# explains more by this factor, or in pictures without a steep step.
SIZES, FIRST, FILLED, GROWS = (15, 21, 27, 35, 51, 75, 107), 3, 0.8, 1.1
# Of more pixels than this the part with the steepest gradients is taken.
MOST_PIXELS = 1_100_000
# Of parts without gradients the one with most good pixels is taken.
LEAST_GRADIENT = 1e-6
# Weight of an edge in the sketch, and to which part of its first value it falls.
SPARSITY, LEAST = 2e-3, 0.5


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
        psf = Psf(shake_psf(picture, good, min(size, most), AWAY if soft else 0.0, progress).numpy())
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
    away: float = 0.0,
    progress: Callable[[str, float], None] | None = None,
) -> Tensor:
    """Estimate a PSF of any shape beside a sketch of the scene.

    Parameters
    ----------
    picture, good, size, progress
        As in `coarse_to_fine`.
    away : float
        As in `Level.of`.

    Returns
    -------
    Tensor, shape (size, size)
        Non-negative, sums to 1, its centroid in the middle.

    References
    ----------
    Pan, Hu, Su & Yang, "Deblurring text images via L0-regularized intensity and gradient prior" (2014); Anger, Facciolo
    & Delbracio, "Blind image deblurring using the l0 gradient prior" (2019).
    """

    def scene(seen: Tensor, response: Tensor, price: float) -> Tensor:
        return sketch(seen, response, price * SPARSITY)

    search = Search(scene, rounds=ROUNDS, least=LEAST, away=away, what=f"camera shake within {size} pixels")
    return coarse_to_fine(picture, good, size, search, progress)


def reach(psf: NDArray[Any]) -> int:
    """The larger side of the box that holds a PSF's light."""
    return max(int(np.ptp(np.flatnonzero(psf.any(axis)))) + 1 for axis in (0, 1))


def telling(picture: Tensor, good: Tensor, most: int = MOST_PIXELS, side: int = 0) -> tuple[Tensor, Tensor]:
    """The part of a large picture with most gradients among its good pixels.

    Parameters
    ----------
    picture, good : Tensor, shape (H, W)
    most : int
        Count of pixels.
    side : int
        The shorter side of the part is so long, if that of the picture is.

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
    if min(tall, wide) < side:
        short = min(side, height, width)
        long = min(most // short, max(height, width))
        tall, wide = (short, long) if height <= width else (long, short)
    across, along = gradients(picture)
    tells = (across.abs() + along.abs() + LEAST_GRADIENT) * good
    seen = cv2.boxFilter(tells.numpy(), -1, (wide, tall), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
    seen = seen[: height - tall + 1, : width - wide + 1]
    top, left = np.unravel_index(int(np.argmax(seen)), seen.shape)
    part = slice(top, top + tall), slice(left, left + wide)
    return picture[part], good[part]
