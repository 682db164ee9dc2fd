"""A part of a picture: rows and columns."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Window"]


@dataclass(frozen=True)
class Window:
    """Rows and columns of a picture.

    Parameters
    ----------
    top, left : int
        The first row and column, counted from 0.
    height, width : int
        How many of them, at least 1.

    Raises
    ------
    TypeError
        Where one of them is no whole number.
    ValueError
        Where `top` or `left` is negative, or `height` or `width` is less than 1.

    Examples
    --------
    >>> window = Window(100, 0, 50, 80)
    >>> window.grown(16, (120, 200))
    Window(top=84, left=0, height=36, width=96)
    >>> window.slices
    (slice(100, 150, None), slice(0, 80, None))
    """

    top: int
    left: int
    height: int
    width: int

    def __post_init__(self) -> None:
        for name, least in (("top", 0), ("left", 0), ("height", 1), ("width", 1)):
            value = getattr(self, name)
            try:
                whole = operator.index(value)
            except TypeError:
                raise TypeError(f"{name} is {value!r}; expected a whole number") from None
            if whole < least:
                raise ValueError(f"{name} is {value!r}; expected {least} or more")
            object.__setattr__(self, name, whole)

    @classmethod
    def whole(cls, shape: Sequence[int]) -> Window:
        """All of a picture of shape (H, W) or (H, W, C)."""
        return cls(0, 0, shape[0], shape[1])

    @classmethod
    def grid(cls, shape: Sequence[int], tile: tuple[int, int]) -> Iterator[Window]:
        """Windows that cover a picture, row by row.

        Parameters
        ----------
        shape : sequence of int
            (H, W) or (H, W, C).
        tile : (int, int)
            Height and width of a window; the last ones of a row and column may be smaller.

        Yields
        ------
        Window
        """
        for top in range(0, shape[0], tile[0]):
            for left in range(0, shape[1], tile[1]):
                yield cls(top, left, min(tile[0], shape[0] - top), min(tile[1], shape[1] - left))

    @property
    def bottom(self) -> int:
        """The row after the last one."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """The column after the last one."""
        return self.left + self.width

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """What cuts the window out of a picture of shape (H, W) or (H, W, C)."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def grown(self, halo: int, shape: Sequence[int]) -> Window:
        """The window with so many more pixels on every side, as far as the picture has them.

        Parameters
        ----------
        halo : int
        shape : sequence of int
            Of the picture: (H, W) or (H, W, C).

        Returns
        -------
        Window
        """
        top, left = max(0, self.top - halo), max(0, self.left - halo)
        return Window(top, left, min(shape[0], self.bottom + halo) - top, min(shape[1], self.right + halo) - left)

    def inside(self, outer: Window) -> tuple[slice, slice]:
        """What cuts the window out of the pixels of a larger one that it lies in."""
        top, left = self.top - outer.top, self.left - outer.left
        return slice(top, top + self.height), slice(left, left + self.width)

    def covers(self, shape: Sequence[int]) -> bool:
        """Whether it is all of a picture of this shape."""
        return self == Window.whole(shape)

    def lies_in(self, shape: Sequence[int]) -> bool:
        """Whether a picture of this shape has all of its pixels."""
        return self.bottom <= shape[0] and self.right <= shape[1]
