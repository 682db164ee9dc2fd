"""The net that weighs clues, and how it is fitted."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from test_data_damages import scene

from imgrestore.nets.diagnoser import DAMAGES
from imgrestore.nets.verdict import Verdict, VerdictConfig
from imgrestore.nets.weights import load_net, write_net
from imgrestore.train import verdict as fit


def rows(count, rng):
    """Clues of which one tells a blur, one a reflection, and one nothing."""
    found = []
    for _ in range(count):
        blur, reflection = rng.random(2) < 0.4
        clues = {
            "steep": float(rng.normal(-2 if blur else 2)),
            "veil": float(rng.normal(2 if reflection else -2)),
            "weather": float(rng.normal()),
        }
        names = [name for name, there in (("blur", blur), ("reflection", reflection)) if there]
        found.append({"key": str(len(found)), "damages": names, "clues": clues})
    return found


def test_a_fit_finds_what_tells(tmp_path, monkeypatch):
    monkeypatch.setattr(fit, "STEPS", 120)
    # Here the classifier says nothing: all is to be learnt from other clues.
    monkeypatch.setattr(fit, "DECAY", 6.0)
    rng = np.random.default_rng(0)
    net = fit.fitted(rows(400, rng))
    fresh = rows(300, rng)
    numbers = torch.tensor([[row["clues"][name] for name in net.config.clues] for row in fresh])
    with torch.no_grad():
        odds = net(numbers)
    for name, i in ((name, DAMAGES.index(name)) for name in ("blur", "reflection", "rust")):
        truth = torch.tensor([name in row["damages"] for row in fresh])
        assert ((odds[:, i] > 0) == truth).float().mean() > 0.93
    path = tmp_path / "verdict.safetensors"
    write_net(path, net, "verdict")
    again = load_net(path, "verdict")
    assert isinstance(again, Verdict)
    assert again.config == net.config
    torch.testing.assert_close(again(numbers), odds, atol=0.05, rtol=0.02)


def test_a_fit_begins_with_what_the_classifier_says_and_comes_back_to_it(monkeypatch):
    rng = np.random.default_rng(0)
    few = rows(40, rng)
    for row in few:
        row["clues"] |= {f"{look}_{name}": float(rng.normal(scale=2)) for look in fit.LOOKS for name in DAMAGES}

    def rule(numbers):
        looks = [[numbers[f"{look}_{name}"] for name in DAMAGES] for look in fit.LOOKS]
        return torch.tensor(looks).mean(0)

    for steps, decay in ((0, 0.0), (30, 90.0)):
        monkeypatch.setattr(fit, "STEPS", max(2, steps))
        monkeypatch.setattr(fit, "RATE", 0.01 if steps else 1e-9)
        monkeypatch.setattr(fit, "DECAY", decay)
        net = fit.fitted(few)
        names = net.config.clues
        with torch.no_grad():
            odds = net(torch.tensor([[row["clues"][name] for name in names] for row in few]))
        told = torch.stack([rule(row["clues"]) for row in few])
        # Caution lowers all of them by one number.
        lowered = (told - odds).median()
        assert lowered > 0.5
        assert ((told - lowered) - odds).abs().median() < 0.15


def test_far_clues_tell_no_more_than_near_ones():
    net = Verdict(VerdictConfig(("one", "two")))
    torch.nn.init.normal_(net.straight)
    far, near = torch.tensor([[1e6, -1e6]]), torch.tensor([[3.0, -3.0]])
    torch.testing.assert_close(net(far), net(near))


@pytest.mark.parametrize("wrong", [{"clues": ()}, {"clues": ("a", "a")}, {"clues": ("a",), "members": 0}])
def test_configurations_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match="expected"):
        VerdictConfig(**wrong)


def test_cases_follow_from_the_seed():
    pictures = [scene(i) for i in range(3)]
    first, again = (list(fit.drawn(pictures, 6, seed=3)) for _ in range(2))
    assert [case.key for case in first] == [case.key for case in again]
    for one, other in zip(first, again, strict=True):
        assert one.damages == other.damages
        np.testing.assert_array_equal(one.picture, other.picture)
    assert {len(case.damages) for case in first} >= {0, 1}


def test_clues_are_looked_for_once(tmp_path, monkeypatch):
    asked = []

    class Found:
        def __init__(self):
            self.numbers = {"steep": 0.5}

    monkeypatch.setattr(fit, "clues_of", lambda views, net: asked.append(1) or Found())
    cases = [fit.Case(f"case {i}", scene(i), ("blur",) if i else ()) for i in range(3)]
    store = tmp_path / "clues.jsonl"
    net, other = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    fit.gathered(iter(cases[:2]), store, net)
    store.write_text(store.read_text() + '{"key": "case 2", "dam')  # killed as it wrote
    found = fit.gathered(iter(cases), store, net)
    assert len(asked) == 3
    assert [row["damages"] for row in found] == [[], ["blur"], ["blur"]]
    again = fit.gathered(iter(cases), store, net)
    assert len(asked) == 3
    assert [row["key"] for row in again] == ["case 0", "case 1", "case 2"]
    # Another classifier says other things of the same pictures.
    fit.gathered(iter(cases), store, other)
    assert len(asked) == 6


def test_clues_of_two_versions_are_not_mixed():
    some = rows(2, np.random.default_rng(0))
    del some[1]["clues"]["weather"]
    with pytest.raises(ValueError, match="another version"):
        fit.fitted(some)


def test_one_command_makes_weights_and_card(tmp_path, monkeypatch):
    (tmp_path / "clean").mkdir()
    (tmp_path / "screens").mkdir()
    for i in range(3):
        Image.fromarray(scene(i)).save(tmp_path / "clean" / f"{i}.png")
        Image.fromarray(scene(i + 3)).save(tmp_path / "screens" / f"{i}.png")
    rng = np.random.default_rng(0)

    class Found:
        def __init__(self):
            self.numbers = {"steep": float(rng.normal()), "veil": float(rng.normal())}

    monkeypatch.setattr(fit, "clues_of", lambda views, net: Found())
    monkeypatch.setattr(fit, "STEPS", 5)
    out = tmp_path / "verdict.safetensors"
    fit.main(
        [
            str(tmp_path / "clean"),
            "--real",
            f"moire={tmp_path / 'screens'}",
            "--unseen",
            str(tmp_path / "screens"),
            "--unseen-cases",
            "4",
            "--most",
            "2",
            "--cases",
            "5",
            "--out",
            str(out),
        ]
    )
    assert isinstance(load_net(out, "verdict"), Verdict)
    card = json.loads(out.with_suffix(".json").read_text())
    assert card["data"][0] == "clean"
    assert card["data"][1].endswith("/screens: moire")
    assert card["not seen by the classifier"] == ["screens"]
    assert card["drawn"] == 9
    assert sum(card["pictures"].values()) >= 9
    assert card["pictures"]["moire"] >= 2
    with pytest.raises(SystemExit):
        fit.main([str(tmp_path / "clean"), "--real", "mist=x", "--out", str(out)])
