"""FITS, by astropy."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .picture import Picture, PictureError, check_size

_COLOURS = {3: "RGB", 4: "RGBA"}


def _astropy() -> Any:
    try:
        from astropy.io import fits
    except ImportError as error:
        raise ImportError("FITS files need astropy: pip install imgrestore[fits]") from error
    return fits


def read_fits(path: Path, limit: int) -> Picture:
    """Decode the first image of a FITS file; scaled integers become floats, rows keep their order in the file."""
    fits = _astropy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # truncation is found below, and said as an error
        with fits.open(path, memmap=False, lazy_load_hdus=False) as hdus:
            images = [hdu for hdu in hdus if getattr(hdu, "is_image", False) and len(_shape(hdu)) >= 2]
            if not images:
                raise PictureError("the FITS file has no image of two or more axes")
            hdu = images[0]
            shape = _shape(hdu)
            check_size(shape, 1, limit)
            _check_bytes(hdu, shape, path.stat().st_size)
            data = np.asarray(hdu.data)
            header = hdu.header.copy()
            if hdu is not hdus[0]:
                header.extend(hdus[0].header, strip=True, unique=True)
    if len(images) > 1:
        warnings.warn(f"{path} holds {len(images)} images; the first was read", UserWarning, stacklevel=3)
    data = data.astype(data.dtype.newbyteorder("="))
    pixels = data.reshape(-1, *data.shape[-2:]) if data.ndim > 2 else data
    has_alpha = False
    if data.ndim == 3 and str(header.get("CTYPE3", "")).strip() == _COLOURS.get(data.shape[0]):
        has_alpha = data.shape[0] == 4
        return Picture(np.ascontiguousarray(np.moveaxis(data, 0, -1)), "FITS", has_alpha=has_alpha, header=header)
    if pixels.ndim == 3 and pixels.shape[0] == 1:
        pixels = pixels[0]
    extras = {"fits_shape": data.shape[:-2]} if data.ndim > 2 else {}
    return Picture(np.ascontiguousarray(pixels), "FITS", has_pages=pixels.ndim == 3, header=header, extras=extras)


def write_fits(picture: Picture, stream: BinaryIO, quality: int | None) -> None:
    """Encode as a FITS primary image; RGB and RGBA become planes that CTYPE3 names."""
    fits = _astropy()
    pixels = picture.pixels
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype == np.float16:
        pixels = pixels.astype(np.float32)
    if pixels.dtype.itemsize > 8:
        raise PictureError(f"FITS cannot store {pixels.dtype} pixels; convert them to float64")
    if picture.channels > 1:
        if picture.has_pages or picture.channels not in _COLOURS or (picture.channels == 4 and not picture.has_alpha):
            raise PictureError(
                f"FITS is written from gray, RGB, RGBA or pages of gray, not from the shape {pixels.shape}; write TIFF"
            )
        pixels = np.moveaxis(pixels, -1, 0)
    leading = picture.extras.get("fits_shape")
    if leading and pixels.ndim in (2, 3) and int(np.prod(leading)) == (pixels.shape[0] if pixels.ndim == 3 else 1):
        pixels = pixels.reshape(*leading, *pixels.shape[-2:])
    header = picture.header.copy() if picture.header is not None else fits.Header()
    if picture.channels > 1:
        header["CTYPE3"] = _COLOURS[picture.channels]
    elif str(header.get("CTYPE3", "")).strip() in _COLOURS.values():
        del header["CTYPE3"]
    if picture.header is None:
        for name, value in picture.text.items():
            line = f"{name}: {value}"
            if line.isascii() and line.isprintable():
                header.add_comment(line)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)  # header cards are written as they were found
        hdu = fits.PrimaryHDU(np.ascontiguousarray(pixels), header=header)
        fits.HDUList([hdu]).writeto(stream, output_verify="silentfix+ignore")


def _shape(hdu: Any) -> tuple[int, ...]:
    return tuple(int(length) for length in hdu.shape)


def _check_bytes(hdu: Any, shape: tuple[int, ...], size: int) -> None:
    """Refuse a file that ends before its data do; the filling of the last block may be missing."""
    place = hdu.fileinfo()
    bits = abs(int(hdu.header.get("BITPIX", 8)))
    compressed = hdu.header.get("XTENSION", "").strip() == "BINTABLE" or hasattr(hdu, "compressed_data")
    if place is None or compressed:
        return
    end = place["datLoc"] + int(np.prod(shape, dtype=object)) * bits // 8
    if end > size:
        raise PictureError(f"it is truncated: the FITS image ends at byte {end} and the file stops at byte {size}")
