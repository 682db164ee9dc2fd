"""``imgrestore deblur`` without a PSF: what is estimated, what is kept of it, and what the user is told."""

from contextlib import contextmanager

import numpy as np
import pytest
from conftest import observe, psnr
from typer.testing import CliRunner

from imgrestore import Psf, Restoration, io
from imgrestore.cli import app, run
from imgrestore.psf_file import write_psf

PICTURE = np.random.default_rng(0).integers(40, 200, (24, 30), np.uint8)
FAST = ["--psf", "gaussian:1", "--method", "wiener"]


def call(*words):
    return CliRunner().invoke(app, ["deblur", *(str(w) for w in words)])


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def moved(photographs):
    """A sharp photograph, and as a moving camera sees it."""
    sharp, observed = observe(photographs["man"], Psf.motion(9, 30), 96, noise=0.002)
    return sharp, np.rint(observed * 255).clip(0, 255).astype(np.uint8)


@pytest.fixture
def seen(monkeypatch):
    """What a terminal would show, line by line."""
    lines = []

    @contextmanager
    def progress(total):
        yield lambda text, done: lines.append(text), run.say

    monkeypatch.setattr(run, "progress_bar", progress)
    return lines


def test_without_a_psf_it_is_estimated_shown_kept_and_can_be_given_again(here, moved, seen):
    sharp, observed = moved
    io.write("in.png", observed)
    result = call("in.png", "-o", "out.png", "--save-psf", "psf.npy", "--verbose")
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[0].startswith("in.png: estimated PSF: motion (length ")
    assert result.stderr.count("estimated PSF") == 1
    assert [text for text in seen if "level 2 of" in text]
    blind = io.read("out.png").pixels
    assert psnr(blind / 255, sharp) > psnr(observed / 255, sharp) + 2
    assert call("in.png", "-o", "again.png", "--psf", "psf.npy").exit_code == 0
    assert np.array_equal(io.read("again.png").pixels, blind)


@pytest.mark.parametrize(("suffix", "error"), [(".npy", 0), (".tif", 1e-7), (".png", 1e-4)])
def test_a_psf_that_was_kept_is_read_back_with_its_centre(here, suffix, error):
    for psf in (Psf.disk(2.3), Psf([[0, 1, 2, 9]], centre=(0, 3)), Psf(np.eye(4) + 0.1, centre=(0, 1))):
        write_psf(here / f"psf{suffix}", psf, overwrite=True)
        back = Psf.from_file(here / f"psf{suffix}")
        before, after = np.zeros((2, 9, 9))
        for into, each in ((before, psf), (after, back)):
            top, left = (4 - c for c in each.centre)
            into[top : top + each.shape[0], left : left + each.shape[1]] = each.array
        assert np.abs(after - before).max() <= error


def test_a_psf_of_three_axes_is_kept_as_pages_and_not_in_png():
    pages = np.random.default_rng(1).uniform(100, 900, (12, 24, 30)).astype(np.float32)
    io.write("in.tif", pages)
    psf = Psf.gaussian(0.8, ndim=3)
    np.save("given.npy", psf.array)
    words = ["in.tif", "-o", "out.tif", "--psf", "given.npy", "--method", "wiener", "--save-psf"]
    assert call(*words, "kept.tif").exit_code == 0
    assert np.allclose(Psf.from_file("kept.tif").array, psf.array, atol=1e-7)
    result = call(*words, "kept.png", "--overwrite")
    assert result.exit_code == 2
    assert "does not fit into PNG" in result.stderr


@pytest.mark.parametrize(("words", "names"), [("psfs/", ["a.npy", "b.npy"]), ("psfs/{name}.tif", ["a.tif", "b.tif"])])
def test_psfs_of_several(here, words, names):
    for name in "ab":
        io.write(f"{name}.png", PICTURE)
    assert call("a.png", "b.png", "-o", "out", "--save-psf", words, *FAST).exit_code == 0
    assert sorted(path.name for path in (here / "psfs").iterdir()) == names


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["in.png", "-o", "out.png", "--save-psf", "psf.jpg"], "--save-psf psf.jpg: expected a name in .npy"),
        (["in.png", "-o", "out.png", "--save-psf", "no/psf.npy"], "there is no folder no"),
        (["in.png", "-o", "out.png", "--save-psf", "in.png"], "is an input and would be written over"),
        (["in.png", "-o", "out.png", "--save-psf", "out.png"], "would be written for both"),
        (["in.png", "old.png", "-o", "out", "--save-psf", "psf.npy"], "is one file for 2 pictures; expected a folder"),
        (["in.png", "-o", "out.png", "--field", "3"], "--field is '3'; expected ROWSxCOLUMNS, such as 3x4"),
        (["in.png", "-o", "out.png", "--field", "0x4"], "--field is '0x4'; expected ROWSxCOLUMNS"),
        (["in.png", "-o", "out.png", "--field", "2x2", "--save-psf", "a.tif"], "a field of PSFs is written to .npy"),
        (["in.png", "-o", "out.png", "--field", "2x2", "--psf", "disk:2"], "--psf and --field are both given"),
    ],
)
def test_usage_errors(here, words, message):
    for name in ("in.png", "old.png"):
        io.write(name, PICTURE)
    result = call(*words, "--overwrite", *([] if "--field" in words and "--psf" not in words else FAST))
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert sorted(path.name for path in here.iterdir()) == ["in.png", "old.png"]


def test_a_field_is_kept_and_can_be_given_again(here):
    io.write("in.png", np.random.default_rng(0).integers(0, 255, (96, 130), dtype=np.uint8))
    np.save("field.npy", np.stack([Psf.disk(2).array] * 2)[None])
    words = ["in.png", "--method", "wiener", "--overwrite", "-o"]
    assert call(*words, "one.png", "--psf", "field.npy", "--save-psf", "kept.npy").exit_code == 0
    assert call(*words, "two.png", "--psf", "kept.npy").exit_code == 0
    assert np.allclose(np.load("kept.npy"), np.load("field.npy"))
    assert np.array_equal(io.read("one.png").pixels, io.read("two.png").pixels)


def test_a_psf_that_exists_is_kept(here):
    io.write("in.png", PICTURE)
    (here / "psf.npy").write_bytes(b"mine")
    words = ["in.png", "-o", "out.png", "--save-psf", "psf.npy", *FAST]
    result = call(*words)
    assert result.exit_code == 1
    assert result.stderr == "in.png: psf.npy exists already; --overwrite replaces it\n"
    assert (here / "psf.npy").read_bytes() == b"mine"
    assert not (here / "out.png").exists()
    assert call(*words, "--overwrite").exit_code == 0
    assert np.array_equal(np.load("psf.npy"), Psf.gaussian(1).array)


def test_the_user_is_told_of_a_picture_that_was_left_alone():
    io.write("in.png", PICTURE)
    result = call("in.png", "-o", "out.png")
    assert result.exit_code == 0
    assert result.stderr == "in.png: left as it was: the blur cannot be told: less than 32 pixels across\n"
    assert np.array_equal(io.read("out.png").pixels, PICTURE)
    verbose = call("in.png", "-o", "out.png", "--verbose", "--overwrite").stderr.splitlines()
    assert verbose == [result.stderr.strip(), "in.png: nothing to deblur: the PSF is a single point"]


def test_of_pages_the_user_is_told_which_and_the_first_psf_is_kept(monkeypatch, seen):
    psfs = iter([Psf.disk(2), Psf([[1.0]])])

    def answer(pixels, *, progress, **_):
        progress("looking", 0.5)
        psf = next(psfs)
        alone = ("nothing to deblur: the PSF is a single point",) if psf.shape == (1, 1) else ()
        return Restoration(pixels, psf=psf, notes=("no blur was found", *alone))

    monkeypatch.setattr("imgrestore.tasks.deblur.deblur", answer)
    io.write("in.tif", np.stack([PICTURE, PICTURE]))
    result = call("in.tif", "-o", "out.tif", "--save-psf", "psf.npy")
    assert result.stderr == "in.tif: page 2: left as it was: no blur was found\n"
    assert np.array_equal(np.load("psf.npy"), Psf.disk(2).array)
    assert [text for text in seen if text] == [
        "in.tif",
        "in.tif: page 1 of 2, looking",
        "in.tif: page 2 of 2, looking",
    ]


def test_the_parts_of_a_field_reach_the_method(monkeypatch):
    asked = []

    def answer(pixels, *, field=None, **_):
        asked.append(field)
        return Restoration(pixels, notes=("estimated",))

    monkeypatch.setattr("imgrestore.tasks.deblur.deblur", answer)
    io.write("in.png", PICTURE)
    for words in (["--field", "3x4"], []):
        assert call("in.png", "-o", "out.png", "--overwrite", *words).exit_code == 0
    assert asked == [(3, 4), None]


def test_no_blur_gives_no_panel_of_one_pixel():
    from imgrestore.sheet import draw

    layers = {"reblurred": PICTURE.astype(float), "residual": np.zeros(PICTURE.shape)}
    point, disk, none = (draw(Restoration(PICTURE, layers, psf=p)) for p in (Psf([[1.0]]), Psf.disk(2), None))
    assert np.array_equal(point, none)
    assert not np.array_equal(disk, none)
