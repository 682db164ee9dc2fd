"""What becomes of pixels that a format cannot hold: scaled, clipped with a word, or refused."""

import os
import warnings

import numpy as np
import pytest
from picture_files import noise, same, smooth

from imgrestore.io import Picture, PictureError, read, write


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
