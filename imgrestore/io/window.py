"""Parts of pictures: what a window is, and what pictures that are read or written by windows have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np

from .picture import Picture, PictureError

__all__ = ["Area", "Rectangle", "Source", "Target", "check_area", "overlaps", "without_pixels"]


class Area(Protocol):
    """A part of a picture: all that reading and writing needs to know of a window."""

    @property
    def top(self) -> int:
        """The first row."""

    @property
    def left(self) -> int:
        """The first column."""

    @property
    def height(self) -> int:
        """The number of rows."""

    @property
    def width(self) -> int:
        """The number of columns."""


class Rectangle:
    """The plainest `Area`.

    Parameters
    ----------
    top, left, height, width : int

    Examples
    --------
    >>> Rectangle(0, 10, 5, 20)
    Rectangle(top=0, left=10, height=5, width=20)
    """

    __slots__ = ("height", "left", "top", "width")

    def __init__(self, top: int, left: int, height: int, width: int) -> None:
        self.top, self.left, self.height, self.width = top, left, height, width

    def __repr__(self) -> str:
        return f"Rectangle(top={self.top}, left={self.left}, height={self.height}, width={self.width})"


@runtime_checkable
class Source(Protocol):
    """A picture in a file, of which any part can be read.

    Attributes
    ----------
    shape : tuple of int
        (H, W) or (H, W, C), upright.
    dtype : numpy.dtype
        In native byte order.
    like : Picture
        The file's metadata; its pixels have the picture's shape and dtype, are all zero and take no memory.
    buffer_bytes : int
        The most memory that reading takes besides the part that is returned.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    like: Picture
    buffer_bytes: int

    def read(self, window: Area) -> np.ndarray:
        """Read a part, of shape (h, w) or (h, w, C), as a new array."""

    def close(self) -> None:
        """Give the file back."""


@runtime_checkable
class Target(Protocol):
    """A picture in a file that is being written part by part, in any order.

    Attributes
    ----------
    shape : tuple of int
        (H, W) or (H, W, C).
    dtype : numpy.dtype
    chunk : tuple of int
        Rows and columns of the blocks that the file is made of: parts that begin and end with them are written at once.
    buffer_bytes : int
        The most memory that writing takes besides the part that is given.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    chunk: tuple[int, int]
    buffer_bytes: int

    def write(self, window: Area, pixels: np.ndarray) -> None:
        """Write a part, of shape (h, w) or (h, w, C)."""


def check_area(area: Area, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return top, left, height and width of a window that lies inside a picture, else raise `ValueError`.

    Parameters
    ----------
    area : Area
    shape : tuple of int
        The picture's.

    Returns
    -------
    tuple of int
    """
    top, left, height, width = int(area.top), int(area.left), int(area.height), int(area.width)
    inside = 0 <= top <= top + height <= shape[0] and 0 <= left <= left + width <= shape[1]
    if not inside or height < 1 or width < 1:
        raise ValueError(
            f"the window at row {top}, column {left} of {height} x {width} pixels does not lie inside the picture of "
            f"{shape[0]} x {shape[1]} pixels"
        )
    return top, left, height, width


def check_part(pixels: np.ndarray, area: Area, shape: tuple[int, ...], dtype: np.dtype) -> tuple[int, int, int, int]:
    """Return top, left, height and width of a window that pixels fit into, else raise `ValueError`."""
    place = check_area(area, shape)
    expected = (*place[2:], *shape[2:])
    if pixels.shape != expected or pixels.dtype != dtype:
        raise ValueError(
            f"the pixels to be written have the shape {pixels.shape} and the dtype {pixels.dtype}; "
            f"expected {expected} and {dtype}"
        )
    return place


def overlaps(
    place: tuple[int, int, int, int], block: tuple[int, int]
) -> Iterator[tuple[int, int, tuple[slice, slice], tuple[slice, slice]]]:
    """The blocks of a grid that a window touches.

    Parameters
    ----------
    place : tuple of int
        Top, left, height and width of the window.
    block : tuple of int
        Rows and columns of a block.

    Yields
    ------
    row, column : int
        The block's place in the grid.
    of_window, of_block : tuple of slice
        What they have in common, in the window's and in the block's own rows and columns.
    """
    top, left, height, width = place
    high, wide = block
    for row in range(top // high, -(-(top + height) // high)):
        first, last = max(top, row * high), min(top + height, (row + 1) * high)
        for column in range(left // wide, -(-(left + width) // wide)):
            start, stop = max(left, column * wide), min(left + width, (column + 1) * wide)
            of_window = slice(first - top, last - top), slice(start - left, stop - left)
            of_block = (
                slice(first - row * high, last - row * high),
                slice(start - column * wide, stop - column * wide),
            )
            yield row, column, of_window, of_block


def without_pixels(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Zeros of any shape that take no memory."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def too_much(what: str, needed: int, limit: int | None, hint: str) -> None:
    """Raise `PictureError` where something takes more memory than allowed."""
    if limit is not None and needed > limit:
        raise PictureError(f"{what} takes {needed / 1e6:.0f} MB, more than the {limit / 1e6:.0f} MB there are; {hint}")
