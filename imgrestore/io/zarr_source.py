"""Reading parts of a Zarr array, plain or level 0 of an OME-Zarr."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .picture import Picture, PictureError
from .window import Area, check_area, too_much, without_pixels

MARKS = ("zarr.json", ".zarray", ".zgroup")
_CHANNELS = ("c", "channel", "channels", "s", "band", "bands")
_ROWS, _COLUMNS = ("y", "row", "rows"), ("x", "column", "columns")
# Chunks that zarr has in work at once, and one that is put together of them.
_CHUNKS_AT_ONCE = 12


def is_zarr(path: Path) -> bool:
    """Tell whether a folder is a Zarr array or group.

    Parameters
    ----------
    path : Path

    Returns
    -------
    bool
    """
    return path.is_dir() and any((path / mark).is_file() for mark in MARKS)


def import_zarr() -> Any:
    """Import zarr, or say how it is installed."""
    try:
        import zarr
    except ImportError as error:
        raise ImportError('Zarr needs the package zarr: pip install "imgrestore[scale]"') from error
    return zarr


@dataclass(frozen=True)
class ZarrStyle:
    """How a Zarr array was stored, so that another can be stored alike.

    Attributes
    ----------
    format : int
        2 or 3.
    axes : str
        One letter an axis, such as "tczyx".
    names : tuple of str or None
        What the axes are called.
    chunks : tuple of int
    attributes : dict
        Of the array; of the group for OME-Zarr, its multiscales included.
    version : str
        Of OME-Zarr: "0.4" or "0.5"; empty for a plain array.
    levels : list of tuple of int
        Shapes of all levels of an OME-Zarr.
    """

    format: int
    axes: str
    names: tuple[str, ...] | None
    chunks: tuple[int, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    version: str = ""
    levels: tuple[tuple[int, ...], ...] = ()


class ZarrSource:
    """One picture of a Zarr array; see `imgrestore.io.Source`.

    Parameters
    ----------
    array : zarr.Array
    style : ZarrStyle
    page : int, optional
        The index along the one axis besides rows, columns and channels that is longer than 1.
    limit : int, optional
        The most bytes that reading may take besides what is returned.
    """

    def __init__(self, array: Any, style: ZarrStyle, page: int | None, limit: int | None) -> None:
        others = [place for place, axis in enumerate(style.axes) if axis not in "yxc"]
        long = [place for place in others if array.shape[place] > 1]
        if len(long) > 1 or (long and page is None):
            sizes = ", ".join(f"{style.axes[place]} = {array.shape[place]}" for place in long)
            hint = "; choose one with page=0 and so on" if len(long) == 1 else ""
            raise PictureError(f"its axes {style.axes} hold more than one picture ({sizes}){hint}")
        count = array.shape[long[0]] if long else 1
        if page is not None and not 0 <= page < count:
            raise PictureError(f"page is {page}; expected one from 0 to {count - 1}")
        if array.dtype.kind not in "buif":
            raise PictureError(f"it holds {array.dtype}; expected integers, floats or bool")
        self._array = array
        self._index = {place: (page or 0 if place in long else 0) for place in others}
        self._axes = style.axes
        rest = [axis for axis in style.axes if axis in "yxc"]
        self._order = [rest.index(axis) for axis in "yxc" if axis in rest]
        channels = array.shape[style.axes.index("c")] if "c" in style.axes else 1
        self._flat = channels == 1 and "c" in style.axes
        self.shape: tuple[int, ...] = (
            array.shape[style.axes.index("y")],
            array.shape[style.axes.index("x")],
            *((channels,) * (channels > 1)),
        )
        self.dtype: np.dtype = np.dtype(array.dtype).newbyteorder("=")
        chunk = int(np.prod(array.chunks, dtype=np.int64)) * self.dtype.itemsize
        self.buffer_bytes = _CHUNKS_AT_ONCE * chunk
        size = " x ".join(map(str, array.chunks))
        too_much(
            f"reading chunks of {size} values, {_CHUNKS_AT_ONCE} at once,",
            self.buffer_bytes,
            limit,
            "store the array in smaller chunks",
        )
        self.like = Picture(without_pixels(self.shape, self.dtype), format="Zarr", extras={"zarr": style})

    def read(self, window: Area) -> np.ndarray:
        """Read a part."""
        top, left, height, width = check_area(window, self.shape)
        places: dict[str, Any] = {"y": slice(top, top + height), "x": slice(left, left + width), "c": slice(None)}
        index = tuple(self._index.get(place, places.get(axis)) for place, axis in enumerate(self._axes))
        pixels = np.asarray(self._array[index]).transpose(self._order)
        if self._flat:
            pixels = pixels[..., 0]
        return np.ascontiguousarray(pixels, dtype=self.dtype)

    def close(self) -> None:
        """Nothing is held open."""


def open_zarr(path: Path, page: int | None, limit: int | None) -> ZarrSource:
    """Open a folder as a `ZarrSource`.

    Parameters
    ----------
    path : Path
        An array, or a group with multiscales.
    page, limit
        As for `ZarrSource`.

    Returns
    -------
    ZarrSource

    Raises
    ------
    PictureError
        It is no array or OME-Zarr, or its axes do not tell which are rows and columns.
    ImportError
        zarr is not installed.
    """
    zarr = import_zarr()
    try:
        node = zarr.open(str(path), mode="r")
    except Exception as error:
        raise PictureError(f"it is no Zarr that can be opened ({' '.join(str(error).split())})") from error
    array, style = _multiscale(node) if isinstance(node, zarr.Group) else (node, style_of(node))
    return ZarrSource(array, style, page, limit)


def style_of(array: Any) -> ZarrStyle:
    """Tell how a plain array is stored, by the names of its axes or, where it has none, by its shape.

    Parameters
    ----------
    array : zarr.Array

    Returns
    -------
    ZarrStyle
    """
    attributes = dict(array.attrs)
    names = getattr(array.metadata, "dimension_names", None) or attributes.get("_ARRAY_DIMENSIONS")
    axes = _letters(names) if names is not None and all(names) else None
    if axes is None:
        shape = array.shape
        if len(shape) == 2:
            axes = "yx"
        elif len(shape) == 3 and shape[-1] <= 4:
            axes = "yxc"
        else:
            raise PictureError(
                f"its shape is {shape} and its axes have no names; expected (H, W), (H, W, C) with C up to 4, or names "
                "of axes with y and x among them"
            )
        names = None
    return ZarrStyle(_format(array), axes, None if names is None else tuple(names), tuple(array.chunks), attributes)


def _letters(names: Any) -> str | None:
    """One letter an axis: y, x and c for what they are, and z for all others; None without y and x."""
    letters = ""
    for name in names:
        low = str(name).lower()
        letters += "y" if low in _ROWS else "x" if low in _COLUMNS else "c" if low in _CHANNELS else "z"
    once = letters.count("y") == letters.count("x") == 1 and letters.count("c") <= 1
    return letters if once else None


def _multiscale(group: Any) -> tuple[Any, ZarrStyle]:
    attributes = dict(group.attrs)
    ome = attributes.get("ome", attributes)
    try:
        scales = ome["multiscales"][0]
        paths = [dataset["path"] for dataset in scales["datasets"]]
        names = tuple(axis["name"] for axis in scales["axes"])
        arrays = [group[path] for path in paths]
    except (KeyError, IndexError, TypeError) as error:
        inside = ", ".join(sorted(group.keys())) or "nothing"
        raise PictureError(
            f"it is a Zarr group without multiscales of axes and datasets (OME-Zarr 0.4 or 0.5); it holds {inside}: "
            "name one of them as the folder"
        ) from error
    axes = _letters(names)
    if axes is None or len(axes) != arrays[0].ndim:
        raise PictureError(f"its axes are {names} for the shape {arrays[0].shape}; expected y and x among them")
    version = "0.5" if "ome" in attributes else "0.4"
    shapes = tuple(tuple(array.shape) for array in arrays)
    style = ZarrStyle(_format(arrays[0]), axes, names, tuple(arrays[0].chunks), attributes, version, shapes)
    return arrays[0], style


def _format(array: Any) -> int:
    return int(array.metadata.zarr_format)
