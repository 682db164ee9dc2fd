"""Waves over the whole frame, as a tile can subtract them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from imgrestore.classical.moire_peaks import Peak, notched
from imgrestore.tiles.window import Window

__all__ = ["LocalWaves", "Waves", "common_peaks"]

# What a bell of a local filter is cut off at, in its standard deviations, and the widest of them, in pixels.
CUT, WIDEST = 3.5, 40.0
# Peaks of two parts are the same where they are no farther apart than so many steps of their spectra.
SAME = 2.0
# The part of the parts in which a wave has to be found.
FOUND = 0.5


@dataclass(frozen=True)
class Waves:
    """What notches take off a whole picture, as the few coefficients of its Fourier series that they touch.

    Attributes
    ----------
    rows, columns : tuple of Tensor
        Of each plane the frequencies, in cycles per pixel.
    values : tuple of complex Tensor, shape (rows, columns)
        The coefficients.
    """

    rows: tuple[Tensor, ...]
    columns: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    reach: int = 0

    @classmethod
    def of(cls, planes: Tensor, peaks: Sequence[Peak]) -> Waves:
        """Those that `imgrestore.classical.moire_peaks.notched` takes off planes (C, H, W)."""
        height, width = planes.shape[1:]
        rows, columns, values = [], [], []
        lost = planes.double() - notched(planes.double(), peaks)
        for plane in lost:
            spectrum = torch.fft.rfft2(plane) / plane.numel()
            spectrum[:, 1 : (width + 1) // 2] *= 2
            strong = spectrum.abs() > 1e-9 * float(spectrum.abs().max().clamp_min(1e-30))
            y, x = (torch.nonzero(strong.any(dim=1 - i))[:, 0] for i in (0, 1))
            rows.append(torch.fft.fftfreq(height, dtype=torch.float64)[y])
            columns.append(torch.fft.rfftfreq(width, dtype=torch.float64)[x])
            values.append(spectrum[y][:, x])
        return cls(tuple(rows), tuple(columns), tuple(values))

    def off(self, planes: Tensor, window: Window) -> Tensor:
        """A window's planes (C, h, w) without the waves."""
        out = []
        for plane, rows, columns, values in zip(planes, self.rows, self.columns, self.values, strict=True):
            if not values.numel():
                out.append(plane)
                continue
            down = _turns(rows, window.top, window.height)
            right = _turns(columns, window.left, window.width)
            out.append(plane - (down.T @ values @ right).real.to(plane))
        return torch.stack(out)


def _turns(frequencies: Tensor, start: int, length: int) -> Tensor:
    """exp(2 pi i f x) at so many places: (frequencies, length)."""
    places = torch.arange(start, start + length, dtype=torch.float64)
    angle = 2 * math.pi * torch.remainder(frequencies[:, None] * places, 1.0)
    return torch.polar(torch.ones_like(angle), angle)


@dataclass(frozen=True)
class LocalWaves:
    """Waves that are taken off by filters of finite size, for pictures too large to be transformed whole.

    Each is brought to frequency 0, smoothed by a Gaussian as wide as its peak asks for, and brought back: that is the
    wave as it is around each pixel, with its own phase and height there.

    Attributes
    ----------
    peaks : tuple of Peak
    """

    peaks: tuple[Peak, ...]

    @property
    def reach(self) -> int:
        """How far the filters see."""
        return max((len(_bell(peak)) // 2 for peak in self.peaks), default=0)

    def off(self, planes: Tensor, window: Window) -> Tensor:
        """A window's planes (C, h, w) without the waves; of use `reach` away from its sides, but for the frame's."""
        out = list(planes)
        for peak in self.peaks:
            bell = _bell(peak)
            down = _turns(torch.tensor([peak.row], dtype=torch.float64), window.top, window.height)[0]
            right = _turns(torch.tensor([peak.column], dtype=torch.float64), window.left, window.width)[0]
            carrier = (down[:, None] * right).to(torch.complex64)
            share = _smoothed(torch.ones_like(planes[:1]), bell)[0]
            for i in range(len(planes)) if peak.plane is None else (peak.plane,):
                turned = out[i] * carrier.conj()
                parts = _smoothed(torch.stack([turned.real, turned.imag]), bell) / share
                both = 1.0 if all(2 * v == round(2 * v) for v in (peak.row, peak.column)) else 2.0
                wave = both * (torch.complex(parts[0], parts[1]) * carrier).real
                out[i] = out[i] - peak.depth * wave
        return torch.stack(out)


def _bell(peak: Peak) -> Tensor:
    """The Gaussian in space whose transform is a peak's, cut off."""
    width = min(WIDEST, 1 / (2 * math.pi * peak.width))
    places = torch.arange(-math.ceil(CUT * width), math.ceil(CUT * width) + 1)
    bell = torch.exp(-0.5 * (places / width) ** 2)
    return bell / bell.sum()


def _smoothed(planes: Tensor, bell: Tensor) -> Tensor:
    """Planes (C, h, w) smoothed along both sides; dark beyond them."""
    reach = len(bell) // 2
    down = F.conv2d(planes[:, None], bell[None, None, :, None], padding=(reach, 0))
    return F.conv2d(down, bell[None, None, None], padding=(0, reach))[:, 0]


def common_peaks(found: Sequence[Sequence[Peak]], sides: Sequence[int]) -> tuple[Peak, ...]:
    """The waves that most parts of a picture show.

    Parameters
    ----------
    found : sequence of sequences of Peak
        In each part.
    sides : sequence of int
        The shorter side of each part.

    Returns
    -------
    tuple of Peak
        The strongest first, as wide as in the part where it is widest.
    """
    groups: list[list[Peak]] = []
    for peaks, side in zip(found, sides, strict=True):
        for peak in peaks:
            for group in groups:
                first = group[0]
                apart = math.hypot(peak.row - first.row, peak.column - first.column)
                if peak.plane == first.plane and apart <= SAME / side:
                    group.append(peak)
                    break
            else:
                groups.append([peak])
    kept = []
    for group in groups:
        if len(group) < FOUND * len(found):
            continue
        strongest = max(group, key=lambda peak: peak.amplitude)
        kept.append(replace(strongest, width=max(peak.width for peak in group)))
    return tuple(sorted(kept, key=lambda peak: -peak.amplitude))
