"""Pictures in files, read and written part by part: the same pixels and metadata as of the whole."""

import itertools
import tracemalloc

import numpy as np
import pytest
import tifffile
from file_windows import SIZE, fill, same_by_windows
from picture_files import ICC, exif_block, noise
from PIL import Image

from imgrestore import io
from imgrestore.io import PictureError, Rectangle, tiff_source

# Reading TIFF.


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"tile": (32, 48)},
        {"rowsperstrip": 10},
        {"bigtiff": True, "rowsperstrip": 7},
        {"byteorder": ">"},
        {"byteorder": ">", "tile": (16, 16)},
        {"compression": "zlib", "tile": (32, 48)},
        {"compression": "zlib", "rowsperstrip": 17},
        {"planarconfig": "separate", "tile": (32, 32)},
        {"planarconfig": "separate", "rowsperstrip": 9},
        {"planarconfig": "separate", "rowsperstrip": 9, "compression": "zlib"},
    ],
    ids=str,
)
def test_a_tiff_by_windows(tmp_path, layout, dtype, channels):
    pixels = noise((*SIZE, channels)[: 2 if channels == 1 else 3], dtype)
    stored = pixels
    if "planarconfig" in layout:
        if channels == 1:
            pytest.skip("one plane")
        stored = np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
    photometric = "minisblack" if channels == 1 else "rgb"
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric=photometric, metadata=None, **layout)
    same_by_windows(tmp_path / "a.tif", pixels)


@pytest.mark.parametrize("rows", [16, 130])
@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "jpeg", "group4"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "1", "P", "I;16"])
def test_compressions_that_pillow_decodes(tmp_path, mode, compression, rows):
    levels = noise((*SIZE, 4), "uint8")
    colour = Image.fromarray(levels[..., :3])
    image = {
        "L": Image.fromarray(levels[..., 0]),
        "RGB": colour,
        "RGBA": Image.fromarray(levels),
        "1": Image.fromarray(levels[..., 0] > 99),
        "P": colour.quantize(40),
        "I;16": Image.fromarray(levels[..., 0].astype(np.uint16) * 200),
    }[mode]
    if (compression == "group4") != (mode == "1") or (compression == "jpeg" and mode in ("P", "I;16")):
        pytest.skip("not stored so")
    path = tmp_path / "a.tif"
    image.save(path, compression=compression, tiffinfo={278: rows})
    same_by_windows(path, io.read(path).pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_tiff_by_windows(tmp_path, orientation):
    path = tmp_path / "a.tif"
    tag = [(274, 3, 1, orientation, True)]
    tifffile.imwrite(path, noise((*SIZE, 3), "uint8"), photometric="rgb", metadata=None, extratags=tag)
    same_by_windows(path, io.read(path).pixels)


def test_white_is_zero(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(SIZE, "uint16"), photometric="miniswhite", metadata=None, tile=(32, 32))
    same_by_windows(path, io.read(path).pixels)


def test_a_page_of_several(tmp_path):
    pixels = noise((3, *SIZE), "uint16")
    io.write(tmp_path / "a.tif", pixels)
    for page in range(3):
        same_by_windows(tmp_path / "a.tif", pixels[page], page=page)
    with pytest.raises(PictureError, match=r"a\.tif: it has 3 pages.*page=0"), io.open_source(tmp_path / "a.tif"):
        pass
    with pytest.raises(PictureError, match=r"page is 3; expected one from 0 to 2"):
        same_by_windows(tmp_path / "a.tif", pixels[0], page=3)


def test_only_what_a_window_touches_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff_source, "CACHE", 32 * 32 * 3)
    tifffile.imwrite(
        tmp_path / "a.tif", noise((*SIZE, 3), "uint8"), photometric="rgb", compression="zlib", tile=(32, 32)
    )
    with io.open_source(tmp_path / "a.tif") as source:
        decoded = []
        decode = source._reader._decode
        monkeypatch.setattr(source._reader, "_decode", lambda *place: decoded.append(place[0]) or decode(*place))
        source.read(Rectangle(30, 30, 4, 4))
        assert decoded == [0, 1, 5, 6]
        source.read(Rectangle(33, 33, 4, 4))
        assert decoded == [0, 1, 5, 6]  # the last is kept
        source.read(Rectangle(0, 0, 4, 4))
        assert decoded == [0, 1, 5, 6, 0]


def test_one_strip_for_all(tmp_path):
    pixels = noise((*SIZE, 3), "uint8")
    tifffile.imwrite(tmp_path / "plain.tif", pixels, rowsperstrip=SIZE[0], photometric="rgb")
    tifffile.imwrite(tmp_path / "packed.tif", pixels, rowsperstrip=SIZE[0], photometric="rgb", compression="zlib")
    with io.open_source(tmp_path / "plain.tif", max_bytes=10_000) as source:
        assert source.buffer_bytes == 0
    with (
        pytest.raises(PictureError, match=r"packed\.tif: one compressed strip of 130 x 145 pixels.*in tiles"),
        io.open_source(tmp_path / "packed.tif", max_bytes=10_000),
    ):
        pass


def test_a_tile_left_out_of_a_sparse_tiff(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.full((64, 64), 7, np.uint8), tile=(32, 32), compression="zlib", metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        counts = list(tif.pages[0].databytecounts)
        tif.pages[0].tags["TileByteCounts"].overwrite([0, *counts[1:]])
    with io.open_source(path) as source:
        assert source.read(Rectangle(31, 30, 2, 4)).tolist() == [[0, 0, 7, 7], [7, 7, 7, 7]]


def test_a_cut_tiff_is_refused(tmp_path):
    io.write(tmp_path / "a.tif", noise(SIZE, "uint8"))
    whole = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[:-1000])
    with pytest.raises(PictureError, match=r"cut\.tif: it is truncated"), io.open_source(tmp_path / "cut.tif"):
        pass


@pytest.mark.parametrize("place", [(0, 0, 131, 1), (-1, 0, 2, 2), (0, 140, 4, 6), (5, 5, 0, 3)])
def test_windows_beyond_the_picture(tmp_path, place):
    io.write(tmp_path / "a.tif", noise(SIZE, "uint8"))
    with io.open_source(tmp_path / "a.tif") as source, pytest.raises(ValueError, match="does not lie inside"):
        source.read(Rectangle(*place))


# Formats that are read whole.


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.bmp", "a.fits"])
def test_formats_without_parts(tmp_path, name):
    io.write(tmp_path / name, noise(SIZE, "uint8"))
    same_by_windows(tmp_path / name, io.read(tmp_path / name).pixels)
    with (
        pytest.raises(PictureError, match=r"as a whole, takes .* more than .* TIFF or Zarr"),
        io.open_source(tmp_path / name, max_bytes=20_000),
    ):
        pass


def test_formats_written_whole(tmp_path):
    pixels = noise((*SIZE, 3), "uint8")
    with io.open_target(tmp_path / "a.png", pixels.shape, pixels.dtype) as target:
        fill(target, pixels)
    np.testing.assert_array_equal(io.read(tmp_path / "a.png").pixels, pixels)
    with (
        pytest.raises(PictureError, match="written as a whole"),
        io.open_target(tmp_path / "b.png", (2000, 2000), np.uint8, max_bytes=10**6),
    ):
        pass


# Writing TIFF.


@pytest.mark.parametrize("shape", [SIZE, (300, 517), (300, 517, 3), (70, 600, 4), (40, 50, 6)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "bool"])
def test_a_tiff_written_by_windows(tmp_path, shape, dtype):
    pixels = noise(shape, "uint8") > 99 if dtype == "bool" else noise(shape, dtype)
    with io.open_target(tmp_path / "a.tif", shape, dtype) as target:
        fill(target, pixels)
    expected = pixels.astype(np.uint8) * np.uint8(255) if dtype == "bool" else pixels
    np.testing.assert_array_equal(io.read(tmp_path / "a.tif").pixels, expected)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.pages[0].is_tiled


def test_whole_tiles_and_parts_of_them(tmp_path):
    pixels = noise((600, 700), "uint16")
    for step in ((256, 256), (512, 256), (600, 700), (100, 300)):
        with io.open_target(tmp_path / "a.tif", pixels.shape, pixels.dtype) as target:
            fill(target, pixels, step)
        np.testing.assert_array_equal(io.read(tmp_path / "a.tif").pixels, pixels)


def test_metadata_of_a_tiff_survives(tmp_path):
    pixels = noise((*SIZE, 4), "uint16")
    source = io.Picture(
        pixels,
        has_alpha=True,
        icc_profile=ICC,
        exif=exif_block(),
        xmp=b"<x/>",
        dpi=(300.0, 150.0),
        text={"Title": "one", "Description": "two"},
        extras={"tiff_tags": ((271, 2, 0, "Maker"),), "extrasample": 1, "photometric": 2},
    )
    io.write(tmp_path / "a.tif", source)
    with (
        io.open_source(tmp_path / "a.tif") as read,
        io.open_target(tmp_path / "b.tif", read.shape, read.dtype, like=read.like) as target,
    ):
        fill(target, pixels)
    before, after = io.read(tmp_path / "a.tif"), io.read(tmp_path / "b.tif")
    np.testing.assert_array_equal(after.pixels, pixels)
    for name in ("has_alpha", "icc_profile", "exif", "xmp", "dpi", "text", "extras"):
        assert getattr(after, name) == getattr(before, name), name


@pytest.mark.parametrize("kind", ["imagej", "ome"])
def test_imagej_and_ome_stay_such(tmp_path, kind):
    pixels = noise(SIZE, "uint16")
    metadata = {"axes": "YX"} | ({"spacing": 2.5} if kind == "imagej" else {"PhysicalSizeX": 0.5})
    tifffile.imwrite(tmp_path / f"a.{kind}.tif", pixels, **{kind: True}, metadata=metadata)
    with (
        io.open_source(tmp_path / f"a.{kind}.tif") as read,
        io.open_target(tmp_path / "b.tif", read.shape, read.dtype, like=read.like) as target,
    ):
        fill(target, pixels)
    before, after = io.read(tmp_path / f"a.{kind}.tif"), io.read(tmp_path / "b.tif")
    np.testing.assert_array_equal(after.pixels, pixels)
    assert after.extras[kind] == before.extras[kind]


def test_more_than_four_gigabytes_is_bigtiff(tmp_path, monkeypatch):
    # The layout only: what tifffile would fill with zeros is left out.
    seen = {}
    monkeypatch.setattr(tifffile, "imwrite", lambda stream, data, **options: seen.update(options) or 1 / 0)
    with pytest.raises(PictureError), io.open_target(tmp_path / "a.tif", (50_000, 50_000), np.uint16):
        pass
    assert seen["shape"] == (50_000, 50_000)
    assert "bigtiff" not in seen  # tifffile decides by the size
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.zarr"])
def test_nothing_half_written(tmp_path, name):
    if name == "a.zarr":
        pytest.importorskip("zarr")

    def half():
        with io.open_target(tmp_path / name, SIZE, np.uint8) as target:
            target.write(Rectangle(0, 0, 9, 9), np.ones((9, 9), np.uint8))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert not list(tmp_path.iterdir())
    with io.open_target(tmp_path / name, SIZE, np.uint8) as target:
        fill(target, noise(SIZE, "uint8"))
    before = sorted((str(p), p.stat().st_mtime_ns) for p in tmp_path.rglob("*"))
    with pytest.raises(RuntimeError):
        half()
    assert sorted((str(p), p.stat().st_mtime_ns) for p in tmp_path.rglob("*")) == before
    with (
        pytest.raises(FileExistsError, match="exists already"),
        io.open_target(tmp_path / name, SIZE, np.uint8, overwrite=False),
    ):
        pass


def test_pixels_that_do_not_fit(tmp_path):
    with io.open_target(tmp_path / "a.tif", SIZE, np.uint8) as target:
        with pytest.raises(ValueError, match=r"shape \(4, 4\) and the dtype float64; expected \(4, 4\) and uint8"):
            target.write(Rectangle(0, 0, 4, 4), np.ones((4, 4)))
        with pytest.raises(ValueError, match=r"\(3, 4\)"):
            target.write(Rectangle(0, 0, 4, 4), np.ones((3, 4), np.uint8))


@pytest.mark.parametrize(
    ("name", "shape", "dtype"), [("a.gif", SIZE, "u1"), ("a.tif", (4,), "u1"), ("a.tif", SIZE, "c8")]
)
def test_targets_that_cannot_be(tmp_path, name, shape, dtype):
    with pytest.raises(PictureError, match=r"expected|written as"), io.open_target(tmp_path / name, shape, dtype):
        pass
    assert not list(tmp_path.iterdir())


# Memory.


@pytest.mark.parametrize(
    ("layout", "target"),
    [({}, "b.tif"), ({"tile": (256, 256), "compression": "zlib"}, "b.tif"), ("zarr", "b.ome.zarr")],
    ids=["plain", "compressed", "zarr"],
)
def test_the_whole_is_never_in_memory(tmp_path, monkeypatch, layout, target):
    side, step = 2048, 512
    monkeypatch.setattr(tiff_source, "CACHE", 10**6)
    pixels = np.zeros((side, side), np.uint16)
    pixels[::7, ::5] = 9
    path = tmp_path / "a.tif"
    if layout == "zarr":
        path = tmp_path / "a.zarr"
        pytest.importorskip("zarr").create_array(str(path), data=pixels, chunks=(256, 256))
    else:
        tifffile.imwrite(path, pixels, metadata=None, **layout)
    with io.open_source(path) as source, io.open_target(tmp_path / target, (64, 64), np.uint16) as warm:
        warm.write(Rectangle(0, 0, 64, 64), source.read(Rectangle(0, 0, 64, 64)))
    tracemalloc.start()
    try:
        with io.open_source(path) as source, io.open_target(tmp_path / target, source.shape, source.dtype) as copy:
            for top, left in itertools.product(range(0, side, step), repeat=2):
                window = Rectangle(top, left, step, step)
                copy.write(window, source.read(window))
            allowed = source.buffer_bytes + copy.buffer_bytes
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < pixels.nbytes
    assert peak < allowed + 3 * step * step * 2
