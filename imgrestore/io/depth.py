"""From any dtype to the 8 or 16 bits of an integer format, by stated rules and never in silence."""

from __future__ import annotations

import warnings

import numpy as np

from .picture import PictureError


def to_unsigned(pixels: np.ndarray, bits: int, format: str) -> np.ndarray:
    """Convert pixels to uint8 or uint16.

    - bool: False is 0, True is the largest value.
    - uint8, uint16: as they are; uint16 into 8 bits is round(v / 257), uint8 into 16 bits is v * 257.
    - float: [0, 1] is scaled to the full range and rounded to nearest; what then lies outside is clipped with a
      `UserWarning` that counts it; NaN is an error.
    - any other dtype is an error: its range is not known.
    """
    largest = 2**bits - 1
    target = np.dtype(np.uint8 if bits == 8 else np.uint16)
    if pixels.dtype == bool:
        return np.where(pixels, largest, 0).astype(target)
    if pixels.dtype == target:
        return pixels
    if pixels.dtype == np.uint16:
        return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint16) * np.uint16(257)
    if pixels.dtype.kind != "f":
        raise PictureError(
            f"{pixels.dtype} pixels cannot be stored in {format}; convert them to uint8, uint16 or float in [0, 1]"
        )
    return _round_floats(pixels, largest, target, format)


def _round_floats(pixels: np.ndarray, largest: int, target: np.dtype, format: str) -> np.ndarray:
    wide = np.promote_types(pixels.dtype, np.float32)
    levels = np.rint(pixels.astype(wide) * largest)
    missing = int(np.count_nonzero(np.isnan(levels)))
    if missing:
        raise PictureError(
            f"{missing} of {pixels.size} values are NaN, which {format} cannot store; fill them, or write TIFF or FITS"
        )
    # Counted after rounding: 1.0000001 is the largest level, not something clipped.
    outside = int(np.count_nonzero((levels < 0) | (levels > largest)))
    if outside:
        warnings.warn(
            f"{outside} of {pixels.size} values lay outside [0, 1] and were clipped to be stored in {format}",
            UserWarning,
            stacklevel=2,
        )
    return np.clip(levels, 0, largest).astype(target)
