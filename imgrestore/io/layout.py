"""Which axis is what: pages, rows, columns, channels, alpha; and what a format can take of it."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np

from .picture import Picture, PictureError

_ICC_SPACES = {1: b"GRAY", 2: b"GRAY", 3: b"RGB ", 4: b"RGB "}


def assemble(pixels: np.ndarray | Picture, like: Picture | None) -> Picture:
    """Return the picture to be written: the pixels, with the metadata of `like`.

    Without `like` of the same number of axes, a last axis of 1 to 4 is channels, a longer one is not and axis 0 then
    counts pages; 2 and 4 channels have alpha last.
    """
    if isinstance(pixels, Picture):
        array, has_pages, has_alpha = np.asarray(pixels.pixels), pixels.has_pages, pixels.has_alpha
        like = pixels if like is None else like
    else:
        array = np.asarray(pixels)
        same = like is not None and like.pixels.ndim == array.ndim
        has_pages = like.has_pages if like is not None and same else _looks_like_pages(array)
        channels = array.shape[-1] if array.ndim == 3 + has_pages else 1
        has_alpha = channels in (2, 4)
        if like is not None and same and like.channels == channels:
            has_alpha = like.has_alpha
    if array.ndim not in ((3, 4) if has_pages else (2, 3)):
        expected = "(pages, H, W[, C])" if has_pages else "(H, W), (H, W, C), (pages, H, W) or (pages, H, W, C)"
        raise PictureError(f"the pixels have the shape {array.shape}, expected {expected}")
    if array.size == 0:
        raise PictureError(f"the pixels have the shape {array.shape}, which is empty")
    if array.dtype.kind not in "buif":
        raise PictureError(f"the pixels have the dtype {array.dtype}, expected integers, floats or bool")
    if array.ndim == 3 + has_pages and array.shape[-1] == 1:
        array = array[..., 0]
    array = array.astype(array.dtype.newbyteorder("="), copy=False)

    extras = dict(like.extras) if like is not None else {}
    if like is not None:
        deep = like.pixels.dtype == np.uint16 or like.pixels.dtype.kind == "f"
        extras["float_bits"] = 16 if deep else 8
    base = like if like is not None else Picture(array)
    return dataclasses.replace(base, pixels=array, has_pages=has_pages, has_alpha=has_alpha, extras=extras)


def assemble_one(pixels: np.ndarray, like: Picture | None) -> Picture:
    """Return the picture to be written of pixels (H, W) or (H, W, C), which are no pages however many channels."""
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    known = like is not None and like.channels == channels
    has_alpha = like.has_alpha if like is not None and known else channels in (2, 4)
    return assemble(Picture(pixels, has_alpha=has_alpha), like)


def _looks_like_pages(array: np.ndarray) -> bool:
    return array.ndim >= 4 or (array.ndim == 3 and array.shape[-1] > 4)


def without_pages(picture: Picture, format: str) -> np.ndarray:
    """Return the pixels of the only page, or raise `PictureError`."""
    if not picture.has_pages:
        return picture.pixels
    if picture.pages > 1:
        raise PictureError(
            f"{format} holds one page and the pixels {picture.pixels.shape} are {picture.pages} pages; "
            "write TIFF or FITS, or each page to its own file"
        )
    return picture.pixels[0]


def channels_last(pixels: np.ndarray, picture: Picture, format: str) -> np.ndarray:
    """Return C-contiguous pixels of gray, gray + alpha, RGB or RGBA, or raise `PictureError`."""
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if channels > 4 or (channels in (2, 4) and not picture.has_alpha):
        raise PictureError(
            f"{format} holds gray or RGB, each with alpha or without, and the pixels {pixels.shape} are {channels} "
            "channels without alpha; write TIFF"
        )
    return np.ascontiguousarray(pixels)


def without_alpha(pixels: np.ndarray, format: str) -> np.ndarray:
    """Drop the alpha of uint8 pixels for a format without it, with a warning where it says something."""
    if pixels.ndim == 2 or pixels.shape[2] == 3:
        return pixels
    if (pixels[..., -1] != 255).any():
        warnings.warn(f"{format} has no alpha: the transparency of the picture was dropped", UserWarning, stacklevel=2)
    colours = pixels[..., :-1]
    return np.ascontiguousarray(colours[..., 0] if colours.shape[2] == 1 else colours)


def fitting_icc(picture: Picture, channels: int) -> bytes | None:
    """Return the ICC profile if it is for this number of channels; warn and return None if it is for another."""
    profile = picture.icc_profile
    if not profile:
        return None
    space = profile[16:20]
    expected = _ICC_SPACES.get(channels)
    if expected is None or space in (expected, b"Lab ", b"XYZ ") or space not in (b"GRAY", b"RGB ", b"CMYK"):
        return profile
    warnings.warn(
        f"the ICC profile is for {space.decode('latin-1').strip()} and the picture written has {channels} "
        f"channel{'s' * (channels > 1)}; the profile was left out",
        UserWarning,
        stacklevel=2,
    )
    return None
