"""Writing parts of a TIFF or BigTIFF: the file is laid out in tiles first, and then filled in any order."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any, BinaryIO

import numpy as np

from .layout import assemble_one
from .picture import Picture
from .tiff import how_to_write
from .tiff_tags import append_exif
from .window import Area, check_part, overlaps, without_pixels

TILE = 256
_FOUR_GIGABYTES = 2**32 - 2**25


class TiffTarget:
    """A TIFF that is filled part by part; see `imgrestore.io.Target`.

    Uncompressed, in tiles of 256 x 256 pixels with channels together; BigTIFF where it takes more than 4 GB. Written by
    calls to the file and not through mapped memory, whose pages would count as the process's own. ImageJ, which knows
    no tiles, gets rows.

    Parameters
    ----------
    stream : file
        Open for reading and writing, and empty.
    shape : tuple of int
    dtype : numpy.dtype
    like : Picture, optional
        Whose metadata to write.
    """

    def __init__(self, stream: BinaryIO, shape: tuple[int, ...], dtype: np.dtype, like: Picture | None) -> None:
        import tifffile

        if dtype.kind == "b":
            dtype = np.dtype(np.uint8)
        picture = assemble_one(without_pixels(shape, dtype), like)
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if size > _FOUR_GIGABYTES:  # more than ImageJ's own TIFF can hold
            extras = {name: value for name, value in picture.extras.items() if name != "imagej"}
            picture = dataclasses.replace(picture, extras=extras)
        stored, options = how_to_write(picture, dtype)
        if not options.get("imagej"):
            options["tile"] = (TILE, TILE)
        tifffile.imwrite(stream, None, shape=stored, dtype=dtype, **options)
        stream.seek(0)
        with tifffile.TiffFile(stream) as written:
            page: Any = written.pages[0]
            self._offsets = [int(offset) for offset in page.dataoffsets]
            self._is_tiled, self._order = page.is_tiled, written.byteorder
            rows = int(page.rowsperstrip) if not page.is_tiled else TILE
        if picture.exif:
            append_exif(stream, picture.exif)
        self.shape, self.dtype = shape, dtype
        self._stream, self._lock = stream, threading.Lock()
        self.chunk = (TILE, TILE) if self._is_tiled else (min(rows, shape[0]), shape[1])
        self._pixel = int(np.prod(shape[2:], dtype=np.int64)) * dtype.itemsize
        self.buffer_bytes = TILE * TILE * self._pixel
        self._across = -(-shape[1] // self.chunk[1])

    def write(self, window: Area, pixels: np.ndarray) -> None:
        """Write a part."""
        if pixels.dtype.kind == "b":
            pixels = pixels.astype(np.uint8) * np.uint8(255)
        place = check_part(pixels, window, self.shape, self.dtype)
        ordered = self.dtype.newbyteorder(self._order)
        for row, column, of_window, of_block in overlaps(place, self.chunk):
            part = np.ascontiguousarray(pixels[of_window], dtype=ordered)
            start = self._offsets[row * self._across + column]
            start += (of_block[0].start * self.chunk[1] + of_block[1].start) * self._pixel
            with self._lock:
                self._put(part, start)

    def _put(self, part: np.ndarray, start: int) -> None:
        if part.shape[1] == self.chunk[1]:
            self._stream.seek(start)
            self._stream.write(part.data)
            return
        for number, line in enumerate(part):
            self._stream.seek(start + number * self.chunk[1] * self._pixel)
            self._stream.write(line.data)
