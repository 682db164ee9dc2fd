"""The option `device` of the tasks: where they compute, and where the result lies. The GPU is simulated."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import observe
from elsewhere import Elsewhere, here, simulated
from separation_cases import TASKS, net_of
from skimage import data
from typer.testing import CliRunner

import imgrestore
from imgrestore import Psf, _native, deblur, degrade, demoire, io
from imgrestore.classical.moire import estimate
from imgrestore.cli import app
from imgrestore.nets import weights
from imgrestore.nets.refiner import Refiner, RefinerConfig
from imgrestore.nets.weights import load
from imgrestore.tasks import demoire_net, separation
from imgrestore.tasks.device import chosen, moved, net_on

ALL = ("deblur", "demoire", "deshadow", "dereflect", "despecular", "derust")
SPREAD = Psf.gaussian(1.2)


@pytest.fixture
def cuda(monkeypatch):
    """A device that is none, on which the ops run as their twins."""
    monkeypatch.setattr(_native._cuda, "_tried", True)
    with simulated(monkeypatch):
        yield "cuda"


def picture():
    return data.astronaut()[100:180, 190:262].astype(np.float32) / 255


def seen(image=None):
    image = picture() if image is None else image
    return np.stack([observe(np.pad(p, 8, mode="reflect"), SPREAD, size=72)[1] for p in np.moveaxis(image, -1, 0)], -1)


def near(found, wanted, most=2e-3):
    difference = np.abs(np.asarray(here(found) if isinstance(found, torch.Tensor) else found, np.float64) - wanted)
    return np.sqrt(np.mean(difference**2)) < most and np.quantile(difference, 0.95) < most


def spot(sigma):
    y, x = np.mgrid[-4:5, -4:5]
    values = np.exp(-(x**2 + y**2) / (2 * sigma**2))
    return (values / values.sum()).astype(np.float32)


def parts(restoration):
    """All that a restoration has of arrays."""
    confidence = restoration.confidence
    own = [restoration.image, restoration.mask, *restoration.layers.values()]
    return [one for one in [*own, None if isinstance(confidence, float) else confidence] if one is not None]


@pytest.mark.parametrize("method", ["wiener", "rl", "tv", "hyperlaplacian", "auto"])
def test_deblur_computes_there_and_gives_back_here(cuda, method):
    image = seen().astype(np.float32)
    result = deblur(image, SPREAD, method=method, details=True, device=cuda)
    assert all(isinstance(one, np.ndarray) for one in parts(result))
    assert result.image.dtype == np.float32
    assert near(result.image, deblur(image, SPREAD, method=method))
    assert np.abs(result.recompose() - image).max() < 1e-5


def test_what_is_computed_is_on_the_device(cuda, monkeypatch):
    kept = []
    back = imgrestore.pixels.Planes.back
    monkeypatch.setattr(imgrestore.pixels.Planes, "back", lambda *a, **k: kept.append(a[1]) or back(*a, **k))
    deblur(seen(), SPREAD, method="wiener", device=cuda)
    assert [type(one) for one in kept] == [Elsewhere]
    deblur(seen(), SPREAD, method="wiener")
    assert type(kept[-1]) is torch.Tensor


@pytest.mark.parametrize("kind", ["uint8", "uint16", "alpha", "gray", "nan", "mask", "stack", "field", "blind"])
def test_all_kinds_of_arrays(cuda, kind):
    image, psf, options = seen().clip(0, 1).astype(np.float32), SPREAD, {}
    if kind in ("uint8", "uint16"):
        image = (image * np.iinfo(kind).max).round().astype(kind)
    elif kind == "alpha":
        image = np.concatenate([image, np.ones_like(image[..., :1])], axis=-1)
    elif kind == "gray":
        image = image[..., 1]
    elif kind == "nan":
        image[20:23, 30] = np.nan
    elif kind == "mask":
        options["mask"] = np.indices(image.shape[:2]).sum(0) % 17 > 0
    elif kind == "stack":
        psf, image = Psf.gaussian(0.8, ndim=3), np.random.default_rng(0).poisson(90, (12, 20, 18)).astype(np.float32)
    elif kind == "field":
        psf = np.stack([np.stack([spot(sigma)] * 2) for sigma in (0.8, 1.2)])
    elif kind == "blind":
        psf, image = None, seen(np.repeat(data.camera()[60:140, 190:262, None] / 255, 1, -1))[..., 0].astype(np.float32)
    result = deblur(image, psf, details=True, device=cuda, **options)
    assert all(isinstance(one, np.ndarray) for one in parts(result))
    assert (result.image.dtype, result.image.shape) == (image.dtype, image.shape)
    assert not any("no blur" in note for note in result.notes)
    scale = float(np.iinfo(image.dtype).max) if image.dtype.kind == "u" else float(np.nanmax(image))
    assert near(result.image / scale, deblur(image, psf, **options) / scale, most=5e-3)


@pytest.mark.parametrize(("given", "asked"), [("cpu", "cuda"), ("cuda", None), ("cuda", "cpu"), ("cuda", "cuda:0")])
def test_a_tensor_comes_back_to_its_device(cuda, given, asked):
    image = torch.from_numpy(np.moveaxis(seen(), -1, 0).astype(np.float32).copy()).to(given)
    result = deblur(image, SPREAD, details=True, device=asked)
    assert {one.device.type for one in parts(result)} == {given}
    assert near(result.image, np.moveaxis(deblur(seen().astype(np.float32), SPREAD), -1, 0))


def test_gradients_come_back_through_the_device(cuda):
    image = torch.from_numpy(seen()[..., 0].copy()).requires_grad_()
    deblur(image, SPREAD, method="wiener", noise=0.01, device=cuda).square().mean().backward()
    there = image.grad.clone()
    image.grad = None
    deblur(image, SPREAD, method="wiener", noise=0.01).square().mean().backward()
    torch.testing.assert_close(there, image.grad, rtol=1e-6, atol=1e-12)


@pytest.fixture
def asked(monkeypatch):
    """The devices that nets were asked on."""
    devices = []

    def recorded(net, device):
        devices.append(device.type)
        return net_on(net, device)

    monkeypatch.setattr(separation, "net_on", recorded)
    monkeypatch.setattr(demoire_net, "net_on", recorded)
    return devices


@pytest.mark.parametrize("name", sorted(TASKS))
def test_nets_that_take_pictures_apart(cuda, asked, tmp_path, name):
    task, form, layer, change = TASKS[name]
    weights.write_net(tmp_path / "own.safetensors", net_of(form, change, 9.0), name)
    image, options = data.chelsea()[60:160, 120:230].astype(np.float32) / 255, {"weights": tmp_path / "own.safetensors"}
    wanted = task(image, details=True, **options)
    assert set(asked) == {"cpu"}
    result = task(image, details=True, device=cuda, **options)
    assert asked[-1] == "cuda"
    assert all(isinstance(one, np.ndarray) for one in parts(result))
    assert result.notes == wanted.notes
    assert np.abs(result.image - wanted.image).max() < 1e-5
    assert np.abs(result.layers[layer] - wanted.layers[layer]).max() < 1e-5
    tensor = torch.from_numpy(np.moveaxis(image, -1, 0).copy()).to("cuda")
    result = task(tensor, details=True, **options)
    assert asked[-1] == "cuda"
    assert {one.device.type for one in parts(result)} == {"cuda"}


def test_the_net_of_moire(cuda, asked, monkeypatch, tmp_path):
    net = Refiner(RefinerConfig(width=4, blocks=(1, 1), tone=4, view=16, code=2)).eval().requires_grad_(False)
    net.head.curve.bias[0] = 0.05
    net.unet.head.bias.fill_(0.01)
    weights.write_net(tmp_path / "own.safetensors", net, "demoire")
    monkeypatch.setattr(Refiner, "evidence", lambda self, seen: 5.0 if seen.is_cuda == (asked[-1] == "cuda") else -9.0)
    # Any moiré counts as that of a screen.
    monkeypatch.setattr(demoire_net, "estimate", lambda *seen: replace(estimate(*seen[:3]), strength=1.0))
    clean = torch.from_numpy(data.astronaut()[:160, 60:220].astype(np.float32) / 255).movedim(-1, 0)
    wave = degrade.moire.Wave(0.11, 0.19, (0.08, 0.06, 0.05))
    image = degrade.moire.apply(clean, degrade.moire.MoireParams((wave,))).movedim(0, -1).numpy()
    wanted = demoire(image, weights=tmp_path / "own.safetensors", details=True)
    result = demoire(image, weights=tmp_path / "own.safetensors", details=True, device=cuda)
    assert "refined by the net" in result.notes
    assert result.notes == wanted.notes
    assert all(isinstance(one, np.ndarray) for one in parts(result))
    assert np.abs(result.image - wanted.image).max() < 1e-5


def test_nets_that_are_kept_stay_where_they_are(cuda):
    deblur(seen(), SPREAD, device=cuda)
    assert {type(p) for p in load("deblur").parameters()} == {torch.nn.Parameter}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("gpu", "device is 'gpu'; expected None, 'cpu', 'cuda'"),
        ("meta", "device is 'meta'; expected"),
        (0, "device is 0; expected"),
        ("cuda", "device is 'cuda', but torch .* sees no CUDA device"),
        (torch.device("cuda", 1), "device is 'cuda:1', but torch"),
    ],
    ids=str,
)
def test_bad_devices_are_named(monkeypatch, name, device, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=message):
        getattr(imgrestore, name)(picture(), device=device)


def test_only_devices_that_are_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert chosen("cuda:0", picture()) == torch.device("cuda:0")
    with pytest.raises(ValueError, match="device is 'cuda:1', but torch sees only cuda:0"):
        chosen("cuda:1", picture())
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    with pytest.raises(ValueError, match="device is 'cuda:7', but torch sees cuda:0 to cuda:3"):
        chosen(torch.device("cuda", 7), picture())


@pytest.mark.parametrize("name", ALL)
def test_the_cpu_changes_nothing(name):
    function = getattr(imgrestore, name)
    assert inspect.signature(function).parameters["device"].default is None
    assert np.array_equal(function(picture()), function(picture(), device="cpu"))


def test_what_is_moved():
    values = {"a": torch.ones(2), "b": (torch.zeros(1), "word", 3)}
    there = moved(values, "meta")
    assert there["a"].is_meta
    assert there["b"][0].is_meta
    assert there["b"][1:] == ("word", 3)


@pytest.mark.parametrize("name", ALL)
def test_on_the_command_line(name, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    io.write(tmp_path / "in.png", (255 * picture()[:40, :40]).astype(np.uint8))
    arguments = [name, str(tmp_path / "in.png"), "-o", str(tmp_path / "out.png")]
    for device, message in (("cuda", "sees no CUDA device"), ("tpu", "device is 'tpu'; expected")):
        result = CliRunner().invoke(app, [*arguments, "--device", device])
        assert result.exit_code == 2
        assert message in result.output
        assert not (tmp_path / "out.png").exists()
    assert CliRunner().invoke(app, [*arguments, "--device", "cpu"]).exit_code == 0
    assert (tmp_path / "out.png").exists()


def test_the_command_line_computes_there(cuda, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "imgrestore.tasks.deblur.chosen", lambda device, image: asked.append(device) or chosen(device, image)
    )
    io.write(tmp_path / "in.png", (255 * seen().clip(0, 1)).astype(np.uint8))
    arguments = ["deblur", str(tmp_path / "in.png"), "-o", str(tmp_path / "out.png"), "--psf", "gaussian:1.2"]
    result = CliRunner().invoke(app, [*arguments, "--device", "cuda:0"])
    assert result.exit_code == 0, result.output
    assert asked == ["cuda:0"]
    assert (tmp_path / "out.png").exists()
