"""Bands and rings of colour: what is left of a screen in a photograph that was made smaller."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from imgrestore.classical.moire_windows import excess, with_neighbours

__all__ = ["Bands", "bands_of"]

# Waves between so many steps of a window's spectrum and so many cycles per pixel.
LOWEST, HIGHEST = 2.6, 0.36
# A wave holds this part of all the colour that a window has from two steps on: surely, and next to a sure one.
CLEAR, NEXT = 0.4, 0.15
# Fainter ones cannot be seen; stronger ones are painted stripes.
FAINTEST, STRONGEST, STRONGEST_NEXT = 0.006, 0.08, 0.15
# Power of luma against that of chroma: lines of the scene have more.
LUMA, LUMA_NEXT = 1.5, 4.0
# How far, in steps of the spectrum, a wave wanders to the next window, and how many windows it is followed.
WANDERS, WANDERS_NEXT, FOLLOWED = 2.0, 3.0, 3
# Share of neighbouring windows: from doubt to certainty. No fewer than these are counted.
GOES_ON = (0.0025, 0.0045)
LEAST_COUNT = 512
# Windows along a side: a frame of twice their size.
LEAST_WINDOWS = 5
FLOOR = 1e-6
# What is so near to a wave, in steps of the spectrum, goes with it; a soft end.
WIDTH, SOFT = 4.5, 1.5
# How far above its surroundings a frequency starts to go: in chroma, and in luma.
START, START_LUMA = 0.5, 1.0


@dataclass(frozen=True)
class Bands:
    """Coloured bands that were found.

    Attributes
    ----------
    share : float
        Between what part of neighbouring windows one coloured wave goes on.
    strength : float
        From 0 (leave it) to 1 (surely moiré).
    keep : tuple of Tensor
        Gains of the spectra that take the bands off, as many as there are planes; empty where `strength` is 0.
    """

    share: float
    strength: float
    keep: tuple[Tensor, ...]


@dataclass(frozen=True)
class _Waves:
    """The strongest coloured wave of each window; tensors of shape (rows, columns)."""

    down: Tensor
    right: Tensor
    part: Tensor
    amplitude: Tensor
    luma: Tensor

    def seen(self, part: float, strongest: float, luma: float) -> Tensor:
        visible = (self.amplitude > FAINTEST) & (self.amplitude < strongest)
        return visible & (self.part > part) & (self.luma < luma)

    def alike(self, dim: int, wanders: float) -> Tensor:
        """Whether each wave is that of the next window."""
        count = self.down.shape[dim] - 1
        a, b = (self.down.narrow(dim, start, count) for start in (0, 1))
        c, d = (self.right.narrow(dim, start, count) for start in (0, 1))
        # A wave and its conjugate are the same.
        return torch.minimum(torch.hypot(a - b, c - d), torch.hypot(a + b, c + d)) < wanders


def bands_of(
    spectra: Sequence[Tensor],
    taper: Tensor,
    *,
    tilts: Sequence[Tensor] | None = None,
    strength: float | None = None,
) -> Bands:
    """Find bands of colour that bend, and what takes them off.

    In a window the bands are one clear wave of colour that has little luma to it, is neither faint nor strong, and goes
    on in the next window. Where such waves are, and in windows next to them, colours lose what stands out of the
    spectrum near these waves, and luma what stands out together with colour.

    Parameters
    ----------
    spectra : sequence of complex Tensor, shape (rows, columns, n, n // 2 + 1)
        Of luma and of two chroma planes, as `Windows.split` gives; of other than three planes, and of
        frames below twice the size of a window, nothing is found.
    taper : Tensor, shape (n, n)
        `Windows.taper`.
    tilts : sequence of Tensor, optional
        Of the planes; see `imgrestore.classical.moire_windows.excess`.
    strength : float, optional
        That of the picture which the windows are a part of; by default it is judged.

    Returns
    -------
    Bands
    """
    rows, columns, n, _ = spectra[0].shape
    if len(spectra) != 3 or min(rows, columns) < LEAST_WINDOWS:
        return Bands(0.0, 0.0, ())
    luma, red, green = (plane.abs().square() for plane in spectra)
    luma, chroma = _sums3(luma), _sums3(red + green)
    waves = _strongest(red + green, chroma, luma, taper)
    # Blinds, bricks and stripes of clouds lie along the rows or columns.
    sure = waves.seen(CLEAR, STRONGEST, LUMA) & (waves.down != 0) & (waves.right != 0)
    core = torch.zeros_like(sure)
    pairs = 0
    for dim in (0, 1):
        count = sure.shape[dim] - 1
        goes_on = waves.alike(dim, WANDERS) & sure.narrow(dim, 0, count) & sure.narrow(dim, 1, count)
        core.narrow(dim, 0, count).logical_or_(goes_on)
        core.narrow(dim, 1, count).logical_or_(goes_on)
        pairs += int(goes_on.sum())
    share = pairs / max((rows - 1) * columns + rows * (columns - 1), LEAST_COUNT)
    if strength is None:
        strength = min(1.0, max(0.0, (share - GOES_ON[0]) / (GOES_ON[1] - GOES_ON[0])))
    if strength == 0:
        return Bands(share, 0.0, ())
    area = strength * _near(_followed(core, waves), waves, n)
    coloured = ((math.log(16.0) - torch.log((luma + FLOOR) / (chroma + FLOOR))) / math.log(4.0)).clamp(0, 1) * area
    radius = torch.hypot(torch.fft.fftfreq(n)[:, None], torch.fft.rfftfreq(n)[None]) * n
    low = (radius - 1.5).clamp(0, 1)
    expected: Sequence[Tensor | None] = [None] * len(spectra) if tilts is None else tilts
    looks = [excess(plane, FLOOR, tilt) for plane, tilt in zip(spectra, expected, strict=True)]
    keep = []
    for i, (plane, (_, background)) in enumerate(zip(spectra, looks, strict=True)):
        over = torch.log(plane.abs().square() + FLOOR) - background
        part = (over - (START if i else START_LUMA)).clamp(0, 1) * low
        if i == 0:
            part *= torch.maximum(looks[1][0], looks[2][0]).sub(1).clamp(0, 1)
        keep.append(1 - coloured * (1 - torch.exp(-0.5 * over.clamp_min(0) * part)))
    return Bands(share, strength, tuple(keep))


def _strongest(power: Tensor, chroma: Tensor, luma: Tensor, taper: Tensor) -> _Waves:
    """What stands highest within the range, and is higher than what is beside it."""
    n = power.shape[-2]
    rows, columns = torch.fft.fftfreq(n)[:, None] * n, torch.fft.rfftfreq(n)[None] * n
    radius = torch.hypot(rows, columns)
    within = (radius >= LOWEST) & (radius <= HIGHEST * n)
    beside = F.max_pool2d(_longer(chroma, 2).flatten(0, 1)[:, None], 5, 1)[:, 0].reshape(chroma.shape)
    height, where = torch.where(within & (chroma >= beside), chroma, 0.0).flatten(2).max(-1)
    # Each frequency of the first and the last column stands there with its conjugate.
    weight = torch.ones(columns.shape[1])
    weight[[0, -1]] = 0.5
    whole = (power * (weight * (radius >= 1.5))).sum((-2, -1))
    return _Waves(
        rows.expand_as(radius).flatten()[where],
        columns.expand_as(radius).flatten()[where],
        height / (whole + FLOOR),
        height.sqrt() * 2 / taper.sum(),
        luma.flatten(2).gather(2, where[..., None])[..., 0] / (height + FLOOR),
    )


def _followed(core: Tensor, waves: _Waves) -> Tensor:
    """The windows where the waves were found, and where they go on less clearly."""
    possible = waves.seen(NEXT, STRONGEST_NEXT, LUMA_NEXT)
    for _ in range(FOLLOWED):
        grown = core.clone()
        for dim in (0, 1):
            count = core.shape[dim] - 1
            alike = waves.alike(dim, WANDERS_NEXT)
            before, after = core.narrow(dim, 0, count), core.narrow(dim, 1, count)
            grown.narrow(dim, 1, count).logical_or_(before & alike & possible.narrow(dim, 1, count))
            grown.narrow(dim, 0, count).logical_or_(after & alike & possible.narrow(dim, 0, count))
        core = grown
    return core


def _near(windows: Tensor, waves: _Waves, n: int) -> Tensor:
    """1 near the waves of these windows, in them and in the next, falling off around; of the shape of the spectra."""
    rows, columns = torch.fft.fftfreq(n)[:, None] * n, torch.fft.rfftfreq(n)[None] * n
    down, right = waves.down[..., None, None], waves.right[..., None, None]
    apart = torch.minimum(torch.hypot(rows - down, columns - right), torch.hypot(rows + down, columns + right))
    near = ((WIDTH - apart) / SOFT).clamp(0, 1) * windows[..., None, None]
    for dim in (0, 1):
        own = near.clone()
        for here, there in ((0, 1), (1, 0)):
            count = near.shape[dim] - 1
            target = near.narrow(dim, here, count)
            torch.maximum(target, own.narrow(dim, there, count), out=target)
    return with_neighbours(with_neighbours(near, 0), 1)


def _longer(power: Tensor, by: int) -> Tensor:
    """Half spectra with what lies past their edges: conjugates to the sides, whose power is the same."""
    turned = power.roll(-1, 2).flip(2)
    last = power.shape[-1] - 1
    wide = torch.cat([turned[..., 1 : by + 1].flip(-1), power, turned[..., last - by : last].flip(-1)], -1)
    return torch.cat([wide[:, :, -by:], wide, wide[:, :, :by]], 2)


def _sums3(power: Tensor) -> Tensor:
    """Sums over each frequency and the eight beside it."""
    longer = _longer(power, 1)
    return F.avg_pool2d(longer.flatten(0, 1)[:, None], 3, 1, divisor_override=1)[:, 0].reshape(power.shape)
