"""What the tests of picture files share: pixels, profiles, metadata, and the comparison."""

import struct
import zlib

import numpy as np
from PIL import Image, ImageCms

from imgrestore.io import Picture, read

RNG = np.random.default_rng(7)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GRAY_ICC = ICC[:16] + b"GRAY" + ICC[20:]
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="1" note="kept"/></x:xmpmeta>'


def noise(shape, dtype):
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return RNG.standard_normal(shape).astype(dtype)
    info = np.iinfo(dtype)
    return RNG.integers(info.min, info.max, shape, dtype, endpoint=True)


def smooth(height=40, width=50):
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 5, columns * 4, rows + columns], axis=2).astype(np.uint8)


def exif_block(orientation=1):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif[0x0112] = orientation
    exif.get_ifd(0x8769)[0x829A] = 0.004
    exif.get_ifd(0x8769)[0x8827] = 400
    return exif.tobytes()[6:]


def same(path, pixels, **details):
    picture = read(path)
    np.testing.assert_array_equal(picture.pixels, pixels)
    assert picture.pixels.dtype == pixels.dtype
    assert picture.pixels.dtype.isnative
    assert picture.pixels.flags.c_contiguous
    assert picture.pixels.flags.writeable
    for name, value in details.items():
        assert getattr(picture, name) == value
    return picture


def hand_made_png(header, rows, extra=()):
    """A PNG from its raw header and raw scan lines."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    body = chunk(b"IHDR", header) + b"".join(chunk(*one) for one in extra)
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def rich(pixels, **changes):
    fields = {
        "icc_profile": ICC,
        "exif": exif_block(),
        "xmp": XMP,
        "dpi": (300.0, 200.0),
        "text": {"Description": "a picture", "Author": "somebody", "Comment": "a comment"},
    }
    return Picture(pixels, **{**fields, **changes})
