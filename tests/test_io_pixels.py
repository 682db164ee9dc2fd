"""Pictures come back from disk as they went, in every format and depth."""

import dataclasses
import os
import struct
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from picture_files import RNG, exif_block, hand_made_png, noise, same, smooth
from PIL import Image

from imgrestore.io import Picture, PictureError, read, write


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
