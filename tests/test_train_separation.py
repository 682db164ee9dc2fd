"""The grounds of the nets that take pictures apart: their sources, their batches, and that training on them helps."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from train_cases import command

from imgrestore.classical.estimate import Estimate
from imgrestore.classical.shadow import untouched
from imgrestore.nets.weights import load_net
from imgrestore.train import ground, separation
from imgrestore.train import run as runs
from imgrestore.train.deshadow import DeshadowGround
from imgrestore.train.report import Silence
from imgrestore.train.trainer import Trainer

TASKS = ("deshadow", "dereflect", "despecular", "derust")
NET = {"width": 4, "blocks": (1, 1), "glance": 4, "view": 16, "code": 2}


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Small pictures, few of them, and no processes of their own, which would not know it."""
    for name, value in (("POOL", 3), ("DRAWN", 64), ("KEPT", 96), ("FEW", 100)):
        monkeypatch.setattr(separation, name, value)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Clean pictures, the same half in shadow, and the shadows' masks."""
    where = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for kind in ("pairs/input", "pairs/gt", "masks/input", "masks/mask"):
        (where / kind).mkdir(parents=True)
    for i in range(8):
        noise = gaussian_filter(rng.normal(size=(80, 90, 3)), (5, 5, 0))
        clean = np.where(noise > 0, 0.8, 0.5) * rng.uniform(0.8, 1.0, 3)
        mask = np.zeros((80, 90, 1))
        mask[:, : 20 + 5 * i] = 1
        shaded = clean * (1 - 0.6 * mask)
        for kind, picture in (
            ("pairs/input", shaded),
            ("pairs/gt", clean),
            ("masks/input", shaded),
            ("masks/mask", mask.repeat(3, 2)),
        ):
            Image.fromarray((picture * 255).round().astype(np.uint8)).save(where / kind / f"{i}.png")
    return where


def options(task, out, pictures, **given):
    small = {"batch": 2, "size": 32, "validation": 2, "device": "cpu", "log_every": 10, "net": NET, "steps": 3}
    sources = {"clean": str(pictures / "pairs/gt")}
    return ground.options_for(task, {"out": str(out), **small, **sources, **given}).shared_by(1)


def made(task, out, pictures, **given):
    return ground.ground_of(task)(options(task, out, pictures, **given), torch.device("cpu"))


def test_clean_folders_may_have_any_name(tmp_path, pictures):
    named = shutil.copytree(pictures / "pairs" / "gt", tmp_path / "pairs")
    assert made("deshadow", tmp_path / "x.safetensors", pictures, clean=str(named)).scored["pairs"] == []


def test_scenes_of_reflections_may_be_out_of_focus():
    clean, other = (torch.rand(3, 48, 48, generator=torch.Generator().manual_seed(i)) for i in (0, 1))
    kept = [
        bool(torch.equal(ground.ground_of("dereflect").scene(clean, other, np.random.default_rng(i)), clean))
        for i in range(40)
    ]
    assert 20 < sum(kept) < 40
    assert torch.equal(ground.ground_of("deshadow").scene(clean, other, np.random.default_rng(0)), clean)


@pytest.mark.parametrize("task", TASKS)
def test_batches_follow_seed_step_and_part(task, tmp_path, pictures):
    first, again = (made(task, tmp_path / "x.safetensors", pictures) for _ in range(2))
    a, b, c = first.batch(3, 0), again.batch(3, 0), first.batch(4, 0)
    assert a.observed.shape == (2, 3, 32, 32)
    assert a.layer.shape[1] == (4 if task == "derust" else 3)
    for name in vars(a):
        assert torch.equal(getattr(a, name), getattr(b, name)), name
    assert not torch.equal(a.observed, c.observed)
    assert first.scored.keys() == {"pairs", "drawn"}
    assert len(first.scored["drawn"]) == 2 * separation.DRAWS
    assert first.scored["pairs"] == []


@pytest.mark.parametrize("task", TASKS)
def test_a_short_run_ends_in_weights_of_the_task(task, tmp_path, pictures):
    out = tmp_path / "x.safetensors"
    assert runs.Run(Trainer(options(task, out, pictures)), Silence()).run() == runs.FINISHED
    net = load_net(out, task)
    assert net.config.form == separation.MARKS[task].form
    card = json.loads(out.with_suffix(".json").read_text())
    assert "undamaged pictures to themselves, dB" in json.dumps(card)
    assert (tmp_path / "x/samples.png").exists()


def test_real_pairs_and_masks_take_part(tmp_path, pictures):
    given = {"pairs": str(pictures / "pairs"), "masks": str(pictures / "masks")}
    made_ = made("deshadow", tmp_path / "x.safetensors", pictures, **given)
    assert made_.sets == ["gt", "masks", "pairs"]
    assert (len(made_.real), len(made_.marked), len(made_.judged), len(made_.scored["pairs"])) == (6, 6, 2, 2)
    batches = [made_.batch(step, 0) for step in range(40)]
    scored = torch.cat([batch.scored.flatten() for batch in batches])
    # A fifth are pictures with masks, of which no truth is known, and what is said there of light counts fully.
    assert 0.05 < float((scored == 0).float().mean()) < 0.4
    assert {round(float(value), 2) for batch in batches for value in batch.sure.flatten()} == {0.25, 1.0}
    told = torch.cat([batch.given[:, 1].amax((1, 2)) for batch in batches])
    assert 0.02 < float(told.mean()) < 0.4
    assert float(told[scored == 0].max()) == 0
    pair = made_.scored["pairs"][0]
    assert float(pair["area"][:, :12].mean()) > 250
    assert float(pair["area"][:, -12:].mean()) < 5
    remarks = made_.remarks(made_.net())
    assert 0 <= remarks["intersection over union of held-out masks"] <= 1


@pytest.fixture
def without_estimate(monkeypatch):
    """The classical method finds no shadow."""

    def nothing(observed, mask, good):
        return Estimate(observed, untouched(observed))

    monkeypatch.setattr(DeshadowGround, "estimator", staticmethod(nothing))


def test_training_learns_to_lift_shadows(tmp_path, pictures, without_estimate):
    """Pairs whose left part is shaded, always by as much: soon learned where no classical method lifts it."""
    given = {"pairs": str(pictures / "pairs"), "steps": 240, "batch": 4, "lr": 4e-3}
    out = tmp_path / "x.safetensors"
    trainer = Trainer(options("deshadow", out, pictures, **given))
    runs.Run(trainer, Silence()).run()
    scores = trainer.best.scores
    assert scores["net pairs"] > scores["before pairs"] + 0.5, scores


def test_pictures_without_a_truth_move_no_scene(tmp_path, pictures, without_estimate):
    """Where only the mask is known, only what is said of the mask counts."""
    given = {"pairs": str(pictures / "pairs"), "masks": str(pictures / "masks")}
    made_ = made("deshadow", tmp_path / "x.safetensors", pictures, **given)
    batch = made_.batch(0, 0)
    batch.scored[:] = 0
    net = made_.net()
    with torch.no_grad():
        net.unet.head.weight.normal_(std=0.1, generator=torch.Generator().manual_seed(0))
    made_.step_loss(net, batch).backward()
    by_plane = net.unet.head.weight.grad.unflatten(0, (-1, 4)).abs().amax((1, 2, 3, 4))
    assert float(by_plane[:3].max()) == 0
    assert float(by_plane[3]) > 0


def test_sources_are_asked_for(tmp_path, pictures):
    for words, told in (
        (["--pairs", pictures / "pairs"], "--clean is missing"),
        (["--clean", pictures / "pairs/gt", "--masks", pictures / "pairs"], "has no folder mask/"),
        (["--clean", pictures / "pairs/gt", "--textures", pictures], "--textures is"),
    ):
        out = tmp_path / "x.safetensors"
        result = command("train", "deshadow", *words, "--out", out, "--steps", "2", "--validation", "2")
        assert result.exit_code != 0
        assert told in " ".join(result.output.split()), result.output
