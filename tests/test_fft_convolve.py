"""`fft_convolve` against its twin in float64, and against scipy."""

import threading

import numpy as np
import pytest
import torch
from native_cases import assert_isa, assert_without_native, isas, needs_native
from scipy import ndimage, signal

from imgrestore.ops import fft_convolve, fft_convolve_reference

SHAPES = [
    ((33, 41), (5, 7)),
    ((64, 50), (31, 31)),
    ((17, 90), (4, 6)),
    ((1, 1), (1, 1)),
    ((1, 37), (1, 5)),
    ((5, 3), (9, 8)),
    ((13, 7), (13, 7)),
    ((301, 283), (2, 97)),
    ((520, 40), (33, 3)),
]
BOUNDARIES = [("same", b) for b in ("zero", "reflect", "periodic")] + [("full", "zero"), ("valid", "zero")]


def random(*shape, seed=0, dtype=torch.float64):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def error(got, wanted):
    return float((got.double() - wanted).abs().max() / wanted.abs().max())


@pytest.mark.parametrize(("mode", "boundary"), BOUNDARIES)
@pytest.mark.parametrize(("size", "kernel"), SHAPES)
def test_equals_the_twin(size, kernel, mode, boundary):
    if mode == "valid" and any(a < b for a, b in zip(size, kernel, strict=True)):
        pytest.skip("the kernel is larger than the picture")
    image, k = random(2, *size), random(*kernel, seed=1)
    wanted = fft_convolve_reference(image, k, mode=mode, boundary=boundary)
    got = fft_convolve(image.float(), k.float(), mode=mode, boundary=boundary)
    assert got.shape == wanted.shape
    assert got.dtype == torch.float32
    assert error(got, wanted) < 2e-6


@pytest.mark.parametrize(("mode", "boundary"), BOUNDARIES)
def test_equals_the_twin_in_depth(mode, boundary):
    image, k = random(3, 11, 20, 18), random(3, 4, 5, seed=1)
    wanted = fft_convolve_reference(image, k, mode=mode, boundary=boundary, ndim=3)
    assert error(fft_convolve(image.float(), k.float(), mode=mode, boundary=boundary, ndim=3), wanted) < 2e-6


@pytest.mark.parametrize(("boundary", "other"), [("zero", "constant"), ("reflect", "reflect"), ("periodic", "wrap")])
@pytest.mark.parametrize("kernel", [(5, 7), (4, 6)])
def test_equals_scipy(boundary, other, kernel):
    image, k = random(20, 23), random(*kernel, seed=1)
    # scipy's centre is size // 2 as well
    wanted = ndimage.convolve(image.numpy(), k.numpy(), mode=other)
    assert np.allclose(fft_convolve(image, k, boundary=boundary).numpy(), wanted, atol=1e-10)
    full = signal.convolve(image.numpy(), k.numpy(), mode="full")
    assert np.allclose(fft_convolve(image.float(), k.float(), mode="full").numpy(), full, atol=1e-4)


@pytest.mark.parametrize("centre", [(0, 0), (4, 6), (1, 5)])
def test_centre_moves_the_result(centre):
    image, k = random(30, 31), random(5, 7, seed=1)
    whole = fft_convolve_reference(image, k, mode="full")
    wanted = whole[centre[0] : centre[0] + 30, centre[1] : centre[1] + 31]
    assert error(fft_convolve(image.float(), k.float(), centre=centre), wanted) < 2e-6


@pytest.mark.parametrize("kernels", [(1, 1), (4, 1), (1, 3), (4, 3)])
def test_kernels_broadcast(kernels):
    image, k = random(4, 3, 19, 22), random(*kernels, 5, 4, seed=1)
    wanted = fft_convolve_reference(image, k)
    assert error(fft_convolve(image.float(), k.float()), wanted) < 2e-6
    one = fft_convolve(image[0, 0].float(), random(2, 3, 3).float())
    assert one.shape == (2, 19, 22)


def test_strided_views_and_empty_batches():
    image, k = random(40, 60).float(), random(3, 5).float()
    assert torch.equal(fft_convolve(image.T, k), fft_convolve(image.T.contiguous(), k))
    assert torch.equal(fft_convolve(image[::2, 5::3], k.flip(0)), fft_convolve(image[::2, 5::3].clone(), k.flip(0)))
    assert fft_convolve(image.new_empty(0, 8, 9), k).shape == (0, 8, 9)


def test_a_nan_stays_near():
    image = random(600, 600).float()
    image[3, 5] = torch.nan
    got = fft_convolve(image, torch.ones(3, 3))
    assert bool(got[2:5, 4:7].isnan().all())
    assert not bool(got[400:, 400:].isnan().any())


def test_same_bits_for_any_threads():
    image, k = random(3, 301, 407).float(), random(31, 30).float()
    threads, wanted = torch.get_num_threads(), fft_convolve(image, k)
    results = [None] * 4
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            assert torch.equal(fft_convolve(image, k), wanted)
    finally:
        torch.set_num_threads(threads)

    def work(i):
        results[i] = fft_convolve(image, k)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(torch.equal(r, wanted) for r in results)


def test_kept_responses_do_not_mix_kernels():
    image = random(40, 40)
    for seed in range(40):
        k = random(5, 5, seed=seed)
        assert error(fft_convolve(image.float(), k.float()), fft_convolve_reference(image, k)) < 2e-6


@pytest.mark.parametrize(("mode", "boundary"), BOUNDARIES)
@pytest.mark.parametrize("shared", [True, False])
def test_gradients(mode, boundary, shared):
    image, k = random(2, 9, 11), random(*(() if shared else (2,)), 4, 3, seed=1)
    weight = random(*fft_convolve(image, k, mode=mode, boundary=boundary).shape, seed=2)

    def gradients(function, dtype):
        leaves = [t.detach().to(dtype).requires_grad_() for t in (image, k)]
        return torch.autograd.grad((function(*leaves, mode=mode, boundary=boundary) * weight.to(dtype)).sum(), leaves)

    wanted = gradients(fft_convolve_reference, torch.float64)
    for a, b in zip(gradients(fft_convolve, torch.float32), wanted, strict=True):
        assert a.shape == b.shape
        assert error(a, b) < 5e-6


@pytest.mark.parametrize(("mode", "boundary"), BOUNDARIES)
def test_gradcheck(mode, boundary):
    image, k = random(2, 5, 6).requires_grad_(), random(3, 2, seed=1).requires_grad_()

    def function(a, b):
        return fft_convolve(a, b, mode=mode, boundary=boundary)

    assert torch.autograd.gradcheck(function, (image, k))
    assert torch.autograd.gradgradcheck(function, (image, k))


@needs_native
@pytest.mark.parametrize("outside", [0, 1, 2])
def test_opcheck(outside):
    fft_convolve(torch.ones(3, 3), torch.ones(1, 1))
    image = random(2, 1, 9, 10).float().requires_grad_()
    k = random(1, 3, 4).float().requires_grad_()
    torch.library.opcheck(torch.ops.imgrestore.fft_convolve, (image, k, [1, 9, 10], [0, -1, -1], outside))


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "said"),
    [
        (([[1.0]], torch.ones(1, 1)), {}, TypeError, "image: got list"),
        ((torch.ones(3, 3).int(), torch.ones(1, 1)), {}, TypeError, "image: got dtype torch.int32"),
        ((torch.ones(3, 3), torch.ones(1, 1).double()), {}, TypeError, "kernel: got dtype torch.float64"),
        ((torch.ones(3), torch.ones(1, 1)), {}, ValueError, "image: got shape"),
        ((torch.ones(3, 0), torch.ones(1, 1)), {}, ValueError, "no empty dimension"),
        ((torch.ones(3, 3), torch.ones(4, 1)), {"mode": "valid"}, ValueError, "kernel: got size"),
        ((torch.ones(3, 3), torch.ones(1, 1)), {"mode": "all"}, ValueError, "mode: got 'all'"),
        ((torch.ones(3, 3), torch.ones(1, 1)), {"boundary": "wrap"}, ValueError, "boundary: got 'wrap'"),
        ((torch.ones(3, 3), torch.ones(1, 1)), {"mode": "full", "boundary": "reflect"}, ValueError, "or mode 'same'"),
        ((torch.ones(3, 3), torch.ones(2, 2)), {"centre": (0, 2)}, ValueError, "centre: got"),
        ((torch.ones(2, 3, 3), torch.ones(3, 2, 2)), {}, ValueError, "broadcast"),
        ((torch.ones(3, 3), torch.ones(2, 2)), {"ndim": 1}, ValueError, "ndim: got 1"),
    ],
)
def test_bad_arguments(arguments, options, kind, said):
    with pytest.raises(kind, match=said):
        fft_convolve(*arguments, **options)


CHILD = """
import torch
from imgrestore.ops import *
from imgrestore.psf import Psf
g = torch.Generator().manual_seed(0)
for size, kernel in [((70, 61), (9, 8)), ((300, 33), (31, 3))]:
    image, k = (torch.rand(s, generator=g, dtype=torch.float64) for s in ((2, *size), kernel))
    wanted = fft_convolve_reference(image, k)
    assert (fft_convolve(image.float(), k.float()) - wanted).abs().max() < 2e-6 * wanted.max()
    psf, y = Psf((k / k.sum()).numpy()), image[None] + 0.1
    for boundary in ("unknown", "zero", "reflect", "periodic"):
        options = dict(tv_weight=0.01, background=0.05)
        wanted, _ = richardson_lucy_reference(y, BlurOperator(psf, size, boundary, y), 5, **options)
        got, _ = richardson_lucy(y.float(), BlurOperator(psf, size, boundary, y.float()), 5, **options)
        assert (got - wanted).abs().max() < 1e-4 * wanted.max(), boundary
"""


@needs_native
@isas
def test_every_instruction_set(isa):
    assert_isa(CHILD, isa)


def test_same_answers_without_native_code():
    assert_without_native(CHILD)
