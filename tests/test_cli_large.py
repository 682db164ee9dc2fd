"""The command line on pictures that go tile by tile: which do, what reaches the task, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile
from picture_files import noise
from scipy.ndimage import gaussian_filter
from tile_cases import NOTE, box, take_means
from typer.testing import CliRunner

import imgrestore
from imgrestore import io
from imgrestore import job_tiles as large
from imgrestore.cli import app
from imgrestore.job import Job, Work

SHAPE = (90, 120)
TASKS = ("deblur", "demoire", "deshadow", "dereflect", "despecular", "derust")


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def prepared(monkeypatch):
    """Tasks take means, and tell what they were asked."""
    return take_means(monkeypatch)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_goes_by_tiles_when_asked(task, prepared):
    picture = noise((*SHAPE, 3), "uint8")
    io.write("a.tif", picture)
    result = call(task, "a.tif", "-o", "b.tif", "--tile", "50", "--max-memory", "4GB", "-v")
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(io.read("b.tif").pixels, box(picture))
    assert prepared[0][0] == task
    assert prepared[0][2]["method"] == "auto"
    assert None not in prepared[0][2].values()
    assert f"a.tif: {NOTE}" in result.output
    assert "a.tif: 6 tiles of 50 x 50 pixels with a halo of 7" in result.output
    assert "MB of memory expected" in result.output


def test_options_reach_the_task(prepared):
    io.write("a.tif", noise(SHAPE, "uint16"))
    mask = np.zeros(SHAPE, bool)
    mask[3:9] = True
    io.write("m.png", mask)
    words = ["--psf", "disk:2", "--noise", "3", "--method", "tv", "--mask", "m.png", "--no-refine"]
    result = call("deblur", "a.tif", "-o", "b.tif", "--tile", "50", "--max-memory", "4GB", *words)
    assert result.exit_code == 0, result.output
    assert result.output == ""
    options = prepared[0][2]
    np.testing.assert_array_equal(options["mask"], mask)
    np.testing.assert_array_equal(options["psf"].array, imgrestore.Psf.disk(2).array)
    assert (options["noise"], options["method"], options["refine"]) == (3, "tv", False)


def test_large_tiff_goes_by_tiles_unasked(prepared, monkeypatch):
    monkeypatch.setattr(large, "IN_MEMORY", 10_000)
    io.write("large.tif", noise(SHAPE, "uint8"))
    assert call("deblur", "large.tif", "-o", "out/").exit_code == 0
    assert len(prepared) == 1
    np.testing.assert_array_equal(io.read("out/large.tif").pixels, box(io.read("large.tif").pixels))


def test_all_else_stays_whole(here, monkeypatch):
    monkeypatch.setattr(large, "IN_MEMORY", 10_000)
    for name, shape in (("large.tif", SHAPE), ("small.tif", (80, 90)), ("stack.tif", (2, *SHAPE))):
        io.write(name, noise(shape, "uint8"))
    (here / "bad.tif").write_bytes(b"II*\0 nothing")
    io.write("large.png", noise(SHAPE, "uint8"))

    def by_tiles(source, target="out.tif", work=None, limits=large.UNASKED, **others):
        work = replace(work or Work(imgrestore.deblur, {}), limits=limits)
        return large.goes_by_tiles(Job(here / source, here / target, **others), work)

    assert by_tiles("large.tif")
    assert not any(by_tiles(name) for name in ("small.tif", "stack.tif", "bad.tif", "large.png", "missing.tif"))
    assert not by_tiles("large.tif", "out.png")
    assert not by_tiles("large.tif", sheet=here / "sheet.png")
    assert not by_tiles("large.tif", psf=here / "psf.npy")
    assert not by_tiles("large.tif", work=Work(imgrestore.deblur, {}, space=3))
    assert not by_tiles("large.tif", work=Work(imgrestore.deblur, {"flash": np.zeros(SHAPE)}))
    assert by_tiles("large.tif", work=Work(imgrestore.deblur, {"flash": None}))
    assert by_tiles("small.tif", limits=large.Limits(tile=50))
    assert by_tiles("large.png", limits=large.Limits(max_memory="1GB"))
    assert by_tiles("small.tif", "out.zarr")


def test_zarr_in_and_out(prepared, here):
    zarr = pytest.importorskip("zarr")
    picture = noise(SHAPE, "uint16")
    (here / "in").mkdir()
    zarr.create_array("in/a.zarr", shape=SHAPE, chunks=(32, 32), dtype="uint16")[:] = picture
    io.write("in/b.tif", picture)
    for source, target in (("in/a.zarr", "a.zarr"), ("in/a.zarr", "a.tif"), ("in/b.tif", "b.ome.zarr")):
        result = call("deblur", source, "-o", target)
        assert result.exit_code == 0, result.output
        with io.open_source(target) as written:
            np.testing.assert_array_equal(written.read(io.Rectangle(0, 0, *SHAPE)), box(picture))
    again = call("deblur", "in/a.zarr", "-o", "a.zarr")
    assert again.exit_code == 1
    assert "a.zarr exists already; --overwrite replaces it" in again.output
    assert call("deblur", "in/a.zarr", "-o", "a.zarr", "--overwrite").exit_code == 0
    result = call("deblur", "in", "-o", "all/", "--tile", "64", "--max-memory", "4GB")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (here / "all").iterdir()) == ["a.zarr", "b.tif"]
    result = call("deblur", "in/a.zarr", "in/b.tif", "-o", "c.zarr")
    assert result.exit_code == 2
    assert "one file for 2 pictures" in result.output


def test_what_was_left_alone_is_told(monkeypatch):
    take_means(monkeypatch, notes=("method tv", "nothing to deblur: the PSF is a single point"))
    io.write("a.tif", noise(SHAPE, "uint8"))
    result = call("deblur", "a.tif", "-o", "b.tif", "--max-memory", "4GB")
    assert result.exit_code == 0
    assert result.output == "a.tif: left as it was: nothing to deblur: the PSF is a single point\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--max-memory", "much"], "--max-memory is 'much'; expected bytes"),
        (["--tile", "50", "--details", "sheet.png"], "--details goes with pictures that are restored whole"),
        (["--max-memory", "2GB", "--save-psf", "psf.npy"], "--save-psf goes with pictures that are restored whole"),
        (["--tile", "3"], "'--tile'"),
    ],
)
def test_what_makes_no_sense(words, message, prepared, here):
    io.write("a.tif", noise(SHAPE, "uint8"))
    result = call("deblur", "a.tif", "-o", "b.tif", *words)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert not prepared
    assert sorted(path.name for path in here.iterdir()) == ["a.tif"]


def test_what_fails_is_told_and_leaves_nothing(prepared, here):
    io.write("a.tif", noise((2, *SHAPE), "uint8"))
    (here / "bad.tif").write_bytes(b"II*\0 nothing")
    io.write("c.tif", noise(SHAPE, "uint8"))
    result = call("deblur", "a.tif", "bad.tif", "c.tif", "-o", "out/", "--tile", "50", "--max-memory", "4GB")
    assert result.exit_code == 1
    assert "a.tif: it is a stack of 2 pages, which are restored whole" in result.output
    assert "bad.tif: it is truncated or damaged" in result.output
    assert "2 of 3 failed" in result.output
    assert [path.name for path in (here / "out").iterdir()] == ["c.tif"]
    result = call("deblur", "c.tif", "-o", "d.tif", "--max-memory", "100MB")
    assert result.exit_code == 1
    assert "c.tif: max_memory is '100MB'; expected at least" in result.output


def test_metadata_and_bigtiff(prepared):
    picture = noise((*SHAPE, 3), "uint8")
    tifffile.imwrite(
        "a.tif", picture, photometric="rgb", bigtiff=True, compression="zlib", resolution=(300, 300), metadata=None
    )
    assert call("deblur", "a.tif", "-o", "b.tif", "--tile", "64", "--max-memory", "4GB").exit_code == 0
    written = io.read("b.tif")
    np.testing.assert_array_equal(written.pixels, box(picture))
    assert written.dpi == (300, 300)


def test_tiles_of_a_deblurred_file_equal_the_whole():
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    scene = (rows // 9 + columns // 13) % 3 * 20_000.0 + 5000
    io.write("a.tif", gaussian_filter(scene, 1.2).astype(np.uint16))
    words = ["--psf", "gaussian:1.2", "--method", "wiener", "--noise", "60"]
    assert call("deblur", "a.tif", "-o", "whole.tif", *words).exit_code == 0
    result = call("deblur", "a.tif", "-o", "tiles.tif", *words, "--tile", "50", "--max-memory", "4GB")
    assert result.exit_code == 0, result.output
    whole, tiles = (io.read(name).pixels.astype(int) for name in ("whole.tif", "tiles.tif"))
    assert abs(whole - io.read("a.tif").pixels).max() > 1000
    assert abs(whole - tiles).max() <= 1e-4 * 65535
