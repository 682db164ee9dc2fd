"""diagnose: the report, what it says of plain cases, and any kind of picture."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from typer.testing import CliRunner

from imgrestore import Report, diagnose, io, restore
from imgrestore.cli import app
from imgrestore.diagnosis import clues
from imgrestore.diagnosis.file import diagnose_file
from imgrestore.diagnosis.report import Finding
from imgrestore.diagnosis.views import CLOSE, LARGEST, WHOLE, views_of
from imgrestore.nets.diagnoser import DAMAGES, Diagnosis
from imgrestore.nets.weights import WeightsError

SIDE = 128
PHOTO = np.ascontiguousarray(data.astronaut()[20 : 20 + SIDE, 150 : 150 + SIDE])
WAVES = 45 * np.sin(2 * np.pi * (0.23 * np.arange(SIDE) + 0.11 * np.arange(SIDE)[:, None]))


@pytest.fixture(scope="module")
def striped():
    return np.clip(PHOTO + WAVES[..., None], 0, 255).round().astype(np.uint8)


@pytest.fixture(scope="module")
def report(striped):
    return diagnose(striped)


def test_stripes_are_found_and_removed(striped, report):
    assert report.first == "moire"
    assert report["moire"].probability > 0.9
    assert report["moire"].mask.shape == striped.shape[:2]
    assert report["moire"].mask.mean() > 0.5
    assert [one.damage for one in report] == list(report.believed)
    found = restore(striped, details=True)
    assert found.steps[0].task == "demoire"
    assert found.steps[0].kept
    before, after = (np.mean((one.astype(float) - PHOTO) ** 2) for one in (striped, found.image))
    assert after < before / 4
    np.testing.assert_allclose(found.recompose(), striped, atol=1e-3)


def test_a_report_is_ranked_and_prints_as_a_table(report):
    odds = [one.probability for one in report.findings]
    assert odds == sorted(odds, reverse=True)
    assert sorted(one.damage for one in report.findings) == sorted(DAMAGES)
    assert set(report.probabilities) == {*DAMAGES, "none"}
    lines = str(report).splitlines()
    assert lines[0].split() == ["damage", "sure", "strong", "where", "evidence"]
    assert lines[1].startswith("moire ")
    assert lines[7].startswith("moire")
    assert "nothing to mend" in lines[7]
    assert json.loads(json.dumps(report.to_dict()))["first"] == "moire"
    assert report.plot("stripes").mode == "RGB"
    with pytest.raises(KeyError, match="the damage is 'fog'; expected one of"):
        report["fog"]


def test_masks_are_empty_where_nothing_is_believed(report):
    for one in report.findings:
        assert one.mask.any() == (one.damage in report.believed)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(lambda x: torch.from_numpy(x).movedim(-1, 0).clone(), id="torch"),
        pytest.param(lambda x: x.astype(np.uint16) * 257, id="uint16"),
        pytest.param(lambda x: x.astype(np.float32) / 255, id="float"),
        pytest.param(lambda x: np.dstack([x, np.full(x.shape[:2], 7, np.uint8)]), id="rgba"),
    ],
)
def test_any_kind_of_array_is_looked_at_alike(striped, changed):
    plain, found = views_of(striped), views_of(changed(striped))
    for view in ("picture", "whole", "close"):
        torch.testing.assert_close(getattr(found, view), getattr(plain, view), atol=1e-5, rtol=0)


def test_noise_is_told_in_the_pictures_units(striped, report):
    found = diagnose(striped.astype(np.float64))
    assert found.noise == pytest.approx(report.noise, rel=1e-3)
    assert found["moire"].probability == pytest.approx(report["moire"].probability, abs=0.02)


@pytest.mark.parametrize(
    "strange",
    [
        pytest.param(np.full((64, 64, 3), 128, np.uint8), id="constant"),
        pytest.param(np.arange(16 * 20, dtype=np.float32).reshape(16, 20), id="tiny"),
        pytest.param(np.zeros((40, 300), np.uint16), id="black"),
    ],
)
def test_what_tells_nothing_is_said_to_tell_nothing(strange):
    found = diagnose(strange)
    assert (found.first, found.believed) == ("none", ())
    assert "nothing can be told" in str(found)
    result = restore(strange)
    np.testing.assert_array_equal(result, strange)


def test_gray_pictures_with_holes():
    gray = PHOTO.mean(axis=2).astype(np.float32) * 40
    gray[3:9, 5:20] = np.nan
    found = diagnose(gray)
    assert isinstance(found, Report)
    assert all(np.isfinite(one.probability) for one in found.findings)
    result = restore(gray)
    assert result.dtype == gray.dtype
    assert result.shape == gray.shape


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (np.zeros((2, 40, 40, 3), np.uint8), "2 pictures; expected one"),
        (np.zeros((40, 40, 5), np.uint8), "5 channels; expected gray or RGB"),
        (np.full((40, 40), np.nan), "no finite pixel"),
    ],
)
def test_what_it_does_not_take(wrong, told):
    with pytest.raises(ValueError, match=told):
        diagnose(wrong, channel_axis=-1 if wrong.ndim > 2 else None)


def test_weights_of_another_kind_are_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(WeightsError):
        diagnose(PHOTO, weights=path)


def test_large_pictures_are_looked_at_in_part():
    rng = np.random.default_rng(0)
    large = np.full((1500, 900), 90, np.uint8)
    large[1000:1400, 300:700] = rng.integers(0, 255, (400, 400))
    views = views_of(large)
    assert max(views.whole.shape) == WHOLE
    assert views.close.shape[1:] == (CLOSE, CLOSE)
    assert max(views.picture.shape) == LARGEST
    assert views.size == large.shape
    assert float(views.close.std()) > 0.2
    assert "reduced" in views.notes[0]


def test_the_classifier_looks_at_the_mirror_image_and_at_parts():
    rows, columns = torch.meshgrid(torch.arange(100.0), torch.arange(50.0), indexing="ij")
    picture = torch.stack([rows, columns, rows])
    looked = []

    class Net:
        def diagnose(self, part):
            looked.append(part)
            return Diagnosis(torch.full((1, 6), float(part[0].mean())), *[torch.zeros(1, 6)] * 2)

    found = clues._again(Net(), picture)
    torch.testing.assert_close(looked[0], picture.flip(2))
    assert {tuple(part.shape) for part in looked[1:]} == {(3, 62, 32)}
    corners = [(float(part[0, 0, 0]), float(part[1, 0, 0])) for part in looked[1:]]
    assert corners == [(0, 0), (0, 18), (38, 0), (38, 18), (19, 9)]
    assert found["mirror_blur"] == pytest.approx(49.5)
    assert found["parts_blur"] == pytest.approx(30.5 + (38 + 38 + 19) / 5)
    assert found["most_blur"] == pytest.approx(30.5 + 38)


def test_findings_are_compared_by_what_they_are():
    one = Finding("blur", "deblur", 0.5, 0.5, np.zeros((2, 2), bool))
    assert one != Finding("blur", "deblur", 0.5, 0.5, np.zeros((2, 2), bool))


def test_the_commands(striped, tmp_path):
    source, sheet, out = tmp_path / "in.png", tmp_path / "sheet.png", tmp_path / "out.png"
    Image.fromarray(striped).save(source)
    run = CliRunner()
    told = run.invoke(app, ["diagnose", str(source), "--details", str(sheet), "--json"])
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["first"] == "moire"
    assert sheet.exists()
    told = run.invoke(app, ["restore", str(source), "-o", str(out), "--plan", "demoire", "-v"])
    assert told.exit_code == 0, told.output
    assert np.array(Image.open(out)).shape == striped.shape
    wrong = run.invoke(app, ["restore", str(source), "-o", str(tmp_path / "b.png"), "--plan", "defog"])
    assert wrong.exit_code == 2
    assert "defog" in wrong.output
    missing = run.invoke(app, ["diagnose", str(tmp_path / "no.png")])
    assert missing.exit_code == 1
    (tmp_path / "bad.png").write_bytes(b"no picture")
    some = run.invoke(app, ["diagnose", str(tmp_path / "bad.png"), str(source)])
    assert some.exit_code == 1
    assert "moire" in some.output


def test_pages_are_told_one_after_another(striped, tmp_path):
    stack, sheet = tmp_path / "stack.tif", tmp_path / "sheet.png"
    io.write(stack, io.Picture(np.stack([striped, PHOTO]), has_pages=True))
    run = CliRunner()
    told = run.invoke(app, ["diagnose", str(stack), "--json", "--details", str(sheet)])
    assert told.exit_code == 0, told.output
    reports = [json.loads(line) for line in told.stdout.splitlines()]
    assert [(one["page"], one["first"]) for one in reports] == [(1, "moire"), (2, "none")]
    assert sheet.exists()
    told = run.invoke(app, ["diagnose", str(stack)])
    assert f"{stack}, page 2:" in told.stdout
    with pytest.raises(ValueError, match="2 pages; expected one picture"):
        diagnose_file(stack)
