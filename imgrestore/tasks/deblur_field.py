"""Deblurring where the blur changes over the picture: window by window, each with its own PSF, and blended."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from imgrestore.classical.psf import without_clipped
from imgrestore.classical.psf_windows import check_grid, estimate_field
from imgrestore.ops.blur_field import BlurField
from imgrestore.ops.blur_operator import BlurOperator, Boundary
from imgrestore.pixels import Planes
from imgrestore.psf import Psf
from imgrestore.psf_field import PsfField
from imgrestore.tasks.deblur_blind import caution_of
from imgrestore.tasks.deblur_fit import Answer, Blur, Fit, Method, rms

__all__ = ["Cut", "FieldFit", "cuts", "field_blur", "find_fields", "known_field"]

# So many windows for each PSF of the grid along an axis, while they are this many pixels long: inside each window the
# PSF is taken to be that of its middle.
FINER, LEAST_CELL = 2, 32
# Two windows are blended over this many pixels; each sees this many times the size of its PSF beyond them, so that
# what it makes of the light from further out is not seen.
SEAM, MARGIN = 32, 0.5
# What the change of the PSFs inside the windows does to the picture is let be where it is below this part of the noise.
SMALL = 0.1
# The second pass is not taken where its residual is so many times that of the first, or the noise.
WORSE = 1.25


def known_field(psf: Any) -> PsfField | None:
    """The field that was given as a PSF: a `PsfField` or an array of 4 axes; None for anything else."""
    if isinstance(psf, PsfField):
        return psf
    if getattr(psf, "ndim", None) != 4:
        return None
    if getattr(psf, "requires_grad", False):
        raise ValueError("psf is a field with a gradient, which only imgrestore.ops.BlurField passes on; detach it")
    return PsfField(psf)


def find_fields(
    planes: Planes,
    valid: torch.Tensor | None,
    grid: Any,
    boundary: Boundary,
    progress: Callable[[str, float], None] | None = None,
) -> list[Blur]:
    """Estimate the field of each picture of a batch.

    Parameters
    ----------
    planes : Planes
    valid : Tensor of bool, shape of ``planes.data``, optional
        Pixels that count; None for all.
    grid : sequence of 2 int
        Rows and columns.
    boundary : {"unknown"}
    progress : callable, optional
        As in `imgrestore.deblur`.

    Returns
    -------
    list of Blur
        One for each picture.
    """
    _check_boundary(boundary)
    grid = check_grid(grid, planes.data.shape[2:])
    used = without_clipped(planes, valid)
    found = []
    for data, good in zip(planes.data.split(1), used.split(1), strict=True):
        estimate = estimate_field(data, good, grid, progress=progress)
        trust = float(estimate.confidence.mean())
        found.append(field_blur(estimate.psfs, data, boundary, caution_of(trust), trust, estimate.notes))
    return found


def field_blur(
    psfs: PsfField,
    data: torch.Tensor,
    boundary: Boundary,
    caution: float = 1.0,
    confidence: float = 1.0,
    notes: tuple[str, ...] = (),
) -> Blur:
    """The blur of pictures by a field of PSFs.

    Parameters
    ----------
    psfs : PsfField
    data : torch.Tensor, shape (N, C, H, W)
    boundary : {"unknown"}
        Of most windows the outside is the next window.
    caution, confidence, notes
        As in `Blur`.

    Returns
    -------
    Blur

    Raises
    ------
    ValueError
        For any other boundary, or PSFs larger than the picture.
    """
    _check_boundary(boundary)
    operator = BlurField(psfs, (data.shape[2], data.shape[3]), boundary, data)
    return Blur(operator, psfs, caution, confidence, notes)


def _check_boundary(boundary: Boundary) -> None:
    if boundary != "unknown":
        raise ValueError(f"boundary is {boundary!r}; a field of PSFs goes with 'unknown' only")


@dataclass(frozen=True)
class FieldFit(Fit):
    """One picture (1, C, H, W) whose blur is a `BlurField`, and what is known of its pixels.

    Its noise, its ground and whether it holds counts are judged once, for the whole of it.
    """

    psfs: PsfField = field(kw_only=True)

    def answer(self, method: Method, refined: bool) -> Answer:
        """Deblur window by window, and once more with what one PSF for each window got wrong taken off the picture.

        The first time is classical, whatever comes after: it only has to tell what the PSFs' changes inside the windows
        do to the picture.
        """
        windows = self._windows()
        if len(windows) == 1:
            return _blended(windows, self, method, refined)
        first = _blended(windows, self, method, False)
        wrong = self._wrong(windows, first.scene)
        near = all(bool(w.detach().square().mean() < (SMALL * self.sigma).square().mean()) for w in wrong)
        if near and (method != "auto" or not refined):
            return first
        corrected = [replace(window, fit=window.fit.without(w)) for window, w in zip(windows, wrong, strict=True)]
        second = _blended(windows if near else corrected, self, method, refined)
        if near or self._residual(second) <= WORSE * max(self._residual(first), rms(self.sigma, self.sigma > 0)):
            return second
        return replace(first, notes=(*first.notes, "the second pass over the windows explained less, and was left"))

    def _windows(self) -> list[_Window]:
        rows, columns = (
            cuts(size, count, support, self.data)
            for size, count, support in zip(self.blur.frame, self.psfs.grid, self.psfs.shape, strict=True)
        )
        psfs = self.psfs.resampled(len(rows), len(columns))
        return [
            _Window(row, column, self._part(row, column, psfs[i, j]))
            for i, row in enumerate(rows)
            for j, column in enumerate(columns)
        ]

    def _part(self, row: Cut, column: Cut, psf: Psf) -> _Part:
        here = (..., row.frame, column.frame)
        data = self.data[here]
        blur = BlurOperator(psf, (data.shape[2], data.shape[3]), "unknown", data)
        good, clipped = self.good[here], self.clipped[here]
        known = (self.sigma, self.noise, good, clipped, self.eight_bit, self.caution, self.net, self.guessed)
        return _Part(data, blur, *known, whole=self)

    def _wrong(self, windows: list[_Window], scene: torch.Tensor) -> list[torch.Tensor]:
        """By how much the picture of a scene differs from what each window makes of it with its one PSF."""
        seen = self.blur.apply(scene)
        return [
            seen[..., window.row.frame, window.column.frame]
            - window.fit.blur.apply(scene[..., window.row.reach, window.column.reach])
            for window in windows
        ]

    def _residual(self, answer: Answer) -> torch.Tensor:
        return rms(self.data - self.blur.apply(answer.scene), self.good & ~self.clipped)


@dataclass(frozen=True)
class _Part(Fit):
    """A part of a picture, whose ground and lower bound are those of the whole."""

    whole: Fit = field(kw_only=True)

    @property
    def sky(self) -> torch.Tensor | None:
        return self.whole.sky

    @property
    def lower(self) -> torch.Tensor | None:
        return self.whole.lower

    def without(self, wrong: torch.Tensor) -> _Part:
        """The same with something taken off its data."""
        return replace(self, data=self.data - wrong)


@dataclass(frozen=True)
class _Window:
    """A window's place, and its part of the picture."""

    row: Cut
    column: Cut
    fit: _Part


@dataclass(frozen=True)
class Cut:
    """One window along one axis.

    Attributes
    ----------
    frame : slice
        Its pixels.
    reach : slice
        What they see, in the reach of the whole.
    weight : torch.Tensor
        How much the window counts there; all windows' sum to 1.
    """

    frame: slice
    reach: slice
    weight: torch.Tensor


def cuts(size: int, count: int, support: int, like: torch.Tensor) -> list[Cut]:
    """Cut one axis into windows; one where the PSFs do not change along it.

    Parameters
    ----------
    size : int
        Pixels of the frame.
    count : int
        PSFs of the grid.
    support : int
        Pixels of each PSF.
    like : torch.Tensor
        Gives dtype and device.

    Returns
    -------
    list of Cut
    """
    many = 1 if count == 1 else max(1, min(FINER * count, size // LEAST_CELL))
    seam = min(SEAM, size / many)
    margin = seam / 2 + math.ceil(MARGIN * support)
    ends = [i * size / many for i in range(many + 1)]
    places = torch.arange(size + support - 1, dtype=torch.float64) - support // 2 + 0.5
    after = [0.5 + 0.5 * torch.sin(torch.pi * ((places - end) / seam).clamp(-0.5, 0.5)) for end in ends]
    after[0], after[-1] = torch.ones_like(places), torch.zeros_like(places)
    found = []
    for i in range(many):
        start, stop = max(0, math.floor(ends[i] - margin)), min(size, math.ceil(ends[i + 1] + margin))
        reach = slice(start, stop + support - 1)
        found.append(Cut(slice(start, stop), reach, (after[i] - after[i + 1])[reach].to(like)))
    return found


def _blended(windows: list[_Window], whole: FieldFit, method: Method, refined: bool) -> Answer:
    """Every window's scene by a method, blended to one scene on the reach of the whole."""
    scene = whole.data.new_zeros(*whole.data.shape[:2], *whole.blur.reach)
    change = torch.zeros_like(whole.data)
    notes: Counter[str] = Counter()
    for window in windows:
        answer = window.fit.answer(method, refined)
        row, column = window.row, window.column
        weight = row.weight[:, None] * column.weight
        part = answer.scene[..., : len(row.weight), : len(column.weight)]
        scene[..., row.reach, column.reach] += weight * part
        if answer.change is not None:
            change[..., row.frame, column.frame] += weight[window.fit.blur.window] * answer.change.detach()
        notes.update(answer.notes)
    many = len(windows)
    told = tuple(note if count == many else f"{note} ({count} of {many} windows)" for note, count in notes.items())
    return Answer(scene, change if bool(change.any()) else None, told)
