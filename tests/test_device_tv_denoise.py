"""`tv_denoise` as the device kernels compute it, and the op itself: chunks, what it keeps, where it stops."""

import functools
import math
import sys

import pytest
import torch
from device_cases import assert_is_twin, planes
from executor import needs_executor

from imgrestore.ops import tv_denoise, tv_denoise_reference

pytestmark = needs_executor

MODULE = sys.modules[tv_denoise.__module__]
BOTH = pytest.mark.parametrize("accelerate", [False, True])


def assert_denoises(device, image, weight=0.3, *, tolerance=2e-6, **options):
    options = {"num_iter": 8, "tol": 0, **options}
    ours, twin = (functools.partial(f, weight=weight, **options) for f in (tv_denoise, tv_denoise_reference))
    return assert_is_twin(device, ours, twin, image, tolerance=tolerance)


def op(device):
    return (torch.ops.imgrestore_executor if device.module else torch.ops.imgrestore).tv_denoise


@BOTH
@pytest.mark.parametrize(
    "shape",
    [(1, 1), (1, 9), (9, 1), (2, 2, 2), (3, 17), (64, 64), (65, 66), (67, 121), (3, 120), (2, 3, 176), (123, 5)],
    ids=str,
)
def test_pictures(device, shape, accelerate):
    for num_iter in (1, 7):
        assert_denoises(device, planes(*shape), num_iter=num_iter, accelerate=accelerate)


@BOTH
@pytest.mark.parametrize(
    "shape", [(3, 1, 1), (3, 57, 65), (2, 3, 33, 30), (3, 7, 121), (1, 8, 9), (2, 9, 35), (17, 5, 33)], ids=str
)
def test_coupled_channels(device, shape, accelerate):
    assert_denoises(device, planes(*shape), channels=True, num_iter=6, accelerate=accelerate)


@BOTH
@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize(
    "shape",
    [
        (1, 1, 1, 1),
        (1, 1, 1, 7),
        (3, 4, 1, 5),
        (2, 1, 6, 3),
        (2, 3, 9, 34),
        (3, 18, 2, 5),
        (3, 2, 17, 33),
        (1, 17, 16, 32),
    ],
    ids=str,
)
def test_volumes(device, shape, channels, accelerate):
    assert_denoises(device, planes(*shape), ndim=3, channels=channels, num_iter=4, accelerate=accelerate)


@BOTH
@pytest.mark.parametrize("options", [{}, {"channels": True}, {"ndim": 3}], ids=str)
def test_many_iterations(device, options, accelerate):
    # What rounding does to the direction of gradients that are nearly 0 adds up: the twin in float32 is 7e-5 off.
    tolerance = 2e-6 if options or accelerate else 2e-5
    assert_denoises(device, planes(3, 19, 23), num_iter=75, tolerance=tolerance, accelerate=accelerate, **options)


@BOTH
@pytest.mark.parametrize("options", [{}, {"channels": True}, {"ndim": 3}], ids=str)
def test_extreme_weights_and_ranges(device, options, accelerate):
    image = planes(3, 11, 12)
    for weight in (1e-30, 1e-6, 1e3, 1e20):
        assert_denoises(device, image, weight, num_iter=12, accelerate=accelerate, **options)
    for scale in (1e-12, 1e12):
        assert_denoises(device, image * scale, 0.1 * scale, num_iter=12, accelerate=accelerate, **options)


@pytest.mark.parametrize("options", [{}, {"accelerate": True}, {"channels": True}, {"ndim": 3}], ids=str)
def test_a_flat_picture_is_left_alone(device, options):
    image = torch.full((3, 12, 13), 0.7)
    torch.testing.assert_close(tv_denoise(device.put(image), 0.3, **options).cpu(), image)


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[:, ::2, 3:13],
        lambda x: x.transpose(-1, -2),
        lambda x: x[:1].expand(4, -1, -1),
        lambda x: x.flip(-1),
        lambda x: x.flatten()[1:49].reshape(6, 8),
    ],
    ids=["rows", "transposed", "expanded", "flipped", "shifted"],
)
def test_strided(device, view):
    assert_denoises(device, view(planes(3, 16, 18)))


@BOTH
@pytest.mark.parametrize("options", [{}, {"channels": True}, {"ndim": 3}], ids=str)
def test_each_picture_stops_where_the_twin_stops(device, options, accelerate):
    image = planes(3, 3, 7, 20, seed=2) * torch.tensor([1e-3, 1.0, 5.0])[:, None, None, None]
    options = {"tol": 3e-4, "num_iter": 40, "accelerate": accelerate, **options}
    together = assert_denoises(device, image, **options)
    for picture, alone in zip(together, image, strict=True):
        assert torch.equal(picture, tv_denoise(device.put(alone), 0.3, **options).cpu())


def test_the_rule_looks_after_every_eighth_iteration(device):
    image = device.put(planes(20, 30))
    loose = tv_denoise(image, 0.2, tol=0.5, num_iter=100)
    assert torch.equal(loose, tv_denoise(image, 0.2, tol=0, num_iter=9))
    assert not torch.equal(loose, tv_denoise(image, 0.2, tol=0, num_iter=100))


@BOTH
def test_chunks_make_no_difference(device, monkeypatch, accelerate):
    image = device.put(planes(20, 65))
    for tol in (1e-9, 3e-4):
        options = {"num_iter": 60, "tol": tol, "accelerate": accelerate}
        whole = tv_denoise(image, 0.2, **options)
        monkeypatch.setattr(MODULE, "_QUICK_ON_CUDA", 1)
        monkeypatch.setattr(MODULE, "_SECONDS", 0)
        seen = []
        parts = tv_denoise(image, 0.2, progress=seen.append, **options)
        assert torch.equal(parts, whole)
        assert len(seen) == 8 if tol < 1e-6 else 1 < len(seen) < 8
        assert seen[-1] == 1


def test_several_pictures_with_progress(device):
    image, seen = device.put(planes(3, 20, 21)), []
    whole = tv_denoise(image, 0.2, progress=seen.append)
    assert torch.equal(whole, tv_denoise(image, 0.2))
    assert seen == [1]


@BOTH
@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("options", [{}, {"channels": True}, {"ndim": 3}], ids=str)
def test_nan_stays_nan_and_spreads_by_a_pixel_an_iteration(device, options, bad, accelerate):
    image = planes(2, 3, 20, 30) if options else planes(2, 1, 20, 30)
    image[0, 0, 10, 12] = bad
    out = tv_denoise(device.put(image), 0.2, num_iter=6, tol=0, accelerate=accelerate, **options).cpu()
    assert not out[0, 0, 10, 12].isfinite()
    assert out[0, :, :5].isfinite().all()
    assert out[0, :, :, 18:].isfinite().all()
    assert out[1].isfinite().all()
    out = tv_denoise(device.put(image), 0.2, num_iter=18, accelerate=accelerate, **options)
    assert not out[0, 0, 10, 12].isfinite()


def test_at_the_corners_nan_does_not_wrap_round(device):
    image = planes(68, 70)
    image[0, 0] = image[-1, -1] = math.nan
    for accelerate in (False, True):
        out = tv_denoise(device.put(image), 0.2, num_iter=6, tol=0, accelerate=accelerate).cpu()
        assert out[6:62].isfinite().all()
        assert out[:, 6:64].isfinite().all()


@BOTH
@pytest.mark.parametrize(
    "shape", [(2, 1, 13, 60), (1, 3, 15, 9), (2, 2, 5, 6), (2, 1, 3, 4, 5), (1, 2, 4, 3, 2), (1, 3, 17, 3, 4)], ids=str
)
def test_the_op_goes_on_from_any_dual(device, shape, accelerate):
    ndim = len(shape) - 2
    parts = (2 if accelerate else 1) * ndim
    image, dual = planes(*shape), 0.1 * planes(shape[0], parts, *shape[1:], seed=1) - 0.05
    for start in (None, dual):
        for done, count in ((0, 0), (0, 1), (5, 2), (3, 13), (8, 7)):
            begun = torch.zeros_like(dual) if start is None else start
            exact = MODULE._twin_chunk(image.double(), begun.double(), count, 0.2, ndim, accelerate, done)
            given = None if start is None else device.put(start)
            rest = (0.2, ndim, accelerate, done, count, 0.0, 7.0, True)
            picture, kept, outcome = op(device)(device.put(image), given, *rest)
            torch.testing.assert_close(picture.cpu().double(), exact[0], rtol=0, atol=2e-6)
            torch.testing.assert_close(kept.cpu().double(), exact[1], rtol=0, atol=1e-6)
            assert outcome.tolist() == [[count, 7.0, 0.0]] * shape[0]
            without, none, _ = op(device)(device.put(image), given, *rest[:-1], False)
            assert torch.equal(without, picture)
            assert none.numel() == 0
    if start is not None:
        assert torch.equal(image, planes(*shape))


@BOTH
@pytest.mark.parametrize(
    "shape", [(4, 1, 13, 60), (4, 3, 15, 9), (4, 2, 5, 6), (4, 1, 3, 4, 5), (4, 2, 3, 4, 5)], ids=str
)
def test_the_op_says_what_became_of_each_picture(device, shape, accelerate):
    ndim = len(shape) - 2
    image = planes(*shape) * torch.tensor([1e-3, 1.0, 3.0, 9.0]).reshape(-1, *[1] * (ndim + 1))
    for first, count in ((0, 24), (8, 19)):
        at = MODULE._twin_chunk(
            image.double(), MODULE._zero(image.double(), ndim, accelerate), first, 0.3, ndim, accelerate, 0
        )
        dual, energies = at[1], []
        for momentum in MODULE._momenta(first, count):
            energies.append(MODULE._energy(image.double(), dual, 0.3, ndim))
            dual = MODULE._update(image.double(), dual, 0.3, ndim, accelerate, momentum)
        start = None if not first else device.put(at[1].float())
        scale = energies[0] if not first else torch.full((4,), float(energies[0].mean()), dtype=torch.float64)
        tol = 3e-4
        picture, kept, outcome = op(device)(
            device.put(image), start, 0.3, ndim, accelerate, first, count, tol, float(scale[0]), True
        )
        looks = list(range(8, count + 1, 8))
        expected = [
            next((i for i in looks if abs(energies[i - 1][j] - energies[i - 2][j]) < tol * scale[j]), None)
            for j in range(4)
        ]
        assert outcome[:, 0].tolist() == [count if i is None else i for i in expected]
        assert outcome[:, 2].tolist() == [float(i is not None) for i in expected]
        torch.testing.assert_close(outcome[:, 1].cpu(), scale, rtol=1e-6, atol=0)
        for j, updates in enumerate(outcome[:, 0].int().tolist()):
            one = image[j : j + 1].double(), at[1][j : j + 1].double()
            u, p = MODULE._twin_chunk(*one, updates, 0.3, ndim, accelerate, first)
            torch.testing.assert_close(picture[j : j + 1].cpu().double(), u, rtol=2e-6, atol=2e-6)
            torch.testing.assert_close(kept[j : j + 1].cpu().double(), p, rtol=2e-6, atol=2e-6)


def test_the_op_judges_by_energies_of_its_own_only(device):
    image = device.put(planes(1, 1, 6, 7))
    start = device.put(torch.zeros(1, 2, 1, 6, 7))
    for count, row in ((1, [1, 1, 0]), (4, [4, 1, 0]), (9, [9, 1, 1]), (12, [9, 1, 1])):
        assert op(device)(image, start, 0.1, 2, False, 7, count, 1e30, 1.0, False)[2].tolist() == [row]


@BOTH
@pytest.mark.parametrize("shape", [(1, 1, 70, 130), (1, 3, 60, 66), (1, 2, 1100, 1), (1, 1, 18, 17, 33)], ids=str)
def test_energies_of_many_blocks(device, shape, accelerate):
    ndim = len(shape) - 2
    image, dual = planes(*shape), 0.1 * planes(1, (2 if accelerate else 1) * ndim, *shape[1:], seed=1)
    exact = MODULE._energy(image.double(), dual.double(), 0.1, ndim)
    given = device.put(image), device.put(dual), 0.1, ndim, accelerate
    outcome = op(device)(*given, 0, 1, 1e-3, 0.0, False)[2]
    torch.testing.assert_close(outcome[:, 1].cpu(), exact, rtol=1e-6, atol=0)


def test_a_pass_over_memory_makes_four_iterations(device):
    if not device.module:
        pytest.skip("launches are counted by the executor")
    device.module.forget_launches()
    tv_denoise(planes(10, 12), 0.2, num_iter=17, tol=0)
    names = [launched["name"] for launched in device.module.launches()]
    assert names == ["tv_begin", *["tv_tile"] * 4, "tv_end"]
    device.module.forget_launches()
    tv_denoise(planes(10, 12), 0.2, num_iter=12, tol=1e-9)
    names = [launched["name"] for launched in device.module.launches()]
    assert names == ["tv_begin", "tv_tile", "tv_judge", "tv_tile", "tv_judge", "tv_tile", "tv_end"]


def test_the_op_refuses_what_it_would_misread(device):
    image, rest = device.put(planes(1, 1, 6, 7)), (0.1, 2, False, 0, 9, 0.0, 0.0, True)
    with pytest.raises(RuntimeError, match="dual must be"):
        op(device)(image, device.put(torch.zeros(1, 4, 1, 6, 7)), *rest)
    with pytest.raises(RuntimeError, match="image must be"):
        op(device)(image[0], None, *rest)


def test_float64_goes_to_the_twin(device):
    image = device.put(planes(9, 10, dtype=torch.float64))
    assert torch.equal(tv_denoise(image, 0.2), tv_denoise_reference(image, 0.2))


@pytest.mark.parametrize(
    ("shape", "ndim", "taken"),
    [
        ((1, 2**28 - 2), 2, True),
        ((1, 2**28 - 1), 2, False),
        ((2**16, 2**15 - 1, 1), 3, True),
        ((2**16, 2**15, 1), 3, False),
        ((2**31 - 1, 1, 1), 2, True),
        ((2**31, 1, 1), 2, False),
    ],
)
def test_what_the_op_would_refuse_as_too_large_is_left_to_the_twin(device, shape, ndim, taken):
    if device.name == "cpu":
        pytest.skip("the CPU's kernels take any size")
    assert MODULE._kernels_take(device.put(torch.zeros([1] * len(shape))).expand(shape), ndim) == taken
