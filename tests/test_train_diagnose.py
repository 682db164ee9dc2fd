"""The diagnoser's ground: its sources, its batches, its scores, and that training on it helps."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image
from test_data_classes import binary, draw_classes
from test_data_damages import scene
from train_cases import command

from imgrestore.nets.diagnoser import DAMAGES
from imgrestore.nets.weights import load_net
from imgrestore.train import diagnose_cases, ground
from imgrestore.train import run as runs
from imgrestore.train.confusion import Confusion
from imgrestore.train.diagnose import DiagnoseGround, answer

NET = {"width": 4, "blocks": (1, 1, 1), "detail": 4, "view": 32}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    where = tmp_path_factory.mktemp("diagnose") / "clean"
    where.mkdir()
    for i in range(8):
        Image.fromarray(scene(i)).save(where / f"{i}.png")
    return where


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    return draw_classes(tmp_path_factory.mktemp("diagnose") / "pets", ("cat", "dog", "owl"), 8)


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(diagnose_cases, "EACH", 2)


def options(out, **given):
    small = {"batch": 4, "size": 96, "validation": 2, "device": "cpu", "log_every": 10, "net": NET, "steps": 4}
    return ground.options_for("diagnose", {"out": str(out), **small, **given})


def made(out, **given):
    return DiagnoseGround(options(out, **given).shared_by(1), CPU)


def test_one_source_and_only_one(tmp_path, clean, pets):
    out = tmp_path / "x.safetensors"
    with pytest.raises(ground.CallError, match="--clean and --classes are missing"):
        options(out)
    with pytest.raises(ground.CallError, match="expected one of --clean and --classes"):
        made(out, clean=str(clean), classes=str(pets))
    with pytest.raises(ground.CallError, match=r"--pairs is .*; expected none: diagnose takes --clean and --classes"):
        options(out, clean=str(clean), pairs=str(clean))
    with pytest.raises(ground.CallError, match=r"--classes is .*; expected none: deblur takes"):
        ground.options_for("deblur", {"out": str(out), "clean": str(clean), "classes": str(pets)})
    with pytest.raises(ground.CallError, match="--loss is 'mse'; expected one of cross-entropy"):
        options(out, clean=str(clean), loss="mse")
    with pytest.raises(ground.TrainError, match=r"--classes .*: cannot be read \(.* holds 0 folders"):
        made(out, classes=str(clean))


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Photographs of screens, all red, and photographs without damage, all green."""
    folder, found = tmp_path_factory.mktemp("real"), []
    for name, colour in (("moire", (200, 0, 0)), ("none", (0, 200, 0))):
        (folder / name).mkdir()
        for i in range(2):
            Image.new("RGB", (700, 450), colour).save(folder / name / f"{i}.png")
        found.append(f"{name}={folder / name}")
    return found


def test_photographs_come_last_and_tell_their_damage_alone(tmp_path, clean, real):
    found = made(tmp_path / "x.safetensors", clean=str(clean), real=tuple(real), batch=16)
    assert found.count == 6 + 4
    assert found.sets[1:] == ["moire: moire", "none: none"]
    seen = set()
    for step in range(6):
        batch = found.batch(step, 0)
        assert batch.known == 14
        assert len(batch.view) == len(batch.windows) == len(batch.truth) == len(batch.near) == 16
        for view, truth in zip(batch.view[14:], batch.truth[14:], strict=True):
            red = bool(view[0].mean() > 0.7)
            assert truth.tolist() == [float(red and name == "moire") for name in DAMAGES]
            seen.add(red)
    assert seen == {True, False}
    net, batch = found.net().eval(), found.batch(0, 0)
    loss = found.step_loss(net, batch)
    # Nothing is known of where and how strong their damage is, so nothing is learned of it.
    for name in ("strength", "where", "near"):
        getattr(batch, name)[14:] = 1
    assert torch.equal(found.step_loss(net, batch), loss)
    batch.truth[14:] = 1
    assert not torch.equal(found.step_loss(net, batch), loss)


def test_photographs_that_make_no_sense_are_told(tmp_path, clean, pets, real):
    out = tmp_path / "x.safetensors"
    with pytest.raises(ground.CallError, match=r"--real is haze=.*; expected DAMAGE=FOLDER, of blur, "):
        made(out, clean=str(clean), real=(f"haze={clean}",))
    with pytest.raises(ground.CallError, match=r"--real is blur=.*nowhere; expected DAMAGE=FOLDER"):
        made(out, clean=str(clean), real=(f"blur={tmp_path / 'nowhere'}",))
    with pytest.raises(ground.CallError, match=r"--real is moire=.*; expected none with --classes"):
        made(out, classes=str(pets), real=tuple(real))
    with pytest.raises(ground.CallError, match=r"--real is .*; expected none: diagnose alone takes it"):
        ground.options_for("deblur", {"out": str(out), "clean": str(clean), "real": tuple(real)})


def test_batches_follow_seed_step_and_part_alone(tmp_path, clean):
    first, again = (made(tmp_path / "x.safetensors", clean=str(clean)) for _ in range(2))
    for step in (3, 0, 7):
        first.batch(step, 0)
    a, b, c = again.batch(3, 0), first.batch(3, 0), again.batch(4, 0)
    for name in ("view", "windows", "truth", "strength", "where", "near"):
        assert torch.equal(getattr(a, name), getattr(b, name)), name
    assert not torch.equal(a.view, c.view)
    assert not torch.equal(a.view, again.batch(3, 1).view)
    assert a.view.shape == (4, 3, 32, 32)
    assert a.windows.shape == (4, 2, 3, 128, 128)
    assert a.truth.shape == a.strength.shape == (4, 6)
    assert bool(((a.strength > 0) <= (a.truth > 0)).all())
    assert a.where.shape == (4, 6, 8, 8)
    assert a.near.shape == (4, 2, 6, 16, 16)
    for planes in (a.where, a.near.amax(1)):
        assert 0 <= float(planes.min()) < float(planes.max()) <= 1
        assert bool(((planes.amax((2, 3)) > 0) <= (a.truth > 0)).all())


def test_drawn_pictures_are_used_again_but_not_for_ever(tmp_path, clean):
    found = made(tmp_path / "x.safetensors", clean=str(clean))
    for step in range(40):
        found.batch(step, 0)
    numbers = sorted(number for _, number in found.source.drawn)
    assert numbers[0] >= 39
    assert numbers[-1] < 39 + 4 * diagnose_cases.KEPT
    assert len(numbers) > 4


def test_held_out_pictures_are_not_learned_from(tmp_path, clean):
    found = made(tmp_path / "x.safetensors", clean=str(clean))
    assert found.count + len(found.held) == 8
    assert found.sets == ["clean"]
    held = [np.asarray(Image.open(clean / name.split("/")[1])) for name in found.held]
    assert len(held) == 2
    assert not any(np.array_equal(one, other) for one in held for other in found.source.pictures)
    assert len(found.source.scored) == 2 * 7
    assert found.source.labels == (*DAMAGES, "none")


def test_other_pictures_are_another_run(tmp_path, clean, pets):
    first = made(tmp_path / "x.safetensors", clean=str(clean))
    where = tmp_path / "clean"
    where.mkdir()
    for path in clean.iterdir():
        Image.fromarray(np.asarray(Image.open(path)) // 2).save(where / path.name)
    assert made(tmp_path / "x.safetensors", clean=str(where)).fingerprint != first.fingerprint


def test_classes_are_drawn_evenly_and_their_size_makes_the_net(tmp_path, pets):
    small = made(tmp_path / "x.safetensors", classes=str(pets), net={}, batch=24)
    assert (small.config.view, small.config.detail, small.config.several) == (32, 0, False)
    assert small.config.classes == ("cat", "dog", "owl")
    batch = small.batch(0, 0)
    assert batch.truth.shape == (24,)
    assert set(batch.truth.tolist()) == {0, 1, 2}
    for label, view in zip(batch.truth, batch.view, strict=True):
        assert int(view.mean((1, 2)).argmax()) == int(label)
    assert {name.split("/")[0] for name in small.held} == {"cat", "dog", "owl"}
    assert small.count + len(small.held) == 24
    draw_classes(tmp_path / "large", count=4, size=(130, 150))
    large = made(tmp_path / "y.safetensors", classes=str(tmp_path / "large"), net={})
    assert (large.config.view, large.config.detail > 0) == (128, True)
    deep = made(tmp_path / "z.safetensors", classes=str(pets), net={"blocks": (1, 1, 1, 1, 1)})
    assert deep.config.view == 64
    with pytest.raises(ground.CallError, match="view is 32; expected a multiple of 32"):
        made(tmp_path / "z.safetensors", classes=str(pets), net={"view": 32, "blocks": (1, 1, 1, 1, 1)})


def test_the_test_pictures_of_cifar_are_held_out(tmp_path):
    labels = list(range(10)) * 2
    pictures = np.random.default_rng(0).integers(0, 256, (20, 3, 32, 32), np.uint8)
    binary(tmp_path / "c", labels=labels, pictures=pictures)
    binary(tmp_path / "c", "test_batch.bin", labels, pictures)
    found = made(tmp_path / "x.safetensors", classes=str(tmp_path / "c"))
    assert found.count == 20
    assert len(found.held) == 20
    assert all(name.startswith("test_batch.bin/") for name in found.held)
    fewer = made(tmp_path / "x.safetensors", classes=str(tmp_path / "c"), validation=1)
    assert (fewer.count, len(fewer.held)) == (20, 10)


def test_a_class_of_one_picture_is_too_few(tmp_path):
    draw_classes(tmp_path / "pets", count=1)
    with pytest.raises(ground.TrainError, match="cat has too few pictures; expected 2 or more"):
        made(tmp_path / "x.safetensors", classes=str(tmp_path / "pets"))


def test_answers():
    assert answer(torch.tensor([-1.0, 2.0, 1.0]), True) == 1
    assert answer(torch.tensor([-1.0, -2.0, -0.1]), True) == 3
    assert answer(torch.tensor([-1.0, -2.0, -0.1]), False) == 2


def test_confusion():
    found = Confusion.of(("a", "b", "c"), [0, 0, 0, 1, 1], [0, 0, 1, 1, 0])
    assert found.accuracy == pytest.approx(0.6)
    assert found.f1 == pytest.approx({"a": 4 / 6, "b": 0.5, "c": 0})
    assert found.macro_f1 == pytest.approx((4 / 6 + 0.5) / 2)  # c occurs nowhere
    assert found.commonest().accuracy == pytest.approx(0.6)
    assert found.commonest().macro_f1 == pytest.approx(0.75 / 2)
    assert found.to_csv() == "truth,a,b,c\na,2,1,0\nb,1,1,0\nc,0,0,0\n"
    assert found.to_dict()["b"] == {"a": 1, "b": 1, "c": 0}


@pytest.mark.parametrize("kind", ["clean", "classes"])
def test_scores_samples_and_the_loss(tmp_path, clean, pets, kind):
    found = made(tmp_path / "x.safetensors", **{kind: str(clean if kind == "clean" else pets)})
    net = found.net().eval()
    scores = found.validate(net)
    assert scores.keys() == {f"{when} {what}" for when in ("before", "net") for what in ("accuracy", "macro F1")}
    assert all(0 <= value <= 1 for value in scores.values())
    table = list(csv.reader((tmp_path / "x" / "confusion.csv").open()))
    assert table[0] == ["truth", *found.source.labels]
    assert sum(int(n) for row in table[1:] for n in row[1:]) == len(found.source.scored)
    remarks = found.remarks(net)
    assert json.loads(json.dumps(remarks)) == remarks
    sheet = found.samples(net)
    assert sheet.dtype == np.uint8
    assert sheet.std() > 10
    batch = found.batch(0, 0)
    loss = found.step_loss(net, batch)
    assert loss.shape == ()
    batch.truth = 1 - batch.truth if kind == "clean" else (batch.truth + 1) % 3
    with torch.no_grad():
        net.say.bias[0] += 5
        assert abs(float(found.step_loss(net, batch)) - float(loss)) > 0.1


def test_the_best_net_is_exported_with_a_card(tmp_path, pets):
    out = tmp_path / "pets.safetensors"
    told = command(
        "train", "diagnose", "--classes", pets, "-o", out, "--steps", 40, "--batch", 12, "--width", 4, "--lr", "0.01",
        "--device", "cpu", "--validation", 2, "--log-every", 10,
    )  # fmt: skip
    assert told.exit_code == 0, told.output
    assert "dB" not in told.output
    card = json.loads(out.with_suffix(".json").read_text())
    scores = card["validation shares of 1 after rounding to float16"]
    assert scores["net accuracy"] > 0.8 > scores["before accuracy"], scores
    assert card["F1"].keys() == card["confusion"].keys() == {"cat", "dog", "owl"}
    assert sum(card["confusion"]["cat"].values()) == 2
    assert card["loss"] == "cross-entropy"
    assert load_net(out, "diagnose").config.classes == ("cat", "dog", "owl")
    assert (tmp_path / "pets" / "confusion.csv").exists()


def test_the_command_takes_photographs(tmp_path, clean, real):
    out = tmp_path / "x.safetensors"
    told = command(
        "train", "diagnose", "--clean", clean, "--real", real[0], "--real", real[1], "-o", out, "--steps", 2,
        "--batch", 4, "--width", 4, "--size", 96, "--device", "cpu", "--validation", 2,
    )  # fmt: skip
    assert told.exit_code == 0, told.output
    card = json.loads(out.with_suffix(".json").read_text())
    assert {"moire: moire", "none: none"} < set(card["data"]), card
    refused = command("train", "diagnose", "--clean", clean, "--real", "moire", "-o", out)
    assert refused.exit_code == 2
    assert "--real is moire; expected DAMAGE=FOLDER" in refused.output


@pytest.mark.slow
def test_training_on_damages_lowers_the_loss(tmp_path, clean):
    """What a net can learn in longer than a test lasts, `test_diagnoser_shipped` shows."""
    chosen = options(tmp_path / "x.safetensors", clean=str(clean), steps=60, batch=12, lr=4e-3, log_every=5)
    assert runs.train(chosen) == runs.FINISHED
    losses = [float(row["loss"]) for row in csv.DictReader((tmp_path / "x" / "log.csv").open())]
    assert len(losses) >= 10
    assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 0.1, losses
