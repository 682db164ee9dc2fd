"""Patterns that repeat over the whole frame: their peaks in the spectrum, and the notches that take them out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from imgrestore.classical.moire_windows import to_luma_chroma, to_rgb
from imgrestore.pixels import ChannelAxis, not_negative, to_planes

__all__ = ["Peak", "find_peaks", "notch_filter", "notched", "peaks_of", "periodic_plus_smooth"]

# Below this, in cycles per pixel, lie the shapes of things.
LOWEST = 0.03
# Blocks of the spectrum whose median and spread a peak is compared with.
BLOCK = 16
# The median absolute deviation of a normal distribution is this part of its standard deviation.
MAD = 0.6745
SPREAD_LEAST = 0.6
MOST_PEAKS = 60
# The frame is asked in so many parts along each side whether a pattern is there.
PARTS = 6
PRESENT = 0.35
# Wider than the peak, so that its flanks go too.
WIDER = 2.5
NARROWEST = 1.5
# Peaks of no width have no bell.
THINNEST = 1e-6
# What a gain of 1 less so much cannot tell from 1.
NOTHING = 1e-8


@dataclass(frozen=True)
class Peak:
    """A pattern that repeats: one peak of the spectrum, and by implication its conjugate.

    Attributes
    ----------
    row, column : float
        Frequency along the rows' index (down) and the columns' index (right), in cycles per pixel, -0.5 to 0.5.
    width : float
        Standard deviation of the peak, in cycles per pixel; above 0, at most 1.
    depth : float
        What part of the amplitude there is the pattern's, from 0 to 1.
    plane : int or None
        0 for luma, 1 and 2 for chroma; None for all planes.
    significance : float
        How far above its surroundings it stands, in their standard deviations (of the logarithm).
    amplitude : float
        Of the wave in its plane, in the picture's units. Planes are of unit length: luma is (red + green + blue) over
        1.73, so that a gray wave in a picture in colours has 1.73 times its amplitude there.
    uniformity : float
        In what part of the frame it is seen, from 0 to 1.

    Raises
    ------
    ValueError
        Where `row`, `column`, `width`, `depth` or `plane` is not as described.
    """

    row: float
    column: float
    width: float = 0.004
    depth: float = 1.0
    plane: int | None = None
    significance: float = math.inf
    amplitude: float = 0.0
    uniformity: float = 1.0

    def __post_init__(self) -> None:
        for name, low, high in (("row", -0.5, 0.5), ("column", -0.5, 0.5), ("width", THINNEST, 1), ("depth", 0, 1)):
            value = getattr(self, name)
            if not isinstance(value, Real) or not low <= float(value) <= high:
                raise ValueError(f"{name} is {value!r}; expected a number from {low:g} to {high:g}")
        if self.plane not in (None, 0, 1, 2):
            raise ValueError(f"plane is {self.plane!r}; expected 0, 1, 2 or None")


def periodic_plus_smooth(plane: Tensor) -> tuple[Tensor, Tensor]:
    """Split planes into one whose opposite edges fit and a smooth one that holds the jumps between them.

    Without the jumps the spectrum has no cross through its centre.

    Parameters
    ----------
    plane : Tensor, shape (..., H, W), floating point

    Returns
    -------
    tuple of two Tensors, shape (..., H, W)
        The periodic part and the smooth one; they add up to `plane`.

    References
    ----------
    Moisan, "Periodic plus smooth image decomposition", Journal of Mathematical Imaging and Vision 39, 2011.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.classical import periodic_plus_smooth
    >>> ramp = torch.linspace(0, 1, 32).expand(32, 32)
    >>> periodic, smooth = periodic_plus_smooth(ramp)
    >>> bool((periodic + smooth - ramp).abs().max() < 1e-6), bool(periodic.std() < 0.1 * ramp.std())
    (True, True)
    """
    height, width = plane.shape[-2:]
    jumps = torch.zeros_like(plane)
    down, right = plane[..., -1, :] - plane[..., 0, :], plane[..., :, -1] - plane[..., :, 0]
    jumps[..., 0, :] += down
    jumps[..., -1, :] -= down
    jumps[..., :, 0] += right
    jumps[..., :, -1] -= right
    rows = 2 * torch.cos(2 * math.pi * torch.arange(height, dtype=plane.dtype) / height)
    columns = 2 * torch.cos(2 * math.pi * torch.arange(width // 2 + 1, dtype=plane.dtype) / width)
    laplacian = rows[:, None] + columns - 4
    laplacian[0, 0] = 1
    spectrum = torch.fft.rfft2(jumps) / laplacian.to(plane.device)
    spectrum[..., 0, 0] = 0
    smooth = torch.fft.irfft2(spectrum, s=(height, width))
    return plane - smooth, smooth


def find_peaks(image: Any, *, threshold: float = 5.0, channel_axis: ChannelAxis = "auto") -> tuple[Peak, ...]:
    """Find patterns that repeat over the whole frame.

    The periodic part of the picture (`periodic_plus_smooth`) is transformed, luma and chroma apart; the log spectrum is
    brought level along its radius; and what stands above the median around it by `threshold` deviations is a peak.

    Parameters
    ----------
    image : ndarray or torch.Tensor
        As in `imgrestore.demoire`; one picture.
    threshold : float
        How many standard deviations, by the median absolute deviation around the peak, it must stand out.
    channel_axis : int, None or "auto"
        As in `imgrestore.demoire`.

    Returns
    -------
    tuple of Peak
        One for each pair of conjugates, the strongest first. Never nearer to the centre than 0.03 cycles per pixel.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as described.

    References
    ----------
    Sidorov & Kokaram, "Suppression of moire patterns via spectral analysis" (2002). Sur & Grédiac, "Automated removal
    of quasiperiodic noise using frequency domain statistics" (2015).

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore.classical import find_peaks
    >>> rng = np.random.default_rng(0)
    >>> stripes = 0.5 + 0.02 * rng.standard_normal((128, 128)) + 0.1 * np.sin(2 * np.pi * 0.25 * np.arange(128))
    >>> [(peak.row, peak.column) for peak in find_peaks(stripes)]
    [(0.0, 0.25)]
    """
    not_negative(threshold, "threshold")
    planes = to_planes(image, channel_axis=channel_axis)
    if len(planes.data) != 1:
        raise ValueError(f"image holds {len(planes.data)} pictures; expected one")
    found = peaks_of(to_luma_chroma(planes.data[0].detach().float().cpu()), threshold)
    scale = planes.peak
    return tuple(Peak(**{**vars(peak), "amplitude": peak.amplitude * scale}) for peak in found)


def notch_filter(image: Any, peaks: Sequence[Peak], *, channel_axis: ChannelAxis = "auto") -> Any:
    """Take the patterns of given peaks out of a picture, by Gaussian notches at each and its conjugate.

    Parameters
    ----------
    image : ndarray or torch.Tensor
        As in `imgrestore.demoire`.
    peaks : sequence of Peak
        From `find_peaks`, or made by hand. The mean of the picture is kept whatever they are.
    channel_axis : int, None or "auto"
        As in `imgrestore.demoire`.

    Returns
    -------
    array
        Type, shape, dtype and range of `image`.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as described.

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore.classical import Peak, notch_filter
    >>> stripes = 0.5 + 0.1 * np.sin(2 * np.pi * 0.25 * np.arange(128)) * np.ones((128, 1))
    >>> bool(np.ptp(notch_filter(stripes, [Peak(0.0, 0.25)])) < 0.02)
    True
    """
    if isinstance(peaks, Peak) or not isinstance(peaks, Iterable):
        raise TypeError(f"peaks is a {type(peaks).__name__}; expected a sequence of imgrestore.classical.Peak")
    peaks = tuple(peaks)
    for peak in peaks:
        if not isinstance(peak, Peak):
            raise TypeError(f"peaks hold a {type(peak).__name__}; expected imgrestore.classical.Peak")
    planes = to_planes(image, channel_axis=channel_axis)
    turned = [to_luma_chroma(one) for one in planes.data]
    # Added as a change, so that without peaks not a digit changes.
    changes = [to_rgb(notched(one, peaks) - one) for one in turned]
    return planes.back(planes.data + torch.stack(changes))


def peaks_of(planes: Tensor, threshold: float) -> list[Peak]:
    """The peaks of luma and chroma planes, by falling amplitude.

    Parameters
    ----------
    planes : Tensor, shape (C, H, W)
    threshold : float
        As in `find_peaks`.

    Returns
    -------
    list of Peak
    """
    found = [peak for i, plane in enumerate(planes) for peak in _peaks_of_plane(plane, i, threshold)]
    found.sort(key=lambda peak: -peak.amplitude)
    return found[:MOST_PEAKS]


def _peaks_of_plane(plane: Tensor, index: int, threshold: float) -> list[Peak]:
    height, width = plane.shape
    if min(height, width) < 2 * BLOCK:
        return []
    periodic, _ = periodic_plus_smooth(plane - plane.mean())
    amplitude = torch.fft.rfft2(periodic).abs() * (2 / plane.numel())
    rows, columns = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None]
    radius = torch.hypot(rows, columns)
    # In order of the rows' frequency, so that neighbours in the array are neighbours in the spectrum.
    order = torch.fft.fftshift(torch.arange(height))
    amplitude, radius = amplitude[order], radius[order]
    log = torch.log(amplitude.square() + 1e-12)
    ring = (radius * max(height, width) / 4).long()
    count = int(ring.max()) + 1
    sums = torch.zeros(count).index_add(0, ring.flatten(), log.flatten())
    log = log - (sums / torch.bincount(ring.flatten(), minlength=count).clamp_min(1))[ring]
    centre, spread = _surroundings(log)
    z = (log - centre) / spread
    top = torch.from_numpy(cv2.dilate(z.numpy(), np.ones((7, 7), np.uint8)))
    candidates = torch.nonzero((z >= threshold) & (z == top) & (radius >= LOWEST))
    strongest = amplitude[candidates[:, 0], candidates[:, 1]].argsort(descending=True)[:MOST_PEAKS]
    found: list[Peak] = []
    for r, c in candidates[strongest].tolist():
        row, column = float(rows[order[r], 0]), float(columns[0, c])
        # On the edges of the half plane both conjugates are in it.
        near_by = 3 / min(height, width)
        if column in (0, 0.5) and any(math.hypot(row + p.row, column - p.column) < near_by for p in found):
            continue
        power, deviation = _spread(amplitude, r, c)
        level = math.exp(0.5 * float(log[r, c] - centre[r, c]))
        bell = max(NARROWEST, WIDER * deviation) / min(height, width)
        found.append(Peak(row, column, bell, 1 - 1 / level, index, float(z[r, c]), math.sqrt(power)))
    if not found:
        return []
    seen = _uniformity(
        plane, torch.tensor([(p.row, p.column) for p in found]), torch.tensor([p.amplitude for p in found])
    )
    return [replace(peak, uniformity=part) for peak, part in zip(found, seen.tolist(), strict=True)]


def _spread(amplitude: Tensor, r: int, c: int) -> tuple[float, float]:
    """The power of a peak and its standard deviation in steps of the spectrum."""
    top, left = max(0, r - 3), max(0, c - 3)
    power = amplitude[top : r + 4, left : c + 4].square()
    y, x = (torch.arange(size)[:, None] - at for size, at in zip(power.shape, (r - top, c - left), strict=True))
    strong = torch.where(power > 0.05 * power.max(), power, 0.0)
    return float(power.sum()), math.sqrt(float((strong * (y**2 + x.T**2)).sum() / strong.sum()) / 2)


def _surroundings(log: Tensor) -> tuple[Tensor, Tensor]:
    """Median and spread of the blocks around, drawn out smoothly over the spectrum."""
    height, width = log.shape
    longer = F.pad(log[None, None], (0, -width % BLOCK, 0, -height % BLOCK), mode="replicate")[0, 0]
    blocks = longer.unfold(0, BLOCK, BLOCK).unfold(1, BLOCK, BLOCK).flatten(2)
    centre = blocks.median(-1, keepdim=True).values
    spread = (blocks - centre).abs().median(-1).values / MAD
    both = torch.stack([centre[..., 0], spread.clamp_min(SPREAD_LEAST)])[None]
    both = F.interpolate(both, size=longer.shape, mode="bilinear", align_corners=False)[0, :, :height, :width]
    return both[0], both[1]


def _uniformity(plane: Tensor, waves: Tensor, amplitude: Tensor) -> Tensor:
    """In what part of the frame each wave is seen; waves are pairs of frequencies along rows and columns."""
    height, width = (length // PARTS for length in plane.shape)
    parts = plane[: PARTS * height, : PARTS * width].unfold(0, height, height).unfold(1, width, width)
    taper = _hann(height)[:, None] * _hann(width)
    parts = (parts - parts.mean((-2, -1), keepdim=True)) * taper
    down, right = (
        torch.arange(length) * (-2 * math.pi * waves[:, i : i + 1]) for i, length in enumerate((height, width))
    )
    along = parts.reshape(-1, width) @ torch.cat([right.cos(), right.sin()]).T
    along = torch.complex(*along.reshape(PARTS**2, height, 2, -1).unbind(2))
    value = 2 * torch.einsum("hk,phk->pk", torch.polar(torch.ones_like(down), down).T, along).abs() / taper.sum()
    return (value > PRESENT * amplitude).float().mean(0)


def _hann(length: int) -> Tensor:
    return torch.hann_window(length + 2, periodic=False)[1:-1]


def notched(planes: Tensor, peaks: Sequence[Peak]) -> Tensor:
    """Planes without the patterns of the peaks.

    Parameters
    ----------
    planes : Tensor, shape (C, H, W)
        Luma and chroma.
    peaks : sequence of Peak

    Returns
    -------
    Tensor, shape (C, H, W)
    """
    height, width = planes.shape[-2:]
    out = []
    for index, plane in enumerate(planes):
        own = [peak for peak in peaks if peak.plane in (None, index)]
        if not own:
            out.append(plane)
            continue
        rows, columns = torch.fft.fftfreq(height).to(plane), torch.fft.rfftfreq(width).to(plane)
        keep = torch.ones(height, width // 2 + 1).to(plane)
        for peak in own:
            own_conjugate = all(2 * value == round(2 * value) for value in (peak.row, peak.column))
            for sign in (1,) if own_conjugate else (1, -1):
                y, down = _bell(rows - sign * peak.row, peak.width)
                x, right = _bell(columns - sign * peak.column, peak.width)
                keep[y[:, None], x] *= 1 - peak.depth * down[:, None] * right
        keep[0, 0] = 1
        periodic, smooth = periodic_plus_smooth(plane)
        out.append(torch.fft.irfft2(torch.fft.rfft2(periodic) * keep, s=(height, width)) + smooth)
    return torch.stack(out)


def _bell(frequency: Tensor, width: float) -> tuple[Tensor, Tensor]:
    """Where a Gaussian is more than nothing, and its values there; whole cycles per pixel more or less are the same."""
    value = torch.exp(-((frequency - frequency.round()) ** 2) / (2 * width**2))
    where = torch.nonzero(value > NOTHING)[:, 0]
    return where, value[where]
