"""What of a picture is looked at: all of it, reduced; and the part at full resolution that shows most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from imgrestore.light import white_level
from imgrestore.pixels import ChannelAxis, to_planes

__all__ = ["LEAST_SIDE", "Views", "views_of"]

COLOURS = 3
LEAST_SIDE = 32
# Longest side of the whole picture as it is looked at, and the sides of the part that is looked at closely.
WHOLE, CLOSE = 384, 448
# The nets that look at windows see a picture at most so large; of a larger one the part that shows most, of that side.
LARGEST = 1024
STEP = 64


@dataclass(frozen=True)
class Views:
    """One picture, as it is looked at; all of float32, range about [0, 1], with three colours.

    Attributes
    ----------
    picture : Tensor, shape (3, H, W)
        As it is, or of a very large one a part.
    whole : Tensor, shape (3, h, w)
        All of it, reduced.
    close : Tensor, shape (3, a, b)
        The part with most detail.
    size : tuple of int
        Rows and columns of the whole at full resolution.
    unit : float
        What 1 stands for, in the picture's units.
    notes : tuple of str
        How far it was reduced.
    """

    picture: Tensor
    whole: Tensor
    close: Tensor
    size: tuple[int, int]
    unit: float
    notes: tuple[str, ...] = ()


def views_of(image: Any, channel_axis: ChannelAxis = "auto") -> Views:
    """Look at one picture.

    Parameters
    ----------
    image : ndarray or torch.Tensor
        One picture, as the tasks take it. NaN and infinite pixels are taken for the mean of the others.
    channel_axis : int, None or "auto"

    Returns
    -------
    Views

    Raises
    ------
    TypeError
        Where it is no array, or of a dtype that the tasks do not take.
    ValueError
        Where it is a batch, has other than 1 or 3 channels of colour, or no finite pixel.
    """
    found = to_planes(image, channel_axis=channel_axis, dtype=torch.float32)
    data, good = found.data.detach().cpu(), found.good.cpu()
    if len(data) != 1:
        raise ValueError(f"image has shape {tuple(image.shape)}, {len(data)} pictures; expected one")
    if data.shape[1] not in (1, COLOURS):
        raise ValueError(f"image has {data.shape[1]} channels; expected gray or RGB")
    picture, known = data[0], good[0]
    white = 1.0 if found.is_integer else white_level(picture[known])
    picture = picture / white
    if not bool(known.all()):
        picture = torch.where(known, picture, picture[known].mean())
    picture = picture.expand(COLOURS, -1, -1).contiguous()
    size = (int(data.shape[2]), int(data.shape[3]))
    notes: tuple[str, ...] = ()
    whole = _reduced(picture)
    if max(size) > LARGEST:
        notes = (f"looked at reduced by {max(size) / WHOLE:.3g}, and closely in parts",)
    return Views(_part(picture, LARGEST), whole, _part(picture, CLOSE), size, white * found.peak, notes)


def _reduced(picture: Tensor) -> Tensor:
    scale = min(1.0, WHOLE / max(picture.shape[1:]))
    if scale == 1:
        return picture
    size = [max(LEAST_SIDE // 2, round(scale * length)) for length in picture.shape[1:]]
    return F.interpolate(picture[None], size, mode="area")[0]


def _part(picture: Tensor, side: int) -> Tensor:
    """The part of at most so many pixels a side over which neighbours differ most."""
    height, width = picture.shape[1:]
    tall, wide = min(height, side), min(width, side)
    if (tall, wide) == (height, width):
        return picture
    gray = picture.mean(0)
    steps = F.pad(gray.diff(dim=0).abs(), (0, 0, 1, 0)) + F.pad(gray.diff(dim=1).abs(), (1, 0))
    sums = F.pad(steps.double().cumsum(0).cumsum(1), (1, 0, 1, 0))
    corners = [(top, left) for top in _places(height, tall) for left in _places(width, wide)]

    def detail(corner: tuple[int, int]) -> float:
        top, left = corner
        bottom, right = top + tall, left + wide
        return float(sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left])

    top, left = max(corners, key=detail)
    return picture[:, top : top + tall, left : left + wide].contiguous()


def _places(length: int, part: int) -> list[int]:
    step = max(STEP, (length - part) // 16)
    return sorted({*range(0, length - part + 1, step), length - part})
