"""The TIFF tags that are carried from reading to writing: text, resolution, georeference, EXIF."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from .exif import strip_prefix
from .picture import Picture

_TEXT_TAGS = {
    "Title": 269,
    "Description": 270,
    "Software": 305,
    "Creation Time": 306,
    "Author": 315,
    "Copyright": 33432,
}
_CAMERA_TAGS = (271, 272, 316)  # make, model, host computer
_OPAQUE_TAGS = (33723, 34377)  # IPTC, Photoshop
_PLACE_TAGS = (33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113)  # GeoTIFF and GDAL: bound to the size
_EXIF, _GPS = 34665, 34853
_INTEROPERABILITY = 40965  # an offset into the old file


def text_of(page: Any) -> dict[str, str]:
    """Return the text tags of a page, without descriptions that belong to a program."""
    found = {}
    for name, code in _TEXT_TAGS.items():
        tag = page.tags.get(code)
        value = tag.value if tag is not None else None
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if not isinstance(value, str) or not value:
            continue
        if name == "Description" and (page.is_imagej or page.is_ome or page.is_shaped):
            continue
        if value.startswith("tifffile.py"):
            continue
        found[name] = value
    return found


def kept_tags(page: Any) -> tuple[tuple[int, int, int, Any], ...]:
    """Return (code, type, count, value) of the tags that are kept as they are."""
    kept = []
    for code in (*_CAMERA_TAGS, *_OPAQUE_TAGS, *_PLACE_TAGS):
        tag = page.tags.get(code)
        if tag is not None and isinstance(tag.value, (str, bytes, int, float, tuple)):
            kept.append((code, int(tag.dtype), int(tag.count), tag.value))
    return tuple(kept)


def dpi_of(page: Any) -> tuple[float, float] | None:
    """Return the resolution in dots per inch; None where the file gives none or one without a unit."""
    unit = page.tags.get(296)
    scale = {2: 1.0, 3: 2.54}.get(int(unit.value) if unit is not None else 2)
    values = [page.tags.get(code) for code in (282, 283)]
    if scale is None or None in values:
        return None
    dots = []
    for tag in values:
        numerator, denominator = tag.value if isinstance(tag.value, tuple) else (tag.value, 1)
        if not denominator or not numerator:
            return None
        dots.append(numerator / denominator * scale)
    return dots[0], dots[1]


def tags_to_write(picture: Picture, size: tuple[int, ...]) -> list[tuple[int, int, int, Any, bool]]:
    """Return tifffile's extratags for a picture of `size` rows and columns."""
    tags: list[tuple[int, int, int, Any, bool]] = []
    for name, code in _TEXT_TAGS.items():
        text: Mapping[str, str] = picture.text
        value = text.get(name) or (text.get("Comment") if name == "Description" else None)
        if value and not (code == 270 and ("imagej" in picture.extras or "ome" in picture.extras)):
            tags.append((code, 2, 0, value.encode(), True))
    for code, kind, count, value in picture.extras.get("tiff_tags", ()):
        if code in _PLACE_TAGS and picture.extras.get("tiff_size") != tuple(size):
            continue
        tags.append((code, kind, count, value.encode() if isinstance(value, str) else value, True))
    present = {tag[0] for tag in tags}
    for code, text_value in _first_directory(picture.exif).items():
        if code in (*_CAMERA_TAGS, 306, 315, 33432) and code not in present and isinstance(text_value, str):
            tags.append((code, 2, 0, text_value.encode(), True))
    if picture.xmp:
        tags.append((700, 1, len(picture.xmp), picture.xmp, True))
    return tags


def _first_directory(exif: bytes | None) -> dict[int, Any]:
    from PIL import Image

    block = Image.Exif()
    with contextlib.suppress(Exception):  # a broken block says nothing
        block.load(exif or b"")
    return dict(block)


def exif_of(path: Path, page: Any) -> bytes | None:
    """Return the EXIF and GPS directories of a TIFF as a block of their own; None without, or when they are broken."""
    if _EXIF not in page.tags and _GPS not in page.tags:
        return None
    from PIL import Image
    from PIL.TiffImagePlugin import TiffImageFile

    with contextlib.suppress(Exception), open(path, "rb") as stream:
        source = TiffImageFile(stream).getexif()
        block = Image.Exif()
        for code in (*_CAMERA_TAGS, *_TEXT_TAGS.values()):
            if code in source:
                block[code] = source[code]
        found = {code: directory for code in (_EXIF, _GPS) if (directory := source.get_ifd(code))}
        for code, directory in found.items():
            block.get_ifd(code).update(directory)
        return strip_prefix(block.tobytes()) if found else None
    return None


def append_exif(stream: BinaryIO, exif: bytes) -> None:
    """Put the EXIF and GPS directories of a block behind the pixels of a TIFF just written.

    tifffile writes no such directories, so the list of tags of the first page is written anew, with them, at the end.
    BigTIFF is left as it is.
    """
    from PIL import Image

    block = Image.Exif()
    with contextlib.suppress(Exception):  # a broken block is left out, like an empty one
        block.load(exif)
    stream.seek(0)
    start = stream.read(8)
    order = "<" if start[:2] == b"II" else ">"
    magic, place = struct.unpack(order + "HI", start[2:])
    if magic != 42:
        return
    stream.seek(place)
    (count,) = struct.unpack(order + "H", stream.read(2))
    entries = [stream.read(12) for _ in range(count)]
    following = stream.read(4)
    for code in (_EXIF, _GPS):
        directory = block.get_ifd(code)
        if directory:
            entries.append(struct.pack(order + "HHII", code, 4, 1, _append_directory(stream, directory, order)))
    if len(entries) == count:
        return
    entries.sort(key=lambda entry: struct.unpack(order + "H", entry[:2]))
    place = _even_end(stream)
    stream.write(struct.pack(order + "H", len(entries)) + b"".join(entries) + following)
    stream.seek(4)
    stream.write(struct.pack(order + "I", place))


def _append_directory(stream: BinaryIO, entries: Mapping[int, Any], order: str) -> int:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    directory = ImageFileDirectory_v2(prefix=b"II" if order == "<" else b"MM")
    for code, value in entries.items():
        if code != _INTEROPERABILITY and not isinstance(value, dict):
            with contextlib.suppress(Exception):  # a value of a kind Pillow cannot write
                directory[code] = value
    place = _even_end(stream)
    stream.write(directory.tobytes(place))
    return place


def _even_end(stream: BinaryIO) -> int:
    end = stream.seek(0, 2)
    if end % 2:
        stream.write(b"\0")
    return end + end % 2
