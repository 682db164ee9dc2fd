"""PNG: Pillow decodes and encodes; what it cannot hold (16 bits in several channels, colour chunks) is done here."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from .depth import to_unsigned
from .exif import orientation_of, reset_orientation, reset_xmp_orientation, strip_prefix, turn_upright
from .layout import channels_last, fitting_icc, without_pages
from .picture import Picture, PictureError, check_size

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_CHUNKS = (b"cICP", b"sRGB", b"gAMA", b"cHRM", b"mDCV", b"cLLI")
_XMP_KEY = "XML:com.adobe.xmp"
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}


class _Header(NamedTuple):
    width: int
    height: int
    depth: int
    colour: int
    interlace: int


_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))  # Adam7


def read_png(blob: bytes, limit: int) -> Picture:
    """Decode a PNG file."""
    from PIL.PngImagePlugin import PngImageFile

    header, colour_chunks, key = _survey(blob, limit)
    if header.colour == 4 and header.depth == 16:
        blob = _as_rgba8(blob)
    # The class, not Image.open, whose own size limit is global and lower than ours.
    image = PngImageFile(io.BytesIO(blob))
    info: dict[Any, Any] = dict(image.info)
    if getattr(image, "is_animated", False):
        import warnings

        warnings.warn("the animated PNG was read as its first frame only", UserWarning, stacklevel=3)
    pixels = _decode(image, header, blob)
    if key is not None and header.colour != 3:
        pixels = _with_key_as_alpha(pixels, header, key)

    info.update(image.info)  # chunks behind the pixels are read with them
    exif = strip_prefix(info.get("exif"))
    turn = orientation_of(exif)
    dpi = info.get("dpi")
    xmp = info.get("xmp")
    xmp = xmp.encode() if isinstance(xmp, str) else xmp
    text: Mapping[str, str] = getattr(image, "text", {})
    return Picture(
        np.ascontiguousarray(turn_upright(pixels, turn, has_pages=False)),
        format="PNG",
        has_alpha=pixels.ndim == 3 and pixels.shape[2] in (2, 4),
        icc_profile=info.get("icc_profile") or None,
        exif=reset_orientation(exif),
        xmp=reset_xmp_orientation(xmp or None),
        dpi=(dpi[::-1] if turn >= 5 else dpi) if dpi else None,
        text={name: value for name, value in text.items() if name != _XMP_KEY},
        extras={"png_chunks": colour_chunks} if colour_chunks else {},
    )


def write_png(picture: Picture, stream: BinaryIO, quality: int | None) -> None:
    """Encode a picture of 1 to 4 channels; the depth is that of its pixels (float: see `write`)."""
    from PIL import Image

    pixels = channels_last(without_pages(picture, "PNG"), picture, "PNG")
    bits = picture.extras.get("float_bits", 8) if pixels.dtype.kind == "f" else 16 if pixels.dtype == np.uint16 else 8
    pixels = to_unsigned(pixels, bits, "PNG")
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if bits == 8:
        image = Image.fromarray(pixels)
    else:  # one pixel of the same kind, whose header and pixels are replaced below
        image = Image.new(_MODES[channels], (1, 1))

    encoded = io.BytesIO()
    image.save(encoded, "png", **_metadata(picture, channels))
    colour_chunks: tuple[tuple[bytes, bytes], ...] = picture.extras.get("png_chunks", ())
    stream.write(_SIGNATURE)
    for kind, data in _chunks(encoded.getvalue()):
        if kind == b"IHDR" and bits == 16:
            height, width = pixels.shape[:2]
            data = memoryview(struct.pack(">IIBBBBB", width, height, 16, _COLOUR_TYPES[channels], 0, 0, 0))
        if kind == b"IDAT" and bits == 16:
            for block in _compressed(pixels):
                _write_chunk(stream, kind, block)
            continue
        _write_chunk(stream, kind, data)
        if kind == b"IHDR":
            for name, value in colour_chunks:
                _write_chunk(stream, name, value)


def _metadata(picture: Picture, channels: int) -> dict[str, Any]:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for name, value in picture.text.items():
        key = str(name).encode("latin-1", "replace").decode("latin-1")[:79].strip() or "Comment"
        info.add_text(key, value)
    if picture.xmp:
        info.add_itxt(_XMP_KEY, picture.xmp.decode("utf-8", "replace"))
    options: dict[str, Any] = {"pnginfo": info}
    icc = fitting_icc(picture, channels)
    if icc:
        options["icc_profile"] = icc
    if picture.exif:
        options["exif"] = picture.exif
    if picture.dpi:
        options["dpi"] = picture.dpi
    return options


def _chunks(blob: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yield (kind, data) of every chunk, each checked whole; Pillow passes over some damage that this does not."""
    view = memoryview(blob)
    place = len(_SIGNATURE)
    while True:
        if place + 12 > len(blob):
            raise PictureError(f"it is truncated: the PNG stops at byte {len(blob)}, expected its closing IEND chunk")
        length, kind = struct.unpack_from(">I4s", blob, place)
        end = place + 12 + length
        name = kind.decode("latin-1") if kind.isalpha() else kind.hex(" ")
        if end > len(blob):
            raise PictureError(
                f"it is truncated: the PNG chunk {name} at byte {place} claims {length} bytes and the file stops at "
                f"byte {len(blob)}, expected {end}"
            )
        data = view[place + 8 : end - 4]
        if zlib.crc32(data, zlib.crc32(kind)) != struct.unpack_from(">I", blob, end - 4)[0]:
            raise PictureError(f"it is damaged: the PNG chunk {name} at byte {place} does not match its checksum")
        yield kind, data
        if kind == b"IEND":
            return
        place = end


def _write_chunk(stream: BinaryIO, kind: bytes, data: bytes | memoryview) -> None:
    stream.write(struct.pack(">I4s", len(data), kind))
    stream.write(data)
    stream.write(struct.pack(">I", zlib.crc32(data, zlib.crc32(kind))))


def _survey(blob: bytes, limit: int) -> tuple[_Header, tuple[tuple[bytes, bytes], ...], bytes | None]:
    """Check every chunk and the size; return the header, the colour chunks, and the transparent colour if any."""
    header: _Header | None = None
    colour_chunks: list[tuple[bytes, bytes]] = []
    key: bytes | None = None
    lines: list[memoryview] = []
    for kind, data in _chunks(blob):
        if header is None:
            if kind != b"IHDR" or len(data) != 13:
                raise PictureError("it is damaged: its first chunk is not the PNG header IHDR of 13 bytes")
            header = _Header(*struct.unpack(">IIBBxxB", data))
            check_size((header.height, header.width), 1, limit)
        elif kind in _COLOUR_CHUNKS and not lines:
            colour_chunks.append((kind, bytes(data)))
        elif kind == b"tRNS":
            key = bytes(data)
        elif kind == b"IDAT":
            lines.append(data)
    if header is None or not lines:
        raise PictureError("it is damaged: the PNG has no pixels, expected an IDAT chunk")
    _check_lines(header, lines)
    return header, tuple(colour_chunks), key


def _check_lines(header: _Header, chunks: list[memoryview]) -> None:
    """Refuse a PNG with fewer scan lines than its header claims, which Pillow would fill with black."""
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(header.colour)
    if samples is None:
        raise PictureError(f"it is damaged: the PNG colour type is {header.colour}, expected 0, 2, 3, 4 or 6")
    sizes = [(header.width, header.height)]
    if header.interlace:
        sizes = [
            (-(-(header.width - x) // across), -(-(header.height - y) // down))
            for x, y, across, down in _PASSES
            if header.width > x and header.height > y
        ]
    expected = sum(height * (1 + (width * samples * header.depth + 7) // 8) for width, height in sizes)
    found = 0
    inflate = zlib.decompressobj()
    for chunk in chunks:
        rest: bytes | memoryview = chunk
        while len(rest) and found < expected and not inflate.eof:
            found += len(inflate.decompress(rest, 2**20))
            rest = inflate.unconsumed_tail
    found += len(inflate.flush()) if found < expected else 0
    if found < expected:
        raise PictureError(f"it is truncated: the PNG has {found} bytes of scan lines, expected {expected}")


def _decode(image: Any, header: _Header, blob: bytes) -> np.ndarray:
    if header.colour == 3:
        return np.array(image.convert("RGBA" if "transparency" in image.info else "RGB"))
    if header.colour == 0:
        return np.array(image).astype(np.uint16) if header.depth == 16 else np.array(image.convert("L"))
    if header.depth == 8:
        return np.array(image)
    if header.colour == 4:
        return np.array(image).view(">u2").astype(np.uint16)
    return two_bytes(image, type(image)(io.BytesIO(blob)), "B")


def two_bytes(first: Any, second: Any, order: str) -> np.ndarray:
    """Return uint16 pixels from two Pillow images of the same RGB(A) file with 16 bits.

    Pillow keeps one byte of two. Which one depends on the byte order that the raw mode names: naming the right order
    ("B" or "L") gives the high bytes, naming the other gives the low ones.
    """
    high = _reopened(first, order)
    low = _reopened(second, "L" if order == "B" else "B")
    return (high.astype(np.uint16) << 8) | low


def _reopened(image: Any, order: str) -> np.ndarray:
    tiles = []
    for codec, extents, offset, args in image.tile:
        mode = args if isinstance(args, str) else args[0]
        mode = mode.rpartition(";")[0] + ";16" + order
        parts = (codec, extents, offset, mode if isinstance(args, str) else (mode, *args[1:]))
        kind = type(image.tile[0])
        tiles.append(parts if kind is tuple else kind(*parts))  # older Pillow has plain tuples
    image.tile = tiles
    return np.array(image)


def _as_rgba8(blob: bytes) -> bytes:
    """Return a PNG of 16-bit gray and alpha relabelled as 8-bit RGBA: the same bytes, filters and interlacing."""
    start = len(_SIGNATURE) + 4
    header = bytearray(blob[start : start + 17])
    header[12:14] = bytes((8, 6))
    return blob[:start] + header + struct.pack(">I", zlib.crc32(header)) + blob[start + 21 :]


def _with_key_as_alpha(pixels: np.ndarray, header: _Header, key: bytes) -> np.ndarray:
    """Add an alpha channel that is 0 where a pixel has the colour the file names as transparent."""
    planes = 1 if header.colour == 0 else 3
    if header.colour not in (0, 2) or len(key) < 2 * planes:
        return pixels
    colour = np.array(struct.unpack_from(f">{planes}H", key), np.uint32)
    if header.depth < 8:  # such samples were scaled to the range of 8 bits
        colour = colour * 255 // (2**header.depth - 1)
    stack = pixels.reshape(*pixels.shape[:2], planes)
    opaque = (stack != colour).any(axis=2)
    alpha = opaque.astype(pixels.dtype) * np.iinfo(pixels.dtype).max
    return np.concatenate([stack, alpha[..., None].astype(pixels.dtype)], axis=2)


def _compressed(pixels: np.ndarray) -> Iterator[bytes]:
    """Yield the deflated scan lines of uint16 pixels, each with the PNG filter that leaves the least."""
    height = pixels.shape[0]
    rows = pixels.astype(">u2").reshape(height, -1).view(np.uint8)
    step = 2 * (pixels.shape[2] if pixels.ndim == 3 else 1)
    compressor = zlib.compressobj(6)
    above_block = np.zeros((1, rows.shape[1]), np.uint8)
    block_height = max(1, 2**20 // rows.shape[1])
    for start in range(0, height, block_height):
        block = rows[start : start + block_height]
        above = np.concatenate([above_block, block[:-1]])
        above_block = block[-1:]
        data = compressor.compress(_filtered(block, above, step).tobytes())
        if data:
            yield data
    yield compressor.flush()


def _filtered(rows: np.ndarray, above: np.ndarray, step: int) -> np.ndarray:
    """Return rows of bytes, each with the number of its PNG filter in front (none, sub, up or Paeth)."""
    left, corner = np.zeros_like(rows), np.zeros_like(rows)
    left[:, step:], corner[:, step:] = rows[:, :-step], above[:, :-step]
    a, b, c = (part.astype(np.int16) for part in (left, above, corner))
    to_left, to_above, to_corner = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    paeth = np.where(
        (to_left <= to_above) & (to_left <= to_corner), left, np.where(to_above <= to_corner, above, corner)
    )
    candidates = np.stack([rows, rows - left, rows - above, rows - paeth])
    # The usual measure: bytes seen as signed, the row with the smallest sum compresses best.
    costs = np.abs(candidates.view(np.int8).astype(np.int16)).sum(axis=2, dtype=np.int64)
    best = costs.argmin(axis=0)
    result = np.empty((rows.shape[0], rows.shape[1] + 1), np.uint8)
    result[:, 0] = np.array([0, 1, 2, 4], np.uint8)[best]
    result[:, 1:] = candidates[best, np.arange(rows.shape[0])]
    return result
