"""What belongs to the pixels survives: profile, EXIF, resolution, text, headers."""

import io
import struct

import numpy as np
import pytest
import tifffile
from picture_files import GRAY_ICC, ICC, XMP, exif_block, hand_made_png, noise, rich, same, smooth
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from imgrestore.io import Picture, read, write


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
