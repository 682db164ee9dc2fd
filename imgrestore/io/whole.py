"""Pictures of formats that are read and written as a whole only: PNG, JPEG, WebP, BMP, FITS, and small TIFF."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from .files import read, write
from .layout import assemble_one
from .picture import Picture, PictureError, format_of_content, format_of_suffix
from .window import Area, check_area, check_part, too_much, without_pixels

# The most memory that reading and writing took, over the bytes of the pixels; reading WebP makes two more copies.
_READING = {"WebP": 9.0, "FITS": 4.0}
_WRITING = {"WebP": 15.0, "TIFF": 1.0}
_READING_ELSE, _WRITING_ELSE = 6.0, 4.0
_HINT = "store the picture as TIFF or Zarr, which are read and written part by part, or raise max_memory"


class WholeSource:
    """A picture that was read whole; see `imgrestore.io.Source`.

    Parameters
    ----------
    path : Path
    page : int, optional
        Which page of a stack.
    limit : int, optional
        The most bytes that reading may take; predicted from the header before anything is decoded.

    Raises
    ------
    PictureError
        The file is no sound picture, or takes more memory than allowed.
    """

    buffer_bytes = 0  # the picture is there already

    def __init__(self, path: Path, page: int | None, limit: int | None) -> None:
        name, decoded = _decoded_bytes(path)
        needed = int(decoded * _READING.get(name, _READING_ELSE))
        too_much(f"{name}, which is read as a whole,", needed, limit, _HINT)
        picture = read(path)
        if picture.has_pages:
            if page is None:
                raise PictureError(f"it has {picture.pages} pages; choose one with page=0 and so on")
            if not 0 <= page < picture.pages:
                raise PictureError(f"page is {page}; expected one from 0 to {picture.pages - 1}")
            pixels = picture.pixels[page].copy()
        elif page not in (None, 0):
            raise PictureError(f"page is {page} and there is one page only")
        else:
            pixels = picture.pixels
        self._pixels = pixels
        self.shape: tuple[int, ...] = pixels.shape
        self.dtype: np.dtype = pixels.dtype
        self.like: Picture = dataclasses.replace(
            picture, pixels=without_pixels(pixels.shape, pixels.dtype), has_pages=False
        )

    def read(self, window: Area) -> np.ndarray:
        """Read a part."""
        top, left, height, width = check_area(window, self.shape)
        return self._pixels[top : top + height, left : left + width].copy()

    def close(self) -> None:
        """Let the pixels go."""
        self._pixels = np.empty((0, 0), self.dtype)


class WholeTarget:
    """A picture that is collected and written at the end; see `imgrestore.io.Target`."""

    chunk = (1, 1)

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype, limit: int | None) -> None:
        name = format_of_suffix(path)
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        self.buffer_bytes = int(size * (1 + _WRITING.get(name, _WRITING_ELSE)))
        too_much(f"{name}, which is written as a whole,", self.buffer_bytes, limit, _HINT)
        self.shape, self.dtype = shape, dtype
        self._path, self._pixels = path, np.zeros(shape, dtype)

    def write(self, window: Area, pixels: np.ndarray) -> None:
        """Take a part."""
        top, left, height, width = check_part(pixels, window, self.shape, self.dtype)
        self._pixels[top : top + height, left : left + width] = pixels

    def finish(self, like: Picture | None, overwrite: bool) -> None:
        """Write the file."""
        write(self._path, assemble_one(self._pixels, like), overwrite=overwrite)


def _decoded_bytes(path: Path) -> tuple[str, int]:
    """The format, and the bytes that the header says the pixels take; no fewer than they do."""
    with open(path, "rb") as stream:
        start = stream.read(64)
    name = format_of_content(start)
    if name == "FITS":
        return name, path.stat().st_size
    if name == "PNG":
        width, height = (int.from_bytes(start[i : i + 4], "big") for i in (16, 20))
        return name, width * height * {0: 1, 2: 3, 3: 4, 4: 2, 6: 4}.get(start[25], 4) * (2 if start[24] == 16 else 1)
    from PIL import Image

    try:
        with Image.open(path) as image:
            size: tuple[int, int] = image.size
            bands = len(image.getbands()) if image.mode != "P" else 4
    except Exception as error:
        wrong: Any = " ".join(str(error).split())
        raise PictureError(f"the {name} file is truncated or damaged ({wrong})") from error
    return name, size[0] * size[1] * bands
