"""Scoring masks that a task finds: against marks that are known, the table, the file, and what is refused."""

import csv

import numpy as np
import pytest
from typer.testing import CliRunner

import imgrestore
from imgrestore import io
from imgrestore.cli import app
from imgrestore.evaluate_masks import MaskScore, MaskScores, evaluate_masks
from imgrestore.metrics import balanced_error, intersection_over_union


def call(*words):
    return CliRunner().invoke(app, ["evaluate", *(str(word) for word in words)])


@pytest.fixture
def marked(tmp_path):
    """A shaded wall whose shadow was marked a little too far down, and a wall in the sun."""
    folder = tmp_path / "marked"
    for part in ("input", "mask"):
        (folder / part).mkdir(parents=True)
    wall = np.random.default_rng(0).integers(150, 180, (96, 96, 3)).astype(np.uint8)
    mask = np.zeros((96, 96), np.uint8)
    mask[24:72, 24:72] = 255
    shaded = np.where(mask[..., None] > 0, wall * 0.4, wall).round().astype(np.uint8)
    wide = np.roll(mask, 8, axis=0)
    io.write(folder / "input" / "shaded.png", shaded)
    io.write(folder / "mask" / "shaded.tif", wide)
    io.write(folder / "input" / "sunny.png", wall)
    io.write(folder / "mask" / "sunny.png", np.zeros_like(mask))
    return folder


def test_masks_are_those_of_the_task(marked):
    scores = evaluate_masks("deshadow", marked)
    assert scores.methods == ("classical", "auto")
    assert [row.picture for row in scores.rows] == ["shaded.png"] * 2 + ["sunny.png"] * 2
    observed = io.read(marked / "input" / "shaded.png").pixels / np.float32(255)
    found = imgrestore.deshadow(observed, method="classical", details=True).mask
    truth = io.read(marked / "mask" / "shaded.tif").pixels > 127
    row = scores.rows[0]
    assert row.iou == pytest.approx(intersection_over_union(found, truth))
    assert row.balanced_error == pytest.approx(balanced_error(found, truth))
    assert row.precision == pytest.approx((found & truth).sum() / found.sum())
    assert row.recall == pytest.approx((found & truth).sum() / truth.sum())
    # The mark lies 8 of 48 rows beside the shadow.
    assert 0.5 < row.iou < 40 / 56 + 0.06


def test_a_picture_without_damage_has_an_empty_mask(marked):
    row = evaluate_masks("deshadow", marked, methods=["classical"]).rows[1]
    assert (row.iou, row.balanced_error, row.precision, row.recall) == (1, 0, 1, 1)


def test_means():
    rows = tuple(MaskScore(str(i), "auto", 0.2 * i, 0.1 * i, 0.3 * i, 0.25 * i, i) for i in (1, 2, 3))
    mean = MaskScores("derust", rows).mean("auto")
    assert (mean.pictures, mean.seconds) == (3, 2)
    assert [mean.iou, mean.balanced_error, mean.precision, mean.recall] == pytest.approx([0.4, 0.2, 0.6, 0.5])
    with pytest.raises(ValueError, match="method is 'classical'; expected one of auto"):
        MaskScores("derust", rows).mean("classical")


def test_a_file_of_no_scores_names_its_columns(tmp_path):
    MaskScores("derust", ()).to_csv(tmp_path / "none.csv")
    assert (tmp_path / "none.csv").read_text().startswith("picture,method,iou,")


def test_the_command_tells_and_writes_them(marked, tmp_path):
    told = call("deshadow", marked, "--methods", "classical", "--csv", tmp_path / "scores.csv")
    assert told.exit_code == 0, told.output
    assert "deshadow: 2 pictures" in told.output
    for word in ("IoU", "balanced error", "precision", "recall", "classical"):
        assert word in told.output
    assert "PSNR" not in told.output
    with (tmp_path / "scores.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    assert [line["picture"] for line in lines] == ["shaded.png", "sunny.png"]
    assert float(lines[1]["iou"]) == 1
    assert call("deshadow", marked, "--limit", 1, "--methods", "classical").output.count("1 picture") == 1


def test_what_cannot_be_scored_is_refused(marked, tmp_path):
    with pytest.raises(ValueError, match="task is 'deblur'; expected one of deshadow, dereflect, despecular, derust"):
        evaluate_masks("deblur", marked)
    with pytest.raises(ValueError, match="limit is 0; expected 1 or more"):
        evaluate_masks("deshadow", marked, limit=0)
    (tmp_path / "bare" / "input").mkdir(parents=True)
    with pytest.raises(ValueError, match="has no folder mask; expected input, mask"):
        evaluate_masks("deshadow", tmp_path / "bare")
    told = call("deshadow", marked, "--noise", 0.1)
    assert told.exit_code == 2
    assert "noise is given" in told.output
    io.write(marked / "mask" / "sunny.png", np.zeros((5, 6), np.uint8), overwrite=True)
    with pytest.raises(ValueError, match=r"sunny.png has shape \(5, 6\); expected \(96, 96\)"):
        evaluate_masks("deshadow", marked, methods=["classical"])
    (marked / "mask" / "sunny.png").unlink()
    with pytest.raises(ValueError, match="has no partner in mask"):
        evaluate_masks("deshadow", marked)
