"""Bad files say what is wrong with them."""

import errno
import io
import struct
import tempfile
import warnings
from pathlib import Path

import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_files import hand_made_png, noise, rich, same, smooth

from imgrestore.io import MAX_PIXELS, PictureError, read, write


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
