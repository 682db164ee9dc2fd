"""What of a picture is looked at: all of it, reduced; and the part at full resolution that shows most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from imgrestore.light import white_level
from imgrestore.pixels import ChannelAxis, to_planes

__all__ = ["LEAST_SIDE", "Views", "views_of", "views_of_parts"]

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
    picture, unit = _planes(image, channel_axis)
    notes: tuple[str, ...] = ()
    if max(picture.shape[1:]) > LARGEST:
        notes = (_told(max(picture.shape[1:])),)
    size = (picture.shape[1], picture.shape[2])
    return Views(_part(picture, LARGEST), _reduced(picture), _part(picture, CLOSE), size, unit, notes)


def views_of_parts(
    reduced: Any, parts: Sequence[Any], size: tuple[int, int], channel_axis: ChannelAxis = "auto"
) -> Views:
    """Look at a picture that is too large to be had whole.

    Parameters
    ----------
    reduced : ndarray
        All of it, reduced.
    parts : sequence of ndarray
        Some of it at full resolution; the one with most detail is looked at.
    size : (int, int)
        Rows and columns of the picture.
    channel_axis : int, None or "auto"
        Of all of these.

    Returns
    -------
    Views

    Raises
    ------
    TypeError, ValueError
        As `views_of`.
    """
    whole, unit = _planes(reduced, channel_axis)
    seen = [planes * (own / unit) for planes, own in (_planes(part, channel_axis) for part in parts)]
    closest = max(seen, key=lambda planes: float(_steps(planes).mean()))
    return Views(_part(closest, LARGEST), _reduced(whole), _part(closest, CLOSE), size, unit, (_told(max(size)),))


def _planes(image: Any, channel_axis: ChannelAxis) -> tuple[Tensor, float]:
    """One picture in three colours, white near 1, and what 1 stands for."""
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
    return picture.expand(COLOURS, -1, -1).contiguous(), white * found.peak


def _told(longest: int) -> str:
    return f"looked at reduced by {longest / WHOLE:.3g}, and closely in parts"


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
    sums = F.pad(_steps(picture).double().cumsum(0).cumsum(1), (1, 0, 1, 0))
    corners = [(top, left) for top in _places(height, tall) for left in _places(width, wide)]

    def detail(corner: tuple[int, int]) -> float:
        top, left = corner
        bottom, right = top + tall, left + wide
        return float(sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left])

    top, left = max(corners, key=detail)
    return picture[:, top : top + tall, left : left + wide].contiguous()


def _steps(picture: Tensor) -> Tensor:
    """How much neighbours differ."""
    gray = picture.mean(0)
    return F.pad(gray.diff(dim=0).abs(), (0, 0, 1, 0)) + F.pad(gray.diff(dim=1).abs(), (1, 0))


def _places(length: int, part: int) -> list[int]:
    step = max(STEP, (length - part) // 16)
    return sorted({*range(0, length - part + 1, step), length - part})
