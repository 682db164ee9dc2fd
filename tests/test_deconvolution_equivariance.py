"""The classical methods: what changes the picture changes the result alike, and nothing else does."""

import numpy as np
import pytest
import torch
from conftest import observe
from deconvolution_cases import BOUNDARIES, SPARSE, by_name
from hypothesis import given, settings
from hypothesis import strategies as st

from imgrestore import Psf
from imgrestore.classical import hyper_laplacian, richardson_lucy, total_variation, wiener

FEW = {
    wiener: {},
    richardson_lucy: {"num_iter": 12},
    total_variation: {"num_iter": 8},
    hyper_laplacian: {"num_iter": 8},
}


@by_name
@settings(max_examples=5)
@given(st.floats(-3, 4), st.sampled_from(BOUNDARIES))
def test_a_scaled_picture_gives_the_scaled_result(case, method, exponent, boundary):
    factor, observed = 10.0**exponent, np.abs(case[1][:32, :32])
    one, scaled = (method(observed * k, "disk:2", boundary=boundary, **FEW[method]) for k in (1, factor))
    assert np.abs(scaled / factor - one).max() < 1e-6


@pytest.mark.parametrize("exponent", [-12, 12])
@by_name
def test_even_extreme_units_change_nothing(case, method, exponent):
    factor, observed = 10.0**exponent, np.abs(case[1][:32, :32])
    one, scaled = (method(observed * k, "disk:2", **FEW[method]) for k in (1, factor))
    assert np.abs(scaled / factor - one).max() < 1e-6


@pytest.mark.parametrize("method", [wiener, *SPARSE], ids=lambda m: m.__name__)
@pytest.mark.parametrize("boundary", ["unknown", "reflect", "periodic"])
@settings(max_examples=5)
@given(st.floats(-100, 100))
def test_an_even_offset_passes_through(case, method, boundary, offset):
    observed = case[1][:32, :32]
    one, raised = (method(observed + k, "disk:2", boundary=boundary, noise=0.01, **FEW[method]) for k in (0, offset))
    assert np.abs(raised - offset - one).max() < 1e-6


@by_name
@settings(max_examples=4)
@given(st.integers(-16, 16), st.integers(-16, 16))
def test_a_shifted_picture_gives_the_shifted_result(case, method, down, right):
    # Estimates of noise and balance know where the frame is.
    options = {wiener: {"balance": 0.01}, richardson_lucy: {"num_iter": 12}}.get(method, {"noise": 0.01, "num_iter": 8})
    observed = np.abs(case[1][:30, :32])
    one, moved = (
        method(np.roll(observed, by, (0, 1)), "motion:5:20", boundary="periodic", **options)
        for by in ((0, 0), (down, right))
    )
    assert np.abs(moved - np.roll(one, (down, right), (0, 1))).max() < 1e-6


@by_name
def test_away_from_the_frame_a_crop_gives_the_crop(photographs, method):
    _, observed = observe(photographs["man"], Psf.disk(2), 88)
    options = {wiener: {"balance": 0.01}, richardson_lucy: {"num_iter": 10, "accelerate": False}}.get(
        method, {"weight": 0.002}
    )
    whole, part = method(observed, "disk:2", **options), method(observed[5:75, 3:80], "disk:2", **options)
    inside = (slice(20, -20), slice(20, -20))
    error = part[inside] - whole[5:75, 3:80][inside]
    assert np.sqrt(np.mean(error**2)) < (0.02 if method is hyper_laplacian else 2e-3)


@by_name
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_mirrored_picture_gives_the_mirrored_result(case, method, axis, boundary):
    observed, psf = np.abs(case[1][:30, :33]), Psf.motion(5, 20)
    one = method(observed, psf, boundary=boundary, **FEW[method])
    other = method(np.flip(observed, axis), Psf(np.flip(psf.array, axis)), boundary=boundary, **FEW[method])
    # Forward differences are not quite those of the mirrored scene, and the domain's spare rim is on one side.
    tolerance = 0.02 if method in SPARSE or boundary in ("unknown", "reflect") else 1e-4
    assert np.sqrt(np.mean((np.flip(other, axis) - one) ** 2)) < tolerance


@by_name
@settings(max_examples=4)
@given(st.permutations(range(5)))
def test_permuted_channels_give_permuted_results(method, order):
    observed = np.random.default_rng(0).random((16, 17, 5)) * [1, 2, 3, 0.1, 50]
    one = method(observed, "disk:1.5", channel_axis=-1, boundary="reflect", **FEW[method])
    other = method(observed[..., order], "disk:1.5", channel_axis=-1, boundary="reflect", **FEW[method])
    if method is wiener:  # one balance serves all channels
        assert np.allclose(other, one[..., order], rtol=1e-6, atol=1e-6)
    else:
        assert np.allclose(other, one[..., order], rtol=0, atol=1e-9)


@by_name
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("channels", [1, 3])
def test_each_picture_of_a_batch_is_restored_as_if_alone(method, boundary, channels):
    batch = torch.rand(3, channels, 20, 21, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    batch = batch * torch.tensor([1.0, 1e4, 1e-3])[:, None, None, None]
    batch[2] = batch[2].mean()
    options = {"num_iter": 30, "stop": "discrepancy", "tv_weight": 0.01} if method is richardson_lucy else {}
    together = method(batch, "disk:1.5", boundary=boundary, **options)
    for one, picture in zip(together, batch, strict=True):
        alone = method(picture, "disk:1.5", boundary=boundary, **options)
        assert (one - alone).abs().max() < 1e-9 * picture.abs().max()


@by_name
def test_one_empty_picture_leaves_the_others_of_a_batch_alone(method):
    batch = torch.rand(2, 1, 20, 21, generator=torch.Generator().manual_seed(0))
    batch[1] = torch.nan
    result = method(batch, "disk:1.5")
    # A batch with bad pixels is weighed pixel by pixel, which rounds otherwise, and steps that extrapolate amplify it.
    assert torch.allclose(result[:1], method(batch[:1], "disk:1.5"), atol=1e-4)


@by_name
def test_the_same_call_gives_the_same_result_and_leaves_its_arguments_alone(case, method):
    observed, psf = case[1].copy(), np.ones((3, 3))
    first = method(observed, psf, **FEW[method])
    assert np.array_equal(method(observed, psf, **FEW[method]), first)
    assert np.array_equal(observed, case[1])
    assert np.array_equal(psf, np.ones((3, 3)))
    assert not np.shares_memory(first, observed)
