"""The command line: what it reads, what it writes, what it refuses, and what it says."""

import os
import signal
import time
from subprocess import PIPE

import child
import numpy as np
import pytest
from typer.testing import CliRunner

import imgrestore
from imgrestore import Psf, io
from imgrestore.cli import app, deblur, info, run
from imgrestore.job import Job, reason

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(40, 200, (24, 30), np.uint8)
FAST = ["--psf", "gaussian:1", "--method", "wiener"]


def call(*words):
    return CliRunner().invoke(app, [str(w) for w in words])


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def folder(here):
    """Three good pictures, one of them in a subfolder, and a damaged one."""
    (here / "in" / "sub").mkdir(parents=True)
    for name in ("b.png", "a.tif", "sub/c.png"):
        io.write(here / "in" / name, PICTURE)
    (here / "in" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (here / "in" / "words.txt").write_text("no picture")
    return here / "in"


def names(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_one_picture():
    io.write("in.png", PICTURE)
    result = call("deblur", "in.png", "-o", "out.png", *FAST)
    assert result.exit_code == 0, result.output
    assert result.output == ""
    expected = imgrestore.deblur(PICTURE, "gaussian:1", method="wiener")
    assert np.array_equal(io.read("out.png").pixels, expected)


def test_every_option_reaches_the_method():
    io.write("in.png", PICTURE)
    good = np.ones(PICTURE.shape, bool)
    good[5:9, 5:9] = False
    io.write("good.png", good)
    options = ["--method", "tv", "--noise", "3", "--mask", "good.png", "--boundary", "reflect"]
    result = call("deblur", "in.png", "-o", "out.png", "--psf", "motion:5:30", *options)
    assert result.exit_code == 0, result.output
    expected = imgrestore.deblur(PICTURE, "motion:5:30", method="tv", noise=3, mask=good, boundary="reflect")
    assert np.array_equal(io.read("out.png").pixels, expected)


def test_the_net_can_be_left_out():
    steps = (np.indices(PICTURE.shape).sum(0) // 9 * 31 % 190).astype(np.uint8)
    expected = {refine: imgrestore.deblur(steps, "gaussian:1", refine=refine) for refine in (False, True)}
    assert not np.array_equal(expected[False], expected[True])
    io.write("in.png", steps)
    for words, refine in ((["--no-refine"], False), (["--refine"], True), ([], True)):
        result = call("deblur", "in.png", "-o", "out.png", "--psf", "gaussian:1", "--overwrite", *words)
        assert result.exit_code == 0, result.output
        assert np.array_equal(io.read("out.png").pixels, expected[refine])


def test_psf_from_a_file():
    io.write("in.png", PICTURE)
    np.save("psf.npy", Psf.disk(2).array)
    assert call("deblur", "in.png", "-o", "out.png", "--psf", "psf.npy", "--method", "wiener").exit_code == 0
    assert np.array_equal(io.read("out.png").pixels, imgrestore.deblur(PICTURE, Psf.disk(2), method="wiener"))


def test_folder_goes_on_after_a_bad_file(folder):
    result = call("deblur", folder, "-o", "out", *FAST)
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"{folder / 'bad.png'}: it is truncated")
    assert lines[1] == "1 of 3 failed"
    assert names(folder.parent / "out") == ["a.tif", "b.png"]


def test_recursive_keeps_folders(folder):
    assert call("deblur", folder, "-o", "out", "-r", *FAST).exit_code == 1
    assert names(folder.parent / "out") == ["a.tif", "b.png", "sub/c.png"]


def test_pattern_and_missing_file(folder):
    result = call("deblur", "in/[ab].*", "no.png", "-o", "out", *FAST)
    assert result.exit_code == 1
    assert "no.png: there is no such file" in result.stderr
    assert names(folder.parent / "out") == ["a.tif", "b.png"]


def test_existing_files_are_kept():
    io.write("in.png", PICTURE)
    io.write("out.png", PICTURE)
    result = call("deblur", "in.png", "-o", "out.png", *FAST)
    assert result.exit_code == 1
    assert result.stderr == "in.png: out.png exists already; --overwrite replaces it\n"
    assert np.array_equal(io.read("out.png").pixels, PICTURE)
    assert call("deblur", "in.png", "-o", "out.png", "--overwrite", *FAST).exit_code == 0
    assert not np.array_equal(io.read("out.png").pixels, PICTURE)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["in/b.png", "-o", "in/b.png", "--overwrite"], "is an input and would be written over"),
        (["in", "-o", "in", "--overwrite"], "is an input and would be written over"),
        (["in/b.png", "in/sub/c.png", "-o", "x", "--details", "in"], "is an input and would be written over"),
        (["in/b.png", "-o", "x.gif"], "expected a name in .bmp"),
        (["in/b.png", "-o", "no/x.png"], "there is no folder no"),
        (["in", "-o", "x.png"], "is one file for 3 pictures; expected a folder"),
        (["in", "-o", "out", "--details", "sheet.png"], "is one file for 3 pictures; expected a folder or {name}"),
        (["in/b.png", "-o", "x.png", "--details", "sheet.tif"], "expected a name in .jpeg"),
        (["in/b.png", "-o", "x.png", "--details", "{name}.doc"], "expected a name that ends in .png"),
        (["in/b.png", "-o", "x.png", "--details", "x.png"], "would be written for both"),
        (["in/b.png", "other/b.png", "-o", "out"], "out/b.png would be written for both in/b.png and other/b.png"),
        (["nothing", "-o", "out"], "nothing: no pictures in this folder (--recursive looks into its folders)"),
        (["*.jpg", "-o", "out"], "no picture has a name like this"),
        (["in/b.png", "-o", "x.png", "--mask", "no.png"], "no such file"),
    ],
)
def test_usage_errors(folder, words, message):
    (folder.parent / "nothing").mkdir()
    before = names(folder.parent)
    result = call("deblur", *words, *FAST)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert names(folder.parent) == before


@pytest.mark.parametrize(
    ("psf", "message"),
    [
        ("gausian:2", "--psf gausian:2: no such file, nor gaussian:SIGMA"),
        ("disk:x", "expected gaussian:SIGMA, disk:RADIUS, motion:LENGTH:ANGLE or a file"),
        ("disk:-1", "expected a positive number"),
        ("in.txt", "cannot read in.txt"),
    ],
)
def test_psf_errors(here, psf, message):
    io.write("in.png", PICTURE)
    (here / "in.txt").write_text("text")
    result = call("deblur", "in.png", "-o", "out.png", "--psf", psf)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (here / "out.png").exists()


@pytest.mark.parametrize("words", [["--noise", "-1"], ["--method", "magic"], ["--boundary", "edge"], ["--wrong"]])
def test_bad_options(words):
    io.write("in.png", PICTURE)
    assert call("deblur", "in.png", "-o", "out.png", "--psf", "disk:1", *words).exit_code == 2


def test_choices_are_those_of_the_library():
    from typing import get_args

    from imgrestore.ops.blur_operator import Boundary
    from imgrestore.tasks.deblur import Method

    assert [m.value for m in deblur.MethodName] == list(get_args(Method))
    assert {b.value for b in deblur.BoundaryName} == set(get_args(Boundary))


@pytest.mark.parametrize("details", ["sheets", "sheets/{name}.png"])
def test_sheets_of_several(folder, details):
    assert call("deblur", "in/b.png", "in/a.tif", "-o", "out", "--details", details, *FAST).exit_code == 0
    assert names(folder.parent / "sheets") == ["a.png", "b.png"]
    assert io.read("sheets/a.png").channels == 3


def test_sheet_of_one_and_notes():
    io.write("in.png", PICTURE)
    result = call("deblur", "in.png", "-o", "out.png", "--details", "sheet.png", "--verbose", *FAST)
    assert result.exit_code == 0
    assert "in.png: method wiener" in result.stderr.splitlines()
    assert io.read("sheet.png").pixels.shape[1] > 600


def test_pages_are_pictures_with_a_2d_psf():
    pages = RNG.integers(40, 200, (3, 24, 30), np.uint8)
    io.write("in.tif", pages)
    assert call("deblur", "in.tif", "-o", "out.tif", "--details", "sheet.png", *FAST).exit_code == 0
    result = io.read("out.tif").pixels
    assert result.shape == pages.shape
    assert result.dtype == pages.dtype
    for before, after in zip(pages, result, strict=True):
        assert np.array_equal(after, imgrestore.deblur(before, "gaussian:1", method="wiener"))


def test_pages_are_a_volume_with_a_3d_psf():
    pages = RNG.uniform(100, 900, (12, 24, 30)).astype(np.float32)
    io.write("in.tif", pages)
    psf = Psf.gaussian(0.8, ndim=3)
    io.write("psf.tif", psf.array)
    words = ["--psf", "psf.tif", "--method", "wiener", "--details", "sheet.png"]
    assert call("deblur", "in.tif", "-o", "out.tif", *words).exit_code == 0
    expected = imgrestore.deblur(pages, psf, method="wiener")
    assert np.allclose(io.read("out.tif").pixels, expected, rtol=1e-4)
    io.write("flat.tif", pages[0])
    result = call("deblur", "flat.tif", "-o", "no.tif", *words[:4])
    assert result.exit_code == 1
    assert "expected a stack of pages" in result.stderr


@pytest.mark.parametrize(
    ("dtype", "channels", "suffix"),
    [("uint16", 0, "png"), ("uint8", 4, "png"), ("uint8", 3, "jpg"), ("float32", 0, "tif"), ("int16", 0, "tif")],
)
def test_types_survive(dtype, channels, suffix):
    shape = (24, 30, channels) if channels else (24, 30)
    pixels = RNG.uniform(40, 200, shape).astype(dtype)
    io.write(f"in.{suffix}", pixels)
    assert call("deblur", f"in.{suffix}", "-o", f"out.{suffix}", *FAST).exit_code == 0
    before, after = io.read(f"in.{suffix}"), io.read(f"out.{suffix}")
    assert after.pixels.dtype == before.pixels.dtype == np.dtype(dtype)
    assert after.pixels.shape == before.pixels.shape == shape
    assert after.has_alpha == before.has_alpha == (channels == 4)
    if channels == 4:
        assert np.array_equal(after.pixels[..., 3], before.pixels[..., 3])
    assert not np.array_equal(after.pixels, before.pixels)


def test_four_channels_without_alpha_are_all_deblurred():
    picture = io.Picture(RNG.uniform(0, 1, (24, 30, 4)).astype(np.float32), has_alpha=False)
    settings = {"psf": Psf.gaussian(1), "method": "wiener"}
    work = run.Work(imgrestore.deblur, settings)
    result, _ = run.restore_picture(picture, work, details=False)
    assert np.allclose(result, imgrestore.deblur(picture.pixels, **settings, channel_axis=-1))
    layered = io.Picture(np.concatenate([picture.pixels, picture.pixels[..., :1]], -1), has_alpha=True)
    result, shown = run.restore_picture(layered, work, details=True)
    assert np.array_equal(result[..., -1], layered.pixels[..., -1])
    assert shown.image.shape == (24, 30, 4)


def test_what_is_lost_is_said():
    io.write("in.tif", np.linspace(-1, 3, 720, dtype=np.float32).reshape(24, 30))
    result = call("deblur", "in.tif", "-o", "out.png", *FAST)
    assert result.exit_code == 0
    assert "in.tif: " in result.stderr
    assert "clipped" in result.stderr


def test_errors_of_the_library_are_one_line(monkeypatch):
    io.write("in.png", PICTURE)

    def broken(*_, **__):
        raise RuntimeError("first\nsecond")

    monkeypatch.setattr("imgrestore.tasks.deblur.deblur", broken)
    result = call("deblur", "in.png", "-o", "out.png", *FAST)
    assert result.exit_code == 1
    assert result.stderr == "in.png: RuntimeError: first second\n"
    job = Job(None, None)
    assert reason(MemoryError(), job) == "there is not enough memory for it"


def test_interrupt_leaves_what_was_done(here, monkeypatch):
    for name in "ab":
        io.write(f"{name}.png", PICTURE)
    real, calls = imgrestore.deblur, []

    def second_is_interrupted(*arguments, **keywords):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **keywords)

    monkeypatch.setattr("imgrestore.tasks.deblur.deblur", second_is_interrupted)
    result = call("deblur", "a.png", "b.png", "-o", "out", *FAST)
    assert result.exit_code == 130
    assert "interrupted: 1 of 2 done" in result.stderr
    assert os.listdir("out") == ["a.png"]


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_leaves_nothing_half_written(here):
    for number in range(40):
        io.write(f"{number:02}.png", RNG.integers(0, 255, (200, 200), np.uint8))
    words = ["deblur", ".", "-o", "out", "--psf", "gaussian:2", "--method", "tv"]
    process = child.start("-m", "imgrestore", *words, stderr=PIPE, text=True)
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline and not (here / "out").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    done = list((here / "out").iterdir())
    assert len(done) < 40
    for path in done:
        assert io.read(path).pixels.shape == (200, 200)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_an_interrupt_while_text_is_executed_has_the_same_status(here):
    io.write("a.png", RNG.integers(0, 255, (40, 40), np.uint8))
    lines = ("from imgrestore.cli import run", "run.restore_file = lambda *_, **__: exec('raise KeyboardInterrupt')")
    (here / "sitecustomize.py").write_text("\n".join(lines))
    path = os.pathsep.join([str(here), *child.PATHS])
    words = ["deblur", "a.png", "-o", "b.png", "--psf", "gaussian:1"]
    process = child.start("-m", "imgrestore", *words, stderr=PIPE, text=True, changes={"PYTHONPATH": path})
    _, errors = process.communicate(timeout=60)
    assert errors.strip().endswith("interrupted: 0 of 1 done")
    assert process.returncode == 130


def test_version_and_help():
    assert call("--version").output == f"imgrestore {imgrestore.__version__}\n"
    assert call("--help").exit_code == 0
    for option in ("--psf", "--details", "--overwrite"):
        assert option in call("deblur", "--help").output


def test_info_says_what_is_in_use_and_what_is_not():
    result = call("info")
    assert result.exit_code == 0
    assert imgrestore.__version__ in result.output
    assert "native code" in result.output


def test_info_says_why():
    facts = imgrestore.build_info()
    facts["native"] = {"loaded": False, "path": None, "reason": "turned off"}
    facts["cuda"] = {"loaded": True, "path": "_C_cuda.so", "reason": None, "devices": ["one", "two"]}
    lines = dict(info.rows(facts))
    assert lines["native code"] == "not in use: turned off"
    assert lines["CUDA kernels"] == "_C_cuda.so"
    assert lines["CUDA devices"] == "one, two"
    assert "instruction set" not in lines
    facts["native"] = {"loaded": True, "path": "_C.so", "reason": None}
    facts["isa"] = {"in_use": "avx2", "compiled": ["baseline", "avx2"], "supported": [], "reason": "no avx512"}
    facts["cuda"] = {"loaded": False, "path": None, "reason": "no toolkit", "devices": []}
    lines = dict(info.rows(facts))
    assert lines["instruction set"] == "avx2 (no avx512)"
    assert lines["CUDA kernels"] == "not in use: no toolkit"
    assert lines["CUDA devices"] == "none that torch sees"


def test_info_says_how_to_get_what_is_missing(monkeypatch):
    monkeypatch.setattr(info, "OPTIONAL", {"no-such-package": ("XYZ files", "pip install it")})
    assert dict(info.rows(imgrestore.build_info()))["XYZ files"].endswith("not installed (pip install it)")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["derust", "--stain", "nan,1,1"], "--stain is 'nan,1,1'; expected auto or three numbers"),
        (["derust", "--stain", "1,1"], "--stain is '1,1'; expected auto or three numbers"),
        (["despecular", "--illuminant", "0,0,0"], "--illuminant is '0,0,0'; expected auto or three numbers"),
        (["despecular", "--illuminant=-1,1,1"], "that are not negative"),
        (["dereflect", "--flash", "no.png"], "no such file"),
    ],
)
def test_settings_of_the_other_tasks_are_checked_first(here, words, message):
    io.write("in.png", PICTURE)
    result = call(*words, "in.png", "-o", "out.png")
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (here / "out.png").exists()


def test_a_second_picture_of_counts():
    first = RNG.integers(100, 4000, (24, 30, 3)).astype(np.int32)
    second = first + RNG.integers(500, 900, (24, 30, 3)).astype(np.int32)
    io.write("in.tif", first)
    io.write("flash.tif", second)
    result = call("dereflect", "in.tif", "-o", "out.tif", "--flash", "flash.tif")
    assert result.exit_code == 0, result.stderr
    floats = imgrestore.dereflect(first.astype(float), flash=second.astype(float), channel_axis=-1)
    assert np.array_equal(io.read("out.tif").pixels, np.rint(floats).astype(np.int32))
