"""ONNX files: they do what the net does, at any size, say what they are, and are whole or not there."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import convolve
from skimage import data
from torch import nn
from typer.testing import CliRunner

from imgrestore import Psf
from imgrestore.cli import app
from imgrestore.degrade import blur
from imgrestore.export_recipes import recipe_of
from imgrestore.export_wiener import Dft, RealWiener
from imgrestore.metrics import psnr
from imgrestore.nets.deep_wiener import DeepWiener, DeepWienerConfig, frequency_squared
from imgrestore.nets.diagnoser import Diagnoser, DiagnoserConfig, view_of
from imgrestore.nets.judge import windows_of
from imgrestore.nets.refiner import Refiner, RefinerConfig
from imgrestore.nets.separator import LAYERS, Separator, SeparatorConfig
from imgrestore.nets.weights import SHA256, load_net, write_net

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from imgrestore import export  # noqa: E402

SMALL = DeepWienerConfig(features=4, width=8, blocks=(1,), stages=2)


def awake(build, *arguments):
    """A net whose every part has a say, as after training; new ones return what they were given."""
    torch.manual_seed(0)
    net = build(*arguments)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.03 * torch.randn_like(parameter))
    return net.eval()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    return path, write_net(path, awake(DeepWiener, SMALL), "deblur")


@pytest.fixture(scope="module")
def exported(small, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "small.onnx"
    return export.to_onnx("deblur", path, weights=small[0])


def run(path, inputs):
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {one.name: t.numpy() for one, t in zip(session.get_inputs(), inputs, strict=True)})


def in_torch(net, inputs):
    """A `DeepWiener` in float32, whatever the processor may do faster: with gradients there are no native ops."""
    return net.requires_grad_(True)(inputs[0], inputs[1], torch.view_as_complex(inputs[2]), *inputs[3:]).detach()


@pytest.mark.parametrize("size", [(16, 16), (24, 40), (37, 50)])
def test_transforms_by_matrices_are_those_by_fft(size):
    planes = torch.rand(2, 3, *size, dtype=torch.float64).float()
    dft, expected = Dft(planes), torch.fft.rfft2(planes)
    real, imaginary = dft.forward(planes)
    assert torch.allclose(torch.complex(real, imaginary), expected, atol=1e-3)
    assert torch.allclose(dft.inverse((real, imaginary)), planes, atol=1e-5)
    assert torch.allclose(dft.frequency_squared, frequency_squared(size, planes.device), atol=1e-4)


def test_transforms_of_a_long_side_are_exact():
    """Phases are whole numbers of steps, reduced before they become angles."""
    planes = torch.rand(1, 1, 16, 4096) - 0.5
    dft = Dft(planes)
    real, imaginary = dft.forward(planes)
    assert torch.allclose(torch.complex(real, imaginary), torch.fft.rfft2(planes), atol=2e-2)
    assert torch.allclose(dft.inverse((real, imaginary)), planes, atol=1e-5)


def test_the_net_on_real_numbers_is_the_net():
    net = awake(DeepWiener, SMALL)
    recipe = recipe_of(net)
    inputs = recipe.example(2, 32, 24, 1)
    expected = in_torch(net, inputs)
    (found,) = RealWiener(net)(*inputs)
    assert (expected - inputs[1]).abs().max() > 0.05
    assert torch.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 36, 60), (3, 64, 20)])
def test_the_file_does_what_the_net_does_at_any_size(exported, small, shape):
    net = load_net(small[0])
    inputs = recipe_of(net).example(*shape, seed=7)
    expected = in_torch(net, inputs).numpy()
    assert np.abs(expected - inputs[1].numpy()).max() > 0.05
    (found,) = run(exported.path, inputs)
    assert np.abs(found - expected).max() < 1e-4


def test_the_transfer_function_is_that_of_numpy(exported):
    """As the description of the inputs says it."""
    inputs = recipe_of(awake(DeepWiener, SMALL)).example(1, 32, 24, 0)
    psf = blur.gaussian_psf(1.5, 0.8, angle=0.3)
    placed = np.zeros((32, 24))
    placed[: psf.shape[0], : psf.shape[1]] = psf
    placed = np.roll(placed, (-(psf.shape[0] // 2), -(psf.shape[1] // 2)), (0, 1))
    spectrum = np.fft.rfft2(placed)
    assert np.allclose(inputs[2][0, 0].numpy(), np.stack([spectrum.real, spectrum.imag], -1), atol=1e-5)
    assert "numpy.fft.rfft2" in exported.inputs["otf"]


def test_what_the_file_says_of_itself(exported, small):
    model = onnx.load(str(exported.path))
    onnx.checker.check_model(model)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert (facts["task"], facts["net"], facts["weights_sha256"]) == ("deblur", "DeepWiener", small[1])
    assert DeepWienerConfig.from_dict(json.loads(facts["config"])) == SMALL
    inputs = {one.name: len(one.type.tensor_type.shape.dim) for one in model.graph.input}
    assert inputs == {"y": 4, "x0": 4, "otf": 5, "sigma": 1, "mask": 4}
    assert json.loads(facts["inputs"]).keys() == inputs.keys()
    assert {one.domain for one in model.opset_import} <= {"", "ai.onnx"}
    assert exported.sha256 == small[1]
    assert exported.difference < 1e-4
    assert exported.checked == ((1, 3, 24, 20), (2, 3, 14, 30))
    assert exported.free


def test_the_file_names_no_folder_of_this_machine(exported):
    content = exported.path.read_bytes()
    for word in (str(export.__file__).rpartition("/")[0], "site-packages"):
        assert word.encode() not in content


def test_a_refiner(tmp_path):
    """Two results, a view of the whole, and maps."""
    net = awake(Refiner, RefinerConfig(maps=2, width=8, blocks=(1, 1), tone=8, view=16))
    weights, path = tmp_path / "refiner.safetensors", tmp_path / "refiner.onnx"
    write_net(weights, net, "demoire")
    done = export.to_onnx("demoire", path, weights=weights)
    assert (done.net, done.task) == ("Refiner", "demoire")
    assert list(done.outputs) == ["tone", "correction"]
    net = load_net(weights).requires_grad_(True)  # with gradients there are no native ops
    inputs = recipe_of(net).example(1, 36, 20, 5)
    expected = net(*inputs)
    tone, correction = run(path, inputs)
    for found, wanted in ((tone, expected.tone), (correction, expected.correction)):
        assert wanted.abs().max() > 0.01
        assert np.abs(found - wanted.detach().numpy()).max() < 1e-4


SEPARATORS = [("added", 64), ("covered", 0), ("factor", 64)]


@pytest.mark.parametrize(("form", "judge"), SEPARATORS)
def test_a_separator(form, judge, tmp_path):
    """Scene, damage and two kinds of odds, or one without a judge, and a mask that may be missing."""
    net = awake(Separator, SeparatorConfig(form=form, width=8, blocks=(1, 1), glance=8, view=16, judge=judge))
    weights, path = tmp_path / "separator.safetensors", tmp_path / "separator.onnx"
    task = {"factor": "deshadow", "added": "dereflect", "covered": "derust"}[form]
    write_net(weights, net, task)
    done = export.to_onnx(task, path, weights=weights)
    assert (done.net, done.task) == ("Separator", task)
    assert list(done.outputs) == ["scene", "damage", "odds", *["presence"] * bool(judge)]
    net = load_net(weights).requires_grad_(True)
    inputs = recipe_of(net).example(2, 36, 20, 5)
    expected = net(*inputs)
    found = run(path, inputs)
    assert len(found) == len(done.outputs)
    # Scenes below a dense stain are bright, and their rounding grows with them.
    for one, wanted in zip(found[:3], (expected.scene, expected.layer, expected.odds), strict=True):
        assert wanted.abs().max() > 0.01
        assert np.allclose(one, wanted.detach().numpy(), atol=1e-4, rtol=1e-4)
    if not judge:
        return
    picture, estimate, layer, mask, given, view = inputs
    judged = net.presence(picture, estimate, layer, mask, view).detach().numpy()
    said = given[:, 1].amax((1, 2)).numpy() > 0
    assert said.tolist() == [True, False]
    assert np.abs(found[3] - judged)[~said].max() < 1e-4 < np.abs(judged).min()


def test_each_form_of_separator_is_exported():
    assert {form for form, _ in SEPARATORS} == set(LAYERS)


@pytest.mark.parametrize("several", [True, False])
def test_a_diagnoser(tmp_path, several):
    """With any number of windows, or for whole pictures alone."""
    classes = ("blur", "rust", "dust")
    net = awake(Diagnoser, DiagnoserConfig(classes, several, width=4, detail=4 if several else 0, view=32))
    weights, path = tmp_path / "diagnoser.safetensors", tmp_path / "diagnoser.onnx"
    write_net(weights, net, "diagnose")
    done = export.to_onnx("diagnose", path, weights=weights)
    assert (done.net, done.task) == ("Diagnoser", "diagnose")
    assert list(done.inputs) == (["view", "windows"] if several else ["view"])
    assert list(done.outputs) == (["logits", "strength"] if several else ["logits"])
    assert "blur, rust, dust" in done.outputs["logits"]
    assert not done.free
    assert done.checked == ((1, 3, 32, 32), (2, 3, 32, 32))
    with pytest.raises(ValueError, match=r"size is \(32, 32\); expected none"):
        export.to_onnx("diagnose", tmp_path / "other.onnx", weights=weights, size=(32, 32))
    picture = torch.rand(3, 300, 200, generator=torch.Generator().manual_seed(7))
    expected = load_net(weights).diagnose(picture)
    inputs = (view_of(picture, 32)[None], windows_of(picture)[None])[: len(done.inputs)]
    found = run(path, inputs)
    for one, wanted in zip(found, (expected.logits, expected.strength), strict=False):
        assert wanted.std() > 1e-3
        assert np.abs(one - wanted.detach().numpy()).max() < 1e-4


def test_the_view_is_what_its_description_says():
    net = awake(Refiner, RefinerConfig(view=16))
    picture, estimate = torch.rand(2, 1, 3, 50, 37)
    view = net.view_of(picture, estimate)[0]
    means = np.zeros((6, 16, 16))
    for place in np.ndindex(16, 16):
        area = [slice(i * n // 16, -(-(i + 1) * n // 16)) for i, n in zip(place, (50, 37), strict=True)]
        whole = torch.cat([picture, estimate], dim=1)[0]
        means[(slice(None), *place)] = whole[(slice(None), *area)].mean(dim=(1, 2))
    assert np.allclose(view, means, atol=1e-6)


def test_a_net_that_cannot_be_exported():
    with pytest.raises(TypeError, match="net is a Linear"):
        recipe_of(nn.Linear(3, 3))


def test_a_file_that_differs_is_not_written(exported, small, tmp_path, monkeypatch):
    recipe = recipe_of(load_net(small[0]))
    other = replace(recipe, reference=lambda *inputs: (recipe.reference(*inputs)[0] + 0.01,))
    monkeypatch.setattr(export, "recipe_of", lambda net: other)
    monkeypatch.setattr(export, "_translate", lambda recipe, size: onnx.load(str(exported.path)))
    with pytest.raises(export.ExportError, match=r"differs from the net's by 0.01.*at most 0.001"):
        export.to_onnx("deblur", tmp_path / "wrong.onnx", weights=small[0])
    assert list(tmp_path.iterdir()) == []


def test_what_pytorch_cannot_translate(small, tmp_path, monkeypatch):
    def forward(self, y, x0, otf, sigma, mask):
        return (torch.fft.fftfreq(y.shape[-1]) * y,)

    monkeypatch.setattr(RealWiener, "forward", forward)
    with pytest.raises(export.ExportError, match=r"could not translate the net to ONNX: .*fftfreq"):
        export.to_onnx("deblur", tmp_path / "x.onnx", weights=small[0])
    assert list(tmp_path.iterdir()) == []


def test_files_that_exist_are_kept(small, tmp_path):
    path = tmp_path / "there.onnx"
    path.write_bytes(b"precious")
    with pytest.raises(FileExistsError, match="exists already"):
        export.to_onnx("deblur", path, weights=small[0])
    with pytest.raises(FileNotFoundError, match="no folder"):
        export.to_onnx("deblur", tmp_path / "nowhere" / "x.onnx", weights=small[0])
    assert path.read_bytes() == b"precious"


@pytest.mark.parametrize("size", [(31, 32), (8, 32), (32, 8192)])
def test_sizes_that_do_not_fit(small, tmp_path, size):
    with pytest.raises(ValueError, match=r"size is .*multiples of 2"):
        export.to_onnx("deblur", tmp_path / "x.onnx", weights=small[0], size=size)


def test_tasks_without_weights(tmp_path):
    with pytest.raises(ValueError, match="sharpen"):
        export.to_onnx("sharpen", tmp_path / "x.onnx")


def test_weights_of_another_task(small, tmp_path):
    with pytest.raises(ValueError, match="deblur"):
        export.to_onnx("demoire", tmp_path / "x.onnx", weights=small[0])


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_package_that_is_missing(small, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"export needs {package}, .*imgrestore\[onnx\]"):
        export.to_onnx("deblur", tmp_path / "x.onnx", weights=small[0])
    words = ["export", "deblur", "--onnx", str(tmp_path / "x.onnx"), "--weights", str(small[0])]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "imgrestore[onnx]" in result.output


def test_the_command_and_a_fixed_size(small, tmp_path):
    path = tmp_path / "net.onnx"
    words = ["export", "deblur", "--onnx", str(path), "--weights", str(small[0]), "--size", "32", "24"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    for word in ("DeepWiener for deblur", "32 x 24", "differs from the net by at most", "otf: float32"):
        assert word in result.output
    model = onnx.load(str(path))
    onnx.checker.check_model(model)
    sides = {one.name: [d.dim_value for d in one.type.tensor_type.shape.dim][1:] for one in model.graph.input}
    assert sides["y"] == [3, 32, 24]
    assert sides["otf"] == [1, 32, 13, 2]
    assert run(path, recipe_of(awake(DeepWiener, SMALL)).example(3, 32, 24, 0))[0].shape == (3, 3, 32, 24)
    again = CliRunner().invoke(app, words)
    assert again.exit_code == 2
    assert "exists already" in again.output


@pytest.mark.slow
def test_the_net_that_ships_as_the_guide_uses_it(tmp_path, monkeypatch):
    """The guide's own lines, on a photograph whose scene goes on past the frame."""
    monkeypatch.chdir(tmp_path)
    done = export.to_onnx("deblur", "deblur.onnx")
    assert done.sha256 == SHA256["deblur"]
    assert done.difference < 1e-4
    assert [path.name for path in tmp_path.iterdir()] == ["deblur.onnx"]
    assert done.path.stat().st_size < 8e6
    guide = Path(__file__).parents[1] / "docs" / "guide" / "evaluate-and-export.md"
    code = next(block for block in guide.read_text().split("```python\n")[1:] if "InferenceSession" in block)
    clean, psf = data.astronaut()[:150, 100:260] / 255.0, Psf.parse("motion:9:30")
    picture = np.stack([convolve(clean[..., c], psf.array, mode="valid") for c in range(3)], axis=-1)
    picture = (picture + np.random.default_rng(0).normal(0, 0.01, picture.shape)).astype(np.float32)
    top, left = (k - 1 - c for k, c in zip(psf.shape, psf.centre, strict=True))
    truth = clean[top : top + picture.shape[0], left : left + picture.shape[1]]
    names = {"picture": picture, "psf": psf, "sigma": 0.01}
    exec(code.split("```")[0], names)
    classical = psnr(names["first"][names["frame"]], truth)
    assert classical > psnr(picture, truth) + 3
    assert psnr(names["sharp"], truth) > classical + 0.7
