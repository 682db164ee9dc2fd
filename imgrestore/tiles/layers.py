"""Tasks that take a picture apart, on large pictures: the damage is found on the picture reduced, and is made full size
tile by tile.

A damage's layer is smooth but at the edges that the picture shows, too. So around each pixel of the reduced picture the
layer is a linear function of the picture, as in a guided filter; the two numbers of that function are small maps, and
the layer of a tile is these maps, enlarged, applied to the tile's own pixels (He & Sun 2015). A pixel then depends on
nothing but itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from imgrestore import ops
from imgrestore.light import white_level
from imgrestore.nets.separator import added_layer
from imgrestore.pixels import ChannelAxis, Planes, to_planes
from imgrestore.tasks.dereflect import dereflect
from imgrestore.tasks.derust import derust
from imgrestore.tasks.deshadow import deshadow
from imgrestore.tasks.despecular import despecular
from imgrestore.tasks.separation import LEAST, MARKS, SEEN, STEP, lifted
from imgrestore.tiles.look import Look, look_at
from imgrestore.tiles.masks import mask_source
from imgrestore.tiles.prepared import Prepared, Unchanged, Work
from imgrestore.tiles.source import Source, as_source
from imgrestore.tiles.window import Window

__all__ = ["LAYERED", "prepare_layers"]

LAYERED: Mapping[str, Callable[..., Any]] = {
    "deshadow": deshadow,
    "dereflect": dereflect,
    "despecular": despecular,
    "derust": derust,
}
# Radius, in pixels of the reduced picture, in which its layer is a linear function of it.
RADIUS = 1
# Working memory for one pixel of a tile, measured by benchmarks/tiles_memory.py: of each channel, and beside it; and
# where parts of a result are cut out.
BYTES, BYTES_BESIDE, BYTES_CUT = 60.0, 20.0, 12.0


@dataclass(frozen=True)
class Cut:
    """Gives the parts of a result that was computed for the whole picture, which was small enough."""

    result: NDArray[Any]

    def __call__(self, pixels: NDArray[Any], seen: Window, core: Window) -> NDArray[Any]:
        """The part of the result."""
        return np.array(self.result[core.slices])


@dataclass(frozen=True)
class LayerWork:
    """Takes the damage off tiles by a layer that was found on the picture reduced.

    Attributes
    ----------
    form : {"factor", "added", "covered"}
        How the layer meets the scene.
    slope, offset : Tensor, shape (L, h, w)
        The layer is ``slope * guide + offset``: L is the number of channels, and one more for what is covered.
    scene : Tensor, shape (C, h, w)
        The reduced result, for what is covered.
    area : Tensor, shape (1, h, w), or None
        Where the picture may be changed.
    factor : int
        By how much each side was reduced.
    white, unit : float
        What is taken for white, in units of the planes, and what 1 in the planes stands for.
    channel_axis
        As in `imgrestore.deblur`.
    """

    form: str
    slope: Tensor
    offset: Tensor
    scene: Tensor = field(repr=False)
    area: Tensor | None
    factor: int
    white: float
    unit: float
    channel_axis: ChannelAxis

    def __call__(self, pixels: NDArray[Any], seen: Window, core: Window) -> NDArray[Any]:
        """Take the damage off one tile."""
        planes = to_planes(pixels[core.inside(seen)], 2, self.channel_axis, unit=self.unit)
        data = planes.data[0]
        picture = (data / self.white).float()
        scene = self._below(picture, core)
        # What is left alone keeps every digit.
        result = data + (scene - picture).to(data) * self.white
        return np.asarray(planes.back(result[None]))

    def _below(self, picture: Tensor, core: Window) -> Tensor:
        """The scene below the damage, for a white of 1."""
        guide = _guide(picture)
        slope, offset = (_enlarged(one, core, self.factor) for one in (self.slope, self.offset))
        count = len(picture)
        layer = slope[:count] * guide + offset[:count]
        share = 1.0 if self.area is None else _enlarged(self.area, core, self.factor)
        layer = layer * share
        if self.form == "factor":
            return lifted(picture, layer)[0]
        if self.form == "added":
            return added_layer(picture, layer)[0]
        below = picture * torch.exp(layer.clamp_min(0))
        cover = slope[count:] * guide.mean(0, keepdim=True) + offset[count:]
        filling = _enlarged(self.scene, core, self.factor)
        return below + (cover * share).clamp(0, 1) * (filling - below)


def prepare_layers(
    task: str, source: Source, look: Look, *, mask: Any = None, channel_axis: ChannelAxis = "auto", **options: Any
) -> Prepared:
    """Find the damage of a picture, reduced, and get ready to take it off tile by tile.

    Parameters
    ----------
    task : {"deshadow", "dereflect", "despecular", "derust"}
    source : Source
    look : Look
    mask : array_like of bool, shape (H, W) or that of the picture, optional
        True where the damage is; anything that is read by slices.
    channel_axis
        As in `imgrestore.deblur`.
    **options
        Of the task's function, but for `details`. A second picture may be anything that is read by windows.

    Returns
    -------
    Prepared

    Raises
    ------
    TypeError, ValueError
        Where an option is not as described; the message names it.
    """
    run = LAYERED[task]
    area = None if mask is None else _reduced_mask(mask, look, source)
    seconds = {name: options.pop(name) for name in ("flash", "polarized") if options.get(name) is not None}
    options |= {name: _reduced_second(second, name, look) for name, second in seconds.items()}
    found = run(look.reduced, mask=area, channel_axis=channel_axis, details=True, **options)
    notes = (*found.notes, *look.notes("the damage was looked for"))
    known: dict[str, Any] = {"task": task, "shape": look.shape, "dtype": look.dtype, "halo": 0, "notes": notes}
    if np.array_equal(found.image, look.reduced, equal_nan=look.dtype.kind == "f"):
        return Prepared(**known, bytes_per_pixel=1.0, fixed_bytes=0, work=Unchanged())
    if look.is_whole:
        return Prepared(**known, bytes_per_pixel=BYTES_CUT, fixed_bytes=found.image.nbytes, work=Cut(found.image))
    planes = to_planes(look.reduced, channel_axis=channel_axis)
    white = 1.0 if planes.is_integer else white_level(planes.data[0])
    unit = planes.peak
    if look.dtype.kind == "f":
        unit = to_planes(np.array([[look.least, look.most]]), channel_axis=None).peak
    work = _work(task, found.layers, planes, area, look.factor, white * planes.peak / unit, unit, channel_axis)
    kept = sum(one.nbytes for one in (work.slope, work.offset, work.scene))
    wanted: Work = work
    per_pixel = BYTES * planes.data.shape[1] + BYTES_BESIDE
    return Prepared(**known, bytes_per_pixel=per_pixel, fixed_bytes=kept, work=wanted)


def _reduced_mask(mask: Any, look: Look, source: Source) -> NDArray[np.bool_]:
    """Where a mask has any pixel of a square of the reduced picture."""
    whole = mask_source(mask, source.shape)
    factor = look.factor
    rows = max(1, 8_000_000 // (look.shape[1] * factor)) * factor
    parts = []
    for top in range(0, look.shape[0], rows):
        window = Window(top, 0, min(rows, look.shape[0] - top), look.shape[1])
        band = np.atleast_3d(whole.read(window)).max(axis=-1)
        for axis in (0, 1):
            band = np.asarray(np.logical_or.reduceat(band, np.arange(0, band.shape[axis], factor), axis=axis))
        parts.append(band)
    return np.concatenate(parts)


def _reduced_second(second: Any, name: str, look: Look) -> NDArray[Any]:
    """A second picture of the same scene, reduced as the first one is."""
    source = as_source(second, name)
    if tuple(source.shape) != look.shape:
        raise ValueError(f"{name} has shape {tuple(source.shape)}; expected that of the picture, {look.shape}")
    if source.dtype != look.dtype:
        raise ValueError(f"{name} has dtype {source.dtype}; expected that of the picture, {look.dtype}")
    return look_at(source, look.pixels).reduced


def _work(
    task: str,
    layers: Mapping[str, Any],
    planes: Planes,
    area: NDArray[np.bool_] | None,
    factor: int,
    white: float,
    unit: float,
    channel_axis: ChannelAxis,
) -> LayerWork:
    kind = MARKS[task]
    level = white * unit
    picture = (planes.data[0] * planes.peak / level).float()
    layer = _channels_first(layers[kind.layer]).float()
    scene = _channels_first(layers[kind.scene]).float() / level
    if kind.form == "factor":
        layer = layer.clamp(LEAST, 1).log()
    elif kind.form == "added":
        layer = layer / level
    good = planes.good[0].all(dim=0)
    layer, scene = torch.where(good, layer, 0.0), torch.where(good, scene, 0.0)
    if kind.form == "covered":
        hidden = (_channels_first(layers["opaque"]).float() / level).abs().amax(0, keepdim=True) > SEEN
        layer = torch.cat([layer, torch.where(good, hidden.float(), 0.0)])
    guide = _guide(picture)
    if len(layer) > len(guide):
        guide = torch.cat([guide, guide.mean(0, keepdim=True)])
    slope, offset = _linear(layer, guide)
    given = None if area is None else torch.from_numpy(area)[None].float()
    return LayerWork(kind.form, slope, offset, scene, given, factor, white, unit, channel_axis)


def _channels_first(layer: NDArray[Any]) -> Tensor:
    """A layer (h, w) or (h, w, C) as planes."""
    values = torch.from_numpy(np.ascontiguousarray(layer))
    return values[None] if values.ndim == 2 else values.movedim(-1, 0)


def _guide(picture: Tensor) -> Tensor:
    """What the layers of a picture (C, h, w) follow: its brightness, or each channel where they are no colours."""
    return picture.mean(0, keepdim=True).expand_as(picture) if len(picture) == 3 else picture


def _linear(layer: Tensor, guide: Tensor) -> tuple[Tensor, Tensor]:
    """Slope and offset of a layer over its guide around each pixel, averaged over the neighbours': (L, h, w) each."""

    def mean(planes: Tensor) -> Tensor:
        return ops.box(planes.contiguous()[None], RADIUS, boundary="shrink")[0]

    middle, level = mean(guide), mean(layer)
    spread = (mean(guide * guide) - middle * middle).clamp_min(0)
    slope = (mean(guide * layer) - middle * level) / (spread + STEP**2)
    # Rounding must not change a picture where there is no damage.
    touched = F.max_pool2d((layer != 0).float()[None], 2 * RADIUS + 1, 1, RADIUS)[0] > 0
    slope = torch.where(touched, slope, 0.0)
    offset = torch.where(touched, level - slope * middle, 0.0)
    return mean(slope), mean(offset)


def _enlarged(small: Tensor, window: Window, factor: int) -> Tensor:
    """A window, at full size, of planes (L, h, w) of a reduced picture: bilinear, at the picture's own places."""
    for axis, start, length in ((1, window.top, window.height), (2, window.left, window.width)):
        place = (torch.arange(start, start + length, dtype=torch.float64) + 0.5) / factor - 0.5
        place = place.clamp(0, small.shape[axis] - 1)
        before = place.floor().long()
        after = (before + 1).clamp(max=small.shape[axis] - 1)
        shape = [1, 1, 1]
        shape[axis] = length
        part = (place - before).float().reshape(shape)
        small = small.index_select(axis, before) * (1 - part) + small.index_select(axis, after) * part
    return small
