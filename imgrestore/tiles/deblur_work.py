"""What deblurs the tiles of one picture, and where in its periodic domain they lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imgrestore.classical.admm import filled
from imgrestore.pixels import ChannelAxis, Planes, to_planes
from imgrestore.tasks.deblur import deblur
from imgrestore.tasks.deblur_net import MOST_PIXELS
from imgrestore.tasks.device import chosen
from imgrestore.tiles.deblur_plan import Canvas, Plan
from imgrestore.tiles.rim import Axis, Places, Rim
from imgrestore.tiles.source import Source
from imgrestore.tiles.window import Window

__all__ = ["DeblurWork", "mask_planes"]


@dataclass(frozen=True)
class DeblurWork:
    """Deblurs tiles of one picture.

    Attributes
    ----------
    plan : Plan
    reach : int
        How far beyond a tile its canvas goes.
    shape : tuple of int
        Of the picture.
    axes : tuple of two Axis
        Of the whole picture's periodic domain.
    rim, mask_rim : Rim or None
        None for Richardson-Lucy, whose scene does not meet its other side.
    mask : Source or None
        True where a pixel is good.
    channel_axis, device
        As in `imgrestore.deblur`.
    whole : mapping or None
        Options with which `imgrestore.deblur` restores the whole picture, where it was looked at as a whole.
    """

    plan: Plan
    reach: int
    shape: tuple[int, ...]
    axes: tuple[Axis, Axis]
    rim: Rim | None
    mask_rim: Rim | None
    mask: Source | None
    channel_axis: ChannelAxis
    device: str | torch.device | None
    whole: Mapping[str, Any] | None

    def __call__(self, pixels: NDArray[Any], seen: Window, core: Window) -> NDArray[Any]:
        """Deblur one tile."""
        if self.whole is not None and core.covers(self.shape):
            mask = None if self.mask is None else self.mask.read(core)
            return np.asarray(deblur(pixels, self.plan.psf, mask=mask, **self.whole))
        out = np.array(pixels[core.inside(seen)])
        for part in self._parts(core):
            around = part.grown(self.reach + self.plan.stride, self.shape)
            out[part.inside(core)] = self._restored(pixels[around.inside(seen)], around, part)
        return out

    def _parts(self, core: Window) -> list[Window]:
        """What is deblurred at once: less than the net's memory holds."""
        grown = core.height + 2 * self.reach, core.width + 2 * self.reach
        if self.plan.solver != "net" or grown[0] * grown[1] <= MOST_PIXELS:
            return [core]
        count = max(1, int(MOST_PIXELS**0.5) - 2 * self.reach)
        size = (min(core.height, count), min(core.width, count))
        return [
            replace(one, top=one.top + core.top, left=one.left + core.left) for one in Window.grid(core.shape, size)
        ]

    def _restored(self, pixels: NDArray[Any], seen: Window, core: Window) -> NDArray[Any]:
        rows, columns = self._places(seen, core)
        picture, mask = pixels, None if self.mask is None else self.mask.read(seen)
        if self.rim is not None:
            picture = self.rim.gather(pixels, seen, rows.index, columns.index)
            if mask is not None and self.mask_rim is not None:
                mask = self.mask_rim.gather(mask, seen, rows.index, columns.index)
        planes = self._planes(picture)
        good = planes.good if mask is None else planes.good & mask_planes(mask, planes)
        data = filled(planes.data, good)
        good = good & torch.from_numpy(rows.known[:, None] & columns.known).to(data.device)
        frame = (_frame(rows, self.shape[0]), _frame(columns, self.shape[1]))
        scene = Canvas(data, good, frame, (rows.cuts, columns.cuts)).scene(self.plan)
        top, left = core.top - rows.start, core.left - columns.start
        restored = scene[..., top : top + core.height, left : left + core.width]
        return np.asarray(self._planes(pixels[core.inside(seen)]).back(restored, keep_bad=False))

    def _places(self, seen: Window, core: Window) -> tuple[Places, Places]:
        if self.rim is None:
            return (
                Places(seen.top, np.arange(seen.top, seen.bottom), np.ones(seen.height, bool)),
                Places(seen.left, np.arange(seen.left, seen.right), np.ones(seen.width, bool)),
            )
        stride = self.plan.stride
        return (
            self.axes[0].around(core.top, core.bottom, self.reach, stride),
            self.axes[1].around(core.left, core.right, self.reach, stride),
        )

    def _planes(self, pixels: NDArray[Any]) -> Planes:
        where = chosen(self.device, pixels)
        return to_planes(pixels, 2, self.channel_axis, dtype=torch.float32, device=where, unit=self.plan.unit)


def _frame(places: Places, length: int) -> slice:
    """The part of a canvas's axis that lies in the frame, on this side of the gap."""
    return slice(max(0, -places.start), min(len(places.index), length - places.start))


def mask_planes(mask: NDArray[Any], planes: Planes) -> Tensor:
    """A part of a mask (H, W) or (H, W, C) over planes."""
    values = torch.from_numpy(np.ascontiguousarray(mask))
    if values.ndim == 3:
        values = values.movedim(-1, 0)[: planes.data.shape[1]]
    return values.to(planes.data.device).expand(planes.data.shape[1:])[None]
