"""Training on pictures of which no truth is known: it begins with a net, and ends where that is no better."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from train_cases import TinyGround, command, run, tiny

from imgrestore.nets.separator import Separator, SeparatorConfig
from imgrestore.nets.weights import load_net, write_net
from imgrestore.train import adapt, ground, separation
from imgrestore.train.options import SHIPPED
from imgrestore.train.run import FINISHED
from imgrestore.train.trainer import Trainer

SMALL = ("--batch", "2", "--size", "32", "--validation", "2", "--device", "cpu", "--steps", "3", "--log-every", "1")


@pytest.fixture(autouse=True)
def few(monkeypatch):
    for name, value in (("POOL", 3), ("DRAWN", 64), ("KEPT", 96), ("FEW", 100)):
        monkeypatch.setattr(separation, name, value)


@pytest.fixture
def pictures(tmp_path):
    where = tmp_path / "pictures"
    where.mkdir()
    Image.fromarray(data.chelsea()[:280, :300]).save(where / "cat.png")
    Image.fromarray(data.coffee()[100:300, 100:300]).save(where / "cup.jpg")
    (where / "notes.txt").write_text("no picture")
    return where


@pytest.fixture
def start(tmp_path):
    """Weights for shadows to begin with, which lift nothing."""
    path = tmp_path / "start.safetensors"
    torch.manual_seed(0)
    net = Separator(SeparatorConfig(form="factor", width=4, blocks=(1, 1), glance=4, view=16, code=2))
    torch.nn.init.normal_(net.unet.head.weight, std=0.01)
    write_net(path, net, "deshadow")
    return path


def given(tmp_path, **more):
    return {"out": str(tmp_path / "own.safetensors"), "steps": 3, **more}


def test_restored_parts_become_the_clean_pictures(tmp_path, pictures, start):
    found = adapt.adapted("deshadow", given(tmp_path), [pictures], start)
    written = sorted((tmp_path / "own" / "own").iterdir())
    # The first one is large enough for four parts.
    assert [path.name for path in written] == [*(f"0000_{i}.png" for i in range(4)), "0001_0.png"]
    assert found["clean"] == str(tmp_path / "own" / "own")
    assert Image.open(written[0]).size == (150, 140)
    assert found["start"] == str(start)
    assert found["net"]["width"] == 4
    assert found["lr"] == pytest.approx(1.5e-3 / adapt.SLOWER)
    assert found["patience"] == adapt.PATIENCE


def test_pictures_of_an_earlier_call_are_left_out(tmp_path, pictures, start):
    adapt.adapted("deshadow", given(tmp_path), [pictures], start)
    adapt.adapted("deshadow", given(tmp_path), [pictures / "cat.png"], start)
    assert sorted(path.name for path in (tmp_path / "own" / "own").iterdir()) == [f"0000_{i}.png" for i in range(4)]


def test_training_begins_with_the_weights(tmp_path, pictures, start):
    options = ground.options_for("deshadow", adapt.adapted("deshadow", given(tmp_path, size=32), [pictures], start))
    trainer = Trainer(options)
    expected = load_net(start).state_dict()
    for name, value in trainer.net.state_dict().items():
        assert torch.equal(value, expected[name]), name
    assert all(torch.equal(a, b) for a, b in zip(trainer.ema.parameters(), trainer.net.parameters(), strict=True))
    assert trainer.fingerprint()["start"] == str(start)


def test_the_command_adapts_a_net(tmp_path, pictures, start):
    out = tmp_path / "own.safetensors"
    words = ("train", "deshadow", "--on", pictures / "cat.png", "--on", pictures / "cup.jpg", "--weights", start)
    result = command(*words, "--out", out, *SMALL)
    assert result.exit_code == 0, result.output
    assert load_net(out, "deshadow").config.width == 4
    assert json.loads(out.with_suffix(".json").read_text())["data"] == ["own"]


def test_it_stops_where_validation_gets_no_better(tmp_path, monkeypatch):
    """A net that begins with its best score, as every step is lost on it."""
    monkeypatch.setattr("imgrestore.train.run.Run._finish", lambda run: None)  # a tiny net is not exported

    class Worse(TinyGround):
        calls = 0

        def validate(self, net):
            Worse.calls += 1
            return {"before tiny": 0.0, "net tiny": -float(Worse.calls)}

    told = tiny(tmp_path / "x.safetensors", steps=500, patience=3, validate_every=1e-6)
    trainer, ended = run(told, Worse)
    assert ended == FINISHED
    assert trainer.step < 100
    assert trainer.best.step == 0
    patient, _ = run(tiny(tmp_path / "y.safetensors", steps=12, validate_every=1e-6), Worse)
    assert patient.step == 12


def test_what_makes_no_sense_is_refused(tmp_path, pictures, start):
    for words, told in (
        (("diagnose", "--on", pictures), "--on is given, but diagnose refines no pictures by a net; expected one of"),
        (("deshadow", "--on", pictures, "--clean", pictures), "--on and --clean are both given"),
        (("deshadow", "--on", pictures, "--width", "8"), "--on goes on with a net as it is; expected no --width"),
        (("deshadow", "--on", tmp_path / "nowhere", "--weights", start), "nowhere: no such file or folder"),
        (("deshadow", "--on", pictures / "notes.txt", "--weights", start), "notes.txt: cannot be read"),
        (("deshadow", "--on", pictures, "--weights", pictures / "cat.png"), "there is no net to begin with"),
        (("deshadow", "--clean", pictures, "--weights", start), "expected it with --on"),
        (("deshadow", "--on", pictures / "cup.jpg", "--weights", start), "--on gives 1 picture to learn from"),
    ):
        result = command("train", *words, "--out", tmp_path / "x.safetensors", *SMALL)
        assert result.exit_code in (1, 2)
        assert told in " ".join(result.output.split()), (words, result.output)
    (tmp_path / "empty").mkdir()
    words = ("--on", tmp_path / "empty", "--weights", start)
    result = command("train", "deshadow", *words, "--out", tmp_path / "y.safetensors")
    assert "there are no pictures" in " ".join(result.output.split())


def test_a_bad_call_is_told_before_any_picture_is_restored(tmp_path, pictures, start, monkeypatch):
    monkeypatch.setattr(adapt, "_restoring", lambda task: pytest.fail("a picture is to be restored"))
    result = command("train", "deshadow", "--on", pictures, "--weights", start, "--out", tmp_path / "own.txt", *SMALL)
    assert result.exit_code == 2
    assert "own.txt" in " ".join(result.output.split())
    assert not (tmp_path / "own").exists()


def test_shipped_weights_are_the_default(tmp_path, pictures, monkeypatch):
    net = Separator(SeparatorConfig(form="factor", width=4, blocks=(1, 1), glance=4, view=16, code=2)).eval()
    monkeypatch.setattr(adapt, "load", lambda task: net)
    monkeypatch.setattr(adapt, "_restoring", lambda task: lambda picture: np.asarray(picture))
    assert adapt.adapted("deshadow", given(tmp_path), [pictures], None)["start"] == SHIPPED
