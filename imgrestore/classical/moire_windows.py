"""Overlapping windows and their spectra: what a pattern that bends looks like from near by."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Windows", "excess", "tilt_of", "to_luma_chroma", "to_rgb", "with_neighbours"]

# An orthonormal change of colours: luma, red against blue, green against both.
_ROWS = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 2.0, -1.0]])
_ROTATION = _ROWS / _ROWS.norm(dim=1, keepdim=True)


def to_luma_chroma(picture: Tensor) -> Tensor:
    """Luma and two chroma planes of unit length; other than three channels stay as they are.

    Parameters
    ----------
    picture : Tensor, shape (C, H, W)

    Returns
    -------
    Tensor, shape (C, H, W)
    """
    return torch.einsum("ij,jhw->ihw", _ROTATION.to(picture), picture) if len(picture) == 3 else picture


def to_rgb(planes: Tensor) -> Tensor:
    """Colours from luma and chroma, the inverse of `to_luma_chroma`.

    Parameters
    ----------
    planes : Tensor, shape (C, H, W)

    Returns
    -------
    Tensor, shape (C, H, W)
    """
    return torch.einsum("ji,jhw->ihw", _ROTATION.to(planes), planes) if len(planes) == 3 else planes


@dataclass(frozen=True)
class Windows:
    """Windows of a frame that overlap by half, a sine along each side before the transform and again after it.

    Their squares add up to 1, so that pieces laid over each other make the picture again, without seams.

    Attributes
    ----------
    height, width : int
        Of the frame.
    size : int
        Of a window; even.
    """

    height: int
    width: int
    size: int = 64

    @property
    def taper(self) -> Tensor:
        """The sine over one window, shape (size, size)."""
        sine = torch.sin(math.pi * (torch.arange(self.size) + 0.5) / self.size)
        return sine[:, None] * sine

    def _margins(self) -> tuple[int, int, int, int]:
        half = self.size // 2
        return (half, half + -self.width % half, half, half + -self.height % half)

    def split(self, plane: Tensor) -> Tensor:
        """Spectra of all windows.

        Parameters
        ----------
        plane : Tensor, shape (H, W)
            Goes on mirrored past the frame.

        Returns
        -------
        complex Tensor, shape (rows, columns, size, size // 2 + 1)
            Of the windows less their means.
        """
        half = self.size // 2
        longer = _mirrored(plane, self._margins())
        pieces = longer.unfold(0, self.size, half).unfold(1, self.size, half)
        return torch.fft.rfft2((pieces - pieces.mean((-2, -1), keepdim=True)) * self.taper)

    def join(self, spectra: Tensor) -> Tensor:
        """A plane from the spectra of its windows.

        Parameters
        ----------
        spectra : complex Tensor, as `split` gives

        Returns
        -------
        Tensor, shape (H, W)
            The plane without what the means held.
        """
        pieces = torch.fft.irfft2(spectra, s=(self.size, self.size)) * self.taper
        left, right, top, bottom = self._margins()
        shape = (self.height + top + bottom, self.width + left + right)
        columns = pieces.permute(2, 3, 0, 1).reshape(1, self.size**2, -1)
        whole = F.fold(columns, shape, self.size, stride=self.size // 2)[0, 0]
        return whole[top : top + self.height, left : left + self.width]


def _mirrored(plane: Tensor, margins: tuple[int, int, int, int]) -> Tensor:
    """The plane mirrored at its edges as often as it takes."""
    left, right, top, bottom = margins
    rows = _folded(plane.shape[0], top, bottom)
    columns = _folded(plane.shape[1], left, right)
    return plane[rows][:, columns]


def _folded(size: int, before: int, after: int) -> Tensor:
    index = torch.arange(-before, size + after) % (2 * size)
    return torch.where(index < size, index, 2 * size - 1 - index)


def tilt_of(spectra: Tensor, floor: float) -> Tensor:
    """How the log power of an average window falls with frequency.

    Parameters
    ----------
    spectra, floor
        As in `excess`.

    Returns
    -------
    Tensor, shape (n, n // 2 + 1)
    """
    near = with_neighbours(with_neighbours(torch.log(spectra.abs().square() + floor), 0), 1)
    return _tilt(near)


def excess(spectra: Tensor, floor: float, tilt: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """How far the log power of each frequency is above that of the frequencies around it, window by window.

    Windows are averaged with their eight neighbours first: a pattern shows in all of them, content in one.

    Parameters
    ----------
    spectra : complex Tensor, shape (rows, columns, n, n // 2 + 1)
        As `Windows.split` gives.
    floor : float
        Power that is too little to matter, as that of rounding.
    tilt : Tensor, shape (n, n // 2 + 1), optional
        `tilt_of` the picture that the windows are a part of; by default of themselves.

    Returns
    -------
    above : Tensor, shape of `spectra`
        Natural logarithm of the ratio, averaged over neighbours.
    background : Tensor, shape of `spectra`
        Log power that is expected there.
    """
    log = torch.log(spectra.abs().square() + floor)
    half = log.shape[-1]
    near = with_neighbours(with_neighbours(log, 0), 1)
    tilt = _tilt(near) if tilt is None else tilt
    flat = near - tilt
    # Past the half plane lie the mirrored conjugates, whose power is the same.
    reach = 5
    mirrored = flat.roll(-1, 2).flip(2)
    longer = torch.cat(
        [mirrored[..., 1 : reach + 1].flip(-1), flat, mirrored[..., half - 1 - reach : half - 1].flip(-1)], -1
    )
    longer = torch.cat([longer[:, :, -reach:], longer, longer[:, :, :reach]], 2)
    outer = _sums(_sums(longer, 2 * reach + 1, 2), 2 * reach + 1, 3)
    within = slice(reach - 2, 2 - reach)
    core = _sums(_sums(longer[:, :, within, within], 5, 2), 5, 3)
    around = (outer - core) / ((2 * reach + 1) ** 2 - 25)
    return flat - around, around + tilt


def _tilt(near: Tensor) -> Tensor:
    rows, columns, n, half = near.shape
    radius = torch.hypot(torch.fft.fftfreq(n)[:, None] * n, torch.arange(half)[None].float()).round().long()
    count = int(radius.max()) + 1
    # Mirrored windows at the rim hold nothing of the finest waves.
    inner = near[2:-2, 2:-2] if min(rows, columns) > 4 else near
    profile = torch.zeros(count).index_add(0, radius.flatten(), inner.mean((0, 1)).flatten())
    return (profile / torch.bincount(radius.flatten(), minlength=count))[radius]


def with_neighbours(values: Tensor, dim: int) -> Tensor:
    """The mean of each with the one before and the one after; the ends stand twice."""
    count = values.shape[dim]
    if count < 2:
        return values
    middle = values.clone()
    middle.narrow(dim, 1, count - 1).add_(values.narrow(dim, 0, count - 1))
    middle.narrow(dim, 0, count - 1).add_(values.narrow(dim, 1, count - 1))
    middle.narrow(dim, 0, 1).add_(values.narrow(dim, 0, 1))
    middle.narrow(dim, count - 1, 1).add_(values.narrow(dim, count - 1, 1))
    return middle.div_(3)


def _sums(values: Tensor, size: int, dim: int) -> Tensor:
    """Sums of so many neighbours, without padding."""
    count = values.shape[dim] - size + 1
    total = values.narrow(dim, 0, count).clone()
    for start in range(1, size):
        total.add_(values.narrow(dim, start, count))
    return total
