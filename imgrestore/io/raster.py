"""JPEG, WebP and BMP, by Pillow."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from .depth import to_unsigned
from .exif import orientation_of, reset_orientation, reset_xmp_orientation, strip_prefix, turn_upright
from .layout import channels_last, fitting_icc, without_alpha, without_pages
from .picture import Picture, PictureError, check_size

_LONGEST_EXIF = 65_533 - 6  # of a JPEG marker


def read_jpeg(blob: bytes, limit: int) -> Picture:
    """Decode a JPEG file; CMYK becomes RGB."""
    from PIL.JpegImagePlugin import JpegImageFile

    image = JpegImageFile(io.BytesIO(blob))
    check_size(image.size[::-1], 1, limit)
    image.load()
    if image.mode == "CMYK":
        return _picture(_rgb_of_cmyk(image), image.info, "JPEG", icc=None)
    return _picture(np.array(image), image.info, "JPEG", icc=image.info.get("icc_profile"))


def read_webp(blob: bytes, limit: int) -> Picture:
    """Decode a WebP file; of an animation the first frame."""
    from PIL.WebPImagePlugin import WebPImageFile

    (claimed,) = struct.unpack_from("<I", blob, 4)
    if claimed + 8 > len(blob):
        raise PictureError(f"it is truncated: the WebP claims {claimed + 8} bytes and the file has {len(blob)}")
    if blob[12:16] == b"VP8X":  # the decoder allocates the canvas as soon as it is made
        width, height = (int.from_bytes(blob[place : place + 3], "little") + 1 for place in (24, 27))
        check_size((height, width), 1, limit)
    image = WebPImageFile(io.BytesIO(blob))
    check_size(image.size[::-1], 1, limit)
    if getattr(image, "is_animated", False):
        warnings.warn("the animated WebP was read as its first frame only", UserWarning, stacklevel=3)
    if image.mode == "RGBX":
        return _picture(np.array(image.convert("RGB")), image.info, "WebP", icc=image.info.get("icc_profile"))
    return _picture(np.array(image), image.info, "WebP", icc=image.info.get("icc_profile"))


def read_bmp(blob: bytes, limit: int) -> Picture:
    """Decode a BMP file; palettes are expanded."""
    from PIL.BmpImagePlugin import BmpImageFile

    image: Any = BmpImageFile(io.BytesIO(blob))
    check_size(image.size[::-1], 1, limit)
    if image.mode not in ("L", "RGB", "RGBA"):
        image.load()
        image = image.convert("L" if image.mode == "1" else "RGB")
    return _picture(np.array(image), image.info, "BMP", icc=None)


def write_jpeg(picture: Picture, stream: BinaryIO, quality: int | None) -> None:
    """Encode as JPEG, without chroma subsampling; `quality` is 95 where it is None."""
    pixels = without_alpha(_eight_bits(picture, "JPEG"), "JPEG")
    options = _metadata(picture, pixels)
    if picture.dpi:
        options["dpi"] = picture.dpi
    if "Comment" in picture.text:
        options["comment"] = picture.text["Comment"].encode()[:65_000]
    if options.get("exif"):
        if len(options["exif"]) > _LONGEST_EXIF:
            warnings.warn("the EXIF block is too long for JPEG and was left out", UserWarning, stacklevel=2)
            del options["exif"]
        else:
            options["exif"] = b"Exif\0\0" + options["exif"]
    if len(options.get("xmp", b"")) > 65_000:
        warnings.warn("the XMP packet is too long for JPEG and was left out", UserWarning, stacklevel=2)
        del options["xmp"]
    if max(pixels.shape[:2]) > 65_535:
        raise PictureError(f"JPEG holds at most 65535 pixels a side and the picture is {pixels.shape[:2]}; write TIFF")
    _save(pixels, stream, "jpeg", quality=95 if quality is None else quality, subsampling=0, **options)


def write_webp(picture: Picture, stream: BinaryIO, quality: int | None) -> None:
    """Encode as WebP: lossless where `quality` is None."""
    pixels = _eight_bits(picture, "WebP")
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if channels < 3:  # WebP has colour only
        gray = pixels.reshape(*pixels.shape[:2], channels)
        pixels = np.ascontiguousarray(np.concatenate([gray[..., [0, 0, 0]], gray[..., 1:]], axis=2))
    if max(pixels.shape[:2]) > 16_383:
        raise PictureError(f"WebP holds at most 16383 pixels a side and the picture is {pixels.shape[:2]}; write TIFF")
    options = _metadata(picture, pixels)
    if quality is None:
        _save(pixels, stream, "webp", lossless=True, exact=True, **options)
    else:
        _save(pixels, stream, "webp", quality=quality, **options)


def write_bmp(picture: Picture, stream: BinaryIO, quality: int | None) -> None:
    """Encode as BMP, which holds neither alpha nor metadata but the resolution."""
    pixels = without_alpha(_eight_bits(picture, "BMP"), "BMP")
    _save(pixels, stream, "bmp", **({"dpi": picture.dpi} if picture.dpi else {}))


def _picture(pixels: np.ndarray, info: Mapping[Any, Any], format: str, icc: bytes | None) -> Picture:
    exif = strip_prefix(info.get("exif"))
    turn = orientation_of(exif)
    dpi = info.get("dpi")
    comment = info.get("comment")
    xmp = info.get("xmp")
    return Picture(
        np.ascontiguousarray(turn_upright(pixels, turn, has_pages=False)),
        format=format,
        has_alpha=pixels.ndim == 3 and pixels.shape[2] in (2, 4),
        icc_profile=icc or None,
        exif=reset_orientation(exif),
        xmp=reset_xmp_orientation(xmp or None),
        dpi=(float(dpi[turn >= 5]), float(dpi[turn < 5])) if dpi and all(dpi) else None,
        text={"Comment": comment.decode("utf-8", "replace")} if comment else {},
    )


def _rgb_of_cmyk(image: Any) -> np.ndarray:
    """Return sRGB pixels, through the ICC profile where there is one."""
    from PIL import ImageCms

    warnings.warn("the CMYK JPEG was converted to RGB", UserWarning, stacklevel=4)
    profile = image.info.get("icc_profile")
    if profile:
        try:
            converted = ImageCms.profileToProfile(
                image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            if converted is not None:
                return np.array(converted)
        except (ImageCms.PyCMSError, OSError):  # a broken profile: fall through to the plain rule
            pass
    return np.array(image.convert("RGB"))


def _eight_bits(picture: Picture, format: str) -> np.ndarray:
    return to_unsigned(channels_last(without_pages(picture, format), picture, format), 8, format)


def _metadata(picture: Picture, pixels: np.ndarray) -> dict[str, Any]:
    options = {
        "icc_profile": fitting_icc(picture, pixels.shape[2] if pixels.ndim == 3 else 1),
        "exif": picture.exif,
        "xmp": picture.xmp,
    }
    return {name: value for name, value in options.items() if value}


def _save(pixels: np.ndarray, stream: BinaryIO, format: str, **options: Any) -> None:
    from PIL import Image

    # Into memory first: some encoders ask the stream for its file number and write past Python's buffer.
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, format, **options)
    stream.write(encoded.getbuffer())
