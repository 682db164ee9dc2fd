"""What lies beyond the frame of a picture on a periodic domain: its opposite side, after a gap.

Fourier transforms let the last column meet the first one across the gap that the PSF needs. Little of it reaches the
frame, but a tile at the rim is the same as that part of the whole only if it sees that, too. So the pixels along the
frame are kept, and a tile's canvas goes on past the frame: over the gap, and some pixels into the other side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrestore.tiles.source import Source
from imgrestore.tiles.window import Window

__all__ = ["Axis", "Places", "Rim"]

# Rows of a column's strip that are read at once.
ROWS = 1024


@dataclass(frozen=True)
class Rim:
    """The pixels within some distance of the frame.

    Attributes
    ----------
    top, bottom : ndarray, shape (depth, W[, C])
    left, right : ndarray, shape (H, depth[, C])
    """

    top: NDArray[Any]
    bottom: NDArray[Any]
    left: NDArray[Any]
    right: NDArray[Any]

    @classmethod
    def of(cls, source: Source, depth: int) -> Rim:
        """Read it; no deeper than the picture is."""
        height, width = source.shape[:2]
        tall, wide = min(depth, height), min(depth, width)
        sides: list[list[NDArray[Any]]] = [[], []]
        for row in range(0, height, ROWS):
            rows = min(ROWS, height - row)
            for side, column in zip(sides, (0, width - wide), strict=True):
                side.append(np.array(source.read(Window(row, column, rows, wide))))
        top, bottom = (np.array(source.read(Window(row, 0, tall, width))) for row in (0, height - tall))
        return cls(top, bottom, np.concatenate(sides[0]), np.concatenate(sides[1]))

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return sum(one.nbytes for one in (self.top, self.bottom, self.left, self.right))

    def gather(
        self, pixels: NDArray[Any], seen: Window, rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> NDArray[Any]:
        """Pixels at all pairs of some rows and columns, each of which is in `seen` or within the rim's depth.

        Parameters
        ----------
        pixels : ndarray
            Of `seen`.
        seen : Window
        rows, columns : ndarray of int

        Returns
        -------
        ndarray, shape (rows, columns[, C])
        """
        near_rows = (rows >= seen.top) & (rows < seen.bottom)
        near_columns = (columns >= seen.left) & (columns < seen.right)
        if near_rows.all() and near_columns.all():
            return pixels[(rows - seen.top)[:, None], columns - seen.left]
        out = np.empty((len(rows), len(columns), *pixels.shape[2:]), pixels.dtype)
        inner, outer = np.flatnonzero(near_rows), np.flatnonzero(~near_rows)
        own, others = np.flatnonzero(near_columns), np.flatnonzero(~near_columns)
        out[np.ix_(inner, own)] = pixels[(rows[inner] - seen.top)[:, None], columns[own] - seen.left]
        height, width = len(self.left), self.top.shape[1]
        out[np.ix_(inner, others)] = _either(self.left, self.right, columns[others], width, 1)[rows[inner]]
        out[outer] = _either(self.top, self.bottom, rows[outer], height, 0)[:, columns]
        return out


def _either(first: NDArray[Any], last: NDArray[Any], places: NDArray[np.intp], length: int, axis: int) -> NDArray[Any]:
    """Rows or columns from the strip at the start of the picture or from the one at its end."""
    depth = first.shape[axis]
    both = np.concatenate([first, last], axis=axis)
    return np.take(both, np.where(places < depth, places, places - length + 2 * depth), axis=axis)


@dataclass(frozen=True)
class Places:
    """One axis of a tile's canvas.

    Attributes
    ----------
    start : int
        The row (column) of the picture that the canvas begins with; below 0 past the frame.
    index : ndarray of int
        For each place of the canvas the row (column) to take its pixels from.
    known : ndarray of bool
        Where that is its own; elsewhere it is a gap, and the pixels are where a search begins.
    cuts : tuple of int
        Where the whole's periodic domain begins anew, counted from where that of the canvas begins.
    """

    start: int
    index: NDArray[np.intp]
    known: NDArray[np.bool_]
    cuts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Axis:
    """One axis of the periodic domain of the whole picture.

    Attributes
    ----------
    length : int
        Of the frame.
    before : int
        How far into the domain the frame begins.
    mirror : ndarray of int, shape (domain,)
        For each place of the domain the place of the frame that it mirrors.
    """

    length: int
    before: int
    mirror: NDArray[np.intp]

    def around(self, start: int, stop: int, reach: int, stride: int = 1) -> Places:
        """The canvas of a tile.

        Parameters
        ----------
        start, stop : int
            Of the tile.
        reach : int
            How far beyond it the canvas goes on; past the frame, beyond the gap as well.
        stride : int
            Canvases begin with a multiple of this; those that begin past the frame, with one on the other side.

        Returns
        -------
        Places
        """
        domain = len(self.mirror)
        gap = domain - self.length
        # A gap that is wider than the reach keeps the sides apart by itself.
        beyond = gap if gap <= reach else 0
        first, last = start - reach, stop + reach
        if first < 0:
            first = (domain + first - beyond) // stride * stride - domain
        else:
            first = first // stride * stride
        last = last + beyond if last > self.length else last
        if last - first >= domain:
            whole = np.arange(self.length)
            return Places(0, whole, np.ones(self.length, bool))
        places = np.arange(first, last)
        on_domain = places % domain
        known = on_domain < self.length
        index = np.where(known, on_domain, self.mirror[(places + self.before) % domain])
        near = (index < min(last, self.length)) & (index >= max(first, 0))
        depth = reach + stride
        near |= (index < depth) | (index >= self.length - depth)
        fallback = np.clip(places, max(first, 0), min(last, self.length) - 1)
        cuts = ((-first,) if first < 0 else ()) + (domain - first,)
        return Places(first, np.where(near, index, fallback), known & near, cuts)
