"""TIFF: tifffile reads and writes; Pillow decodes the compressions that tifffile needs another library for."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .exif import orientation_of, reset_orientation, reset_xmp_orientation, turn_upright
from .layout import fitting_icc
from .picture import Picture, PictureError, check_size
from .png import two_bytes
from .tiff_tags import append_exif, dpi_of, exif_of, kept_tags, tags_to_write, text_of

_PALETTE, _MINISWHITE, _RGB = 3, 0, 2
_GRAY = 1


def read_tiff(path: Path, limit: int) -> Picture:
    """Decode a TIFF file: its first series of pages of one size."""
    import tifffile

    check_chain(path)
    with tifffile.TiffFile(path) as tif:
        if not tif.pages or not tif.series:
            raise PictureError("it is damaged: the TIFF has no pages")
        series = tif.series[0]
        page = series.keyframe
        check_size(
            tuple(n for n, axis in zip(series.shape, series.axes, strict=True) if axis != "S"),
            int(page.samplesperpixel),
            limit,
        )
        check_bytes(series, page, path.stat().st_size)
        left_out = sum(1 for other in tif.series[1:] if other.kind != "thumbnail" and not other.keyframe.is_reduced)
        if left_out:
            warnings.warn(
                f"{path} holds {left_out + 1} series of pages of different kinds; the first was read",
                UserWarning,
                stacklevel=3,
            )
        upright = False
        try:
            stored = series.asarray()
        except (ValueError, KeyError) as error:
            if "imagecodecs" not in str(error):
                raise
            stored, upright = _decode_by_pillow(path, series), True
        pixels, has_pages, shape = _pages_first(stored, series.axes)
        pixels, alpha = as_seen(pixels, page)
        if not upright:
            pixels = turn_upright(pixels, turn_of(page), has_pages)
        pixels = np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder("="), copy=False))
        stack = None if shape is None else (shape, series.axes.replace("S", ""))
        return with_metadata(pixels, path, tif, page, alpha=alpha, stack=stack, has_pages=has_pages)


def turn_of(page: Any) -> int:
    """Return a page's orientation, 1 to 8."""
    tag = page.tags.get(274)
    return int(tag.value) if tag is not None and tag.value in range(1, 9) else 1


def with_metadata(
    pixels: np.ndarray,
    path: Path,
    tif: Any,
    page: Any,
    *,
    alpha: int | None,
    stack: tuple[tuple[int, ...], str] | None = None,
    has_pages: bool = False,
    is_one: bool = True,
) -> Picture:
    """Return a picture of upright pixels with all that the page tells besides.

    `alpha` is the kind of alpha, None without; `stack` the shape and the axes of a stack that has its own;
    `is_one` is False for one page of several, of which OME metadata would tell.
    """
    turn, dpi = turn_of(page), dpi_of(page)
    exif = exif_of(path, page)
    xmp, icc = (None if tag is None else _bytes_of(tag.value) for tag in map(page.tags.get, (700, 34675)))
    extras: dict[str, Any] = {"tiff_tags": kept_tags(page), "photometric": int(page.photometric)}
    extras["tiff_size"] = (int(page.imagelength), int(page.imagewidth))
    if alpha is not None:
        extras["extrasample"] = alpha
    if tif.is_imagej and tif.imagej_metadata:
        extras["imagej"] = dict(tif.imagej_metadata)
    if is_one and tif.is_ome and tif.ome_metadata:
        extras["ome"] = tif.ome_metadata
    if stack is not None:
        extras["stack"] = stack
    return Picture(
        pixels,
        format="TIFF",
        has_pages=has_pages,
        has_alpha=alpha is not None,
        icc_profile=icc or None,
        exif=reset_orientation(exif) if orientation_of(exif) != 1 else exif,
        xmp=reset_xmp_orientation(xmp or None),
        dpi=(dpi[::-1] if turn >= 5 else dpi) if dpi else None,
        text=text_of(page),
        extras=extras,
    )


def write_tiff(picture: Picture, stream: BinaryIO, quality: int | None) -> None:
    """Encode as uncompressed TIFF of the pixels' own dtype; ImageJ and OME files stay such where shape and type do."""
    import tifffile

    pixels = picture.pixels
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    shape, options = how_to_write(picture, pixels.dtype)
    tifffile.imwrite(stream, pixels.reshape(shape), **options)
    if picture.exif:
        append_exif(stream, picture.exif)


def how_to_write(picture: Picture, dtype: np.dtype) -> tuple[tuple[int, ...], dict[str, Any]]:
    """Return the shape that tifffile is to write a picture in, and its keywords."""
    shape: tuple[int, ...] = picture.pixels.shape
    if dtype == np.longdouble and dtype.itemsize > 8:
        raise PictureError(f"TIFF cannot store {dtype} pixels; convert them to float64")
    options = _layout_options(picture)
    icc = fitting_icc(picture, picture.channels if picture.channels <= 4 else 3)
    if icc:
        options["iccprofile"] = icc
    if picture.dpi:
        options["resolution"], options["resolutionunit"] = picture.dpi, 2
    options["extratags"] = tags_to_write(picture, shape[picture.has_pages :][:2])

    imagej = picture.extras.get("imagej")
    ome = picture.extras.get("ome")
    stack, axes = picture.extras.get("stack", (None, ""))
    same_stack = stack is None or (picture.has_pages and int(np.prod(stack)) == shape[0])
    if imagej and same_stack and dtype in (np.uint8, np.uint16, np.float32) and picture.channels in (1, 3, 4):
        computed = ("ImageJ", "images", "channels", "slices", "frames", "hyperstack", "axes")
        metadata = {name: value for name, value in imagej.items() if name not in computed}
        if stack is not None and set(axes) <= set("TZCYX"):
            shape = (*stack, *shape[1:])
            metadata["axes"] = axes + ("S" if picture.channels > 1 else "")
        options.pop("description", None)
        options.pop("planarconfig", None)
        return shape, {"imagej": True, "metadata": metadata, **options}
    if ome and same_stack and f'Type="{_ome_type(dtype)}"' in ome and _sizes_fit(ome, picture):
        options["description"] = ome.encode()
    return shape, {"metadata": None, **options}


def _layout_options(picture: Picture) -> dict[str, Any]:
    channels = picture.channels
    photometric = picture.extras.get("photometric", _GRAY)
    if channels == 1:
        options: dict[str, Any] = {"photometric": "minisblack"}
    elif channels == 2 and picture.has_alpha:
        options = {"photometric": "minisblack", "planarconfig": "contig"}
    elif photometric == 5 and channels >= 4 and not picture.has_alpha and picture.extras.get("tiff_size"):
        options = {"photometric": "separated", "planarconfig": "contig"}
    elif channels in (3, 4) and (channels == 3 or picture.has_alpha):
        options = {"photometric": "rgb", "planarconfig": "contig"}
    else:
        options = {"photometric": "minisblack", "planarconfig": "contig"}
    base = {"minisblack": 1, "rgb": 3, "separated": 4}[options["photometric"]]
    if channels > base:
        alpha = [picture.extras.get("extrasample", 2)] if picture.has_alpha else []
        options["extrasamples"] = [0] * (channels - base - len(alpha)) + alpha
    options["software"] = False
    return options


def check_chain(path: Path) -> None:
    """Refuse a file whose list of pages leads behind its end; tifffile would read the pages before it only."""
    size = path.stat().st_size
    with open(path, "rb") as stream:
        header = stream.read(16).ljust(16, b"\0")
        order = "<" if header[:2] == b"II" else ">"
        big = header[2:4] in (b"+\0", b"\0+")
        count, offset, entry = ("Q", "Q", 20) if big else ("H", "I", 12)
        (place,) = struct.unpack_from(order + offset, header, 8 if big else 4)
        seen: set[int] = set()
        while place and place not in seen:
            seen.add(place)
            stream.seek(place)
            start = stream.read(struct.calcsize(order + count))
            tags = struct.unpack(order + count, start)[0] if len(start) == struct.calcsize(order + count) else 0
            following = place + len(start) + tags * entry
            stream.seek(min(following, size))
            end = stream.read(struct.calcsize(order + offset))
            if len(end) < struct.calcsize(order + offset):
                raise PictureError(
                    f"it is truncated or damaged: the directory of page {len(seen) - 1} of the TIFF should lie at byte "
                    f"{place} and the file stops at byte {size}"
                )
            (place,) = struct.unpack(order + offset, end)


def check_bytes(series: Any, page: Any, size: int) -> None:
    """Refuse a file whose pixel data would lie behind its end, or are fewer than its header says."""
    for number, part in enumerate(series.pages):
        if part is None:
            continue
        for offset, count in zip(part.dataoffsets, part.databytecounts, strict=False):
            if offset + count > size:
                raise PictureError(
                    f"it is truncated or damaged: page {number} of the TIFF has pixel data up to byte {offset + count} "
                    f"and the file stops at byte {size}"
                )
        counts = part.databytecounts
        bits = page.bitspersample if isinstance(page.bitspersample, int) else min(page.bitspersample)
        expected = (int(page.size) * bits + 7) // 8
        if page.compression == 1 and sum(counts) < expected and all(counts):
            raise PictureError(
                f"it is damaged: page {number} of the TIFF has {sum(counts)} bytes of pixel data, expected {expected}"
            )
        if not counts:
            raise PictureError(f"it is damaged: page {number} of the TIFF has no pixel data")
    if series.dataoffset is not None and series.dataoffset + series.nbytes > size:
        raise PictureError(
            f"it is truncated: the stack in the TIFF ends at byte {series.dataoffset + series.nbytes} and the file "
            f"stops at byte {size}"
        )


def _decode_by_pillow(path: Path, series: Any) -> np.ndarray:
    """Decode LZW, JPEG and the like with Pillow's libtiff; the pages come upright."""
    from PIL.TiffImagePlugin import TiffImageFile

    page = series.keyframe
    decoded = []
    with open(path, "rb") as stream, open(path, "rb") as again:
        image, twin = TiffImageFile(stream), TiffImageFile(again)
        for part in series.pages:
            image.seek(part.index)
            twin.seek(part.index)
            decoded.append(pillow_array(image, twin, page))
    stack = np.stack(decoded)
    upright_shape = stack.shape[1:3]
    if len(series.pages) == 1:
        return stack[0]
    leading = tuple(n for n, axis in zip(series.shape, series.axes, strict=True) if axis not in "YXS")
    return stack.reshape(*leading, *upright_shape, *stack.shape[3:])


def pillow_array(image: Any, twin: Any, page: Any) -> np.ndarray:
    """Return what Pillow decodes of a picture that was opened twice; `page` tells what it has to be."""
    wide = page.dtype == np.uint16 and page.samplesperpixel in (3, 4)
    if wide and page.planarconfig == 1:
        decoded = two_bytes(image, twin, {"<": "L", ">": "B"}[_byte_order(image)])
    else:
        decoded = np.array(image)
    samples = decoded.shape[2] if decoded.ndim == 3 else 1
    holds = page.dtype is not None and decoded.dtype == page.dtype and samples == page.samplesperpixel
    if not holds and page.dtype != bool and page.photometric != _PALETTE:
        known = getattr(page.compression, "name", "unknown")
        raise PictureError(
            f"its TIFF compression {known} ({int(page.compression)}) with {page.samplesperpixel} samples of "
            f"{page.dtype} cannot be decoded without the package imagecodecs: pip install imagecodecs"
        )
    return decoded


def _byte_order(image: Any) -> str:
    """Return the order that Pillow's raw mode names: libtiff hands samples over in the machine's own."""
    import sys

    codec, _, _, args = image.tile[0]
    mode = args if isinstance(args, str) else args[0]
    if mode.endswith("N") or codec == "libtiff":
        return "<" if sys.byteorder == "little" else ">"
    return "<" if mode.endswith("L") else ">"


def _pages_first(stored: np.ndarray, axes: str) -> tuple[np.ndarray, bool, tuple[int, ...] | None]:
    """Return pixels as (H, W[, C]) or (pages, H, W[, C]), and the shape of the stack where it has its own axes."""
    if "Y" not in axes or "X" not in axes:
        raise PictureError(f"its TIFF axes are {axes} with the shape {stored.shape}, expected rows Y and columns X")
    if stored.ndim != len(axes):  # decoded by Pillow: samples are last already
        axes = axes.replace("S", "") + ("S" if "S" in axes else "")
    if "S" in axes and axes.index("S") != len(axes) - 1:
        stored = np.moveaxis(stored, axes.index("S"), -1)
        axes = axes.replace("S", "") + "S"
    if "S" in axes and stored.shape[-1] == 1:
        stored, axes = stored[..., 0], axes.replace("S", "")
    others = [place for place, axis in enumerate(axes) if axis not in "YXS"]
    order = [*others, axes.index("Y"), axes.index("X"), *([axes.index("S")] if "S" in axes else [])]
    stored = stored.transpose(order)
    stack = stored.shape[: len(others)]
    if not others:
        return stored, False, None
    if int(np.prod(stack)) == 1:
        return stored.reshape(stored.shape[len(others) :]), False, None
    return stored.reshape(-1, *stored.shape[len(others) :]), True, stack


def as_seen(pixels: np.ndarray, page: Any) -> tuple[np.ndarray, int | None]:
    """Expand palettes and few bits, make 0 black; return the pixels and the kind of alpha, None without."""
    bits = page.bitspersample if isinstance(page.bitspersample, int) else 8
    if page.photometric == _PALETTE and page.colormap is not None:
        table = np.asarray(page.colormap).T
        if (table % 257 == 0).all() or (table % 256 == 0).all():  # two ways to widen 8 bits to 16
            table = (table >> 8).astype(np.uint8)
        return table[np.minimum(pixels, len(table) - 1)] if pixels.ndim == 2 or pixels.shape[-1] > 4 else pixels, None
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    elif pixels.dtype == np.uint8 and bits < 8:
        pixels = (pixels.astype(np.uint16) * 255 // (2**bits - 1)).astype(np.uint8)
    if page.photometric == _MINISWHITE and pixels.dtype.kind == "u":
        pixels = np.iinfo(pixels.dtype).max - pixels
    samples, extra = int(page.samplesperpixel), tuple(int(kind) for kind in page.extrasamples)
    if page.photometric == _RGB and samples == 4:
        return pixels, extra[-1] if extra else 0  # many programs do not declare what the fourth is
    if samples > 1 and extra and extra[-1] in (1, 2):
        return pixels, extra[-1]
    return pixels, None


def _bytes_of(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    return bytes(value)


def _ome_type(dtype: np.dtype) -> str:
    return {"float32": "float", "float64": "double"}.get(dtype.name, dtype.name)


def _sizes_fit(ome: str, picture: Picture) -> bool:
    height, width = picture.pixels.shape[picture.has_pages :][:2]
    return f'SizeX="{width}"' in ome and f'SizeY="{height}"' in ome
