"""Reading parts of a TIFF or BigTIFF: only the strips or tiles that a window touches are read and decoded."""

from __future__ import annotations

import struct
import threading
from collections import OrderedDict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from .exif import turn_upright
from .picture import Picture, PictureError
from .tiff import as_seen, check_bytes, check_chain, pillow_array, turn_of, with_metadata
from .window import Area, check_area, overlaps, too_much, without_pixels

CACHE = 64_000_000
"""Bytes of decoded strips and tiles that are kept, since neighbouring windows overlap."""

_PALETTE = 3
_FULL_BYTES = (8, 16, 32, 64)


class TiffSource:
    """One page of a TIFF file; see `imgrestore.io.Source`.

    Parameters
    ----------
    path : Path
    page : int, optional
        Which page of the first series, from 0; needed where there are several.
    limit : int, optional
        The most bytes that reading may take besides what is returned.

    Raises
    ------
    PictureError
        The file is damaged, has several pages and none is chosen, or one compressed strip or tile of it takes more
        memory than allowed.
    """

    def __init__(self, path: Path, page: int | None, limit: int | None) -> None:
        import tifffile

        check_chain(path)
        self._tif = tifffile.TiffFile(path)
        try:
            self._open(path, page, limit)
        except BaseException:
            self._tif.close()
            raise

    def _open(self, path: Path, number: int | None, limit: int | None) -> None:
        series = self._tif.series[0] if self._tif.pages and self._tif.series else None
        if series is None:
            raise PictureError("it is damaged: the TIFF has no pages")
        check_bytes(series, series.keyframe, path.stat().st_size)
        self._page = page = _page_of(series, number)
        self._turn = turn_of(page)
        stored = (page.imagelength, page.imagewidth, *((page.samplesperpixel,) * (page.samplesperpixel > 1)))
        sample, alpha = as_seen(np.zeros((1, 1, *stored[2:]), page.dtype), page)
        upright = stored[1::-1] if self._turn >= 5 else stored[:2]
        self.shape: tuple[int, ...] = (*upright, *sample.shape[2:])
        self.dtype: np.dtype = sample.dtype.newbyteorder("=")
        self._reader: _Rows | _Blocks = _Rows(path, page) if _has_plain_rows(page) else _Blocks(self._tif, page, limit)
        self.buffer_bytes = self._reader.buffer_bytes
        pixels = without_pixels(self.shape, self.dtype)
        self.like: Picture = with_metadata(pixels, path, self._tif, page, alpha=alpha, is_one=len(series.pages) == 1)

    def read(self, window: Area) -> np.ndarray:
        """Read a part."""
        top, left, height, width = check_area(window, self.shape)
        if self._turn in (3, 4, 7, 8):
            top = self.shape[0] - top - height
        if self._turn in (2, 3, 6, 7):
            left = self.shape[1] - left - width
        place = (left, top, width, height) if self._turn >= 5 else (top, left, height, width)
        pixels, _ = as_seen(self._reader.read(place), self._page)
        return np.ascontiguousarray(turn_upright(pixels, self._turn, False), dtype=self.dtype)

    def close(self) -> None:
        """Give the file back."""
        self._reader.close()
        self._tif.close()


def _page_of(series: Any, number: int | None) -> Any:
    count = len(series.pages)
    if number is None and count > 1:
        raise PictureError(f"it has {count} pages, of which one is read by windows; choose it with page=0 and so on")
    if number is not None and not 0 <= number < count:
        raise PictureError(f"page is {number}; expected one from 0 to {count - 1}")
    page = series.pages[number or 0]
    if page is None:
        raise PictureError(f"page {number} of the stack has no header of its own, and cannot be read by windows")
    page = page.aspage()
    if page.dtype is None or page.imagedepth > 1:
        raise PictureError(f"its pixels ({page.bitspersample} bits, {page.imagedepth} deep) cannot be read by windows")
    return page


def _has_plain_rows(page: Any) -> bool:
    """Whether rows lie in the file as they are in memory."""
    return (
        page.compression == 1
        and page.predictor == 1
        and page.fillorder == 1
        and not page.is_tiled
        and not page.is_subsampled
        and page.bitspersample in _FULL_BYTES
        and page.bitspersample == 8 * page.dtype.itemsize
        and all(page.databytecounts)
    )


class _Rows:
    """Uncompressed strips, of any number of rows: just the bytes of the window are read."""

    buffer_bytes = 0

    def __init__(self, path: Path, page: Any) -> None:
        self._stream = open(path, "rb", buffering=0)  # noqa: SIM115
        self._lock = threading.Lock()
        self._page = page
        self._planes = page.samplesperpixel if page.planarconfig == 2 else 1
        self._dtype = np.dtype(page.dtype).newbyteorder(page.parent.byteorder)
        samples = page.samplesperpixel if self._planes == 1 else 1
        self._inner: tuple[int, ...] = (samples,) if samples > 1 else ()
        self._pixel = samples * self._dtype.itemsize

    def read(self, place: tuple[int, int, int, int]) -> np.ndarray:
        """Read rows and columns as they are stored, but with channels last."""
        top, left, height, width = place
        found = np.empty((self._planes, height, width, *self._inner), self._dtype)
        for plane in range(self._planes):
            for row in range(height):
                self._fill(found[plane, row], self._offset(plane, top + row) + left * self._pixel)
        if self._planes == 1:
            return found[0]
        return np.moveaxis(found, 0, -1)

    def _offset(self, plane: int, row: int) -> int:
        rows = min(self._page.rowsperstrip, self._page.imagelength)
        strips = -(-self._page.imagelength // rows)
        start = self._page.dataoffsets[plane * strips + row // rows]
        return int(start) + row % rows * self._page.imagewidth * self._pixel

    def _fill(self, row: np.ndarray, offset: int) -> None:
        missing = row.reshape(-1).view(np.uint8).data
        with self._lock:
            self._stream.seek(offset)
            while len(missing):
                count = self._stream.readinto(missing)
                if not count:
                    raise PictureError("it is truncated: the pixel data end before the header says")
                missing = missing[count:]

    def close(self) -> None:
        self._stream.close()


class _Blocks:
    """Compressed strips and tiles, and pixels that are no whole bytes: each is decoded whole, and kept a while."""

    def __init__(self, tif: Any, page: Any, limit: int | None) -> None:
        self._handle, self._page = tif.filehandle, page
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()
        rows = min(page.rowsperstrip or page.imagelength, page.imagelength)
        self._block = (page.tilelength, page.tilewidth) if page.is_tiled else (rows, page.imagewidth)
        self._grid = (-(-page.imagelength // self._block[0]), -(-page.imagewidth // self._block[1]))
        self._planes = page.samplesperpixel if page.planarconfig == 2 else 1
        self._samples = page.samplesperpixel // self._planes
        decoded = self._block[0] * self._block[1] * self._samples * np.dtype(page.dtype).itemsize
        kind = "tile" if page.is_tiled else "strip"
        # What is decoded, its undone prediction and what is kept are there at once.
        self.buffer_bytes = 2 * decoded + max(CACHE, decoded)
        too_much(
            f"one compressed {kind} of {self._block[0]} x {self._block[1]} pixels, which is decoded as a whole,",
            self.buffer_bytes,
            limit,
            "store the picture in tiles, or uncompressed",
        )

    def read(self, place: tuple[int, int, int, int]) -> np.ndarray:
        """Read rows and columns as they are stored, but with channels last."""
        inner = (self._samples * self._planes,) if self._samples * self._planes > 1 else ()
        found = np.empty((*place[2:], *inner), np.dtype(self._page.dtype))
        for row, column, of_window, of_block in overlaps(place, self._block):
            for plane in range(self._planes):
                number = (plane * self._grid[0] + row) * self._grid[1] + column
                block = self._decoded(number, row)[of_block]
                part = found[of_window]
                if not inner:
                    part[...] = block[..., 0]
                elif self._planes > 1:
                    part[..., plane] = block[..., 0]
                else:
                    part[...] = block
        return found

    def _decoded(self, number: int, row: int) -> np.ndarray:
        """One strip or tile, of shape (rows, columns, samples)."""
        with self._lock:
            block = self._kept.pop(number, None)
            if block is None:
                block = self._decode(number, row)
            self._kept[number] = block
            while len(self._kept) > 1 and sum(one.nbytes for one in self._kept.values()) > CACHE:
                self._kept.popitem(last=False)
            return block

    def _decode(self, number: int, row: int) -> np.ndarray:
        page = self._page
        offset, count = page.dataoffsets[number], page.databytecounts[number]
        data = None
        if count:
            self._handle.seek(offset)
            data = self._handle.read(count)
        rows = min(self._block[0], page.imagelength - row * self._block[0])
        try:
            block, _, _ = page.decode(data, number, jpegtables=page.jpegtables, jpegheader=page.jpegheader)
        except (ValueError, KeyError) as error:
            if "imagecodecs" not in str(error) or data is None:
                raise
            high = self._block[0] if page.is_tiled else rows
            return self._by_pillow(data, high)
        if block is None:  # left out of a sparse file
            return np.full((*self._block, self._samples), page.nodata, page.dtype)
        return block[0]

    def _by_pillow(self, data: bytes, rows: int) -> np.ndarray:
        """Let Pillow's libtiff decode a strip or tile as a picture of its own."""
        from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

        page = self._page
        if self._planes > 1:
            known = getattr(page.compression, "name", "unknown")
            raise PictureError(
                f"its TIFF compression {known} with planes apart cannot be read by windows without the package "
                "imagecodecs: pip install imagecodecs"
            )
        prefix = b"II" if page.parent.byteorder == "<" else b"MM"
        directory = ImageFileDirectory_v2(prefix=prefix)
        for code in (258, 259, 262, 266, 277, 317, 338, 339, 347, 530):
            if code in page.tags:
                directory[code] = page.tags[code].value
        directory[256], directory[257], directory[278] = self._block[1], rows, rows
        if page.colormap is not None:
            directory[320] = tuple(int(level) for level in np.ravel(page.colormap))
        # Pillow takes the place of the strip to be counted from the directory's end.
        directory[273], directory[279], directory[284] = 0, len(data), 1
        head = prefix + struct.pack(page.parent.byteorder + "HI", 42, 8)
        whole = head + directory.tobytes(8) + data
        with TiffImageFile(BytesIO(whole)) as image, TiffImageFile(BytesIO(whole)) as twin:
            block = pillow_array(image, twin, page)
        return block if block.ndim == 3 else block[..., None]

    def close(self) -> None:
        self._kept.clear()
