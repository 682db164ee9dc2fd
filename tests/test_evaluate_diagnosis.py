"""Scoring a diagnosis: seeded pictures, a table, and what is refused."""

import csv

import pytest
import torch
from PIL import Image
from test_data_damages import scene
from train_cases import command

from imgrestore.evaluate_diagnosis import evaluate_diagnosis
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
    assert "only diagnose and restore take it" in told.output
    told = command("evaluate", "diagnose", clean, "--weights", weights, "--csv", table)
    assert told.exit_code == 2
    assert "exists already" in told.output
