"""Restore a picture larger than memory, tile by tile, from file to file."""

from __future__ import annotations

import contextlib
import operator
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrestore import io
from imgrestore.tiles.memory import check_look, choose_tile, held_bytes, parse_bytes, predicted_bytes
from imgrestore.tiles.prepare import prepare
from imgrestore.tiles.prepared import Prepared
from imgrestore.tiles.source import as_source
from imgrestore.tiles.window import Window

__all__ = ["Summary", "restore_large"]

Progress = Callable[[str, float], object]


@dataclass(frozen=True)
class Summary:
    """What was done to a large picture.

    Attributes
    ----------
    shape : tuple of int
        The picture's.
    tile : (int, int)
        Rows and columns of a tile, without its halo.
    halo : int
        How many pixels beyond a tile were looked at.
    tiles : int
        How many there were.
    predicted_bytes : int
        The most memory that the process was expected to have.
    notes : tuple of str
        What was decided of the whole picture, and on what.
    """

    shape: tuple[int, ...]
    tile: tuple[int, int]
    halo: int
    tiles: int
    predicted_bytes: int
    notes: tuple[str, ...]


def restore_large(
    task: str,
    source: Any,
    target: Any,
    *,
    max_memory: int | str = "2GB",
    tile: int | tuple[int, int] | None = None,
    page: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> Summary:
    """Restore a picture that need not fit into memory.

    The picture is looked at once, reduced, and everything that concerns the whole of it is decided; then it is read,
    restored and written tile by tile, each with as much of its surroundings as its pixels depend on. Nothing of this
    changes the result: it equals that of the whole picture.

    Parameters
    ----------
    task : str
        "deblur", "demoire", "deshadow", "dereflect", "despecular", "derust" or "restore".
    source : path-like, Source or array
        A file or Zarr folder as `imgrestore.io.open_source` reads it; or an array of NumPy, Zarr or Dask, (H, W) or
        (H, W, C).
    target : path-like or array
        A file or Zarr folder as `imgrestore.io.open_target` writes it, with the metadata of a source that is a file; or
        an array of the source's shape and dtype.
    max_memory : int or str
        The most memory that the process may have, libraries included: bytes, or text such as "2GB" and "1.5GiB".
    tile : int or (int, int), optional
        Rows and columns of a tile, without its halo; by default the largest for `max_memory`.
    page : int, optional
        Which page of a file that holds several.
    overwrite : bool
        Whether to replace a file.
    progress : callable, optional
        Called with what is being done and the part of it which is done, from 0 to 1.
    **options
        Those of the task.

    Returns
    -------
    Summary

    Raises
    ------
    ValueError
        Where `max_memory` does not suffice for looking at the picture or for its tiles, with what would; where the
        target is the source or an array of another shape or dtype; and as `imgrestore.tiles.prepare` and the task do.
    TypeError
        Where an argument is of another kind than those above.
    PictureError, OSError
        As `imgrestore.io.open_source` and `imgrestore.io.open_target` do. No file is written then.

    Examples
    --------
    >>> import numpy as np
    >>> picture = np.zeros((300, 400), np.uint8)
    >>> picture[100:200, 100:200] = 200
    >>> result = np.zeros_like(picture)
    >>> summary = restore_large("deblur", picture, result, tile=150, psf="gaussian:1", method="wiener")
    >>> summary.tiles, summary.tile
    (6, (150, 150))
    """
    limit = parse_bytes(max_memory)
    given = None if tile is None else _pair(tile)
    _check_apart(source, target)
    with _opened(source, page, limit) as (pixels, like):
        parts = _Parts(pixels, like)
        if like is not None and len(parts.shape) == 3:
            options.setdefault("channel_axis", -1)  # alpha is off, so the last of four channels is one like the others
        if progress is not None and task in ("deblur", "restore"):  # which take long to look at a picture
            options["progress"] = progress
        buffered = getattr(pixels, "buffer_bytes", 0)
        check_look(task, parts.shape, parts.dtype, max_memory, options, held=buffered)
        prepared = prepare(task, parts, **options)
        held = held_bytes(limit) + buffered
        if given is None:
            choose_tile(prepared, pixels.shape, pixels.dtype, max_memory, held=held)  # told before a file is laid out
        with _written(target, pixels, like, overwrite, limit - held) as (write, chunk, buffers):
            held += buffers
            size = given or choose_tile(prepared, pixels.shape, pixels.dtype, max_memory, chunk=chunk, held=held)
            expected = predicted_bytes(prepared, size, pixels.shape, pixels.dtype, held=held)
            if expected > limit:
                raise ValueError(
                    f"tiles of {size[0]} x {size[1]} pixels with a halo of {prepared.halo} take "
                    f"{expected / 1e6:.0f} MB; expected at most max_memory, {limit / 1e6:.0f} MB"
                )
            count = _over_all(prepared, parts, write, size, progress)
    return Summary(tuple(pixels.shape), size, prepared.halo, count, expected, tuple(prepared.notes))


def _over_all(
    prepared: Prepared, parts: _Parts, write: Callable[..., object], size: tuple[int, int], progress: Progress | None
) -> int:
    windows = list(Window.grid(parts.shape, size))
    for number, window in enumerate(windows):
        if progress is not None:
            progress(f"tile {number + 1} of {len(windows)}", number / len(windows))
        _one(prepared, parts, write, window)
    if progress is not None:
        progress("all tiles", 1.0)
    return len(windows)


def _one(prepared: Prepared, parts: _Parts, write: Callable[..., object], window: Window) -> None:
    seen = prepared.seen(window)
    stored = parts.source.read(seen)
    result = prepared(parts.to_restore(stored), window)
    write(window, parts.to_store(result, stored[window.inside(seen)]))


class _Parts:
    """A source without its alpha and with whole numbers of unknown range as counts: what a task takes."""

    def __init__(self, source: Any, like: io.Picture | None) -> None:
        self.source = source
        self._stored = np.dtype(source.dtype)
        self._has_alpha = like is not None and like.has_alpha and len(source.shape) == 3
        self._counts = self._stored.kind in "iu" and self._stored not in (np.uint8, np.uint16)
        self.dtype = np.dtype(np.float64) if self._counts else self._stored
        colours = source.shape[2] - 1 if self._has_alpha else None
        inner = source.shape[2:] if colours is None else (colours,) * (colours > 1)
        self.shape: tuple[int, ...] = (*source.shape[:2], *inner)

    def read(self, window: Window) -> NDArray[Any]:
        """The pixels of a window."""
        return self.to_restore(self.source.read(window))

    def to_restore(self, stored: NDArray[Any]) -> NDArray[Any]:
        """What a task takes of what was read."""
        if self._has_alpha:
            stored = stored[..., :-1] if len(self.shape) == 3 else stored[..., 0]
        return np.ascontiguousarray(stored, dtype=self.dtype)

    def to_store(self, result: NDArray[Any], stored: NDArray[Any]) -> NDArray[Any]:
        """What is written, of what a task gave and of what was read in the same place."""
        if self._counts:
            limits = np.iinfo(self._stored)
            result = np.rint(result).clip(limits.min, limits.max).astype(self._stored)
        if self._has_alpha:
            result = np.concatenate([result.reshape(*stored.shape[:2], -1), stored[..., -1:]], axis=-1)
        return result


@contextlib.contextmanager
def _opened(source: Any, page: int | None, limit: int) -> Iterator[tuple[Any, io.Picture | None]]:
    if isinstance(source, (str, os.PathLike)):
        with io.open_source(source, page=page, max_bytes=max(0, limit - held_bytes(limit))) as file:
            yield file, file.like
        return
    if page is not None:
        raise ValueError(f"page is {page}; expected None where the source is no file")
    yield as_source(source), getattr(source, "like", None)


@contextlib.contextmanager
def _written(
    target: Any, pixels: Any, like: io.Picture | None, overwrite: bool, room: int
) -> Iterator[tuple[Callable[[Window, NDArray[Any]], object], tuple[int, int], int]]:
    """How to write a part, the blocks that the target is made of, and the bytes that its buffers take."""
    shape, dtype = tuple(pixels.shape), np.dtype(pixels.dtype)
    if isinstance(target, (str, os.PathLike)):
        with io.open_target(target, shape, dtype, like=like, overwrite=overwrite, max_bytes=max(0, room)) as file:
            yield file.write, file.chunk, file.buffer_bytes
        return
    if not hasattr(target, "__setitem__") or not hasattr(target, "shape") or not hasattr(target, "dtype"):
        raise TypeError(f"target is a {type(target).__name__}; expected a path, or an array of NumPy or Zarr")
    if tuple(target.shape) != shape or np.dtype(target.dtype) != dtype:
        raise ValueError(
            f"target has the shape {tuple(target.shape)} and the dtype {target.dtype}; expected those of the source, "
            f"{shape} and {dtype}"
        )

    def write(window: Window, part: NDArray[Any]) -> None:
        target[window.slices] = part

    chunks = getattr(target, "chunks", None) or (1, 1)
    yield write, (int(chunks[0]), int(chunks[1])), 0


def _pair(tile: Any) -> tuple[int, int]:
    try:
        rows, columns = (operator.index(n) for n in (tile if isinstance(tile, (tuple, list)) else (tile, tile)))
    except (TypeError, ValueError):
        rows = columns = 0
    if min(rows, columns) < 1:
        raise ValueError(f"tile is {tile!r}; expected a whole number above 0, or two of them for rows and columns")
    return rows, columns


def _check_apart(source: Any, target: Any) -> None:
    if source is target:
        raise ValueError("source and target are the same array; expected two")
    paths = [one for one in (source, target) if isinstance(one, (str, os.PathLike))]
    if len(paths) == 2 and os.path.realpath(Path(paths[0])) == os.path.realpath(Path(paths[1])):
        raise ValueError(f"target is {os.fspath(target)!r}, the source itself; expected another name")
