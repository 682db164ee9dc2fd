"""`read` and `write`: the checks that all formats share, and the way to each format's own module."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from . import fits, png, raster, tiff
from .atomic import whole_file
from .layout import assemble
from .picture import MAX_PIXELS, Picture, PictureError, format_of_content, format_of_suffix

_READ_BYTES: dict[str, Callable[[bytes, int], Picture]] = {
    "PNG": png.read_png,
    "JPEG": raster.read_jpeg,
    "WebP": raster.read_webp,
    "BMP": raster.read_bmp,
}
_READ_PATH: dict[str, Callable[[Path, int], Picture]] = {"TIFF": tiff.read_tiff, "FITS": fits.read_fits}
_WRITE: dict[str, Callable[[Picture, BinaryIO, int | None], None]] = {
    "PNG": png.write_png,
    "JPEG": raster.write_jpeg,
    "WebP": raster.write_webp,
    "BMP": raster.write_bmp,
    "TIFF": tiff.write_tiff,
    "FITS": fits.write_fits,
}


def read(path: str | os.PathLike[str], *, max_pixels: int | None = None) -> Picture:
    """Read a picture from a PNG, JPEG, WebP, BMP, TIFF or FITS file.

    The format is told by the content, not by the suffix. Palettes and 1-bit pictures are expanded to 8 bits (a TIFF
    palette to 16 where it needs them), an EXIF orientation is applied, CMYK JPEG becomes RGB with a `UserWarning`.
    All other values are as stored, in native byte order.

    Parameters
    ----------
    path : path-like
        The file.
    max_pixels : int, optional
        Refuse a picture whose header claims more pixels, all pages together, before it is decoded. None is
        `MAX_PIXELS`.

    Returns
    -------
    Picture
        Pixels of shape (H, W), (H, W, C), (pages, H, W) or (pages, H, W, C), and the metadata.

    Raises
    ------
    PictureError
        The file is empty, truncated, damaged, no picture, too large, or stored in a way that cannot be decoded.
    FileNotFoundError, IsADirectoryError, PermissionError, OSError
        There is no such file, it is a folder, may not be read, or the disk fails.
    ImportError
        The file is FITS and astropy is not installed.

    Examples
    --------
    >>> import numpy as np, os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "ramp.png")
    ...     write(path, np.linspace(0, 1, 12).reshape(3, 4))
    ...     read(path)
    Picture(PNG, 4 x 3, 1 channel, uint8)
    """
    path = Path(path)
    limit = MAX_PIXELS if max_pixels is None else max_pixels
    start = first_bytes(path)
    name = "picture"
    try:
        name = format_of_content(start)
        if name in _READ_BYTES:
            return _READ_BYTES[name](path.read_bytes(), limit)
        return _READ_PATH[name](path, limit)
    except PictureError as error:
        raise PictureError(f"cannot read {path}: {error}") from error
    except (ImportError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        # The decoders raise many types for damage: SyntaxError, struct.error, zlib.error, KeyError...
        reason = " ".join(str(error).split()) or type(error).__name__
        if type(error).__name__ == "DecompressionBombError":  # Pillow checks WebP itself, against its own limit
            raise PictureError(f"cannot read {path}: {reason} (PIL.Image.MAX_IMAGE_PIXELS)") from error
        raise PictureError(f"cannot read {path}: the {name} file is truncated or damaged ({reason})") from error


def write(
    path: str | os.PathLike[str],
    pixels: np.ndarray | Picture,
    like: Picture | None = None,
    *,
    overwrite: bool = True,
    quality: int | None = None,
) -> None:
    """Write a picture to a file whose suffix names the format; the file appears whole or not at all.

    Parameters
    ----------
    path : path-like
        The file to write; its folder must exist.
    pixels : ndarray or Picture
        Shape (H, W), (H, W, C), or (pages, H, W[, C]); bool, integers or float. Without a `like` of the same number
        of axes a last axis of 1 to 4 is channels, and a longer one means that axis 0 counts pages; of 2 or 4 channels
        the last is alpha.

        PNG stores uint8 and uint16 as they are; JPEG, WebP and BMP store 8 bits, into which uint16 goes as
        round(v / 257). Floats are taken to be in [0, 1], scaled to the format's depth and rounded; what lies outside
        is clipped with a `UserWarning` that says how many. Into PNG they go with 16 bits if `like` is uint16 or
        float, else with 8. TIFF and FITS store the dtype as it is, NaN included.
    like : Picture, optional
        The picture whose metadata to write: what `read` returned. Where the format can hold it, ICC profile, EXIF,
        XMP, resolution, text, FITS header, TIFF tags.
    overwrite : bool
        Whether to replace a file that exists.
    quality : int, optional
        JPEG and WebP: 1 to 100. None is 95 for JPEG and lossless for WebP.

    Raises
    ------
    PictureError
        The suffix names no format, or the pixels do not fit the format (shape, dtype, NaN, pages).
    FileExistsError
        The file exists and `overwrite` is False.
    FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError, OSError
        The folder does not exist, the path is a folder, writing is not allowed, or the disk is full or fails. The old
        file is then as it was.
    ImportError
        The format is FITS and astropy is not installed.

    Examples
    --------
    >>> import numpy as np, os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "stack.tif")
    ...     write(path, np.zeros((5, 30, 40), np.float32))
    ...     read(path)
    Picture(TIFF, 40 x 30, 1 channel, float32, 5 pages)
    """
    target = Path(path)
    encode = _WRITE[format_of_suffix(target)]
    if quality is not None and not 1 <= quality <= 100:
        raise PictureError(f"cannot write {target}: quality is {quality}, expected 1 to 100")
    try:
        picture = assemble(pixels, like)
        with whole_file(target, overwrite) as stream:
            encode(picture, stream, quality)
    except PictureError as error:
        raise PictureError(f"cannot write {target}: {error}") from error
    except (OSError, ImportError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PictureError(f"cannot write {target}: the pixels or metadata could not be encoded ({reason})") from error


def first_bytes(path: Path) -> bytes:
    """Return the start of a file, or raise what says best why there is no picture."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise FileNotFoundError(f"cannot read {path}: there is no such file") from None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"cannot read {path}: it is a folder, expected a picture file")
    if not stat.S_ISREG(mode):
        raise PictureError(f"cannot read {path}: it is a device or pipe, expected a picture file")
    try:
        with open(path, "rb") as stream:
            start = stream.read(64)
    except PermissionError:
        raise PermissionError(f"cannot read {path}: no permission to read it") from None
    if not start:
        raise PictureError(f"cannot read {path}: it is empty (0 bytes), expected a picture")
    return start
