"""Scoring a diagnosis: seeded pictures, a table, and what is refused."""

import csv
import json
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from test_data_damages import scene
from train_cases import command

from imgrestore import evaluate_diagnosis as module
from imgrestore.evaluate_diagnosis import evaluate_diagnosis, evaluate_photographs
from imgrestore.nets.diagnoser import DAMAGES, Diagnoser, DiagnoserConfig, Diagnosis
from imgrestore.nets.weights import write_net


@pytest.fixture
def clean(tmp_path):
    where = tmp_path / "clean"
    where.mkdir()
    for i in range(3):
        Image.fromarray(scene(i)).save(where / f"{i}.png")
    return where


def written(path, **more):
    torch.manual_seed(0)
    write_net(path, Diagnoser(DiagnoserConfig(**{"width": 4, "detail": 4, "view": 32, **more})), "diagnose")
    return path


def test_it_counts_what_the_net_says(clean, tmp_path, monkeypatch):
    weights = written(tmp_path / "a.safetensors")
    said = iter([[1.0 if i == n % 7 else -1.0 for i in range(6)] for n in (0, 0, 2, 3, 4, 5, 6, 0)])
    nowhere = torch.zeros(1, 6, 4, 4)
    monkeypatch.setattr(
        Diagnoser, "diagnose", lambda self, picture: Diagnosis(torch.tensor([next(said)]), torch.ones(1, 6), nowhere)
    )
    found = evaluate_diagnosis(clean, cases=8, size=96, weights=weights)
    assert found.names == (*DAMAGES, "none")
    assert found.counts.sum() == 8
    assert found.counts[1, 0] == 1  # the first moiré was taken for blur
    assert found.accuracy == pytest.approx(7 / 8)


def test_the_same_seed_gives_the_same_counts(clean, tmp_path):
    weights = written(tmp_path / "a.safetensors")
    first, again = (evaluate_diagnosis(clean, cases=7, size=96, weights=weights) for _ in range(2))
    assert (first.counts == again.counts).all()


def test_what_makes_no_sense_is_refused(clean, tmp_path):
    other = written(tmp_path / "b.safetensors", classes=("cat", "dog"), several=False)
    with pytest.raises(ValueError, match="the net tells cat, dog; expected blur"):
        evaluate_diagnosis(clean, weights=other)
    with pytest.raises(ValueError, match="cases is 0"):
        evaluate_diagnosis(clean, cases=0)
    with pytest.raises(FileNotFoundError):
        evaluate_diagnosis(tmp_path / "nowhere", weights=written(tmp_path / "a.safetensors"))


def test_the_command(clean, tmp_path):
    weights, table = written(tmp_path / "a.safetensors"), tmp_path / "table.csv"
    told = command("evaluate", "diagnose", clean, "--weights", weights, "--cases", 7, "--csv", table)
    assert told.exit_code == 0, told.output
    for word in ("7 pictures, accuracy", "macro F1", "moire", "none"):
        assert word in told.output
    rows = list(csv.reader(table.open()))
    assert rows[0] == ["truth", *DAMAGES, "none"]
    assert sum(int(n) for row in rows[1:] for n in row[1:]) == 7
    told = command("evaluate", "diagnose", clean, "--weights", weights, "--noise", "0.1")
    assert told.exit_code == 2
    assert "noise is given, but diagnose takes none" in told.output
    told = command("evaluate", "diagnose", clean, "other", "folders", "--weights", weights)
    assert told.exit_code == 2
    assert "arguments is given" in told.output
    told = command("evaluate", "demoire", clean, "--cases", 7)
    assert told.exit_code == 2
    assert "only diagnose and restore take them" in told.output
    told = command("evaluate", "diagnose", clean, "--weights", weights, "--csv", table)
    assert told.exit_code == 2
    assert "exists already" in told.output


def test_photographs_are_counted_by_what_the_whole_diagnosis_says(clean, monkeypatch):
    (clean / "notes.txt").write_text("no picture")
    said = {"0.png": "moire", "1.png": "blur", "2.png": "moire"}
    monkeypatch.setattr(module, "diagnose_file", lambda path, weights: SimpleNamespace(first=said[path.name]))
    found = evaluate_photographs(clean, "moire")
    assert found.counts[1].tolist() == [1, 2, 0, 0, 0, 0, 0]
    assert found.counts.sum() == 3
    assert evaluate_photographs(clean, "moire", limit=1).counts.sum() == 1
    told = command("evaluate", "diagnose", clean, "--shows", "moire")
    assert told.exit_code == 0, told.output
    assert "0.667 of 3 photographs are taken for moire (blur 1, moire 2)" in told.output


def test_photographs_are_diagnosed_as_the_command_does(clean):
    told = command("diagnose", clean / "0.png", "--json")
    found = evaluate_photographs(clean, "none", limit=1)
    assert json.loads(told.output)["first"] == found.names[int(found.counts[-1].argmax())]


def test_photographs_that_cannot_be_scored_are_told(clean, tmp_path):
    with pytest.raises(ValueError, match="damage is 'haze'; expected one of blur"):
        evaluate_photographs(clean, "haze")
    with pytest.raises(FileNotFoundError):
        evaluate_photographs(tmp_path / "nowhere", "moire")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty holds no pictures"):
        evaluate_photographs(tmp_path / "empty", "moire")
    (clean / "0.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"0\.png"):
        evaluate_photographs(clean, "moire")
    for option in (("--cases", 7), ("--seed", 1), ("--noise", 0.1)):
        told = command("evaluate", "diagnose", clean, "--shows", "moire", *option)
        assert told.exit_code == 2
        assert "diagnose --shows takes none; expected --limit and --weights" in told.output
