"""The learned half of `deblur`: better than the classical estimate, and never in its way."""

import threading

import numpy as np
import pytest
import torch
from conftest import observe, psnr

from imgrestore import Psf, deblur
from imgrestore.nets import weights
from imgrestore.tasks import deblur_net


@pytest.fixture(scope="module")
def case(photographs):
    return observe(photographs["man"], Psf.disk(2), 64)


@pytest.fixture
def fresh_weights():
    weights.load.cache_clear()
    yield
    weights.load.cache_clear()


def test_the_net_gains_on_the_classical_estimate(case):
    sharp, observed = case
    assert psnr(deblur(observed, "disk:2"), sharp) > psnr(deblur(observed, "disk:2", refine=False), sharp) + 0.2


def test_a_gray_picture_and_three_equal_channels_give_about_the_same(case):
    gray = deblur(case[1], "disk:2")
    rgb = deblur(np.stack([case[1]] * 3, -1), "disk:2")
    assert psnr(rgb.mean(-1), gray) > 35


def test_what_the_net_changed_is_a_layer(case):
    result = deblur(case[1], "disk:2", details=True)
    assert set(result.layers) == {"reblurred", "residual", "refinement"}
    assert np.abs(result.recompose() - case[1]).max() < 1e-5
    assert np.abs(result.layers["refinement"]).max() > 1e-3


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_without_its_weights_the_classical_estimate_is_the_answer(case, damage, tmp_path, monkeypatch, fresh_weights):
    stored = (weights.HERE / "deblur.safetensors").read_bytes()
    if damage == "changed":
        (tmp_path / "deblur.safetensors").write_bytes(stored[:-1] + bytes([stored[-1] ^ 1]))
    monkeypatch.setattr(weights, "HERE", tmp_path)
    result = deblur(case[1], "disk:2", details=True)
    assert np.array_equal(result.image, deblur(case[1], "disk:2", refine=False))
    expected = "cannot be read" if damage == "missing" else "have the hash"
    assert any(note.startswith("classical only: the weights") and expected in note for note in result.notes)


@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", b"{}" * 40], ids=["empty", "pickle", "text"])
def test_a_file_that_holds_no_weights_is_refused(tmp_path, content):
    path = tmp_path / "deblur.safetensors"
    path.write_bytes(content)
    with pytest.raises(weights.WeightsError, match=r"deblur\.safetensors: not the weights of a net"):
        weights.load_net(path)


def test_a_result_that_does_not_explain_the_picture_is_not_taken(case, monkeypatch):
    class Inventive(torch.nn.Module):
        def forward(self, y, x0, *rest):
            return x0 + 0.3 * torch.sin(torch.arange(x0.shape[-1]) / 9)

    monkeypatch.setattr(deblur_net, "load", lambda task: Inventive())
    result = deblur(case[1], "disk:2", details=True)
    assert "classical only: the net's picture did not explain the blurred one" in result.notes
    assert np.array_equal(result.image, deblur(case[1], "disk:2", refine=False))


@pytest.mark.parametrize(
    ("image", "psf", "options", "reason"),
    [
        (np.zeros((24, 24, 5)), "disk:2", {"channel_axis": -1}, "gray and RGB"),
        (np.zeros((24, 24)), "disk:2", {"boundary": "zero"}, "boundary"),
        (torch.zeros(24, 24, dtype=torch.float64), "disk:2", {}, "float32"),
    ],
)
def test_where_the_net_does_not_apply_the_notes_say_why(image, psf, options, reason):
    image[8:14, 8:14] = 0.5
    image[2, 2] = -1  # no picture of light on a dark ground
    notes = deblur(image, psf, details=True, **options).notes
    assert any(note.startswith("classical only:") and reason in note for note in notes)


def test_too_large_a_picture_stays_classical(case, monkeypatch):
    monkeypatch.setattr(deblur_net, "MOST_PIXELS", 1000)
    assert any("larger than" in note for note in deblur(case[1], "disk:2", details=True).notes)


def test_gradients_run_through_the_net(case):
    image = torch.tensor(case[1][:32, :32], dtype=torch.float32, requires_grad=True)
    psf = torch.tensor(Psf.disk(2).array, requires_grad=True)
    deblur(image, psf).square().sum().backward()
    for tensor in (image, psf):
        assert tensor.grad.isfinite().all()
        assert tensor.grad.abs().max() > 0
    assert not any(p.requires_grad for p in weights.load("deblur").parameters())


def test_several_threads_may_load_and_run_the_net_at_once(case, fresh_weights):
    expected, results = deblur(case[1], "disk:2"), [None] * 4
    weights.load.cache_clear()

    def work(i):
        results[i] = deblur(case[1], "disk:2")

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.allclose(result, expected, atol=1e-5) for result in results)
