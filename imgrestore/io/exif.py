"""EXIF orientation: read it, apply it to pixels, reset it in the metadata without touching any other byte."""

from __future__ import annotations

import re
import struct

import numpy as np

_ORIENTATION = 0x0112
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>)\s*)[2-8]")


def strip_prefix(exif: bytes | None) -> bytes | None:
    """Return an EXIF block without the JPEG marker text before its byte-order mark; None when it is empty."""
    if exif and exif.startswith(b"Exif\0\0"):
        exif = exif[6:]
    return exif or None


def _place_of_orientation(exif: bytes) -> tuple[int, str] | None:
    """Return the offset of the orientation value and the byte order, or None where there is no such tag."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(order + "HH", exif, entry)
            if (tag, kind) == (_ORIENTATION, 3) and entry + 10 <= len(exif):
                return entry + 8, order
    except struct.error:  # a damaged block has no orientation to apply
        pass
    return None


def orientation_of(exif: bytes | None) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none or it makes no sense."""
    place = _place_of_orientation(exif) if exif else None
    if exif is None or place is None:
        return 1
    (value,) = struct.unpack_from(place[1] + "H", exif, place[0])
    return value if 1 <= value <= 8 else 1


def reset_orientation(exif: bytes | None) -> bytes | None:
    """Return the EXIF block with its orientation set to 1."""
    place = _place_of_orientation(exif) if exif else None
    if exif is None or place is None:
        return exif
    changed = bytearray(exif)
    # Patched in place: writing the block anew would move maker notes, whose inner offsets are absolute.
    struct.pack_into(place[1] + "H", changed, place[0], 1)
    return bytes(changed)


def reset_xmp_orientation(xmp: bytes | None) -> bytes | None:
    """Return the XMP packet with its orientation set to 1."""
    return _XMP_ORIENTATION.sub(rb"\g<1>1", xmp) if xmp else xmp


def turn_upright(pixels: np.ndarray, orientation: int, has_pages: bool) -> np.ndarray:
    """Return pixels (..., H, W[, C]) as they are to be seen, for an EXIF orientation of 1 to 8."""
    rows, columns = (1, 2) if has_pages else (0, 1)
    if orientation >= 5:
        pixels = pixels.swapaxes(rows, columns)
    if orientation in (2, 3, 6, 7):
        pixels = np.flip(pixels, columns)
    if orientation in (3, 4, 7, 8):
        pixels = np.flip(pixels, rows)
    return pixels
