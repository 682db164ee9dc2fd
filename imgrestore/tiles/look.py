"""One pass over a large picture: it reduced, some of it at full size, and what has to be counted over all of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrestore.tiles.source import Source
from imgrestore.tiles.window import Window

__all__ = ["LOOK_PIXELS", "Heap", "Look", "look_at"]

# A picture of so many pixels is looked at as it is; a larger one is reduced to no more.
LOOK_PIXELS = 1_000_000
# Values read at once.
BAND = 8_000_000
# The crops at full size of a picture that is reduced: their middles in parts of the frame, and their least side.
PLACES = ((0.5, 0.5), (0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75))
LEAST_CROP = 256


@dataclass
class Heap:
    """The two largest values of each channel and how often they occur: what tells clipping from chance."""

    channels: int
    top: NDArray[Any] = field(init=False)
    second: NDArray[Any] = field(init=False)
    pile: NDArray[Any] = field(init=False)
    rest: NDArray[Any] = field(init=False)

    def __post_init__(self) -> None:
        self.top = np.full(self.channels, -np.inf)
        self.second = np.full(self.channels, -np.inf)
        self.pile = np.zeros(self.channels, np.int64)
        self.rest = np.zeros(self.channels, np.int64)

    def add(self, values: NDArray[Any]) -> None:
        """Count a band (rows, columns, channels); what is not finite does not count."""
        flat = values.reshape(-1, self.channels)
        for c in range(self.channels):
            column = flat[:, c][np.isfinite(flat[:, c])]
            if not len(column):
                continue
            top = column.max()
            at_top = int((column == top).sum())
            below = column[column < top]
            second = below.max() if len(below) else -np.inf
            counts = {float(self.top[c]): int(self.pile[c]), float(self.second[c]): int(self.rest[c])}
            for value, count in ((float(top), at_top), (float(second), int((below == second).sum()))):
                counts[value] = counts.get(value, 0) + count
            largest = sorted(counts, reverse=True)[:2]
            self.top[c], self.second[c] = largest[0], largest[1] if len(largest) > 1 else -np.inf
            self.pile[c], self.rest[c] = counts[float(self.top[c])], counts.get(float(self.second[c]), 0)


@dataclass(frozen=True)
class Look:
    """What was seen of a picture.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    pixels : int
        How many were to be looked at.
    factor : int
        By how much each side was reduced; 1 where the picture is looked at as it is.
    reduced : ndarray
        Means over squares of `factor` pixels, of the picture's dtype; NaN only where none of a square is finite.
    samples : ndarray
        Pixels of an even grid over the picture, as they are; all of them where `factor` is 1.
    crops : tuple of (Window, ndarray)
        Parts at full size; the whole picture where `factor` is 1.
    heap : Heap
    least, most : float
        The ends of the range of what is finite.
    finite : bool
        Whether all is.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    pixels: int
    factor: int
    reduced: NDArray[Any]
    samples: NDArray[Any]
    crops: tuple[tuple[Window, NDArray[Any]], ...]
    heap: Heap
    least: float
    most: float
    finite: bool

    @property
    def is_whole(self) -> bool:
        """Whether nothing was reduced."""
        return self.factor == 1

    def notes(self, what: str) -> tuple[str, ...]:
        """What to say of what was looked for on a picture that is not the whole one; nothing where it is."""
        if self.is_whole:
            return ()
        height, width = self.reduced.shape[:2]
        return (f"{what} on the picture reduced by {self.factor}, to {height} x {width} pixels",)

    def crop_notes(self, what: str) -> tuple[str, ...]:
        """The same of what was looked for at full size, in parts."""
        if self.is_whole:
            return ()
        height, width = self.crops[0][0].shape
        return (f"{what} on {len(self.crops)} parts of {height} x {width} pixels",)


def look_at(source: Source, pixels: int = LOOK_PIXELS) -> Look:
    """Go over a picture once, band by band.

    Parameters
    ----------
    source : Source
    pixels : int
        How many the reduced picture may have.

    Returns
    -------
    Look

    Raises
    ------
    ValueError
        Where no pixel is finite.
    """
    shape, dtype = tuple(source.shape), np.dtype(source.dtype)
    height, width = shape[:2]
    channels = math.prod(shape[2:])
    factor = max(1, math.ceil(math.sqrt(height * width / pixels)))
    heap, finite, ends = Heap(channels), True, [math.inf, -math.inf]
    reduced, samples = [], []
    for window in _bands(shape, factor):
        band = source.read(window)
        if dtype.kind == "f":
            good = np.isfinite(band)
            finite = finite and bool(good.all())
            heap.add(band)
            if good.any():
                ends = [min(ends[0], float(band[good].min())), max(ends[1], float(band[good].max()))]
        reduced.append(band if factor == 1 else _means(band, factor))
        samples.append(band[::factor, ::factor].copy())
    if dtype.kind == "f" and ends[0] > ends[1]:
        raise ValueError("source has no finite pixel; expected a picture that is not all NaN or infinite")
    small = np.concatenate(reduced)
    crops = ((Window.whole(shape), small),) if factor == 1 else _crops(source, pixels)
    known = small if factor == 1 else np.concatenate(samples)
    return Look(shape, dtype, pixels, factor, small, known, crops, heap, ends[0], ends[1], finite)


def _bands(shape: tuple[int, ...], factor: int) -> Iterator[Window]:
    """Bands of whole squares of `factor` rows, from the top down."""
    height, width = shape[:2]
    rows = max(1, BAND // (width * math.prod(shape[2:]) * factor)) * factor
    for top in range(0, height, rows):
        yield Window(top, 0, min(rows, height - top), width)


def _means(band: NDArray[Any], factor: int) -> NDArray[Any]:
    """Means over squares, the last ones of which may be cut off; of the band's dtype."""
    values = band.astype(np.float64 if band.dtype == np.float64 else np.float32)
    good = np.isfinite(values)
    count = _sums(good.astype(np.float32), factor)
    sums = _sums(np.where(good, values, 0), factor)
    with np.errstate(invalid="ignore"):
        means = np.where(count > 0, sums / np.maximum(count, 1), np.nan)
    return (np.rint(means) if band.dtype.kind == "u" else means).astype(band.dtype)


def _sums(values: NDArray[Any], factor: int) -> NDArray[Any]:
    for axis in (0, 1):
        values = np.add.reduceat(values, np.arange(0, values.shape[axis], factor), axis=axis)
    return values


def _crops(source: Source, pixels: int) -> tuple[tuple[Window, NDArray[Any]], ...]:
    height, width = source.shape[:2]
    side = max(LEAST_CROP, math.isqrt(pixels // len(PLACES)))
    tall, wide = min(side, height), min(side, width)
    windows = dict.fromkeys(
        Window(
            min(max(0, round(y * height) - tall // 2), height - tall),
            min(max(0, round(x * width) - wide // 2), width - wide),
            tall,
            wide,
        )
        for y, x in PLACES
    )
    return tuple((window, np.array(source.read(window))) for window in windows)
