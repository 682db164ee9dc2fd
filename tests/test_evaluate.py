"""Scoring a task on folders: real pairs, clean pictures that are damaged, the table, the file, and what is refused."""

import csv

import numpy as np
import pytest
from skimage import data
from typer.testing import CliRunner

import imgrestore
from imgrestore import io
from imgrestore.cli import app
from imgrestore.evaluate import TASKS, Score, Scores, evaluate
from imgrestore.evaluate_cases import find_sources
from imgrestore.metrics import psnr, ssim

COLOUR = data.astronaut()[:96, 100:196]
GRAY = data.camera()[100:196, 200:296]


def call(*words):
    return CliRunner().invoke(app, ["evaluate", *(str(word) for word in words)])


@pytest.fixture
def clean(tmp_path):
    folder = tmp_path / "clean"
    folder.mkdir()
    io.write(folder / "a.png", COLOUR)
    io.write(folder / "b.png", GRAY)
    return folder


@pytest.fixture
def pairs(tmp_path):
    """Two pairs with stripes, of which the second has another format on each side."""
    folder = tmp_path / "pairs"
    for part in ("input", "gt"):
        (folder / part).mkdir(parents=True)
    stripes = 25 * np.sin(2 * np.pi * 0.25 * np.arange(96))
    for name, picture in (("one", COLOUR), ("two", GRAY)):
        shape = (96, 1) if picture.ndim == 3 else (96,)
        striped = np.rint(picture + stripes.reshape(shape)).clip(0, 255).astype(np.uint8)
        io.write(folder / "input" / f"{name}.png", striped)
        io.write(folder / "gt" / f"{name}.{'tif' if name == 'two' else 'png'}", picture)
    return folder


def test_scores_of_real_pairs(pairs):
    scores = evaluate("demoire", pairs)
    assert scores.methods == ("input", "classical", "auto")
    assert [row.picture for row in scores.rows] == ["one.png"] * 3 + ["two.png"] * 3
    observed = io.read(pairs / "input" / "two.png").pixels / np.float32(255)
    truth = GRAY / 255
    row = scores.rows[3]
    assert row.psnr == pytest.approx(psnr(observed, truth))
    assert (row.change, row.seconds) == (0, 0)
    result = imgrestore.demoire(observed, method="classical")
    row = scores.rows[4]
    assert row.psnr == pytest.approx(psnr(result, truth))
    assert row.ssim == pytest.approx(ssim(result, truth))
    assert row.change == pytest.approx(psnr(result, truth) - psnr(observed, truth))
    assert row.change > 3
    assert row.seconds > 0


def test_means():
    rows = [Score(f"{i}", "auto", 30 + i, 0.8, 31 + i, gain, i) for i, gain in enumerate((2.0, -0.5, 1.0))]
    mean = Scores("derust", tuple(rows)).mean("auto")
    assert (mean.pictures, mean.psnr, mean.psnr_fitted, mean.worst_change, mean.seconds) == (3, 31, 32, -0.5, 1)
    with pytest.raises(ValueError, match="method is 'rl'; expected one of auto"):
        Scores("derust", tuple(rows)).mean("rl")


@pytest.mark.parametrize("task", TASKS)
def test_every_task_damages_clean_pictures(task, clean):
    first, again = (find_sources(task, clean, noise=0.02) for _ in range(2))
    other = find_sources(task, clean, noise=0.02, seed=1)
    for one, same, another in zip(first, again, other, strict=True):
        case = one.load()
        assert case.observed.shape == case.truth.shape
        assert case.observed.dtype == case.truth.dtype == np.float32
        assert 10 < psnr(case.observed, case.truth) < 36
        assert np.array_equal(case.observed, same.load().observed)
        assert not np.array_equal(case.observed, another.load().observed)


@pytest.mark.parametrize("task", [task for task in TASKS if task != "deblur"])
def test_every_task_is_scored(task, clean):
    scores = evaluate(task, clean, methods=["classical"], limit=1)
    assert [row.method for row in scores.rows] == ["input", "classical"]
    assert all(np.isfinite([row.psnr, row.ssim, row.psnr_fitted]).all() for row in scores.rows)


def test_a_limit_does_not_change_what_happens_to_a_picture(clean):
    assert len(find_sources("demoire", clean, limit=1)) == 1
    whole, part = evaluate("demoire", clean, methods=["auto"]), evaluate("demoire", clean, methods=["auto"], limit=1)
    assert part.rows[0] == whole.rows[0]


def test_a_blurred_frame_is_where_the_truth_is(clean):
    """The scene goes on past the frame; a PSF of an even size, off its centre, moves nothing."""
    point = np.zeros((5, 4))
    point[2, 2] = 1
    source = find_sources("deblur", clean, noise=0.0, psf=point)[0]
    case = source.load()
    assert case.truth.shape == (92, 93, 3)
    assert np.abs(case.observed - case.truth).max() < 1e-5
    off = imgrestore.Psf(np.eye(3)[:, [2, 1, 0]] * [1, 0, 0], centre=(2, 0))
    case = find_sources("deblur", clean, noise=0.0, psf=off)[0].load()
    assert np.abs(case.observed - case.truth).max() < 1e-5


def test_noise_of_a_blurred_frame(clean):
    point = np.ones((1, 1))
    for noise, expected in ((None, 0.01), (0.03, 0.03)):
        case = find_sources("deblur", clean, noise=noise, psf=point)[0].load()
        assert np.std(case.observed - case.truth) == pytest.approx(expected, rel=0.05)


def test_classical_deblurring_is_without_the_net(clean, monkeypatch):
    told = []

    def deblur(image, psf, **settings):
        told.append(settings)
        return image

    monkeypatch.setattr("imgrestore.tasks.deblur.deblur", deblur)
    evaluate("deblur", clean, methods=["classical", "auto", "rl"], limit=1)
    assert [(one["method"], one.get("refine")) for one in told] == [("auto", False), ("auto", None), ("rl", None)]


def test_deblurring_gains_and_is_told_the_psf(clean):
    scores = evaluate("deblur", clean, methods=["classical", "wiener"], psf="disk:2", limit=1)
    assert scores.mean("classical").worst_change > 2
    assert scores.mean("wiener").worst_change > 0.5


def test_weights_go_to_the_task_that_takes_them(clean, monkeypatch):
    told = []

    def demoire(image, *, method, channel_axis, weights=None):
        told.append((method, weights))
        return image

    monkeypatch.setattr("imgrestore.tasks.demoire.demoire", demoire)
    path = clean / "own.safetensors"
    path.write_bytes(b"weights")
    evaluate("demoire", clean, weights=path, limit=1)
    assert told == [("classical", None), ("auto", path)]
    with pytest.raises(ValueError, match="none is auto"):
        evaluate("demoire", clean, methods=["classical"], weights=path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        evaluate("demoire", clean, weights=clean / "missing.safetensors")
    monkeypatch.setattr("imgrestore.tasks.deshadow.deshadow", lambda image, *, method, channel_axis: image)
    with pytest.raises(ValueError, match="deshadow has no net"):
        evaluate("deshadow", clean, weights=path)


def test_masks_are_handed_over(pairs):
    (pairs / "mask").mkdir()
    mask = np.zeros((96, 96), np.uint8)
    mask[:, :40] = 255
    for name in ("one", "two"):
        io.write(pairs / "mask" / f"{name}.png", mask)
    sources = find_sources("demoire", pairs, with_mask=True)
    assert np.array_equal(sources[0].load().settings["mask"], mask > 0)
    assert find_sources("demoire", pairs)[0].load().settings == {}
    io.write(pairs / "mask" / "two.png", mask[:50], overwrite=True)
    with pytest.raises(ValueError, match=r"mask.two.png has shape \(50, 96\)"):
        evaluate("demoire", pairs, with_mask=True)


def test_a_picture_without_a_partner(pairs):
    (pairs / "gt" / "two.tif").unlink()
    with pytest.raises(ValueError, match=r"input.two.png has no partner in gt"):
        evaluate("demoire", pairs)
    assert evaluate("demoire", pairs, limit=1, methods=["auto"]).mean("auto").pictures == 1
    io.write(pairs / "gt" / "two.tif", GRAY)
    io.write(pairs / "gt" / "two.png", GRAY)
    with pytest.raises(ValueError, match=r"2 partners in gt \(two.png, two.tif\)"):
        evaluate("demoire", pairs)


def test_shapes_that_differ_are_seen_before_anything_is_restored(pairs, monkeypatch):
    io.write(pairs / "gt" / "two.tif", GRAY[:90], overwrite=True)
    monkeypatch.setattr("imgrestore.tasks.demoire.demoire", None)  # to call it would be a TypeError
    with pytest.raises(ValueError, match=r"two.png has shape \(96, 96\), .*two.tif \(90, 96\)"):
        evaluate("demoire", pairs)


def test_folders_that_are_none(tmp_path, pairs):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        evaluate("demoire", tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no pictures"):
        evaluate("demoire", tmp_path / "empty")
    with pytest.raises(NotADirectoryError, match="is a file"):
        evaluate("demoire", pairs / "gt" / "one.png")
    for path in (pairs / "gt").iterdir():
        path.unlink()
    (pairs / "gt").rmdir()
    with pytest.raises(ValueError, match="has no folder gt"):
        evaluate("demoire", pairs)


def test_settings_that_do_not_fit(clean, pairs):
    for wrong, message in (
        ({"methods": ["fast"]}, "method is 'fast'; deshadow has classical, auto"),
        ({"methods": []}, "expected a sequence"),
        ({"methods": ["auto", "auto"]}, "each method once"),
        ({"limit": 0}, "limit is 0"),
        ({"noise": -1}, "noise is -1"),
        ({"psf": "disk:2"}, "psf is given, but deshadow"),
        ({"with_mask": True}, "no folders input, gt and mask"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate("deshadow", clean, **wrong)
    with pytest.raises(ValueError, match="task is 'sharpen'"):
        evaluate("sharpen", clean)
    with pytest.raises(ValueError, match="holds real pairs"):
        evaluate("deshadow", pairs, noise=0.1)
    with pytest.raises(ValueError, match="leaves 1 x 1 pixels"):
        evaluate("deblur", clean, psf=np.ones((96, 96)))


def test_values_of_an_unknown_range(clean):
    io.write(clean / "counts.tif", GRAY.astype(np.float32) * 10)
    with pytest.raises(ValueError, match=r"counts.tif has float32 values .* floating point for a range of 1"):
        evaluate("demoire", clean)


def test_floating_point_may_reach_a_little_beyond_the_range(clean):
    values = GRAY.astype(np.float32) / 255
    values[:2, 0] = -1, 2
    io.write(clean / "noisy.tif", values)
    source = find_sources("demoire", clean)[-1]
    assert source.name == "noisy.tif"
    assert np.array_equal(source.load().truth, values)
    for wrong in (-1.1, 2.1):
        values[0, 0] = wrong
        io.write(clean / "noisy.tif", values, overwrite=True)
        with pytest.raises(ValueError, match=r"noisy.tif has float32 values .* \(from -1 to 2"):
            source.load()


def test_pictures_too_small_to_score_are_seen_before_anything_is_restored(clean, monkeypatch):
    io.write(clean / "strip.png", COLOUR[:6])
    monkeypatch.setattr("imgrestore.tasks.demoire.demoire", None)  # to call it would be a TypeError
    with pytest.raises(ValueError, match=r"strip.png has shape \(6, 96, 3\); expected sides of at least 7 pixels"):
        evaluate("demoire", clean)


def test_what_a_task_refuses_is_told_with_the_picture(clean, monkeypatch):
    def demoire(image, **settings):
        raise ValueError("too odd")

    monkeypatch.setattr("imgrestore.tasks.demoire.demoire", demoire)
    with pytest.raises(ValueError, match=r"a.png, classical: too odd"):
        evaluate("demoire", clean)


def test_the_command(pairs, tmp_path):
    result = call("demoire", pairs, "--methods", "classical", "auto", "--csv", tmp_path / "scores.csv")
    assert result.exit_code == 0, result.output
    assert "demoire: 2 pictures" in result.output
    for word in ("PSNR", "SSIM", "fitted", "worst", "seconds", "input", "classical", "auto"):
        assert word in result.output
    expected = evaluate("demoire", pairs)
    assert f"{expected.mean('classical').psnr:.2f}" in result.output
    with open(tmp_path / "scores.csv", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert [line["method"] for line in lines] == ["input", "classical", "auto"] * 2
    assert [float(line["psnr"]) for line in lines] == pytest.approx([row.psnr for row in expected.rows])
    again = call("demoire", pairs, "--csv", tmp_path / "scores.csv")
    assert again.exit_code == 2
    assert "--overwrite" in again.output
    assert call("demoire", pairs, "--methods", "auto", "--csv", tmp_path / "scores.csv", "--overwrite").exit_code == 0
    with open(tmp_path / "scores.csv", newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 4


def test_methods_on_the_command_line(clean):
    for words in (["--methods", "classical,wiener"], ["--methods", "classical", "--methods", "wiener"]):
        result = call("deblur", clean, "--psf", "disk:1", "--limit", 1, *words)
        assert result.exit_code == 0, result.output
        assert "wiener" in result.output
        assert "auto" not in result.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["deblur", "missing"], "no such folder"),
        (["demoire", ".", "elsewhere"], "expected one folder"),
        (["demoire", ".", "--methods", "best"], "method is 'best'"),
        (["deblur", ".", "--weights", "x.safetensors"], "weights x.safetensors: there is no such file"),
        (["demoire", ".", "--csv", "nowhere/x.csv"], "no folder nowhere"),
        (["sharpen", "."], "sharpen"),
    ],
)
def test_calls_that_make_no_sense(words, said, clean, monkeypatch):
    monkeypatch.chdir(clean)
    result = call(*words)
    assert result.exit_code == 2
    assert said in result.output


def test_interrupted(clean, monkeypatch):
    def demoire(image, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("imgrestore.tasks.demoire.demoire", demoire)
    result = call("demoire", clean)
    assert result.exit_code == 130
    assert "interrupted" in result.output
