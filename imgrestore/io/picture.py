"""What a picture file holds: `Picture`, the error for bad files, and the formats by suffix and by content."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

MAX_PIXELS = 1_000_000_000
"""Pictures that claim more pixels than this (all pages together) are refused before anything is decoded."""

FORMATS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "PNG": (".png",),
        "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
        "WebP": (".webp",),
        "BMP": (".bmp",),
        "TIFF": (".tif", ".tiff"),
        "FITS": (".fits", ".fit", ".fts"),
    }
)

SUPPORTED: frozenset[str] = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)
"""The suffixes, in lower case and with their dot, that `read` and `write` know."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class PictureError(ValueError):
    """A file is no picture that can be read, or pixels do not fit the format they are to be written in.

    The message is one sentence that names the file, what was found and what was expected.
    """


@dataclass(frozen=True, eq=False, repr=False)
class Picture:
    """Pixels with everything that has to survive from reading to writing.

    Parameters
    ----------
    pixels : ndarray
        Shape (H, W), (H, W, C), or (pages, H, W) and (pages, H, W, C) where `has_pages`; native byte order, the dtype
        and the values as stored. Upright: an EXIF orientation has been applied.
    format : str
        "PNG", "JPEG", "WebP", "BMP", "TIFF" or "FITS"; empty for a picture that was made, not read.
    has_pages : bool
        Whether axis 0 counts pages.
    has_alpha : bool
        Whether the last channel is opacity.
    icc_profile : bytes, optional
        The ICC colour profile.
    exif : bytes, optional
        The EXIF block, from its byte-order mark on (``II`` or ``MM``), with the orientation set to 1.
    xmp : bytes, optional
        The XMP packet.
    dpi : tuple of float, optional
        Dots per inch, (x, y).
    text : mapping of str to str
        PNG text chunks, the JPEG comment ("Comment"), the text tags of TIFF under the PNG keywords ("Title",
        "Description", "Software", "Author", "Copyright", "Creation Time").
    header : astropy.io.fits.Header, optional
        The FITS header.
    extras : mapping
        What only the picture's own format can hold: PNG colour chunks, TIFF axes, tags, ImageJ and OME metadata.

    Examples
    --------
    >>> import numpy as np
    >>> Picture(np.zeros((3, 4), np.uint8))
    Picture(4 x 3, 1 channel, uint8)
    """

    pixels: np.ndarray
    format: str = ""
    has_pages: bool = False
    has_alpha: bool = False
    icc_profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    text: Mapping[str, str] = field(default_factory=dict)
    header: Any = None
    extras: Mapping[str, Any] = field(default_factory=dict)

    @property
    def channels(self) -> int:
        """The number of channels, alpha included; 1 for gray."""
        return int(self.pixels.shape[-1]) if self.pixels.ndim == 3 + self.has_pages else 1

    @property
    def pages(self) -> int:
        """The number of pages; 1 where there is no page axis."""
        return int(self.pixels.shape[0]) if self.has_pages else 1

    def __repr__(self) -> str:
        height, width = self.pixels.shape[1:3] if self.has_pages else self.pixels.shape[:2]
        parts = [f"{width} x {height}", f"{self.channels} channel{'s' * (self.channels > 1)}", str(self.pixels.dtype)]
        if self.format:
            parts.insert(0, self.format)
        if self.has_pages:
            parts.append(f"{self.pages} pages")
        if self.has_alpha:
            parts.append("alpha")
        return f"Picture({', '.join(parts)})"


def is_picture(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is a file whose suffix `read` knows; hidden files are left out.

    Parameters
    ----------
    path : path-like
        The path to judge. The file is not opened.

    Returns
    -------
    bool
        True for an existing, visible file with a suffix of `SUPPORTED`.

    Examples
    --------
    >>> is_picture("no/such/file.png")
    False
    """
    path = Path(path)
    return path.suffix.lower() in SUPPORTED and not path.name.startswith(".") and path.is_file()


def format_of_suffix(path: Path) -> str:
    """Return the format a path's suffix stands for, or raise `PictureError`."""
    suffix = path.suffix.lower()
    for name, suffixes in FORMATS.items():
        if suffix in suffixes:
            return name
    found = f"the suffix {path.suffix!r}" if suffix else "no suffix"
    raise PictureError(f"{path} has {found}; pictures are written as {', '.join(sorted(SUPPORTED))}")


_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"SIMPLE  =", "FITS"),
)

_STRANGERS = (
    (b"GIF8", "a GIF"),
    (b"%PDF", "a PDF"),
    (b"PK\3\4", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x93NUMPY", "a NumPy file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\xff\x0a", "a JPEG XL"),
    (b"\0\0\0\x0cjP", "a JPEG 2000"),
    (b"<", "a text of HTML, XML or SVG"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file it stands for"),
)


def format_of_content(start: bytes) -> str:
    """Return the format that a file's first bytes show, or raise `PictureError`."""
    for signature, name in _SIGNATURES:
        if start.startswith(signature):
            return name
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WebP"
    found = next((name for signature, name in _STRANGERS if start.startswith(signature)), None)
    if found is None and start[4:8] == b"ftyp":
        found = "an HEIF, AVIF or video file"
    if found is None:
        found = f"no picture (it starts with the bytes {start[:8].hex(' ')})"
    raise PictureError(f"it is {found}; expected {', '.join(FORMATS)}")


def check_size(shape: tuple[int, ...], channels: int, limit: int) -> None:
    """Refuse a picture that claims more than `limit` pixels.

    Channels above four count as pixels too, so that a lie about channels is no way around the limit.
    """
    pixels = 1
    for length in shape:
        pixels *= int(length)
    claimed = pixels * max(1, -(-channels // 4))
    if pixels < 1:
        raise PictureError(f"its header claims the size {' x '.join(map(str, shape))}, which has no pixels")
    if claimed > limit:
        size = " x ".join(str(length) for length in shape)
        many = f" with {channels} channels" if channels > 4 else ""
        raise PictureError(
            f"its header claims {size}{many}, {claimed} pixels, more than the limit of {limit}; "
            "pass a larger max_pixels if that is right"
        )
