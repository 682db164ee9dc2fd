"""PSFs that change over a picture, from the picture alone: window by window, where weak windows borrow from others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from imgrestore.classical.case import to_fit
from imgrestore.classical.noise import noise_of_planes
from imgrestore.classical.psf import Kind, Progress, PsfEstimate, PsfKind, check_size, estimate_plane, without_clipped
from imgrestore.pixels import ChannelAxis
from imgrestore.psf_field import PsfField

__all__ = ["FieldEstimate", "check_grid", "estimate_field", "estimate_psf_field"]

Array = NDArray[Any]

# Less than this many pixels along a side of a window say too little of a PSF.
LEAST_WINDOW = 64
# Neighbours count by a Gaussian of this many windows, the PSF of the whole picture as one that is so far away.
NEAR, WHOLE_AWAY = 1.0, 1.5
# A PSF is moved onto its neighbours', by this many pixels at the most, where it then agrees better by this part:
# PSFs of unlike shapes agree about as well at several places.
FARTHEST, BETTER = 4, 0.05
SOFT = 1.0
ROUNDS = 2
# A window of this confidence keeps its own PSF; one of less borrows as much as it lacks.
ENOUGH = 0.5
# Where so much of the differences between neighbours is not noise, there is texture enough.
TEXTURED = 0.5


@dataclass(frozen=True)
class FieldEstimate:
    """A field of PSFs that was found in a picture.

    Attributes
    ----------
    psfs : PsfField
    confidence : ndarray, shape (rows, columns)
        Of each window's own PSF, from 0 to 1, before it borrowed.
    kinds : tuple of tuple of str
        As `PsfEstimate.kind`, for each window.
    notes : tuple of str
    """

    psfs: PsfField
    confidence: Array
    kinds: tuple[tuple[Kind, ...], ...]
    notes: tuple[str, ...] = ()


def estimate_psf_field(
    image: Any,
    grid: Sequence[int],
    *,
    kind: PsfKind = "auto",
    max_size: int | None = None,
    mask: Any = None,
    channel_axis: ChannelAxis = "auto",
    progress: Progress | None = None,
) -> FieldEstimate:
    """Find the PSFs that blurred a picture, which change over it.

    Each window of the grid is looked at together with half of its neighbours, and once the whole picture. Of what was
    found in a window so much is kept as its confidence says (less where the window has little but noise); the rest is
    made of its neighbours' PSFs and of that of the whole picture, by their confidence and how near they are.

    Parameters
    ----------
    image : ndarray or torch.Tensor
        One picture, as in `imgrestore.deblur`.
    grid : sequence of 2 int
        Rows and columns of PSFs; windows, with half of their neighbours, must be 64 pixels long or more.
    kind : {"auto", "gaussian", "disk", "motion", "shake"}
        What to look for.
    max_size : int, optional
        No PSF is wider than so many pixels.
    mask : array of bool, optional
        True where a pixel is good.
    channel_axis : int, None or "auto"
        As in `imgrestore.deblur`.
    progress : callable, optional
        Called with a word for the step and the part of all that is done.

    Returns
    -------
    FieldEstimate

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as described; the message names it.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import ndimage
    >>> from skimage import data
    >>> from imgrestore.classical import estimate_psf_field
    >>> blurred = ndimage.gaussian_filter(data.camera()[100:228, 150:350] / 255.0, 1.5)
    >>> found = estimate_psf_field(blurred, (1, 2), kind="gaussian")
    >>> found.psfs.grid, found.kinds
    ((1, 2), (('gaussian', 'gaussian'),))
    """
    if kind not in get_args(PsfKind):
        raise ValueError(f"kind is {kind!r}; expected one of {', '.join(get_args(PsfKind))}")
    planes, valid = to_fit(image, 2, mask, channel_axis, dtype=torch.float32)
    if len(planes.data) != 1:
        raise ValueError(f"image is a batch of {len(planes.data)} pictures; expected one")
    used = without_clipped(planes, valid)
    max_size = check_size(max_size)
    counts = check_grid(grid, planes.data.shape[2:])
    return estimate_field(planes.data, used, counts, kind=kind, max_size=max_size, progress=progress)


def check_grid(grid: Any, frame: Sequence[int]) -> tuple[int, int]:
    """The rows and columns of a grid, or an error that says what is wrong with them.

    Parameters
    ----------
    grid : sequence of 2 int
    frame : sequence of int
        Height and width of the picture.

    Returns
    -------
    tuple of int

    Raises
    ------
    ValueError
        Where they are not two whole numbers above 0, or the windows are too small.
    """
    numbers = list(grid) if isinstance(grid, (Sequence, np.ndarray)) and not isinstance(grid, str) else []
    whole = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= 1 for n in numbers)
    if len(numbers) != 2 or not whole:
        raise ValueError(f"field is {grid!r}; expected two whole numbers, rows and columns, 1 or more")
    rows, columns = int(numbers[0]), int(numbers[1])
    for count, size, name in ((rows, frame[0], "rows"), (columns, frame[1], "columns")):
        least = min(s.stop - s.start for s in _slices(count, size))
        if count > 1 and least < LEAST_WINDOW:
            raise ValueError(
                f"field is {grid!r}; {count} {name} of {size} pixels make windows of {least} pixels, "
                f"expected {LEAST_WINDOW} or more"
            )
    return rows, columns


def estimate_field(
    data: torch.Tensor,
    used: torch.Tensor,
    grid: tuple[int, int],
    *,
    kind: PsfKind = "auto",
    max_size: int | None = None,
    progress: Progress | None = None,
) -> FieldEstimate:
    """Find the field of planes (1, C, H, W), of which the `used` pixels count; as `estimate_psf_field`."""
    data = data.detach()
    rows, columns = (_slices(count, size) for count, size in zip(grid, data.shape[2:], strict=True))
    places = [(row, column) for row in rows for column in columns]
    found, texture = [], []
    noise = noise_of_planes(data, used)
    for number, (row, column) in enumerate(places):
        if progress is not None:
            progress(f"window {number + 1} of {len(places)}", number / len(places))
        part, good = data[..., row, column], used[..., row, column]
        found.append(estimate_plane(part, good, kind=kind, max_size=max_size))
        texture.append(_texture(part, good, noise))
    whole = found[0] if len(found) == 1 else estimate_plane(data, used, kind=kind, max_size=max_size)
    if progress is not None:
        progress("sharing among windows", 1.0)
    trust = np.array([_trust(one) * part for one, part in zip(found, texture, strict=True)]).reshape(grid)
    values = PsfField([[one.psf for one in [*found, whole]]]).array[0]
    psfs = _shared(values[:-1].reshape(*grid, *values.shape[1:]), trust, values[-1], _trust(whole))
    kinds = tuple(tuple(one.kind for one in found[i * grid[1] : (i + 1) * grid[1]]) for i in range(grid[0]))
    return FieldEstimate(PsfField(psfs), trust, kinds, _notes(found, trust))


def _slices(count: int, size: int) -> list[slice]:
    """Windows of one axis, each with half of both neighbours."""
    cell = size / count
    return [slice(max(0, round((i - 0.5) * cell)), min(size, round((i + 1.5) * cell))) for i in range(count)]


def _trust(found: PsfEstimate) -> float:
    return 0.0 if found.kind == "unknown" else float(np.clip(found.confidence, 0, 1))


def _texture(part: torch.Tensor, good: torch.Tensor, noise: torch.Tensor) -> float:
    """1 where the differences between neighbours are more than noise, 0 where they are nothing else."""
    total, from_noise = 0.0, 0.0
    for axis in (2, 3):
        both = good.narrow(axis, 0, good.shape[axis] - 1) & good.narrow(axis, 1, good.shape[axis] - 1)
        total += float((part.diff(dim=axis).square() * both).sum())
        from_noise += float((2 * noise.square() * both).sum())
    return min(max(0.0, 1 - from_noise / total) / TEXTURED, 1.0) if total > 0 else 0.0


def _shared(psfs: Array, trust: Array, whole: Array, whole_trust: float) -> Array:
    """Each window's PSF, with what it borrows of the others: (rows, columns, h, w)."""
    rows, columns = trust.shape
    down, right = (np.arange(n)[:, None] - np.arange(n) for n in (rows, columns))
    distance = down[:, None, :, None] ** 2 + right[None, :, None, :] ** 2
    near = np.exp(-0.5 * distance / NEAR**2) * (distance > 0)
    far = whole_trust * np.exp(-0.5 * (WHOLE_AWAY / NEAR) ** 2) + 1e-9
    for left in reversed(range(ROUNDS + 1)):
        weight = near * trust
        lent = np.einsum("ijab,abhw->ijhw", weight, psfs) + far * whole
        lent /= weight.sum((2, 3))[..., None, None] + far
        if left:
            psfs = np.array([[_aligned(psfs[i, j], lent[i, j]) for j in range(columns)] for i in range(rows)])
    own = np.minimum(trust / ENOUGH, 1)[..., None, None]
    return own * psfs + (1 - own) * lent


def _aligned(psf: Array, other: Array) -> Array:
    """A PSF moved by whole pixels to where it agrees best with another."""
    from scipy.signal import fftconvolve  # takes long to import, for blurs alone that change over a picture

    agree = fftconvolve(ndimage.gaussian_filter(other, SOFT), psf[::-1, ::-1])
    middle = [n - 1 for n in psf.shape]
    reach = [min(FARTHEST, n // 2) for n in psf.shape]
    near = agree[tuple(slice(m - r, m + r + 1) for m, r in zip(middle, reach, strict=True))]
    best = np.unravel_index(int(near.argmax()), near.shape)
    if near[best] < (1 + BETTER) * agree[tuple(middle)]:
        return psf
    moved = ndimage.shift(psf, [int(b) - r for b, r in zip(best, reach, strict=True)], order=0, mode="constant")
    return moved / moved.sum() if moved.sum() > 0 else psf


def _notes(found: list[PsfEstimate], trust: Array) -> tuple[str, ...]:
    counts = Counter(one.kind for one in found)
    kinds = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
    weak = int((trust < ENOUGH).sum())
    if weak == len(found):
        return (f"PSFs of {len(found)} windows: {kinds}, none of them sure", *found[0].notes)
    borrowed = (f"{weak} of {len(found)} windows are weak and borrow from the others",) if weak else ()
    return (f"PSFs of {len(found)} windows: {kinds}", *borrowed)
