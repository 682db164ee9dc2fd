"""Explanations: maps that point to the right place, of any picture that the tasks take."""

import pickle

import numpy as np
import pytest
import torch
from torch import nn
from train_cases import command

import imgrestore
from imgrestore import Explanation, evidence, io
from imgrestore.nets.diagnoser import Diagnoser, DiagnoserConfig, Diagnosis
from imgrestore.nets.weights import WeightsError, write_net

METHODS = pytest.mark.parametrize("method", ["occlusion", "gradient"])
RNG = np.random.default_rng(0)


def net_of(*classes, **more):
    torch.manual_seed(0)
    small = {"width": 4, "detail": 4, "view": 32, **more}
    net = Diagnoser(DiagnoserConfig(classes or ("blur", "rust"), **small)).eval()
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, nn.Linear):
                layer.weight.mul_(3)
    return net


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "own.safetensors"
    write_net(path, net_of(), "diagnose")
    return path


def picture(*shape, dtype=np.uint8):
    levels = RNG.integers(0, 256, shape, np.uint8)
    if dtype is float:
        return levels / 255
    return levels.astype(np.uint16) * 257 if dtype is np.uint16 else levels


PICTURES = {
    "gray": picture(40, 60),
    "rgb": picture(40, 60, 3),
    "rgba": picture(40, 60, 4),
    "uint16": picture(40, 60, 3, dtype=np.uint16),
    "float": picture(40, 60, 3, dtype=float),
    "counts": (4000 * picture(40, 60, dtype=float)).astype(np.float32),
    "tensor": torch.from_numpy(picture(3, 40, 60, dtype=float)).float(),
    "batch of one": torch.from_numpy(picture(1, 3, 40, 60)),
}


@METHODS
@pytest.mark.parametrize("kind", PICTURES)
def test_maps_are_as_large_as_the_picture(kind, method, weights):
    before = PICTURES[kind].copy() if isinstance(PICTURES[kind], np.ndarray) else PICTURES[kind].clone()
    found = imgrestore.explain(PICTURES[kind], method=method, weights=weights, patch=10)
    assert found.maps.keys() == found.scores.keys() == {"blur", "rust"}
    for values in found.maps.values():
        assert values.shape == (40, 60)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
        assert values.std() > 0
    assert all(0 < score < 1 for score in found.scores.values())
    assert found.method == method
    assert found.picture.shape == (40, 60, 3)
    assert bool((before == PICTURES[kind]).all())


@METHODS
def test_the_same_picture_in_another_type_is_explained_alike(method, weights):
    eight = PICTURES["rgb"]
    wanted = imgrestore.explain(eight, method=method, weights=weights, patch=10)
    others = (
        eight.astype(np.uint16) * 257,
        eight / 255,
        np.concatenate([eight, eight[..., :1]], axis=-1),
        torch.from_numpy(np.moveaxis(eight, -1, 0).copy()),
    )
    for other in others:
        found = imgrestore.explain(other, method=method, weights=weights, patch=10)
        np.testing.assert_allclose(found.maps["rust"], wanted.maps["rust"], atol=1e-4)
        assert found.scores == pytest.approx(wanted.scores, abs=1e-5)


def test_gradients_are_taken_where_others_want_none(weights):
    with torch.no_grad():
        quiet = imgrestore.explain(PICTURES["rgb"], method="gradient", weights=weights)
    loud = imgrestore.explain(PICTURES["rgb"], method="gradient", weights=weights)
    assert np.array_equal(quiet.maps["blur"], loud.maps["blur"])
    assert np.abs(loud.maps["blur"]).max() > 0


def test_one_damage_may_be_asked_for(weights):
    every = imgrestore.explain(PICTURES["rgb"], weights=weights, patch=10)
    one = imgrestore.explain(PICTURES["rgb"], damage="rust", weights=weights, patch=10)
    assert one.maps.keys() == {"rust"}
    assert one.scores == every.scores
    np.testing.assert_allclose(one.maps["rust"], every.maps["rust"], atol=1e-5)


@pytest.mark.parametrize("size", [(150, 170), (40, 60)])
def test_occlusion_is_what_a_changed_picture_loses(size):
    """Windows that do not show the patch are not looked at anew, and need not be."""
    net = net_of()
    planes = torch.rand(3, *size, generator=torch.Generator().manual_seed(1))
    blurred = planes.mean((1, 2), keepdim=True).expand_as(planes)
    side = 30
    maps = evidence._occluded(net, planes, blurred, side, [0, 1])
    changed = planes.clone()
    changed[:, :side, :side] = blurred[:, :side, :side]
    with torch.no_grad():
        lost = (net.diagnose(planes).logits - net.diagnose(changed).logits)[0]
    # The first pixels lie in this patch alone.
    torch.testing.assert_close(maps[:, 0, 0], lost, atol=1e-5, rtol=1e-4)
    assert float(lost.abs().max()) > 1e-4


@METHODS
def test_maps_point_to_the_place(method, monkeypatch):
    """A net that counts what is bright and red in its view: only there is something to be found."""
    net = net_of("red", "blue", detail=0)

    class Sum(nn.Module):
        def forward(self, view):
            bright = view.clamp_min(0.6) - 0.6
            return bright.mean((2, 3)), view[:, :0]

    net.whole = Sum()
    monkeypatch.setattr(
        net, "concluded", lambda told, where: Diagnosis(100 * told[:, [0, 2]], torch.ones(len(told), 2), where)
    )
    monkeypatch.setattr(evidence, "diagnoser", lambda weights: net)
    scene = np.full((96, 120, 3), 0.3)
    scene[20:32, 70:86, 0] = 1.0
    found = imgrestore.explain(scene, method=method, patch=12)
    red = found.maps["red"]
    y, x = np.unravel_index(int(red.argmax()), red.shape)
    assert 14 <= y < 38
    assert 64 <= x < 92
    assert red[60:].max() < 0.05 * red.max()
    assert np.abs(found.maps["blue"]).max() < 1e-3 * red.max()


def test_of_exactly_one_class_the_odds_are_against_all_others(tmp_path):
    net = net_of("cat", "dog", "owl", several=False)
    write_net(tmp_path / "pets.safetensors", net, "diagnose")
    found = imgrestore.explain(PICTURES["rgb"], weights=tmp_path / "pets.safetensors", patch=20)
    assert sum(found.scores.values()) == pytest.approx(1, abs=1e-5)


def test_missing_pixels_do_not_spread(weights):
    holes = PICTURES["float"].copy()
    holes[3:5, 7] = np.nan
    found = imgrestore.explain(holes, weights=weights, method="gradient")
    assert all(np.isfinite(values).all() for values in found.maps.values())


@pytest.mark.parametrize(
    ("image", "options", "error", "message"),
    [
        (np.zeros((2, 40, 60, 3), np.uint8), {"channel_axis": -1}, ValueError, r"\(2, 40, 60, 3\), 2 pictures"),
        (torch.zeros(2, 3, 40, 60), {}, ValueError, "2 pictures; expected one"),
        (np.zeros((40, 60, 5)), {"channel_axis": -1}, ValueError, "5 channels; expected gray or RGB"),
        (np.zeros((8, 60)), {}, ValueError, "8 x 60 pixels; expected 16 or more a side"),
        (np.zeros((40, 60), np.int32), {}, TypeError, "dtype int32"),
        ("picture.png", {}, TypeError, "image is a str"),
        (PICTURES["rgb"], {"method": "lime"}, ValueError, "method is 'lime'; expected one of occlusion, gradient"),
        (PICTURES["rgb"], {"damage": "dust"}, ValueError, "damage is 'dust'; expected one of blur, rust"),
        (PICTURES["rgb"], {"patch": 0}, ValueError, "patch is 0; expected 1 to 60 pixels"),
        (PICTURES["rgb"], {"patch": 61}, ValueError, "patch is 61"),
    ],
)
def test_what_makes_no_sense_is_refused(image, options, error, message, weights):
    with pytest.raises(error, match=message):
        imgrestore.explain(image, weights=weights, **options)


def test_weights_that_are_missing_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(evidence, "load", lambda task: (_ for _ in ()).throw(WeightsError(f"no weights for {task}")))
    with pytest.raises(WeightsError, match=r"no weights for diagnose; `imgrestore train diagnose` makes a file"):
        imgrestore.explain(PICTURES["rgb"])
    with pytest.raises(WeightsError, match="cannot be read"):
        imgrestore.explain(PICTURES["rgb"], weights=tmp_path / "none.safetensors")


def test_an_explanation_is_kept_and_drawn():
    maps = {"blur": np.zeros((50, 80), np.float32), "rust": np.zeros((50, 80), np.float32)}
    maps["rust"][10:20, 30:40] = 2.0
    maps["rust"][30:40, 30:40] = -2.0
    one = Explanation(maps, {"blur": 0.2, "rust": 0.9}, "occlusion", np.full((50, 80, 3), 0.5, np.float32))
    with pytest.raises(TypeError):
        one.maps["blur"] = 0
    back = pickle.loads(pickle.dumps(one))
    assert back.scores == one.scores
    sheet = np.asarray(one.plot("leaf.png")).astype(int)
    red = (sheet[..., 0] - sheet[..., 2] > 60).sum()
    blue = (sheet[..., 2] - sheet[..., 0] > 60).sum()
    assert red > 1000
    assert blue > 1000
    assert np.array_equal(sheet, np.asarray(back.plot("leaf.png")))


def test_the_command(tmp_path, weights):
    source, sheet = tmp_path / "leaf.png", tmp_path / "sheet.png"
    io.write(source, PICTURES["rgba"])
    told = command("explain", source, "-o", sheet, "--weights", weights, "--patch", 20)
    assert told.exit_code == 0, told.output
    assert "rust: 0." in told.output
    assert io.read(sheet).pixels.ndim == 3
    again = command("explain", source, "-o", sheet, "--weights", weights)
    assert again.exit_code == 2
    assert "exists already; --overwrite replaces it" in again.output
    told = command("explain", source, "-o", sheet, "--weights", weights, "--overwrite", "--damage", "dust")
    assert told.exit_code == 2
    assert "damage is 'dust'" in told.output
