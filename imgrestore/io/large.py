"""`open_source` and `open_target`: pictures in files that are read and written part by part."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .atomic import whole_file, whole_folder
from .files import first_bytes
from .picture import SUPPORTED, Picture, PictureError, format_of_content, format_of_suffix
from .tiff_source import TiffSource
from .tiff_target import TiffTarget
from .whole import WholeSource, WholeTarget
from .window import Source, Target
from .zarr_source import is_zarr, open_zarr
from .zarr_target import ZarrTarget


@contextlib.contextmanager
def open_source(
    path: str | os.PathLike[str], *, page: int | None = None, max_bytes: int | None = None
) -> Iterator[Source]:
    """Open a picture to read parts of it, without ever holding the whole.

    TIFF and BigTIFF (strips and tiles, compressed or not, planes together or apart), Zarr arrays (2 and 3) and OME-Zarr
    (0.4 and 0.5, level 0). PNG, JPEG, WebP, BMP and FITS have no parts that could be read: they are read whole, after
    the bytes that this takes were predicted.

    Parameters
    ----------
    path : path-like
        A file, or a folder that is Zarr.
    page : int, optional
        Which page, from 0, of a file with several: in TIFF of the first series of pages, in Zarr along the one axis
        besides rows, columns and channels that is longer than 1.
    max_bytes : int, optional
        The most memory that opening and reading may take, besides the parts that are asked for.

    Yields
    ------
    Source
        Its ``read(window)`` takes anything with ``top``, ``left``, ``height`` and ``width``.

    Raises
    ------
    PictureError
        The file is damaged or none of these, holds several pages and none is chosen, or takes more than `max_bytes`.
    FileNotFoundError, IsADirectoryError, PermissionError, OSError
        There is no such file, it is a folder without Zarr, may not be read, or the disk fails.
    ImportError
        It is Zarr and zarr is not installed, or FITS and astropy is not.

    Examples
    --------
    >>> import numpy as np, os, tempfile
    >>> from imgrestore import io
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "ramp.tif")
    ...     io.write(path, np.arange(12, dtype=np.uint8).reshape(3, 4))
    ...     with io.open_source(path) as source:
    ...         source.shape, source.read(io.Rectangle(1, 2, 2, 2)).tolist()
    ((3, 4), [[6, 7], [10, 11]])
    """
    path = Path(path)
    source = _named(path, "read", lambda: _source(path, page, max_bytes))
    try:
        yield source
    finally:
        source.close()


def _source(path: Path, page: int | None, limit: int | None) -> Source:
    if is_zarr(path):
        return open_zarr(path, page, limit)
    if format_of_content(first_bytes(path)) == "TIFF":
        return TiffSource(path, page, limit)
    return WholeSource(path, page, limit)


@contextlib.contextmanager
def open_target(
    path: str | os.PathLike[str],
    shape: tuple[int, ...],
    dtype: Any,
    *,
    like: Picture | None = None,
    overwrite: bool = True,
    max_bytes: int | None = None,
) -> Iterator[Target]:
    """Open a file to write parts of a picture to, in any order; it appears whole, once the block ends without an error.

    Parameters
    ----------
    path : path-like
        ``.tif`` and ``.tiff``: uncompressed tiles, BigTIFF where more than 4 GB. ``.zarr``: like the Zarr that `like`
        came from; else an array of format 3, and OME-Zarr 0.5 where the name ends in ``.ome.zarr``. The smaller levels
        of an OME-Zarr are made at the end, block by block. All other formats are collected in memory and written whole.
    shape : tuple of int
        (H, W) or (H, W, C).
    dtype : dtype
        As `write` takes it.
    like : Picture, optional
        The picture whose metadata to write: ``source.like``, or what `read` returned.
    overwrite : bool
        Whether to replace a file, or a folder that is Zarr.
    max_bytes : int, optional
        The most memory that writing may take besides the parts that are given.

    Yields
    ------
    Target
        Its ``write(window, pixels)`` takes anything with ``top``, ``left``, ``height`` and ``width``. What is never
        written is 0.

    Raises
    ------
    PictureError
        The suffix names no format, the shape or dtype does not fit it, or it takes more than `max_bytes`.
    FileExistsError
        It exists and `overwrite` is False, or is a folder of another kind.
    FileNotFoundError, NotADirectoryError, PermissionError, OSError
        The folder does not exist, writing is not allowed, or the disk is full or fails. What was there is as it was.
    ImportError
        It is Zarr and zarr is not installed.

    Examples
    --------
    >>> import numpy as np, os, tempfile
    >>> from imgrestore import io
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "out.tif")
    ...     with io.open_target(path, (300, 400), np.uint16) as target:
    ...         target.write(io.Rectangle(0, 0, 300, 200), np.ones((300, 200), np.uint16))
    ...     int(io.read(path).pixels.sum())
    60000
    """
    path = Path(path)
    shape, dtype = tuple(int(length) for length in shape), np.dtype(dtype).newbyteorder("=")
    if len(shape) not in (2, 3) or min(shape) < 1 or dtype.kind not in "buif":
        raise PictureError(
            f"cannot write {path}: the shape is {shape} and the dtype {dtype}; expected (H, W) or (H, W, C), and "
            "integers, floats or bool"
        )
    if path.suffix.lower() == ".zarr":
        with whole_folder(path, overwrite, is_zarr) as folder:
            ome = path.name.lower().endswith(".ome.zarr")
            array = _named(path, "write", lambda: ZarrTarget(folder, shape, dtype, like, ome=ome))
            yield array
            array.finish()
    elif _format(path) == "TIFF":
        with whole_file(path, overwrite) as stream:
            yield _named(path, "write", lambda: TiffTarget(stream, shape, dtype, like))
    else:
        if not overwrite and path.exists():
            raise FileExistsError(f"cannot write {path}: it exists already and overwrite is False")
        whole = _named(path, "write", lambda: WholeTarget(path, shape, dtype, max_bytes))
        yield whole
        whole.finish(like, overwrite)


def tiff_size(path: str | os.PathLike[str]) -> tuple[int, int, int] | None:
    """Tell how large a TIFF is without reading its pixels.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    tuple of int or None
        Pages, rows and columns as they are stored; None where it is no sound TIFF.

    Examples
    --------
    >>> tiff_size("no/such/file.tif") is None
    True
    """
    import tifffile

    with contextlib.suppress(Exception):  # what is wrong with a file, reading it will tell
        if format_of_content(first_bytes(Path(path))) == "TIFF":
            with tifffile.TiffFile(path) as tif:
                series = tif.series[0]
                return len(series.pages), int(series.keyframe.imagelength), int(series.keyframe.imagewidth)
    return None


def _format(path: Path) -> str:
    try:
        return format_of_suffix(path)
    except PictureError:
        found = f"the suffix {path.suffix!r}" if path.suffix else "no suffix"
        expected = ", ".join(sorted({*SUPPORTED, ".zarr"}))
        raise PictureError(f"{path} has {found}; pictures are written as {expected}") from None


def _named(path: Path, verb: str, make: Any) -> Any:
    """What a function makes; its errors name the file."""
    try:
        return make()
    except PictureError as error:
        if str(error).startswith(f"cannot {verb} {path}: "):
            raise
        raise PictureError(f"cannot {verb} {path}: {error}") from error
    except (OSError, ImportError, MemoryError, ValueError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        kind = "the file is truncated or damaged" if verb == "read" else "it could not be laid out"
        raise PictureError(f"cannot {verb} {path}: {kind} ({reason})") from error
