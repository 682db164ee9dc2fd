"""Where the pixels of a large picture come from: anything that can be asked for a part of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from imgrestore.tiles.window import Window

__all__ = ["ArraySource", "Source", "as_source"]

KINDS = ("uint8", "uint16", "float16", "float32", "float64")


@runtime_checkable
class Source(Protocol):
    """A picture that is read window by window.

    Attributes
    ----------
    shape : tuple of int
        (H, W) or (H, W, C).
    dtype : numpy.dtype
        uint8, uint16 or floating point.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole picture."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its pixels."""
        ...

    def read(self, window: Window) -> NDArray[Any]:
        """The pixels of a window: (h, w) or (h, w, C)."""
        ...


class ArraySource:
    """A picture in an array of NumPy, Zarr or Dask, or in anything else with a shape, a dtype and slices.

    Parameters
    ----------
    array : array_like of shape (H, W) or (H, W, C)
        Read with ``array[rows, columns]``.

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore.tiles import ArraySource, Window
    >>> source = ArraySource(np.arange(12.0).reshape(3, 4))
    >>> source.read(Window(1, 2, 2, 2))
    array([[ 6.,  7.],
           [10., 11.]])
    """

    def __init__(self, array: Any) -> None:
        self.array = array

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W) or (H, W, C)."""
        return tuple(int(length) for length in self.array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the array."""
        return np.dtype(self.array.dtype)

    def read(self, window: Window) -> NDArray[Any]:
        """The pixels of a window, read or computed: an array of NumPy."""
        return np.asarray(self.array[window.slices])


def as_source(picture: Any, name: str = "source") -> Source:
    """Whatever holds a picture as something that can be read window by window.

    Parameters
    ----------
    picture : Source or array_like
        A `Source` as it is; an array of NumPy, Zarr or Dask, or anything else with a shape, a dtype and slices, in an
        `ArraySource`.
    name : str
        What errors call it.

    Returns
    -------
    Source

    Raises
    ------
    TypeError
        Where it is none of these, or its dtype is other than uint8, uint16 and real floating point.
    ValueError
        Where it is no single picture (H, W) or (H, W, C), or is empty.
    """
    if isinstance(picture, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array; pass its data and mask=~{name}.mask instead")
    if not all(hasattr(picture, part) for part in ("shape", "dtype")) or not (
        hasattr(picture, "read") or hasattr(picture, "__getitem__")
    ):
        raise TypeError(
            f"{name} is a {type(picture).__name__}; expected an array of NumPy, Zarr or Dask, or an object with a "
            "shape, a dtype and read(window)"
        )
    try:
        kind = np.dtype(picture.dtype).name
    except TypeError:
        raise TypeError(f"{name} is a {type(picture).__name__} of {picture.dtype}; expected NumPy's dtypes") from None
    source: Source = picture if hasattr(picture, "read") else ArraySource(picture)
    if kind not in KINDS:
        raise TypeError(f"{name} has dtype {kind}; expected uint8, uint16 or real floating point")
    _check_shape(tuple(source.shape), name)
    return source


def _check_shape(shape: Sequence[int], name: str) -> None:
    if len(shape) not in (2, 3):
        raise ValueError(f"{name} has shape {tuple(shape)}; expected one picture: (H, W) or (H, W, C)")
    if 0 in shape:
        raise ValueError(f"{name} is empty (shape {tuple(shape)}); expected at least one pixel")
