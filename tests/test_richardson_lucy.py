"""The op `richardson_lucy` against its twin in float64."""

import _thread
import threading
import time

import pytest
import torch
from native_cases import needs_native

from imgrestore.ops import BlurOperator, _richardson_lucy_native, richardson_lucy, richardson_lucy_reference
from imgrestore.psf import Psf

BOUNDARIES = ("unknown", "zero", "reflect", "periodic")
CASES = [
    ((33, 41), (5, 7)),
    ((64, 50), (31, 31)),
    ((17, 90), (4, 6)),
    ((7, 7), (7, 7)),
    ((300, 40), (31, 9)),
    ((9, 20, 18), (3, 5, 4)),
]


def random(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def case(frame, kernel, planes=(2, 3)):
    k = random(*kernel, seed=1)
    return random(*planes, *frame) * 50 + 1, Psf((k / k.sum()).numpy())


def both(observed, psf, boundary, steps=7, **options):
    """The op in float32, and the twin in float64."""
    frame = tuple(observed.shape[2:])
    wanted = richardson_lucy_reference(observed, BlurOperator(psf, frame, boundary, observed), steps, **options)
    light = observed.float()
    narrow = {n: v.float() if isinstance(v, torch.Tensor) and v.is_floating_point() else v for n, v in options.items()}
    return richardson_lucy(light, BlurOperator(psf, frame, boundary, light), steps, **narrow), wanted


def options_of(name, observed):
    valid, saturated = random(*observed.shape, seed=2) > 0.1, random(*observed.shape, seed=3) > 0.9
    level = torch.full(observed.shape[:2] + (1,) * (observed.ndim - 2), 3.0, dtype=torch.float64)
    return {
        "plain": {},
        "background": {"background": level / 2},
        "tv": {"tv_weight": 0.01},
        "masked": {"valid": valid},
        "all": {"valid": valid, "saturated": saturated, "background": 1.0, "tv_weight": 0.003},
        "saturated": {"saturated": saturated},
    }[name]


@pytest.mark.parametrize("accelerate", [False, True])
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("name", ["plain", "background", "tv", "masked", "all", "saturated"])
@pytest.mark.parametrize(("frame", "kernel"), CASES)
def test_equals_the_twin(frame, kernel, name, boundary, accelerate):
    observed, psf = case(frame, kernel)
    (got, done), (wanted, _) = both(observed, psf, boundary, accelerate=accelerate, **options_of(name, observed))
    assert done == 7
    assert got.shape == wanted.shape
    # Beyond the frame little light tells of the scene, and the share of it divides: the error is that of float32 there.
    assert float((got - wanted).abs().max() / wanted.abs().max()) < 2e-4
    frames = [BlurOperator(psf, frame, boundary, x).framed(x) for x in (got, wanted)]
    assert float((frames[0] - frames[1]).abs().max() / frames[1].abs().max()) < 2e-5


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("accelerate", [False, True])
def test_planes_that_reach_the_noise_are_left(boundary, accelerate):
    observed, psf = case((60, 50), (5, 5))
    sigma = torch.tensor([[100.0, 4.0, 0.01], [8.0, 5.0, 0.0]], dtype=torch.float64).reshape(2, 3, 1, 1)
    for steps in (1, 2, 6, 9):
        (got, done), (wanted, as_many) = both(observed, psf, boundary, steps, accelerate=accelerate, sigma=sigma)
        assert done == as_many
        assert float((got - wanted).abs().max() / wanted.abs().max()) < 1e-4
    (got, done), (wanted, as_many) = both(observed, psf, boundary, 50, accelerate=accelerate, sigma=sigma + 60)
    assert done == as_many == 1
    assert torch.allclose(got.double(), wanted, rtol=1e-4)


@pytest.mark.parametrize("frame", [(1, 1), (1, 9), (8, 1)])
def test_tiny_pictures(frame):
    observed, psf = case(frame, (1, 1))
    (got, _), (wanted, _) = both(observed, psf, "unknown", 3)
    assert torch.allclose(got.double(), wanted, rtol=1e-5)


def test_no_steps_and_no_pictures():
    observed, psf = case((20, 20), (3, 3))
    (got, done), (wanted, _) = both(observed, psf, "zero", 0)
    assert done == 0
    assert torch.allclose(got.double(), wanted, rtol=1e-6)
    nothing = torch.empty(0, 1, 20, 20)
    assert richardson_lucy(nothing, BlurOperator(psf, (20, 20), "zero", nothing), 3)[0].shape == (0, 1, 20, 20)


def test_a_psf_for_each_picture_and_a_strided_one():
    observed = random(2, 1, 40, 37) + 0.1
    psfs = random(2, 5, 6, seed=4)
    psfs = psfs / psfs.sum(dim=(1, 2), keepdim=True)
    (got, _), (wanted, _) = both(observed, psfs, "unknown")
    assert float((got - wanted).abs().max() / wanted.abs().max()) < 1e-4
    (got, _), (wanted, _) = both(observed.transpose(2, 3), Psf(psfs[0].numpy()), "zero")
    assert float((got - wanted).abs().max() / wanted.abs().max()) < 2e-5


def test_same_bits_for_any_threads_and_chunks(monkeypatch):
    observed, psf = case((300, 290), (31, 30))
    light = observed.float()
    blur = BlurOperator(psf, (300, 290), "unknown", light)

    def run():
        return richardson_lucy(light, blur, 6, tv_weight=0.002)[0]

    threads, wanted = torch.get_num_threads(), run()
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            assert torch.equal(run(), wanted)
    finally:
        torch.set_num_threads(threads)
    results = [None] * 3

    def work(i):
        results[i] = run()

    workers = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(torch.equal(r, wanted) for r in results)
    # Cut anywhere, within passes as well, it is the same work.
    monkeypatch.setattr(_richardson_lucy_native, "SECONDS", 0.0)
    assert torch.equal(run(), wanted)


def test_progress_rises_to_one():
    observed, psf = case((64, 64), (5, 5))
    for dtype in (torch.float32, torch.float64):
        told = []
        light = observed.to(dtype)
        richardson_lucy(light, BlurOperator(psf, (64, 64), "zero", light), 12, progress=told.append)
        assert told == sorted(told)
        assert told[-1] == 1.0


@needs_native
def test_an_interrupt_ends_a_long_run():
    light = torch.rand(1, 1, 700, 700) + 0.1
    blur = BlurOperator(Psf.gaussian(2), (700, 700), "unknown", light)
    timer = threading.Timer(0.5, _thread.interrupt_main)
    timer.start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        richardson_lucy(light, blur, 10**6)
    # It would run for an hour.
    assert time.monotonic() - begun < 60


def test_gradients_run_through_the_twin():
    psf = Psf.gaussian(1)
    observed = (random(1, 1, 9, 9) + 0.5).requires_grad_()

    def function(y):
        return richardson_lucy(y, BlurOperator(psf, (9, 9), "unknown", y), 3, accelerate=False)[0]

    assert torch.autograd.gradcheck(function, (observed,))
    light = observed.detach().float().requires_grad_()
    function(light).sum().backward()
    assert light.grad is not None
    assert bool(light.grad.isfinite().all())


def test_bad_arguments():
    observed = torch.ones(1, 1, 16, 16)
    blur = BlurOperator(Psf.gaussian(1), (16, 16), "zero", observed)
    with pytest.raises(ValueError, match="observed: got shape"):
        richardson_lucy(observed[..., :7], blur, 3)
    for said, change in (
        ("num_iter: got -1", {"num_iter": -1}),
        ("num_iter: got 2.0", {"num_iter": 2.0}),
        ("tv_weight: got -0.01", {"num_iter": 2, "tv_weight": -0.01}),
        ("background: got shape", {"num_iter": 2, "background": observed}),
        ("sigma: got shape", {"num_iter": 2, "sigma": observed}),
        ("sigma: got shape", {"num_iter": 2, "sigma": torch.ones(7)}),
    ):
        with pytest.raises(ValueError, match=said):
            richardson_lucy(observed, blur, **change)
    with pytest.raises(TypeError, match=r"observed: got dtype torch\.int64"):
        richardson_lucy(observed.long(), blur, 2)


def test_a_masked_neighbour_changes_nothing():
    observed, psf = case((30, 33), (9, 9), planes=(2, 1))
    valid = torch.ones_like(observed, dtype=torch.bool)
    valid[1] = False
    valid[1, 0, 4, 5] = valid[1, 0, 20, 21] = True
    for boundary in BOUNDARIES:
        for function, x in ((richardson_lucy, observed.float()), (richardson_lucy_reference, observed)):
            blur = BlurOperator(psf, (30, 33), boundary, x)
            together, _ = function(x, blur, 10, valid=valid)
            alone, _ = function(x[:1], blur, 10)
            assert float((together[:1] - alone).abs().max() / alone.abs().max()) < 1e-3


@pytest.mark.parametrize("lamp", [1000.0, torch.inf, torch.nan])
def test_light_in_masked_pixels_alone_is_no_light(lamp):
    observed = torch.zeros(1, 1, 40, 40)
    observed[0, 0, 20, 20] = lamp
    valid = torch.ones_like(observed, dtype=torch.bool)
    valid[0, 0, 18:23, 18:23] = False
    blur = BlurOperator(Psf.gaussian(1), (40, 40), "zero", observed)
    for run in (richardson_lucy, richardson_lucy_reference):
        assert torch.equal(run(observed, blur, 3, valid=valid)[0], torch.zeros_like(observed))


def test_defaults_of_torch_do_not_matter():
    observed, psf = case((20, 21), (3, 3))
    light = observed.float()
    blur, sigma = BlurOperator(psf, (20, 21), "unknown", light), torch.full((2, 3, 1, 1), 0.1)
    wanted = richardson_lucy(light, blur, 4, sigma=sigma)[0]
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(richardson_lucy(light, blur, 4, sigma=sigma)[0], wanted)
        with torch.device("meta"):
            assert torch.equal(richardson_lucy(light, blur, 4, sigma=sigma)[0], wanted)
    finally:
        torch.set_default_dtype(torch.float32)


def test_dark_and_bright_pixels_at_random_stay_finite():
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        height, width = (int(n) for n in torch.randint(1, 12, (2,), generator=generator))
        kh, kw = (int(torch.randint(1, n + 1, (1,), generator=generator)) for n in (height, width))
        light = torch.tensor([0.0, 1.0, 1e4])[torch.randint(0, 3, (1, 1, height, width), generator=generator)]
        kernel = torch.rand(1, kh, kw, generator=generator) + 1e-3
        blur = BlurOperator(kernel[0] / kernel.sum(), (height, width), "unknown", light)
        assert bool(richardson_lucy(light, blur, 60, tv_weight=0.001)[0].isfinite().all())


@pytest.mark.parametrize("width", [1, 7, 16, 33, 100])
def test_strips_there_and_back(width):
    pictures = random(2, 3, 2, 5, width).float()
    for given in (pictures, pictures.movedim(1, -1).contiguous().movedim(-1, 1), pictures[..., ::2]):
        strips = torch.ops.imgrestore.to_strips(given)
        assert strips.shape[2] == -(-given.shape[-1] // strips.shape[-1])
        back = torch.ops.imgrestore.from_strips(strips, given.shape[-1])
        assert torch.equal(back.reshape(given.shape), given)
        lanes = torch.nn.functional.pad(given, (0, strips.shape[2] * strips.shape[-1] - given.shape[-1]))
        assert torch.equal(strips.transpose(2, 3).reshape(lanes.shape), lanes)


def test_light_of_strips():
    given = random(2, 3, 1, 9, 21).float() - 0.3
    known = random(2, 3, 1, 9, 21, seed=1) > 0.4
    strips, status = (torch.ops.imgrestore.to_strips(t) for t in (given, known.float()))
    for weigh, fitted in ((None, torch.ones_like(known)), (status, known)):
        found = torch.ops.imgrestore.light_of_strips(strips, weigh, 21)
        light = (given.double().clamp_min(0) * fitted).flatten(2)
        wanted = torch.stack([light.amax(-1), light.sum(-1), fitted.flatten(2).sum(-1)], dim=-1).reshape(6, 3)
        assert torch.allclose(found, wanted, rtol=1e-6)
    given[0, 1, 0, 3, 3] = torch.nan
    found = torch.ops.imgrestore.light_of_strips(torch.ops.imgrestore.to_strips(given), None, 21)
    assert found[1, :2].isnan().all()
    assert not found[[0, 2, 3, 4, 5]].isnan().any()
