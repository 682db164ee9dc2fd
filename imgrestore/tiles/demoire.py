"""Moiré on large pictures: waves, patterns, screen and tones are judged once, then tiles are freed of them."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imgrestore.classical.moire import (
    GOES_ON,
    LEAST_WAVE,
    THRESHOLD,
    Seen,
    is_pattern,
    ramp,
)
from imgrestore.classical.moire_bands import GOES_ON as BANDS_GO_ON
from imgrestore.classical.moire_bands import bands_of
from imgrestore.classical.moire_peaks import peaks_of
from imgrestore.classical.moire_screen import (
    COLOURED,
    SIZE,
    Screen,
    features_of,
    judged,
    places,
    screen_of,
    tones_of,
)
from imgrestore.classical.moire_windows import tilt_of, to_luma_chroma
from imgrestore.light import white_level
from imgrestore.nets.judge import WINDOW, window_places
from imgrestore.nets.refiner import Refiner
from imgrestore.nets.weights import WeightsError
from imgrestore.pixels import ChannelAxis, to_planes
from imgrestore.tasks.demoire import Method, demoire
from imgrestore.tasks.demoire_net import judged_by, own_refiner, told_by
from imgrestore.tasks.task import check_choice
from imgrestore.tiles.demoire_patterns import HOP, Masked, Patterns, net_for
from imgrestore.tiles.look import Look
from imgrestore.tiles.masks import mask_source
from imgrestore.tiles.prepared import Prepared, Unchanged
from imgrestore.tiles.source import Source
from imgrestore.tiles.waves import LocalWaves, Waves, common_peaks
from imgrestore.tiles.window import Window

__all__ = ["prepare_demoire"]

FLOOR = 1e-6
# Working memory for one pixel of a tile with its halo: of each channel and beside it, measured by
# benchmarks/tiles_memory.py with a tenth and more to spare; and what the net adds, which was
# not measured.
BYTES, BYTES_BESIDE, BYTES_NET = 65.0, 150.0, 600.0


@dataclass(frozen=True)
class DemoireWork:
    """Takes moiré off tiles of one picture.

    Attributes
    ----------
    groups : tuple of (slice, Patterns, Masked or None)
        Channels that are judged together, and what is settled of them; None where nothing was found.
    white, unit : float
        What is taken for white, in units of the planes, and what 1 in the planes stands for.
    mask : Source or None
    channel_axis, device
        As in `imgrestore.demoire`.
    shape : tuple of int
        Of the picture.
    whole : dict or None
        Options with which `imgrestore.demoire` restores the whole picture.
    """

    groups: tuple[tuple[slice, Patterns | Masked | None], ...]
    white: float
    unit: float
    mask: Source | None
    channel_axis: ChannelAxis
    device: Any
    shape: tuple[int, ...]
    whole: dict[str, Any] | None = field(default=None, repr=False)

    def __call__(self, pixels: NDArray[Any], seen: Window, core: Window) -> NDArray[Any]:
        """Take the moiré off one tile."""
        if self.whole is not None and core.covers(self.shape):
            mask = None if self.mask is None else self.mask.read(core)
            return np.asarray(demoire(pixels, mask=mask, **self.whole))
        top, left = -seen.top % HOP, -seen.left % HOP
        around = Window(seen.top + top, seen.left + left, seen.height - top, seen.width - left)
        planes = to_planes(pixels[around.inside(seen)], 2, self.channel_axis, unit=self.unit)
        picture = _filled((planes.data[0] / self.white).float(), planes.good[0])
        area = None
        if self.mask is not None:
            given = self.mask.read(around)
            area = torch.from_numpy(given.any(axis=-1) if given.ndim == 3 else given)[None]
        parts = []
        for channels, settled in self.groups:
            own = picture[channels]
            if isinstance(settled, Patterns):
                own = settled.scene(own, around, self.device)
            elif settled is not None and area is not None:
                own = settled.scene(own, area)
            parts.append(own)
        inside = (..., *core.inside(around))
        change = (torch.cat(parts) - picture)[inside]
        tile = to_planes(pixels[core.inside(seen)], 2, self.channel_axis, unit=self.unit)
        return np.asarray(tile.back(tile.data + (change.to(tile.data) * self.white)[None]))


def _filled(picture: Tensor, known: Tensor) -> Tensor:
    """Pixels that are no numbers as the nearest ones."""
    from imgrestore.tasks.task import _nearest

    good = known.all(dim=0, keepdim=True)
    if bool(good.all()) or not bool(good.any()):
        return picture
    return torch.where(known, picture, _nearest(picture, good))


def prepare_demoire(
    source: Source,
    look: Look,
    *,
    method: Method = "auto",
    mask: Any = None,
    refine: bool = True,
    weights: str | os.PathLike[str] | None = None,
    channel_axis: ChannelAxis = "auto",
    device: Any = None,
) -> Prepared:
    """Settle what patterns a picture shows.

    Parameters
    ----------
    source : Source
    look : Look
    method, mask, refine, weights, channel_axis, device
        As in `imgrestore.demoire`; `mask` may be anything that is read by slices.

    Returns
    -------
    Prepared

    Raises
    ------
    TypeError, ValueError
        Where an option is not as described; the message names it.
    """
    check_choice(method, get_args(Method), "method")
    file = None if weights is None else os.fspath(weights)
    own_refiner(weights, method, refine)
    area = None if mask is None else mask_source(mask, source.shape)
    reader = _Reader(source, look, channel_axis)
    with_net = method == "auto" and refine
    groups: list[tuple[slice, Patterns | Masked | None]] = []
    notes: list[str] = []
    for channels in reader.groups:
        if area is not None:
            tilts = [[tilt_of(Seen.at(p).spectra, FLOOR) for p in to_luma_chroma(c[channels])] for c in reader.crops]
            groups.append((channels, Masked(_means(tilts))))
            notes.append("the pattern inside the mask given is taken off; tones are kept")
            continue
        settled, told = _settled(reader, channels, file if with_net else None, with_net, device)
        groups.append((channels, settled))
        notes += told
    notes = [*dict.fromkeys(notes), *look.crop_notes("patterns were looked for")]
    halo = max((one.halo for _, one in groups if one is not None), default=0)
    known: dict[str, Any] = {"task": "demoire", "shape": look.shape, "dtype": look.dtype, "notes": tuple(notes)}
    if all(one is None for _, one in groups):
        return Prepared(**known, halo=0, bytes_per_pixel=1.0, fixed_bytes=0, work=Unchanged())
    options = {"method": method, "refine": refine, "weights": weights, "channel_axis": channel_axis, "device": device}
    work = DemoireWork(
        tuple(groups),
        reader.white,
        reader.unit,
        area,
        channel_axis,
        device,
        look.shape,
        options if look.is_whole else None,
    )
    net = any(isinstance(one, Patterns) and one.curve is not None for _, one in groups)
    fixed = sum(p.numel() * p.element_size() for p in net_for(file).parameters()) if net else 0
    channels = sum(own.stop - own.start for own, _ in groups)
    per_pixel = BYTES * channels + BYTES_BESIDE + (BYTES_NET if net else 0.0)
    return Prepared(**known, halo=halo, bytes_per_pixel=per_pixel, fixed_bytes=fixed, work=work)


class _Reader:
    """What is looked at of a picture, as planes (C, h, w) for a white of 1."""

    def __init__(self, source: Source, look: Look, channel_axis: ChannelAxis) -> None:
        self.source, self.look, self.axis = source, look, channel_axis
        planes = to_planes(look.reduced, 2, channel_axis)
        self.unit = planes.peak
        if look.dtype.kind == "f":
            self.unit = to_planes(np.array([[look.least, look.most]]), channel_axis=None).peak
        self.white = 1.0
        if not planes.is_integer:
            self.white = white_level(planes.data[0]) * planes.peak / self.unit
        count = planes.data.shape[1]
        self.groups = [slice(0, count)] if count in (1, 3) else [slice(c, c + 1) for c in range(count)]
        self.reduced = self.planes(look.reduced)
        self.crops = [self.planes(pixels) for _, pixels in look.crops]

    def planes(self, pixels: NDArray[Any]) -> Tensor:
        planes = to_planes(pixels, 2, self.axis, unit=self.unit)
        return _filled((planes.data[0] / self.white).float(), planes.good[0])

    def windows(self, places: Sequence[tuple[int, int]], side: int) -> list[Tensor]:
        """Squares of the picture at full size."""
        if self.look.is_whole:
            return [self.reduced[:, y : y + side, x : x + side] for y, x in places]
        return [self.planes(self.source.read(Window(y, x, side, side))) for y, x in places]


def _settled(
    reader: _Reader, channels: slice, weights: str | None, with_net: bool, device: Any
) -> tuple[Patterns | None, list[str]]:
    """What patterns a picture shows, and how that is said; None where there are none."""
    crops = [crop[channels] for crop in reader.crops]
    planes = [to_luma_chroma(crop) for crop in crops]
    found = [[peak for peak in peaks_of(one, THRESHOLD) if is_pattern(peak)] for one in planes]
    whole = reader.look.is_whole
    peaks = tuple(found[0]) if whole else common_peaks(found, [min(one.shape[1:]) for one in planes])
    waves: Waves | LocalWaves = Waves.of(planes[0], peaks) if whole else LocalWaves(peaks)
    notes = [f"{len(peaks)} waves over the whole frame"] if peaks else []
    windows = [Window.whole(one.shape[1:]) for one in planes]
    looks = [
        [Seen.at(plane) for plane in waves.off(one, window)] if peaks else [Seen.at(plane) for plane in one]
        for one, window in zip(planes, windows, strict=True)
    ]
    shares = [float(np.mean([each[i].share(LEAST_WAVE[min(i, 1)]) for each in looks])) for i in range(len(looks[0]))]
    bent = tuple(ramp(share, *GOES_ON) for share in shares)
    if max(bent) > 0:
        notes.append(f"a pattern that bends goes on between {max(shares):.0%} of neighbouring windows")
    share = float(np.mean([bands_of([look.spectra for look in each], each[0].windows.taper).share for each in looks]))
    bands = ramp(share, *BANDS_GO_ON)
    if bands > 0:
        notes.append(f"bands of colour that go on between {share:.1%} of neighbouring windows")
    screen, said, net = _screen(reader, channels, weights, with_net, device)
    notes += said
    if screen.only_alone and (peaks or max(bent) > 0):
        screen = replace(screen, strength=0.0)
    if not (peaks or max(bent) > 0 or bands > 0 or screen.strength > 0):
        return None, [*said, "no moiré found: the picture is left as it is"]
    tilts = _means([[tilt_of(look.spectra, FLOOR) for look in each] for each in looks])
    powers = _means([[look.mean_power(i) for i, look in enumerate(each)] for each in looks])
    settled = Patterns(waves, bent, tilts, powers, bands, screen, weights=weights)
    if screen.strength > 0:
        notes.append(f"the photograph of a screen (log odds {screen.odds:.1f})")
        settled = _with_tones(settled, reader.reduced[channels], whole, net, device)
        if settled.curve is not None:
            notes.append("refined by the net")
    return settled, notes


def _with_tones(settled: Patterns, picture: Tensor, whole: bool, net: Refiner | None, device: Any) -> Patterns:
    """With the tones of the screen, and what the net says of it. In a reduced picture patterns are averaged out."""
    clean, scene = picture, picture
    if whole:
        clean = settled.scene(picture, Window.whole(picture.shape[1:]), device)
    tones = tones_of(clean)
    settled = replace(settled, tones=tones)
    if net is None:
        return settled
    scene = clean + settled.screen.strength * tones.change(clean)
    with torch.no_grad():
        curve, code = told_by(picture, scene, net)
    return replace(settled, curve=curve, code=code)


def _screen(
    reader: _Reader, channels: slice, weights: str | None, with_net: bool, device: Any
) -> tuple[Screen, list[str], Refiner | None]:
    """Whether it is the photograph of a screen; with notes, and the net where it judged."""
    picture, size = reader.reduced[channels], reader.look.shape[:2]
    if reader.look.is_whole:
        screen = screen_of(picture)
    elif len(picture) != 3 or min(size) < SIZE or float(to_luma_chroma(picture)[1:].abs().mean()) < COLOURED:
        screen = Screen(-np.inf, 0.0, 0.0)
    else:
        screen = judged(features_of(reader.windows(places(size), SIZE)))
    if not with_net or screen.odds == -math.inf:
        return screen, [], None
    try:
        net = net_for(weights)
    except WeightsError as error:
        return screen, [f"classical only: {error}"], None
    with torch.no_grad():
        if min(size) < WINDOW:
            odds = net.evidence(picture)
        else:
            odds = float(net.judge(torch.stack(reader.windows(window_places(size), WINDOW))[None]))
    if not math.isfinite(odds):
        return screen, ["classical only: the net's picture had values that are no numbers"], None
    return judged_by(odds, screen), [], net


def _means(each: Sequence[Sequence[Tensor]]) -> tuple[Tensor, ...]:
    """Means over parts, of each plane."""
    return tuple(torch.stack(list(one)).mean(0) for one in zip(*each, strict=True))
