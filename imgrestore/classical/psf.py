"""The PSF from the picture alone: which kind of blur, how large, and how sure."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any, Literal, get_args

import torch

from imgrestore.classical.admm import filled, span_of
from imgrestore.classical.case import to_fit
from imgrestore.classical.noise import noise_of_planes
from imgrestore.classical.psf_choice import Judge, Kind, PsfEstimate, cannot_tell, point
from imgrestore.classical.psf_judge import steepness
from imgrestore.classical.psf_parametric import Candidate, parametric
from imgrestore.classical.psf_polish import polished
from imgrestore.classical.psf_shake import shaken, telling
from imgrestore.classical.psf_spectrum import Spectrum
from imgrestore.classical.psf_writing import glimpsed, promises, within_most, written
from imgrestore.pixels import ChannelAxis, Planes, has_eight_bits, saturated_pixels

__all__ = ["Kind", "PsfEstimate", "PsfKind", "check_size", "estimate_plane", "estimate_psf", "without_clipped"]

PsfKind = Literal["auto", "gaussian", "disk", "motion", "shake"]
Progress = Callable[[str, float], None]

LUMA = (0.299, 0.587, 0.114)
# Pixels across, of the largest PSF that is looked for.
LARGEST = 107
LEAST_SIZE = 32
# Candidates are judged by what they make of a part of so many pixels.
LOOKED_AT = 400_000
# In files of 8 bits light is cut off from here on; where a larger part of the picture is, it is white paper.
NEARLY_CLIPPED, PAPER = 250 / 255, 0.15
# Larger frames than usual are searched where no step of the picture is steeper than this part of its range.
SOFT = 0.3
# With less confidence in what was found, larger frames are searched as those of writing are, and the largest one
# carefully where no step is steeper than this.
UNSURE, SOFT_WRITING = 0.5, 0.4


def estimate_psf(
    image: Any,
    *,
    kind: PsfKind = "auto",
    max_size: int | None = None,
    mask: Any = None,
    channel_axis: ChannelAxis = "auto",
    progress: Progress | None = None,
) -> PsfEstimate:
    """Find the PSF that blurred a picture, and whether one did.

    Gaussians, disks and straight motions are fitted to the picture's spectrum; a PSF of any shape, as a shaken camera
    leaves it, is searched coarse to fine beside a sketch of the scene. Writing, dark on a bright ground or bright on a
    dark one, is recognised, tells more, and is judged by its strokes alone. The kind is chosen by how well it explains
    the spectrum (or the strokes) against its count of numbers; any other picture whose steps are too steep for a PSF,
    or whose searches do not agree, is not said to be blurred by it. The size is found.

    Parameters
    ----------
    image : ndarray or torch.Tensor, shape (H, W), (H, W, C), (C, H, W) or (1, C, H, W)
        uint8, uint16 or floating point; colours are weighed to luma. Saturated pixels are left out.
    kind : {"auto", "gaussian", "disk", "motion", "shake"}
        Look for this kind of blur only, and return the best of it, however doubtful.
    max_size : int, optional
        The PSF is at most so many pixels across; by default a quarter of the picture, and 107. Sizes are odd.
    mask : array of bool, shape (H, W) or that of `image`, optional
        True where a pixel is good.
    channel_axis : int, None or "auto"
        As in `imgrestore.deblur`.
    progress : callable, optional
        Called with what is being done and the part that is done, up to 1.

    Returns
    -------
    PsfEstimate

    Raises
    ------
    TypeError
        Where `image` is no array of a type above.
    ValueError
        Where an option is none of those above, the picture is empty, or a batch of more than one.

    References
    ----------
    The spectrum: Whittle, "Estimation and information in stationary time series" (1953), of an averaged periodogram.
    The shaken camera: Pan, Hu, Su & Yang (2014) and Anger, Facciolo & Delbracio (2019), with the usefulness of Xu &
    Jia (2010); writing: Pan et al., too. Mild blur: Delbracio et al., "Polyblur" (2021).

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore import Psf
    >>> from imgrestore.classical import estimate_psf
    >>> from scipy.signal import fftconvolve
    >>> from skimage import data
    >>> blurred = fftconvolve(data.camera() / 255, Psf.disk(4).array, mode="valid")
    >>> found = estimate_psf(blurred)
    >>> found.kind, round(found.parameters["radius"], 1)
    ('disk', 4.0)
    """
    if kind not in get_args(PsfKind):
        raise ValueError(f"kind is {kind!r}; expected one of {', '.join(get_args(PsfKind))}")
    max_size = check_size(max_size)
    planes, valid = to_fit(image, 2, mask, channel_axis, dtype=torch.float32)
    if len(planes.data) != 1:
        raise ValueError(f"image is a batch of {len(planes.data)} pictures; expected one")
    return estimate_plane(planes.data, without_clipped(planes, valid), kind=kind, max_size=max_size, progress=progress)


def check_size(max_size: Any) -> int | None:
    """A largest size of PSFs, or an error that says what is wrong with it; None for no limit."""
    if max_size is None:
        return None
    if isinstance(max_size, bool) or not isinstance(max_size, Integral) or max_size < 3:
        raise ValueError(f"max_size is {max_size!r}; expected a whole number of pixels, 3 or more")
    return int(max_size)


def without_clipped(planes: Planes, valid: torch.Tensor | None) -> torch.Tensor:
    """The pixels that tell of the blur: not the saturated ones, unless a large part is so, as white paper is.

    Parameters
    ----------
    planes : Planes
    valid : torch.Tensor of bool, shape of ``planes.data``, optional
        Pixels to choose from; None for all.

    Returns
    -------
    torch.Tensor of bool, of that shape
    """
    used = torch.ones_like(planes.good) if valid is None else valid
    clipped = saturated_pixels(planes, used)
    # In 8-bit files clipped light is compressed with what is around it, and so a little below the largest value.
    if has_eight_bits(planes.data):
        clipped = clipped | (planes.data >= NEARLY_CLIPPED)
    paper = clipped.any(1).flatten(1).float().mean(1) > PAPER
    return used & ~(clipped & ~paper[:, None, None, None])


def estimate_plane(
    data: torch.Tensor,
    used: torch.Tensor,
    *,
    kind: PsfKind = "auto",
    max_size: int | None = None,
    progress: Progress | None = None,
) -> PsfEstimate:
    """Find the PSF of planes.

    Parameters
    ----------
    data : torch.Tensor, shape (1, C, H, W)
    used : torch.Tensor of bool, of that shape
        The pixels that count.
    kind, max_size, progress
        As in `estimate_psf`.

    Returns
    -------
    PsfEstimate
    """
    gray, good = _gray(data.detach().cpu(), used.cpu())
    if min(gray.shape) < LEAST_SIZE:
        return cannot_tell(f"less than {LEAST_SIZE} pixels across")
    noise = float(noise_of_planes(gray[None, None], good[None, None]))
    spectrum = Spectrum.of(gray.numpy(), good.numpy(), noise)
    if spectrum is None:
        return cannot_tell("no part of the picture is free of pixels that do not count")
    most = (min(min(gray.shape) // 4, max_size or LARGEST) - 1) // 2 * 2 + 1
    judge = Judge(gray.numpy(), good.numpy(), telling(gray, good, LOOKED_AT), noise, spectrum, has_eight_bits(data))
    few = [] if kind == "shake" else parametric(spectrum, kind, gray.numpy(), noise, most, progress)
    if kind not in ("auto", "shake"):
        _tell(progress)
        return judge.best(few)
    glimpse = glimpsed(gray, good, most, progress)
    at_once = promises(glimpse)
    writing = written(gray, good, most, glimpse, progress) if at_once else None
    if writing is not None:
        _tell(progress)
        return judge.said(*writing.judged(few, spectrum))
    steep = steepness(gray.numpy(), noise, point(), good.numpy())
    many = _searched(gray, good, spectrum, noise, most, steep < SOFT, progress)
    _tell(progress)
    found = judge.choice(few, many) if kind == "auto" else judge.best(many)
    told = found.kind not in ("none", "unknown")
    if glimpse and not (told and found.confidence >= UNSURE):
        writing = None if at_once else written(gray, good, most, glimpse, progress)
        if writing is None and steep < SOFT_WRITING:
            writing = within_most(gray, good, most, progress)
    if writing is None:
        return found
    _tell(progress)
    read = judge.said(*writing.judged(few, spectrum))
    return found if told and found.confidence >= read.confidence else read


def _tell(progress: Progress | None) -> None:
    if progress is not None:
        progress("judging what was found", 0.98)


def _searched(
    gray: torch.Tensor,
    good: torch.Tensor,
    spectrum: Spectrum,
    noise: float,
    most: int,
    soft: bool,
    progress: Progress | None,
) -> list[Candidate]:
    """PSFs of any shape, the best of them polished."""
    part = telling(gray, good)
    found = shaken(*part, spectrum, most, soft, progress)
    best = max(range(len(found)), key=lambda number: found[number].gain)
    if progress is not None:
        progress("polishing the PSF", 0.95)
    found[best] = polished(found[best], *part, spectrum, noise)
    return found


def _gray(data: torch.Tensor, used: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """One plane (H, W) of range about 1, holes filled; and where all channels count."""
    good = used[0].all(0)
    data = data.float()
    weights = data.new_tensor(LUMA if data.shape[1] == 3 else [1 / data.shape[1]] * data.shape[1])
    gray = (data[0] * weights[:, None, None]).sum(0)[None, None]
    span, offset = span_of(gray, good[None, None])
    return filled((gray - offset) / span, good[None, None])[0, 0], good
