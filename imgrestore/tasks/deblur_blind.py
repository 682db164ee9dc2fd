"""The blur of pictures that come without a PSF."""

from __future__ import annotations

from collections.abc import Callable

import torch

from imgrestore.classical.psf import PsfEstimate, estimate_plane, without_clipped
from imgrestore.ops.blur_operator import BlurOperator, Boundary
from imgrestore.pixels import Planes
from imgrestore.psf import Psf
from imgrestore.tasks.deblur_fit import Blur

__all__ = ["caution_of", "find_blurs", "no_blur"]

# Methods are told of so many times the noise where nothing speaks for a PSF, and of the noise alone where all does.
MOST_CAUTION = 3.0


def find_blurs(
    planes: Planes,
    valid: torch.Tensor | None,
    boundary: Boundary,
    progress: Callable[[str, float], None] | None = None,
) -> list[Blur]:
    """Estimate the PSF of each picture of a batch.

    Parameters
    ----------
    planes : Planes
    valid : Tensor of bool, shape of ``planes.data``, optional
        Pixels that count; None for all.
    boundary : {"unknown", "zero", "reflect", "periodic"}
    progress : callable, optional
        As in `imgrestore.deblur`.

    Returns
    -------
    list of Blur
        One for each picture.
    """
    used = without_clipped(planes, valid)
    return [
        _blur(data, estimate_plane(data, good, progress=progress), boundary)
        for data, good in zip(planes.data.split(1), used.split(1), strict=True)
    ]


def _blur(data: torch.Tensor, found: PsfEstimate, boundary: Boundary) -> Blur:
    operator = BlurOperator(found.psf, tuple(data.shape[2:]), boundary, data)
    return Blur(operator, found.psf, caution_of(found.confidence), found.confidence, found.notes)


def no_blur(data: torch.Tensor, boundary: Boundary, why: str) -> Blur:
    """What stands for a blur that was not found, or not believed."""
    point = Psf([[1.0]])
    operator = BlurOperator(point, tuple(data.shape[2:]), boundary, data)
    return Blur(operator, point, confidence=0.0, notes=(why,))


def caution_of(confidence: float) -> float:
    """How many times the noise methods are told of: the less sure a PSF is, the more of the picture is its error."""
    return 1 + (MOST_CAUTION - 1) * (1 - confidence)
