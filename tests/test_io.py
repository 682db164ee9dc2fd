"""Pictures come back from disk as they went, with what belongs to them; bad files say what is wrong with them."""

import dataclasses
import errno
import io
import os
import stat
import struct
import subprocess
import sys
import tempfile
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageCms, ImageFile, ImageOps
from PIL.PngImagePlugin import PngInfo

from imgrestore.io import MAX_PIXELS, SUPPORTED, Picture, PictureError, is_picture, read, write

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


# ---------------------------------------------------------------- pixels


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [None, 2, 3, 4])
@pytest.mark.parametrize("size", [(13, 7), (1, 1), (1, 9), (9, 1)])
def test_png_keeps_every_bit(tmp_path, dtype, channels, size):
    pixels = noise(size if channels is None else (*size, channels), dtype)
    write(tmp_path / "a.png", pixels)
    same(tmp_path / "a.png", pixels, format="PNG", has_alpha=channels in (2, 4), has_pages=False)


@settings(max_examples=30, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.uint16]),
        st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4)),
        elements=st.integers(0, 255) | st.just(255),
    )
)
def test_png_and_tiff_keep_any_array(pixels):
    expected = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".png", ".tif"):
            path = Path(folder) / f"a{suffix}"
            write(path, pixels)
            same(path, expected)


def test_png_of_16_bits_is_read_alike_by_opencv(tmp_path):
    cv2 = pytest.importorskip("cv2")
    pixels = np.cumsum(noise((60, 70, 3), "uint16") // 999, axis=1, dtype=np.uint16)
    write(tmp_path / "ours.png", pixels)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "ours.png"), cv2.IMREAD_UNCHANGED)[..., ::-1], pixels)
    cv2.imwrite(str(tmp_path / "theirs.png"), pixels[..., ::-1])
    same(tmp_path / "theirs.png", pixels)


def test_png_of_16_bits_is_filtered(tmp_path):
    ramp = np.repeat(np.linspace(0, 65535, 300).astype(np.uint16)[None], 200, axis=0)
    write(tmp_path / "a.png", np.dstack([ramp] * 3))
    assert (tmp_path / "a.png").stat().st_size < 200 * 300 * 6 / 50


def test_png_larger_than_a_block(tmp_path):
    pixels = noise((700, 600, 3), "uint16")
    write(tmp_path / "a.png", pixels)
    same(tmp_path / "a.png", pixels)


def test_png_palette_and_one_bit_are_expanded(tmp_path):
    colours = smooth()
    palette = Image.fromarray(colours).quantize(16)
    palette.save(tmp_path / "p.png")
    same(tmp_path / "p.png", np.array(palette.convert("RGB")), has_alpha=False)
    palette.save(tmp_path / "t.png", transparency=bytes([0, 128, 255]))
    picture = read(tmp_path / "t.png")
    assert picture.has_alpha
    assert set(np.unique(picture.pixels[..., 3])) <= {0, 128, 255}
    bits = RNG.random((9, 13)) > 0.5
    Image.fromarray(bits).save(tmp_path / "b.png")
    same(tmp_path / "b.png", bits * np.uint8(255))


def hand_made_png(header, rows, extra=()):
    """A PNG from its raw header and raw scan lines."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    body = chunk(b"IHDR", header) + b"".join(chunk(*one) for one in extra)
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("depth", "row", "key", "gray", "alpha"),
    [
        (2, b"\x1b", 2, [0, 85, 170, 255], [255, 255, 0, 255]),
        (16, struct.pack(">4H", 1, 2, 3, 4), 3, [1, 2, 3, 4], [65535, 65535, 0, 65535]),
    ],
)
def test_png_transparent_gray_becomes_alpha(tmp_path, depth, row, key, gray, alpha):
    header = struct.pack(">IIBBBBB", 4, 1, depth, 0, 0, 0, 0)
    blob = hand_made_png(header, b"\0" + row, [(b"tRNS", struct.pack(">H", key))])
    (tmp_path / "a.png").write_bytes(blob)
    expected = np.dstack([[gray], [alpha]]).astype(np.uint16 if depth == 16 else np.uint8)
    same(tmp_path / "a.png", expected, has_alpha=True)


def test_png_transparent_colour_becomes_alpha(tmp_path):
    for depth, code in ((8, "B"), (16, "H")):
        header = struct.pack(">IIBBBBB", 2, 1, depth, 2, 0, 0, 0)
        blob = hand_made_png(header, b"\0" + struct.pack(f">6{code}", 1, 2, 3, 1, 2, 4), [(b"tRNS", b"\0\1\0\2\0\3")])
        (tmp_path / "a.png").write_bytes(blob)
        np.testing.assert_array_equal(read(tmp_path / "a.png").pixels[0, :, 3], [0, 2**depth - 1])


def test_interlaced_png_of_16_bits(tmp_path):
    # One pixel is its own first pass: the smallest interlaced picture.
    header = struct.pack(">IIBBBBB", 1, 1, 16, 6, 0, 0, 1)
    (tmp_path / "a.png").write_bytes(hand_made_png(header, b"\0" + struct.pack(">4H", 1, 515, 3, 65535)))
    same(tmp_path / "a.png", np.array([[[1, 515, 3, 65535]]], np.uint16))


@pytest.mark.parametrize(
    "dtype", ["uint8", "uint16", "uint32", "int8", "int16", "int32", "float16", "float32", "float64"]
)
@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 2), (9, 7, 3), (9, 7, 4), (6, 9, 7), (3, 9, 7, 3)])
def test_tiff_keeps_every_bit(tmp_path, dtype, shape):
    pixels = noise(shape, dtype)
    write(tmp_path / "a.tif", pixels)
    has_pages = len(shape) == 4 or shape == (6, 9, 7)
    picture = same(tmp_path / "a.tif", pixels, format="TIFF", has_pages=has_pages)
    assert picture.has_alpha == (shape[-1] in (2, 4))
    write(tmp_path / "b.tif", picture.pixels, picture)
    same(tmp_path / "b.tif", pixels, has_pages=has_pages, has_alpha=picture.has_alpha)


def test_tiff_keeps_nan_and_values_beyond_one(tmp_path):
    pixels = np.array([[np.nan, np.inf], [-5, 1e30]], np.float32)
    write(tmp_path / "a.tif", pixels)
    same(tmp_path / "a.tif", pixels)


def test_tiff_of_many_channels_and_three_pages(tmp_path):
    pixels = noise((9, 7, 6), "uint16")
    like = Picture(pixels)
    write(tmp_path / "a.tif", pixels, like)
    same(tmp_path / "a.tif", pixels, has_pages=False, has_alpha=False)
    pages = noise((5, 9, 3), "uint8")
    write(tmp_path / "b.tif", Picture(pages, has_pages=True))
    same(tmp_path / "b.tif", pages, has_pages=True)


@pytest.mark.parametrize("options", [{"byteorder": ">"}, {"compression": "zlib"}, {"bigtiff": True}])
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_tiff_of_other_programs(tmp_path, options, dtype):
    pixels = noise((20, 16, 3), dtype)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", **options)
    same(tmp_path / "a.tif", pixels)


def test_tiff_planes_tiles_palettes_and_bits(tmp_path):
    pixels = noise((40, 48, 3), "uint16")
    planes = np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
    tifffile.imwrite(tmp_path / "planes.tif", planes, photometric="rgb", planarconfig="separate")
    same(tmp_path / "planes.tif", pixels)
    tifffile.imwrite(tmp_path / "tiles.tif", pixels, photometric="rgb", tile=(16, 16))
    same(tmp_path / "tiles.tif", pixels)
    palette = Image.fromarray(smooth()).quantize(256)
    palette.save(tmp_path / "palette.tif")
    same(tmp_path / "palette.tif", np.array(palette.convert("RGB")))
    bits = RNG.random((9, 13)) > 0.5
    Image.fromarray(bits).save(tmp_path / "bits.tif")
    same(tmp_path / "bits.tif", bits * np.uint8(255))
    tifffile.imwrite(tmp_path / "negative.tif", pixels[..., 0], photometric="miniswhite")
    same(tmp_path / "negative.tif", 65535 - pixels[..., 0])


def test_tiff_compressions_that_need_pillow(tmp_path):
    for mode, pixels in (("L", noise((30, 20), "uint8")), ("RGBA", noise((30, 20, 4), "uint8"))):
        Image.fromarray(pixels, mode).save(tmp_path / "a.tif", compression="tiff_lzw", tiffinfo={274: 6})
        same(tmp_path / "a.tif", np.ascontiguousarray(np.rot90(pixels, -1)))
    pages = [noise((30, 20), "uint8") for _ in range(3)]
    first, *others = (Image.fromarray(page) for page in pages)
    first.save(tmp_path / "b.tif", compression="tiff_lzw", save_all=True, append_images=others)
    same(tmp_path / "b.tif", np.stack(pages), has_pages=True)
    Image.fromarray(smooth()).save(tmp_path / "c.tif", compression="jpeg")
    assert np.abs(read(tmp_path / "c.tif").pixels.astype(int) - smooth()).mean() < 8


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_tiff_lzw_of_16_bits(tmp_path, channels):
    cv2 = pytest.importorskip("cv2")
    pixels = noise((30, 20, channels), "uint16")
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    cv2.imwrite(str(tmp_path / "a.tif"), pixels[..., order], [cv2.IMWRITE_TIFF_COMPRESSION, 5])
    same(tmp_path / "a.tif", pixels[..., 0] if channels == 1 else pixels)


def test_imagej_and_ome_stacks_stay_what_they_are(tmp_path):
    stack = noise((2, 3, 9, 7), "uint16")
    metadata = {"axes": "ZCYX", "unit": "um", "spacing": 0.5, "Labels": [f"slice {n}" for n in range(6)]}
    tifffile.imwrite(tmp_path / "j.tif", stack, imagej=True, metadata=metadata, resolution=(4.0, 4.0))
    picture = same(tmp_path / "j.tif", stack.reshape(6, 9, 7), has_pages=True)
    picture = dataclasses.replace(picture, exif=exif_block())
    write(tmp_path / "j2.tif", picture.pixels, picture)
    with tifffile.TiffFile(tmp_path / "j2.tif") as tif:
        assert tif.series[0].axes == "ZCYX"
        assert tif.imagej_metadata["unit"] == "um"
        assert tif.imagej_metadata["spacing"] == 0.5
        assert tif.imagej_metadata["Labels"] == metadata["Labels"]
        np.testing.assert_array_equal(tif.asarray(), stack)
    tifffile.imwrite(tmp_path / "o.ome.tif", stack, metadata={"axes": "ZCYX", "PhysicalSizeX": 0.25})
    picture = same(tmp_path / "o.ome.tif", stack.reshape(6, 9, 7))
    write(tmp_path / "o2.ome.tif", picture.pixels, picture)
    with tifffile.TiffFile(tmp_path / "o2.ome.tif") as tif:
        assert tif.is_ome
        assert 'PhysicalSizeX="0.25"' in tif.ome_metadata
        np.testing.assert_array_equal(tif.asarray().reshape(stack.shape), stack)
    write(tmp_path / "o3.tif", picture.pixels.astype(np.float32), picture)
    same(tmp_path / "o3.tif", picture.pixels.astype(np.float32))


def test_tiff_of_several_kinds_says_what_it_left_out(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(noise((9, 7), "uint8"), metadata=None)
        tif.write(noise((5, 6, 3), "uint16"), photometric="rgb", metadata=None)
    with pytest.warns(UserWarning, match="2 series"):
        assert read(tmp_path / "a.tif").pixels.shape == (9, 7)


@pytest.mark.parametrize("shape", [(9, 7, 3), (9, 7, 4)])
def test_webp_is_lossless_by_default(tmp_path, shape):
    pixels = noise(shape, "uint8")
    write(tmp_path / "a.webp", pixels)
    same(tmp_path / "a.webp", pixels, format="WebP", has_alpha=shape[2] == 4)
    write(tmp_path / "b.webp", smooth(200, 200), quality=50)
    assert np.abs(read(tmp_path / "b.webp").pixels.astype(int) - smooth(200, 200)).mean() < 8
    write(tmp_path / "c.webp", pixels[..., 0])
    same(tmp_path / "c.webp", np.dstack([pixels[..., 0]] * 3))


def test_bmp(tmp_path):
    for pixels in (noise((9, 7), "uint8"), noise((9, 7, 3), "uint8")):
        write(tmp_path / "a.bmp", pixels)
        same(tmp_path / "a.bmp", pixels, format="BMP")


def test_jpeg_quality(tmp_path):
    errors = []
    for quality in (None, 30):
        write(tmp_path / "a.jpg", smooth(), quality=quality)
        picture = read(tmp_path / "a.jpg")
        assert picture.format == "JPEG"
        errors.append(np.abs(picture.pixels.astype(int) - smooth()).mean())
    assert errors[0] < 1.5 < errors[1] < 12
    write(tmp_path / "g.jpeg", smooth()[..., 0])
    assert read(tmp_path / "g.jpeg").pixels.ndim == 2


def test_cmyk_jpeg_becomes_rgb(tmp_path):
    Image.fromarray(smooth()).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    with pytest.warns(UserWarning, match="CMYK"):
        picture = read(tmp_path / "a.jpg")
    assert np.abs(picture.pixels.astype(int) - smooth()).mean() < 5


def test_animations_are_read_as_their_first_frame(tmp_path):
    frames = [Image.fromarray(np.full((8, 8, 3), level, np.uint8)) for level in (10, 200)]
    for name in ("a.webp", "a.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], lossless=True)
        with pytest.warns(UserWarning, match="first frame"):
            assert read(tmp_path / name).pixels.max() == 10


# ---------------------------------------------------------------- FITS


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "float32", "float64"]
)
@pytest.mark.parametrize("shape", [(9, 7), (6, 9, 7), (9, 7, 3), (9, 7, 4)])
def test_fits_keeps_every_bit(tmp_path, dtype, shape):
    pytest.importorskip("astropy")
    pixels = noise(shape, dtype)
    write(tmp_path / "a.fits", pixels)
    picture = same(tmp_path / "a.fits", pixels, format="FITS", has_pages=shape[0] == 6, has_alpha=shape[-1] == 4)
    write(tmp_path / "b.fits", picture.pixels, picture)
    same(tmp_path / "b.fits", pixels)


def test_fits_header_survives(tmp_path):
    fits = pytest.importorskip("astropy.io.fits")
    header = fits.Header([("OBJECT", "M31", "the galaxy"), ("EXPTIME", 30.5), ("CRVAL1", 10.68)])
    header.add_history("flat fielded")
    data = noise((1, 2, 9, 7), "float32")
    fits.PrimaryHDU(data, header).writeto(tmp_path / "a.fits")
    picture = same(tmp_path / "a.fits", data.reshape(2, 9, 7))
    write(tmp_path / "b.fits", picture.pixels * 2, picture)
    with fits.open(tmp_path / "b.fits") as hdus:
        assert hdus[0].data.shape == data.shape
        assert hdus[0].header["OBJECT"] == "M31"
        assert hdus[0].header.comments["OBJECT"] == "the galaxy"
        assert hdus[0].header["EXPTIME"] == 30.5
        assert str(hdus[0].header["HISTORY"]) == "flat fielded"


def test_fits_extensions_scaling_and_gaps(tmp_path):
    fits = pytest.importorskip("astropy.io.fits")
    first, second = noise((9, 7), "float32"), noise((9, 7), "float32")
    primary = fits.PrimaryHDU(header=fits.Header([("TELESCOP", "small")]))
    fits.HDUList([primary, fits.ImageHDU(first, name="SCI"), fits.ImageHDU(second)]).writeto(tmp_path / "a.fits")
    with pytest.warns(UserWarning, match="2 images"):
        picture = read(tmp_path / "a.fits")
    np.testing.assert_array_equal(picture.pixels, first)
    assert picture.header["TELESCOP"] == "small"
    write(tmp_path / "b.fits", picture.pixels, picture)
    assert same(tmp_path / "b.fits", first).header["TELESCOP"] == "small"
    fits.CompImageHDU(first.astype(np.int16)).writeto(tmp_path / "c.fits")
    np.testing.assert_array_equal(read(tmp_path / "c.fits").pixels, first.astype(np.int16))
    nothing = np.array([[np.nan, 1.0]], np.float32)
    write(tmp_path / "d.fits", nothing)
    same(tmp_path / "d.fits", nothing)
    fits.BinTableHDU.from_columns([fits.Column("a", "J", array=[1, 2])]).writeto(tmp_path / "e.fits")
    with pytest.raises(PictureError, match="no image of two or more axes"):
        read(tmp_path / "e.fits")


def test_without_astropy_the_extra_is_named(tmp_path, monkeypatch):
    pytest.importorskip("astropy")
    write(tmp_path / "a.fits", noise((3, 4), "float32"))
    monkeypatch.setitem(sys.modules, "astropy.io", None)
    for call in (lambda: read(tmp_path / "a.fits"), lambda: write(tmp_path / "b.fits", np.zeros((3, 4)))):
        with pytest.raises(ImportError, match=r"pip install imgrestore\[fits\]"):
            call()
    assert os.listdir(tmp_path) == ["a.fits"]


# ---------------------------------------------------------------- what belongs to the pixels


def rich(pixels, **changes):
    fields = {
        "icc_profile": ICC,
        "exif": exif_block(),
        "xmp": XMP,
        "dpi": (300.0, 200.0),
        "text": {"Description": "a picture", "Author": "somebody", "Comment": "a comment"},
    }
    return Picture(pixels, **{**fields, **changes})


@pytest.mark.parametrize("depth", ["uint8", "uint16"])
def test_png_metadata_survives(tmp_path, depth):
    pixels = noise((9, 7, 3), depth)
    like = rich(pixels, text={"Title": "plain", "Städte": "jenseits von latin-1: 東京"})
    write(tmp_path / "a.png", pixels, like)
    first = same(tmp_path / "a.png", pixels, icc_profile=ICC, exif=like.exif, xmp=XMP, text=like.text)
    assert first.dpi == pytest.approx((300, 200), abs=0.01)
    write(tmp_path / "b.png", first.pixels, first)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_png_colour_chunks_survive(tmp_path):
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    gamma = (b"gAMA", struct.pack(">I", 45455))
    (tmp_path / "a.png").write_bytes(hand_made_png(header, b"\0abc", [gamma, (b"sRGB", b"\1")]))
    picture = read(tmp_path / "a.png")
    write(tmp_path / "b.png", picture)
    assert Image.open(tmp_path / "b.png").info["gamma"] == pytest.approx(0.45455)
    assert Image.open(tmp_path / "b.png").info["srgb"] == 1


def test_text_behind_the_pixels_is_read(tmp_path):
    blob = io.BytesIO()
    info = PngInfo()
    info.add_text("Title", "late", zip=True)
    Image.fromarray(smooth()).save(blob, "png", pnginfo=info)
    (tmp_path / "a.png").write_bytes(blob.getvalue())
    assert read(tmp_path / "a.png").text == {"Title": "late"}


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_jpeg_and_webp_metadata_survive(tmp_path, suffix):
    like = rich(smooth())
    path = tmp_path / f"a{suffix}"
    write(path, smooth(), like)
    picture = read(path)
    assert (picture.icc_profile, picture.exif, picture.xmp) == (ICC, like.exif, XMP)
    if suffix == ".jpg":
        assert picture.text == {"Comment": "a comment"}
        assert picture.dpi == (300, 200)


def test_tiff_metadata_survives(tmp_path):
    pixels = noise((9, 7, 4), "uint16")
    write(tmp_path / "a.tif", pixels, rich(pixels, has_alpha=True, text={"Description": "a picture", "Author": "Ä"}))
    picture = same(tmp_path / "a.tif", pixels, icc_profile=ICC, xmp=XMP, has_alpha=True)
    assert picture.text == {"Description": "a picture", "Author": "Ä"}
    assert picture.dpi == pytest.approx((300, 200))
    exif = Image.Exif()
    exif.load(picture.exif)
    assert exif.get_ifd(0x8769)[0x8827] == 400
    assert float(exif.get_ifd(0x8769)[0x829A]) == pytest.approx(0.004)
    assert exif[0x010F] == "Maker"
    write(tmp_path / "b.tif", pixels, picture)
    again = same(tmp_path / "b.tif", pixels, icc_profile=ICC, xmp=XMP, text=picture.text, dpi=picture.dpi)
    assert again.exif == picture.exif


def test_tiff_tags_of_other_programs_survive(tmp_path):
    scale = (33550, 12, 3, (0.5, 0.5, 0.0), True)
    pixels = noise((9, 7), "float32")
    tifffile.imwrite(
        tmp_path / "a.tif",
        pixels,
        metadata=None,
        resolution=(100, 50),
        resolutionunit=3,
        extratags=[scale, (271, 2, 0, "Maker", True), (42113, 2, 0, "-9999", True)],
    )
    picture = read(tmp_path / "a.tif")
    assert picture.dpi == pytest.approx((254, 127))
    write(tmp_path / "b.tif", pixels, picture)
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        tags = tif.pages[0].tags
        assert tags[33550].value == (0.5, 0.5, 0.0)
        assert tags[271].value == "Maker"
        assert tags[42113].value == "-9999"
    write(tmp_path / "c.tif", pixels[1:], picture)
    with tifffile.TiffFile(tmp_path / "c.tif") as tif:
        assert 33550 not in tif.pages[0].tags
        assert 271 in tif.pages[0].tags


def test_from_one_format_into_another(tmp_path):
    pixels = noise((9, 7, 3), "uint8")
    like = rich(pixels, text={"Description": "a picture"})
    for first in (".png", ".tif", ".webp", ".jpg"):
        write(tmp_path / f"a{first}", pixels, like)
        picture = read(tmp_path / f"a{first}")
        for second in (".png", ".tif", ".webp", ".jpg"):
            write(tmp_path / f"b{second}", picture)
            other = read(tmp_path / f"b{second}")
            assert other.icc_profile == ICC
            assert other.xmp == XMP
            exif = Image.Exif()
            exif.load(other.exif)
            assert exif.get_ifd(0x8769)[0x8827] == 400
            if first != ".webp" and second != ".webp":
                assert other.dpi == pytest.approx((300, 200), abs=0.01)
    write(tmp_path / "b.tif", read(tmp_path / "a.png"))
    assert read(tmp_path / "b.tif").text["Description"] == "a picture"
    write(tmp_path / "b.fits", read(tmp_path / "a.png"))
    assert "a picture" in str(read(tmp_path / "b.fits").header["COMMENT"])


def test_profile_for_other_channels_is_left_out(tmp_path):
    with pytest.warns(UserWarning, match="ICC profile is for RGB"):
        write(tmp_path / "a.png", noise((9, 7), "uint8"), rich(noise((9, 7, 3), "uint8")))
    assert read(tmp_path / "a.png").icc_profile is None
    write(tmp_path / "b.png", noise((9, 7), "uint8"), Picture(noise((9, 7), "uint8"), icc_profile=GRAY_ICC))
    assert read(tmp_path / "b.png").icc_profile == GRAY_ICC


def test_metadata_too_long_for_jpeg_is_left_out(tmp_path):
    like = Picture(smooth(), exif=exif_block() + bytes(70_000), xmp=bytes(70_000))
    with pytest.warns(UserWarning, match="too long for JPEG") as caught:
        write(tmp_path / "a.jpg", smooth(), like)
    assert len(caught) == 2


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_and_reset(tmp_path, suffix, orientation):
    pixels = smooth(16, 24)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(pixels)
    options = {"lossless": True} if suffix == ".webp" else {"quality": 95} if suffix == ".jpg" else {}
    extra = {"tiffinfo": {274: orientation}} if suffix == ".tif" else {"exif": exif}
    stored.save(tmp_path / f"a{suffix}", dpi=(300, 100), **options, **extra)
    opened = Image.open(tmp_path / f"a{suffix}")
    upright = np.array(opened if suffix == ".tif" else ImageOps.exif_transpose(opened))
    if suffix == ".tif":  # not every Pillow turns a TIFF
        exif[0x0112] = orientation
        stored.save(tmp_path / "turned.png", exif=exif)
        upright = np.array(ImageOps.exif_transpose(Image.open(tmp_path / "turned.png")))
    picture = read(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(picture.pixels, upright)
    if picture.dpi:
        assert picture.dpi == pytest.approx((100, 300) if orientation >= 5 else (300, 100), abs=0.1)
    write(tmp_path / f"b{suffix}", picture)
    assert Image.open(tmp_path / f"b{suffix}").getexif().get(0x0112, 1) == 1
    assert read(tmp_path / f"b{suffix}").pixels.shape == picture.pixels.shape


def test_orientation_in_xmp_and_broken_exif(tmp_path):
    for xmp in (XMP.replace(b'="1"', b'="6"'), b"<tiff:Orientation>6</tiff:Orientation>"):
        Image.fromarray(smooth()).save(tmp_path / "a.jpg", xmp=xmp)
        assert b"6" not in read(tmp_path / "a.jpg").xmp
    Image.fromarray(smooth()).save(tmp_path / "b.jpg", dpi=(72, 72), exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    picture = read(tmp_path / "b.jpg")
    assert picture.pixels.shape == smooth().shape
    for suffix in (".tif", ".png", ".webp"):
        write(tmp_path / f"c{suffix}", picture)
        same(tmp_path / f"c{suffix}", picture.pixels)


def test_big_endian_exif_changes_in_two_bytes_only(tmp_path):
    block = b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0maker note"
    Image.fromarray(smooth(4, 9)).save(tmp_path / "a.png", exif=block)
    picture = read(tmp_path / "a.png")
    assert picture.pixels.shape == (9, 4, 3)
    assert picture.exif == block.replace(b"\0\6", b"\0\1")


# ---------------------------------------------------------------- depth


def test_floats_are_scaled_and_rounded(tmp_path):
    values = np.array([[0.0, 0.5, 1.0, 1 / 255, 1.0000001, -1e-9]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write(tmp_path / "a.png", values)
        write(tmp_path / "b.png", values, Picture(np.zeros((1, 6), np.uint16)))
        write(tmp_path / "c.png", values, Picture(np.zeros((1, 6), np.float32)))
        write(tmp_path / "d.png", values.astype(np.float16), Picture(np.zeros((1, 6), np.uint8)))
    same(tmp_path / "a.png", np.array([[0, 128, 255, 1, 255, 0]], np.uint8))
    for name in ("b.png", "c.png"):
        same(tmp_path / name, np.array([[0, 32768, 65535, 257, 65535, 0]], np.uint16))
    assert read(tmp_path / "d.png").pixels.dtype == np.uint8


def test_clipping_is_counted(tmp_path):
    values = np.array([[-0.2, 0.5, 1.5, np.inf]], np.float32)
    for suffix in (".png", ".jpg", ".webp", ".bmp"):
        with pytest.warns(UserWarning, match=r"3 of 4 values lay outside \[0, 1\]"):
            write(tmp_path / f"a{suffix}", values)
    same(tmp_path / "a.bmp", np.array([[0, 128, 255, 255]], np.uint8))


def test_uint16_and_bool_into_eight_bits(tmp_path):
    values = np.array([[0, 128, 129, 257, 32896, 65535]], np.uint16)
    write(tmp_path / "a.bmp", values)
    same(tmp_path / "a.bmp", np.rint(values / 257).astype(np.uint8))
    flags = np.array([[True, False]])
    for suffix in (".png", ".bmp", ".tif", ".fits"):
        write(tmp_path / f"b{suffix}", flags)
        same(tmp_path / f"b{suffix}", np.array([[255, 0]], np.uint8))


def test_big_endian_pixels_are_written_right(tmp_path):
    pixels = noise((9, 7, 3), "uint16")
    for suffix in (".png", ".tif", ".fits"):
        write(tmp_path / f"a{suffix}", pixels.astype(">u2"))
        same(tmp_path / f"a{suffix}", pixels)


def test_alpha_is_dropped_only_with_a_word(tmp_path):
    pixels = noise((9, 7, 4), "uint8")
    with pytest.warns(UserWarning, match="JPEG has no alpha"):
        write(tmp_path / "a.jpg", pixels)
    pixels[..., 3] = 255
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write(tmp_path / "a.bmp", pixels)
        write(tmp_path / "g.bmp", pixels[..., 2:])
    same(tmp_path / "a.bmp", pixels[..., :3])
    same(tmp_path / "g.bmp", pixels[..., 2])


@pytest.mark.parametrize(
    ("name", "pixels", "message"),
    [
        ("a.png", np.array([[np.nan, 1.0]]), "1 of 2 values are NaN, which PNG cannot store"),
        ("a.jpg", np.zeros((3, 4), np.int32), "int32 pixels cannot be stored in JPEG"),
        ("a.png", np.zeros((6, 5, 7), np.uint8), "PNG holds one page and the pixels .* are 6 pages"),
        ("a.png", Picture(np.zeros((5, 7, 6), np.uint8)), "6 channels without alpha"),
        ("a.png", Picture(np.zeros((5, 7, 4), np.uint8)), "4 channels without alpha"),
        ("a.png", np.zeros(5), r"shape \(5,\), expected \(H, W\)"),
        ("a.png", Picture(np.zeros((5, 7)), has_pages=True), r"expected \(pages, H, W"),
        ("a.tif", np.zeros((0, 5)), "is empty"),
        ("a.tif", np.zeros((2, 5), complex), "dtype complex128, expected integers, floats or bool"),
        ("a.fits", np.zeros((5, 7, 2), np.uint8), "FITS is written from gray, RGB"),
        ("a.fits", np.zeros((3, 5, 7, 3), np.uint8), "FITS is written from gray, RGB"),
        ("a.tif", np.zeros((2, 5), np.longdouble), "convert them to float64"),
        ("a.fits", np.zeros((2, 5), np.longdouble), "convert them to float64"),
        ("a.webp", np.zeros((1, 16_384), np.uint8), "WebP holds at most 16383"),
        ("a.jpg", np.zeros((1, 65_536), np.uint8), "JPEG holds at most 65535"),
        ("a.docx", np.zeros((2, 5)), r"the suffix '.docx'; pictures are written as .bmp, .fit, .fits"),
        ("a", np.zeros((2, 5)), "has no suffix"),
    ],
)
def test_what_a_format_cannot_hold(tmp_path, name, pixels, message):
    with pytest.raises(PictureError, match=message) as caught:
        write(tmp_path / name, pixels)
    assert str(tmp_path / name) in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_quality_out_of_range(tmp_path):
    with pytest.raises(PictureError, match="quality is 101, expected 1 to 100"):
        write(tmp_path / "a.jpg", smooth(), quality=101)


# ---------------------------------------------------------------- whole or not at all


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tif", ".fits"])
def test_failure_in_the_middle_leaves_the_old_file(tmp_path, monkeypatch, suffix):
    from imgrestore.io import files

    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"old")
    encode = files._WRITE[files.format_of_suffix(path)]

    def failing(picture, stream, quality):
        encode(picture, stream, quality)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setitem(files._WRITE, files.format_of_suffix(path), failing)
    with pytest.raises(OSError, match="could not write the picture: No space left") as caught:
        write(path, smooth())
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("name", ["replace", "fsync"])
def test_failing_disk_leaves_the_old_file(tmp_path, monkeypatch, name):
    path = tmp_path / "a.png"
    write(path, smooth())
    old = path.read_bytes()

    def failing(*args):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, name, failing)
    with pytest.raises(OSError, match="Input/output error"):
        write(path, 255 - smooth())
    monkeypatch.undo()
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["a.png"]


def test_encoder_error_names_the_file(tmp_path, monkeypatch):
    def failing(*args, **options):
        raise struct.error("short")

    monkeypatch.setattr(Image.Image, "save", failing)
    with pytest.raises(PictureError, match=r"a\.png: the pixels or metadata could not be encoded \(short\)"):
        write(tmp_path / "a.png", smooth())
    assert os.listdir(tmp_path) == []


def test_interrupt_leaves_no_temporary_file(tmp_path, monkeypatch):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(tifffile, "imwrite", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a.tif", smooth())
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("links", [True, False])
def test_overwrite_false(tmp_path, monkeypatch, links):
    path = tmp_path / "a.png"
    if not links:

        def no_links(*args):
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", no_links)
    write(path, smooth(), overwrite=False)
    old = path.read_bytes()
    with pytest.raises(FileExistsError, match="exists already and overwrite is False"):
        write(path, 255 - smooth(), overwrite=False)
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["a.png"]


@pytest.mark.parametrize("links", [True, False])
def test_overwrite_false_against_a_faster_process(tmp_path, monkeypatch, links):
    from imgrestore.io import files

    path = tmp_path / "a.png"
    encode = files._WRITE["PNG"]

    def overtaken(picture, stream, quality):
        encode(picture, stream, quality)
        path.write_bytes(b"theirs")

    def no_links(*args):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setitem(files._WRITE, "PNG", overtaken)
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(FileExistsError, match="exists already"):
        write(path, smooth(), overwrite=False)
    assert path.read_bytes() == b"theirs"
    assert os.listdir(tmp_path) == ["a.png"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_permissions_and_links(tmp_path):
    old = os.umask(0o027)
    try:
        write(tmp_path / "a.png", smooth())
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o640
    (tmp_path / "a.png").chmod(0o604)
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    write(tmp_path / "link.png", 255 - smooth())
    assert (tmp_path / "link.png").is_symlink()
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o604
    same(tmp_path / "a.png", 255 - smooth())


def test_targets_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    for error, path, message in (
        (IsADirectoryError, tmp_path / "folder.png", "it is a folder"),
        (FileNotFoundError, tmp_path / "no" / "a.png", "the folder .* does not exist"),
        (NotADirectoryError, tmp_path / "file" / "a.png", "is not a folder"),
    ):
        with pytest.raises(error, match=message):
            write(path, smooth())
    monkeypatch.setattr(os, "access", lambda *args: False)
    with pytest.raises(PermissionError, match="no permission to write in the folder"):
        write(tmp_path / "a.png", smooth())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(PictureError, match="device or pipe"):
        read(tmp_path / "pipe.png")
    with pytest.raises(FileExistsError, match="device or pipe"):
        write(tmp_path / "pipe.png", smooth())


# ---------------------------------------------------------------- bad files


def blob_of(suffix, pixels=None, **options):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        write(path, smooth() if pixels is None else pixels, **options)
        return path.read_bytes()


def test_missing_folder_and_empty(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"no\.png: there is no such file"):
        read(tmp_path / "no.png")
    with pytest.raises(IsADirectoryError, match="it is a folder, expected a picture file"):
        read(tmp_path)
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(PictureError, match=r"it is empty \(0 bytes\)"):
        read(tmp_path / "a.png")

    def denied(*args, **options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("builtins.open", denied)
    with pytest.raises(PermissionError, match=r"a\.png: no permission to read it"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"GIF89a....", "a GIF"),
        (b"%PDF-1.7", "a PDF"),
        (b"\x1f\x8b\x08....", "a gzip archive"),
        (b"\0\0\0\x18ftypheic", "an HEIF"),
        (b"<html>", "HTML"),
        (b"hello world", r"no picture \(it starts with the bytes 68 65 6c 6c 6f 20 77 6f\)"),
    ],
)
def test_not_a_picture(tmp_path, content, found):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(PictureError, match=f"{found}.*; expected PNG, JPEG, WebP, BMP, TIFF, FITS") as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_content_counts_not_the_suffix(tmp_path):
    (tmp_path / "a.jpg").write_bytes(blob_of(".png"))
    same(tmp_path / "a.jpg", smooth(), format="PNG")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tif", ".fits"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_truncated_files(tmp_path, suffix, kept):
    blob = blob_of(suffix, noise((60, 60, 3), "uint8"))
    path = tmp_path / f"a{suffix}"
    path.write_bytes(blob[: int(len(blob) * kept)])
    with pytest.raises(PictureError, match="truncated") as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_truncated_compressed_and_stacked_tiff(tmp_path):
    blob = io.BytesIO()
    tifffile.imwrite(blob, noise((5, 60, 60), "uint16"), imagej=True)
    (tmp_path / "a.tif").write_bytes(blob.getvalue()[:-3000])
    with pytest.raises(PictureError, match="truncated"):
        read(tmp_path / "a.tif")
    blob = io.BytesIO()
    tifffile.imwrite(blob, noise((60, 60), "uint16"), compression="zlib")
    (tmp_path / "b.tif").write_bytes(blob.getvalue()[:-300])
    with pytest.raises(PictureError, match="truncated"):
        read(tmp_path / "b.tif")


def test_damaged_png(tmp_path):
    blob = bytearray(blob_of(".png"))
    place = blob.index(b"IDAT") + 10
    blob[place] ^= 255
    path = tmp_path / "a.png"
    path.write_bytes(blob)
    with pytest.raises(PictureError, match="the PNG chunk IDAT at byte 33 does not match its checksum"):
        read(path)
    header = struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0)
    path.write_bytes(hand_made_png(header, b"\0abcd"))
    with pytest.raises(PictureError, match="the PNG has 5 bytes of scan lines, expected 20"):
        read(path)
    path.write_bytes(hand_made_png(struct.pack(">IIBBBBB", 0, 4, 8, 0, 0, 0, 0), b"\0"))
    with pytest.raises(PictureError, match="4 x 0, which has no pixels"):
        read(path)
    whole = hand_made_png(header, b"\0abcd" * 4)
    path.write_bytes(whole[:33] + whole[-12:])
    with pytest.raises(PictureError, match="no pixels, expected an IDAT chunk"):
        read(path)
    path.write_bytes(whole[:8] + whole[33:])
    with pytest.raises(PictureError, match="first chunk is not the PNG header"):
        read(path)


def test_bombs_are_refused_by_their_header(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(hand_made_png(struct.pack(">IIBBBBB", 10**6, 10**6, 8, 0, 0, 0, 0), b"\0"))
    with pytest.raises(
        PictureError, match=f"1000000 x 1000000, 10{'0' * 11} pixels, more than the limit of {MAX_PIXELS}"
    ):
        read(path)
    jpeg = bytearray(blob_of(".jpg"))
    frame = jpeg.index(b"\xff\xc0") + 5
    jpeg[frame : frame + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(jpeg)
    with pytest.raises(PictureError, match="65535 x 65535"):
        read(path)
    canvas = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\xff\0" * 2
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(canvas)) + b"WEBP" + canvas)
    with pytest.raises(PictureError, match="65536 x 65536"):
        read(path)
    bmp = bytearray(blob_of(".bmp"))
    bmp[18:26] = struct.pack("<ii", 10**6, 10**6)
    path.write_bytes(bmp)
    with pytest.raises(PictureError, match="1000000 x 1000000"):
        read(path)
    cards = ("SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   =                    2")
    cards += ("NAXIS1  =              1000000", "NAXIS2  =              1000000", "END")
    path.write_bytes("".join(card.ljust(80) for card in cards).encode().ljust(2880) + bytes(2880))
    with pytest.raises(PictureError, match="1000000 x 1000000"):
        read(path)


def test_limit_is_an_argument(tmp_path):
    for suffix in (".png", ".jpg", ".webp", ".bmp", ".tif", ".fits"):
        path = tmp_path / f"a{suffix}"
        write(path, smooth()[..., 0])
        with pytest.raises(PictureError, match="2000 pixels, more than the limit of 1999"):
            read(path, max_pixels=1999)
        read(path, max_pixels=2000)
    write(tmp_path / "s.tif", noise((10, 40, 50), "uint8"))
    with pytest.raises(PictureError, match="10 x 40 x 50"):
        read(tmp_path / "s.tif", max_pixels=19_999)


def lying_tiff(path, code, value):
    tifffile.imwrite(path, noise((20, 30), "uint8"), metadata=None)
    with tifffile.TiffFile(path, mode="r+") as tif:
        tif.pages[0].tags[code].overwrite(value)


def test_lying_tiff(tmp_path):
    path = tmp_path / "a.tif"
    lying_tiff(path, 256, 60_000)
    with pytest.raises(PictureError, match="600 bytes of pixel data, expected 1200000"):
        read(path)
    lying_tiff(path, 273, 10**6)
    with pytest.raises(PictureError, match="pixel data up to byte 1000600 and the file stops at"):
        read(path)
    lying_tiff(path, 279, 10**6)
    with pytest.raises(PictureError, match="the file stops at"):
        read(path)
    tifffile.imwrite(path, noise((20, 30), "uint8"), metadata=None)
    blob = bytearray(path.read_bytes())
    for code in (256, 257):
        place = blob.index(
            struct.pack("<HH", code, 4) if struct.pack("<HH", code, 4) in blob else struct.pack("<HH", code, 3)
        )
        struct.pack_into("<HHII", blob, place, code, 4, 1, 10**6)
    path.write_bytes(blob)
    with pytest.raises(PictureError, match="1000000 x 1000000"):
        read(path)


FORMATS = [".png", ".jpg", ".webp", ".bmp", ".tif", ".fits"]
SAMPLES = {}


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(FORMATS), st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=6), st.floats(0, 1)
)
def test_damage_of_any_kind_is_an_error_or_a_picture(suffix, changes, kept):
    if suffix not in SAMPLES:
        SAMPLES[suffix] = blob_of(suffix, smooth(12, 14), like=rich(smooth(12, 14)))
    blob = bytearray(SAMPLES[suffix])
    for place, value in changes:
        blob[int(place * min(len(blob), 400))] = value  # headers are where the harm is
    if kept < 0.5:
        blob = blob[: int(2 * kept * len(blob))]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / f"a{suffix}"
        path.write_bytes(blob)
        error = None
        try:
            assert read(path, max_pixels=10**6).pixels.size > 0
        except PictureError as caught:
            error = caught
        assert error is None or str(path) in str(error)


# ---------------------------------------------------------------- manners


def test_is_picture(tmp_path):
    for name in ("a.png", "b.TIFF", "c.txt", ".d.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "e.png").mkdir()
    assert sorted(path.name for path in tmp_path.iterdir() if is_picture(path)) == ["a.png", "b.TIFF"]
    assert {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".fits", ".bmp"} <= SUPPORTED


def test_repr_is_short():
    assert repr(Picture(np.zeros((5, 7, 4), np.uint16), "PNG", has_alpha=True)) == (
        "Picture(PNG, 7 x 5, 4 channels, uint16, alpha)"
    )
    assert repr(Picture(np.zeros((2, 5, 7), np.uint8), has_pages=True)) == "Picture(7 x 5, 1 channel, uint8, 2 pages)"


def test_import_is_light():
    code = "import sys, imgrestore.io; print([m for m in ('PIL', 'tifffile', 'astropy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_global_settings_of_pillow_are_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # ours is the limit that counts
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for suffix in (".png", ".jpg", ".bmp"):
            write(tmp_path / f"a{suffix}", smooth())
            read(tmp_path / f"a{suffix}")
    assert Image.MAX_IMAGE_PIXELS == 100
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
