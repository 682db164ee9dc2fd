"""Writing parts of a Zarr array, plain or level 0 of an OME-Zarr, whose other levels are made at the end."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .picture import Picture
from .window import Area, Rectangle, check_part
from .zarr_source import ZarrStyle, import_zarr

CHUNK = 512
# Chunks of a source that is one chunk would be decoded and encoded again for each part.
_LARGEST_CHUNK = 1024
_CHUNKS_AT_ONCE = 12


class ZarrTarget:
    """A Zarr array that is filled part by part; see `imgrestore.io.Target`.

    Parameters
    ----------
    folder : Path
        An empty folder.
    shape : tuple of int
    dtype : numpy.dtype
    like : Picture, optional
        One that came from Zarr: format, axes, chunks and attributes are kept, and the levels of an OME-Zarr.
    ome : bool
        Write OME-Zarr 0.5 where `like` is no Zarr.
    """

    def __init__(
        self, folder: Path, shape: tuple[int, ...], dtype: np.dtype, like: Picture | None, *, ome: bool
    ) -> None:
        self._zarr = import_zarr()
        self._folder = folder
        self.shape, self.dtype = shape, dtype
        style = None if like is None else like.extras.get("zarr")
        if style is None or (len(shape) > 2 and "c" not in style.axes):
            style = _new_style(shape, ome)
        self._style: ZarrStyle = style
        self._full = self._lengths(shape[:2])
        self._chunks = tuple(
            min(length, _LARGEST_CHUNK if axis in "yx" else length, chunk)
            for axis, length, chunk in zip(style.axes, self._full, style.chunks, strict=True)
        )
        self.chunk = tuple(self._chunks[style.axes.index(axis)] for axis in "yx")
        self.buffer_bytes = _CHUNKS_AT_ONCE * int(np.prod(self._chunks)) * dtype.itemsize
        if style.version:
            self._group = self._zarr.create_group(str(folder), zarr_format=style.format)
            self._array = self._create("0", self._full)
        else:
            self._array = self._create("", self._full)
            self._array.attrs.update(style.attributes)

    def _lengths(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """The array's shape for so many rows and columns."""
        lengths = {"y": size[0], "x": size[1], "c": self.shape[2] if len(self.shape) > 2 else 1}
        return tuple(lengths.get(axis, 1) for axis in self._style.axes)

    def _create(self, name: str, full: tuple[int, ...]) -> Any:
        style = self._style
        options: dict[str, Any] = {}
        if style.format == 2:
            options["chunk_key_encoding"] = {"name": "v2", "separator": "/" if style.version else "."}
        elif style.names is not None:
            options["dimension_names"] = style.names
        return self._zarr.create_array(
            str(self._folder / name) if name else str(self._folder),
            shape=full,
            chunks=tuple(map(min, self._chunks, full)),
            dtype=self.dtype,
            fill_value=0,
            zarr_format=style.format,
            overwrite=not name,
            **options,
        )

    def write(self, window: Area, pixels: np.ndarray) -> None:
        """Write a part."""
        check_part(pixels, window, self.shape, self.dtype)
        self._put(self._array, window, pixels)

    def _put(self, array: Any, area: Area, pixels: np.ndarray) -> None:
        axes = self._style.axes
        index, squeezed = _index(axes, area)
        if "c" in axes and pixels.ndim == 2:
            pixels = pixels[..., None]
        array[index] = pixels.transpose(["yxc".index(axis) for axis in squeezed])

    def _get(self, array: Any, area: Area) -> np.ndarray:
        index, squeezed = _index(self._style.axes, area)
        return np.asarray(array[index]).transpose([squeezed.index(axis) for axis in "yxc" if axis in squeezed])

    def finish(self) -> None:
        """Make the smaller levels, and write down what is there."""
        if not self._style.version:
            return
        shapes = self._shapes()
        above = self._array
        for number, (size, factor) in enumerate(shapes, 1):
            below = self._create(str(number), self._lengths(size))
            for area in _blocks(size, self.chunk):
                self._put(below, area, _reduced(self._read_above(above, area, factor), factor, area, self.dtype))
            above = below
        self._group.attrs.update(self._attributes([self.shape[:2], *(size for size, _ in shapes)]))

    def _read_above(self, above: Any, area: Area, factor: int) -> np.ndarray:
        high, wide = (above.shape[self._style.axes.index(axis)] for axis in "yx")
        top, left = area.top * factor, area.left * factor
        height, width = min(area.height * factor, high - top), min(area.width * factor, wide - left)
        return self._get(above, Rectangle(top, left, height, width))

    def _shapes(self) -> list[tuple[tuple[int, int], int]]:
        """Rows and columns of the smaller levels, and how many times smaller than the one before each is."""
        axes = self._style.axes
        sizes = [(level[axes.index("y")], level[axes.index("x")]) for level in self._style.levels]
        if sizes and sizes[0] == self.shape[:2]:
            factors = [_factor(size, smaller) for size, smaller in itertools.pairwise(sizes)]
            if all(factors):
                return list(zip(sizes[1:], factors, strict=True))
        found, size = [], (self.shape[0], self.shape[1])
        while max(size) > CHUNK:
            size = (-(-size[0] // 2), -(-size[1] // 2))
            found.append((size, 2))
        return found

    def _attributes(self, sizes: list[tuple[int, ...]]) -> dict[str, Any]:
        attributes = copy.deepcopy(self._style.attributes)
        inner = attributes.setdefault("ome", {}) if self._style.version == "0.5" else attributes
        inner.setdefault("version", "0.5") if self._style.version == "0.5" else None
        first = (inner.get("multiscales") or [{}])[0]
        first.setdefault("axes", _named_axes(self._style.axes))
        old = first.get("datasets", [])
        datasets = []
        for number, size in enumerate(sizes):
            same = len(self._style.levels) == len(sizes) and number < len(old)
            known = old[number].get("coordinateTransformations") if same else None
            datasets.append({"path": str(number), "coordinateTransformations": known or self._scaling(old, size)})
        first["datasets"] = datasets
        inner["multiscales"] = [first]
        return attributes

    def _scaling(self, old: list[dict[str, Any]], size: tuple[int, ...]) -> list[dict[str, Any]]:
        """Scale and shift of a level: a pixel of it lies amid those that it is the mean of."""
        axes = self._style.axes
        scale, shift = [1.0] * len(axes), [0.0] * len(axes)
        for step in old[0].get("coordinateTransformations", []) if old else []:
            if step.get("type") == "scale":
                scale = [float(value) for value in step["scale"]]
            if step.get("type") == "translation":
                shift = [float(value) for value in step["translation"]]
        for place, axis in enumerate(axes):
            if axis in "yx":
                times = 2 ** round(np.log2(self.shape["yx".index(axis)] / size["yx".index(axis)]))
                shift[place] += scale[place] * (times - 1) / 2
                scale[place] *= times
        steps: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
        return [*steps, {"type": "translation", "translation": shift}] if any(shift) else steps


def _new_style(shape: tuple[int, ...], ome: bool) -> ZarrStyle:
    axes = ("cyx" if ome else "yxc") if len(shape) > 2 else "yx"
    lengths = {"y": CHUNK, "x": CHUNK, "c": shape[2] if len(shape) > 2 else 1}
    return ZarrStyle(3, axes, tuple(axes), tuple(lengths[axis] for axis in axes), version="0.5" if ome else "")


def _named_axes(axes: str) -> list[dict[str, str]]:
    return [{"name": axis, "type": "channel" if axis == "c" else "space"} for axis in axes]


def _index(axes: str, area: Area) -> tuple[tuple[Any, ...], str]:
    """The index of a window in all axes, and the axes that are left of it."""
    places: dict[str, Any] = {
        "y": slice(area.top, area.top + area.height),
        "x": slice(area.left, area.left + area.width),
        "c": slice(None),
    }
    return tuple(places.get(axis, 0) for axis in axes), "".join(axis for axis in axes if axis in "yxc")


def _factor(size: tuple[int, int], smaller: tuple[int, int]) -> int:
    """How many times smaller a level is; 0 where rows and columns differ in that, or it is no smaller."""
    factor = round(size[0] / smaller[0])
    whole = all(few in (many // factor, -(-many // factor)) for many, few in zip(size, smaller, strict=True))
    return factor if factor > 1 and whole else 0


def _blocks(size: tuple[int, int], chunk: tuple[int, ...]) -> Iterator[Rectangle]:
    for top in range(0, size[0], chunk[0]):
        for left in range(0, size[1], chunk[1]):
            yield Rectangle(top, left, min(chunk[0], size[0] - top), min(chunk[1], size[1] - left))


def _reduced(pixels: np.ndarray, factor: int, area: Area, dtype: np.dtype) -> np.ndarray:
    """Means of squares of pixels; at the picture's end those of what there is."""
    high, wide = area.height * factor - pixels.shape[0], area.width * factor - pixels.shape[1]
    if high or wide:
        pixels = np.pad(pixels, [(0, high), (0, wide), *[(0, 0)] * (pixels.ndim - 2)], mode="edge")
    means = pixels.reshape(area.height, factor, area.width, factor, *pixels.shape[2:]).mean(
        axis=(1, 3), dtype=np.float64
    )
    if dtype.kind == "b":
        return means >= 0.5
    return (np.rint(means) if dtype.kind in "iu" else means).astype(dtype)
