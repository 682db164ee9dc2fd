"""Coarse to fine: a scene as the PSF makes it, the PSF as the scene makes it, in turn on each level of a pyramid."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import torch
from torch import Tensor

from imgrestore.classical.psf_steps import Level, kernel_step, otf, pruned, recentred

__all__ = ["Search", "coarse_to_fine", "threads_for"]

# Each level of the pyramid is so much smaller than the next; the coarsest PSF is so wide.
SCALE = math.sqrt(0.5)
COARSEST = 5
# Prices of the scene fall by this factor each round, down to a part of their first value.
FALLS = 0.9
WORTH_THREADS = 400_000
# The picture is made smaller with this much of the Gaussian that avoids aliasing.
ANTIALIAS = 0.6


@dataclass(frozen=True)
class Search:
    """How a PSF of any shape is searched.

    Attributes
    ----------
    scene : callable
        Takes the picture (opposite edges fit), the half spectrum of the PSF, and the part of their first value that the
        prices of the scene have; returns what was seen.
    rounds : int
        On each level.
    least : float
        The part of their first value to which prices fall.
    away : float
        As in `Level.of`.
    what : str
        Its name.
    """

    scene: Callable[[Tensor, Tensor, float], Tensor]
    rounds: int
    least: float
    away: float
    what: str


def coarse_to_fine(
    picture: Tensor,
    good: Tensor,
    size: int,
    search: Search,
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
    search : Search
    progress : callable, optional
        Called at each level with its name and the part that is done.

    Returns
    -------
    Tensor, shape (size, size)
        Non-negative, sums to 1, its centroid in the middle.
    """
    psf, price = None, 1.0
    levels = _levels(size)
    for number, (scale, width) in enumerate(reversed(levels)):
        if progress is not None:
            progress(f"{search.what}, level {number + 1} of {len(levels)}", number / len(levels))
        psf = _two_pixels(width) if psf is None else _enlarged(psf, width)
        level = Level.of(_smaller(picture, scale), _smaller(good.float(), scale) > 0.99, width, search.away)
        with threads_for(level.picture.numel()):
            for _ in range(search.rounds):
                seen = search.scene(level.picture, otf(psf, level.shape), price)
                psf = pruned(kernel_step(seen, level.picture, width, level.weight))
                price = max(price * FALLS, search.least)
        psf = recentred(psf)
    assert psf is not None
    return psf


@contextmanager
def threads_for(pixels: int) -> Iterator[None]:
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
