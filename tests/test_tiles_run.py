"""Large pictures from file to file: any tile gives the whole's result."""

import numpy as np
import pytest
from picture_files import noise
from tile_cases import HALO, Box, box, take_means

from imgrestore import io
from imgrestore.tiles import restore_large
from imgrestore.tiles.memory import held_bytes, look_bytes

SHAPE = (150, 210)


@pytest.fixture(autouse=True)
def prepared(monkeypatch, fresh_process):
    """What the driver prepared: task, source and options."""
    return take_means(monkeypatch)


# The result.


@pytest.mark.parametrize("tile", [1000, 150, 64, (33, 210), 41, (9, 70)])
@pytest.mark.parametrize(("shape", "dtype"), [(SHAPE, "uint8"), ((*SHAPE, 3), "uint16"), (SHAPE, "float32")])
def test_tiles_equal_the_whole(tile, shape, dtype):
    picture = noise(shape, dtype)
    result = np.zeros_like(picture)
    summary = restore_large("any", picture, result, tile=tile)
    if dtype == "float32":  # running sums begin elsewhere
        np.testing.assert_allclose(result, box(picture), rtol=0, atol=1e-6)
    else:
        np.testing.assert_array_equal(result, box(picture))
    high, wide = tile if isinstance(tile, tuple) else (tile, tile)
    assert summary.tiles == -(-SHAPE[0] // high) * -(-SHAPE[1] // wide)
    assert (summary.shape, summary.halo, summary.notes) == (shape, HALO, ("means were taken",))


@pytest.mark.parametrize("names", [("a.tif", "b.tif"), ("a.tif", "b.zarr"), ("a.png", "b.tif"), ("a.tif", "b.png")])
def test_from_file_to_file(tmp_path, names):
    if any(name.endswith(".zarr") for name in names):
        pytest.importorskip("zarr")
    picture = noise((*SHAPE, 3), "uint8")
    io.write(tmp_path / names[0], picture)
    restore_large("any", tmp_path / names[0], str(tmp_path / names[1]), tile=64)
    with io.open_source(tmp_path / names[1]) as written:
        np.testing.assert_array_equal(written.read(io.Rectangle(0, 0, *SHAPE)), box(picture))


def test_zarr_arrays(tmp_path):
    zarr = pytest.importorskip("zarr")
    picture = noise(SHAPE, "uint16")
    source, target = (
        zarr.create_array(str(tmp_path / name), shape=SHAPE, chunks=(32, 32), dtype="uint16") for name in "ab"
    )
    source[:] = picture
    summary = restore_large("any", source, target)
    np.testing.assert_array_equal(target[:], box(picture))
    assert summary.tile == SHAPE


def test_options_and_the_page_go_through(tmp_path, prepared):
    stack = noise((3, *SHAPE), "uint16")
    io.write(tmp_path / "a.tif", stack)
    result = np.zeros(SHAPE, np.uint16)
    restore_large("any", tmp_path / "a.tif", result, page=1, psf="disk:2", noise=0.5)
    np.testing.assert_array_equal(result, box(stack[1]))
    assert prepared[0][0] == "any"
    assert prepared[0][2] == {"psf": "disk:2", "noise": 0.5}


def test_alpha_stays(tmp_path):
    picture = noise((*SHAPE, 4), "uint8")
    io.write(tmp_path / "a.tif", picture)
    restore_large("any", tmp_path / "a.tif", tmp_path / "b.tif", tile=50)
    written = io.read(tmp_path / "b.tif")
    assert written.has_alpha
    np.testing.assert_array_equal(written.pixels[..., 3], picture[..., 3])
    np.testing.assert_array_equal(written.pixels[..., :3], box(picture[..., :3]))


def test_gray_with_alpha(tmp_path, prepared):
    picture = noise((*SHAPE, 2), "uint8")
    io.write(tmp_path / "a.tif", picture)
    restore_large("any", tmp_path / "a.tif", tmp_path / "b.tif", tile=50)
    assert prepared[0][1].shape == SHAPE
    written = io.read(tmp_path / "b.tif").pixels
    np.testing.assert_array_equal(written, np.stack([box(picture[..., 0]), picture[..., 1]], axis=-1))


def test_counts_go_through_floating_point(tmp_path, prepared):
    picture = noise(SHAPE, "int32")
    io.write(tmp_path / "a.tif", picture)
    restore_large("any", tmp_path / "a.tif", tmp_path / "b.tif", tile=50)
    assert prepared[0][1].dtype == np.float64
    np.testing.assert_allclose(io.read(tmp_path / "b.tif").pixels, box(picture), rtol=0, atol=1)


def test_progress(tmp_path):
    heard = []
    picture = noise(SHAPE, "uint8")
    restore_large("any", picture, picture.copy(), tile=(75, 210), progress=lambda *step: heard.append(step))
    assert heard == [("tile 1 of 2", 0.0), ("tile 2 of 2", 0.5), ("all tiles", 1.0)]


# What is refused, and what is left behind then.


def test_a_tile_that_fails_leaves_no_file(tmp_path, monkeypatch):
    picture = noise(SHAPE, "uint8")
    io.write(tmp_path / "b.tif", picture)

    def fail(self, pixels, seen, core):
        if core.top > 60:
            raise MemoryError
        return pixels[core.inside(seen)]

    monkeypatch.setattr(Box, "__call__", fail)
    with pytest.raises(MemoryError):
        restore_large("any", picture, tmp_path / "b.tif", tile=50, overwrite=True)
    np.testing.assert_array_equal(io.read(tmp_path / "b.tif").pixels, picture)
    assert [path.name for path in tmp_path.iterdir()] == ["b.tif"]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"tile": 0}, ValueError, "tile is 0; expected a whole number above 0"),
        ({"tile": (3, 4, 5)}, ValueError, "tile is"),
        ({"tile": 2.5}, ValueError, "tile is 2.5"),
        ({"max_memory": "lots"}, ValueError, "max_memory is 'lots'; expected bytes"),
        ({"max_memory": None}, TypeError, "max_memory is None"),
        ({"page": 1}, ValueError, "page is 1; expected None"),
        ({"source": "no.tif"}, FileNotFoundError, "no such file"),
        ({"source": "a.tif", "target": "./a.tif"}, ValueError, "the source itself"),
        ({"target": np.zeros(SHAPE)}, ValueError, r"float64; expected those of the source.*uint8"),
        ({"target": 3}, TypeError, "target is a int"),
        ({"target": "b.tif"}, FileExistsError, "exists already"),
    ],
)
def test_bad_arguments(tmp_path, monkeypatch, changes, error, message):
    monkeypatch.chdir(tmp_path)
    for name in ("a.tif", "b.tif"):
        io.write(name, noise(SHAPE, "uint8"))
    arguments = {"source": noise(SHAPE, "uint8"), "target": "c.tif", **changes}
    with pytest.raises(error, match=message):
        restore_large("any", arguments.pop("source"), arguments.pop("target"), **arguments)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif", "b.tif"]


def test_source_and_target_are_two():
    picture = noise(SHAPE, "uint8")
    with pytest.raises(ValueError, match="the same array"):
        restore_large("any", picture, picture)


def test_too_little_memory_is_told_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"max_memory is '1MB'; expected at least \d+ MB for any of 150 x 210 pixels"):
        restore_large("any", noise(SHAPE, "uint8"), tmp_path / "a.tif", max_memory="1MB")
    with pytest.raises(ValueError, match=r"tiles of 50 x 50 pixels with a halo of 7 take \d+ MB; expected at most"):
        restore_large("any", noise(SHAPE, "uint8"), tmp_path / "a.tif", max_memory="1MB", tile=50)
    assert not list(tmp_path.iterdir())


def test_too_little_memory_for_a_look_is_told_before_it(prepared):
    picture, room = noise(SHAPE, "uint8"), held_bytes(10**9) + look_bytes("deblur", SHAPE, np.uint8) // 2
    with pytest.raises(ValueError, match=r"expected at least \d+ MB for deblur of 150 x 210 pixels, as looking at it"):
        restore_large("deblur", picture, picture.copy(), max_memory=room)
    assert not prepared
