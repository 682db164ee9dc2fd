import functools
import math
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from native_cases import assert_isa, assert_without_native, isas, needs_native
from skimage.restoration import denoise_tv_chambolle

from imgrestore.ops import tv_denoise, tv_denoise_reference

SIZES = [(1, 1), (1, 9), (9, 1), (2, 2), (3, 17), (16, 16), (17, 31), (33, 64), (131, 65), (67, 1601), (300, 30)]
VOLUMES = [(1, 1, 1), (1, 1, 7), (4, 1, 5), (3, 7, 18), (35, 9, 20), (6, 70, 33)]


def make(shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def assert_is_twin(image, weight, tolerance=1e-5, **options):
    out = tv_denoise(image, weight, **options)
    exact = tv_denoise_reference(image.double(), weight, **options)
    assert out.dtype == image.dtype
    assert out.shape == image.shape
    error = (out - exact).abs().max() / exact.abs().max()
    assert error < tolerance, float(error)


@pytest.mark.parametrize("accelerate", [False, True])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_is_its_twin(size, accelerate):
    for num_iter in (1, 2, 21):
        assert_is_twin(make((2, *size)), 0.3, num_iter=num_iter, tol=0, accelerate=accelerate)


@pytest.mark.parametrize("accelerate", [False, True])
@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize("size", VOLUMES, ids=str)
def test_volumes(size, channels, accelerate):
    options = {"channels": channels, "ndim": 3, "accelerate": accelerate}
    assert_is_twin(make((2, *size)), 0.3, num_iter=14, tol=0, **options)


@pytest.mark.parametrize("accelerate", [False, True])
@pytest.mark.parametrize("shape", [(1, 8, 9), (3, 40, 33), (2, 5, 19, 21), (17, 12, 300)], ids=str)
def test_coupled_channels(shape, accelerate):
    assert_is_twin(make(shape), 0.5, num_iter=20, tol=0, channels=True, accelerate=accelerate)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 150), st.integers(1, 150), st.integers(1, 3), st.integers(1, 30), st.booleans())
def test_is_its_twin_at_any_size(h, w, pictures, num_iter, accelerate):
    assert_is_twin(make((pictures, h, w)), 0.2, num_iter=num_iter, tol=0, accelerate=accelerate)


@pytest.mark.parametrize("weight", [1e-30, 1e-6, 1e3, 1e20])
def test_extreme_weights(weight):
    for accelerate in (False, True):
        assert_is_twin(make((40, 50)), weight, num_iter=30, tol=0, accelerate=accelerate)


def test_extreme_ranges():
    for scale in (1e-12, 1e12):
        assert_is_twin(make((40, 50)) * scale, 0.1 * scale, num_iter=30, tol=0)


@pytest.mark.parametrize("num_iter", [1, 2, 50])
@pytest.mark.parametrize("size", [(64, 75), (9, 20, 31)], ids=str)
def test_is_that_of_scikit_image(size, num_iter):
    image = torch.rand(size, generator=torch.Generator().manual_seed(1))
    theirs = denoise_tv_chambolle(image.numpy(), 0.1, eps=0, max_num_iter=num_iter)
    ours = tv_denoise(image, 0.1, num_iter=num_iter, tol=0, ndim=len(size))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def energy(u, image, weight, ndim=2):
    u, image = u.double(), image.double()
    ends = [torch.diff(u, dim=d, append=u.narrow(d, u.shape[d] - 1, 1)) for d in range(-ndim, 0)]
    return float(((u - image) ** 2).sum() / 2 + weight * torch.stack(ends).norm(dim=0).sum())


@pytest.mark.parametrize("ndim", [2, 3])
def test_accelerated_is_there_sooner(ndim):
    image = make((6, 20, 24))
    reach = functools.partial(tv_denoise, image, 0.5, tol=0, ndim=ndim)
    least = energy(reach(num_iter=1000, accelerate=True), image, 0.5, ndim)
    slow, fast = (energy(reach(num_iter=100, accelerate=fast), image, 0.5, ndim) / least - 1 for fast in (False, True))
    assert -1e-6 < fast < slow / 2
    assert slow < 1e-2


@pytest.mark.parametrize("accelerate", [False, True])
@pytest.mark.parametrize("tol", [1e-2, 2e-4, 1e-6])
def test_stops_where_the_twin_stops(tol, accelerate):
    image = torch.rand(5, 60, 70, generator=torch.Generator().manual_seed(2)) * torch.arange(1, 6)[:, None, None]
    options = {"tol": tol, "num_iter": 200, "accelerate": accelerate}
    assert_is_twin(image, 0.2, tolerance=1e-4, **options)
    for picture, alone in zip(tv_denoise(image, 0.2, **options), image, strict=True):
        assert torch.equal(picture, tv_denoise(alone, 0.2, **options))


def test_tolerance_saves_iterations():
    image = make((60, 70))
    loose, tight = (tv_denoise(image, 0.2, tol=tol, num_iter=500) for tol in (0.5, 0))
    assert torch.equal(loose, tv_denoise(image, 0.2, tol=0, num_iter=9))
    assert not torch.equal(loose, tight)


def test_flat_picture_is_left_alone():
    image = torch.full((30, 40), 0.7)
    torch.testing.assert_close(tv_denoise(image, 0.3), image)
    torch.testing.assert_close(tv_denoise(image, 0.3, accelerate=True), image)


@pytest.mark.parametrize(
    "view",
    [lambda x: x[:, ::2, 3:43], lambda x: x.transpose(-1, -2), lambda x: x[:1].expand(4, -1, -1), lambda x: x.flip(-1)],
    ids=["rows", "transposed", "expanded", "flipped"],
)
def test_strided(view):
    assert_is_twin(view(make((3, 64, 50))), 0.2, num_iter=10)


@pytest.mark.parametrize("shape", [(0, 8, 6), (2, 0, 6), (3, 0)])
def test_empty(shape):
    for out in (tv_denoise(torch.zeros(shape), 0.1), tv_denoise_reference(torch.zeros(shape), 0.1)):
        assert out.shape == shape


def test_does_not_touch_its_argument():
    image = make((40, 41))
    before = image.clone()
    for num_iter in (1, 20):
        assert tv_denoise(image, 0.2, num_iter=num_iter).data_ptr() != image.data_ptr()
    assert torch.equal(image, before)


@pytest.mark.parametrize("accelerate", [False, True])
@pytest.mark.parametrize("shape", [(300, 1100), (20, 50, 60)], ids=str)
def test_same_bits_for_any_number_of_threads(shape, accelerate):
    run = functools.partial(tv_denoise, make(shape), 0.2, num_iter=20, tol=1e-9, accelerate=accelerate)
    run = functools.partial(run, ndim=len(shape))
    threads = torch.get_num_threads()
    try:
        results = []
        for n in (1, 2, 3, 2):
            torch.set_num_threads(n)
            results.append(run())
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(results[0], other) for other in results[1:])


def test_several_threads_at_once_get_the_same_bits():
    jobs = [make((2, h, w), seed=h) for h, w in [(64, 64), (61, 72), (128, 40), (290, 100)]] * 5
    alone = [tv_denoise(job, 0.2, num_iter=30) for job in jobs]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda job: tv_denoise(job, 0.2, num_iter=30), jobs))
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


@needs_native
@pytest.mark.parametrize("accelerate", [False, True])
def test_chunks_make_no_difference(monkeypatch, accelerate):
    from imgrestore.ops import tv_denoise as function

    module = sys.modules[function.__module__]
    image = make((70, 90))
    whole = tv_denoise(image, 0.2, num_iter=60, tol=1e-9, accelerate=accelerate)
    monkeypatch.setattr(module, "_QUICK", 1)
    monkeypatch.setattr(module, "_SECONDS", 0)
    seen = []
    parts = tv_denoise(image, 0.2, num_iter=60, tol=1e-9, accelerate=accelerate, progress=seen.append)
    assert torch.equal(parts, whole)
    assert len(seen) == 8
    assert seen == sorted(seen)
    assert seen[-1] == 1


def test_progress_can_stop_the_work():
    def stop(fraction):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tv_denoise(make((20, 20)), 0.2, progress=stop)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("accelerate", [False, True])
def test_nan_stays_nan_and_spreads_by_a_pixel_an_iteration(bad, accelerate):
    image = make((2, 40, 41))
    image[0, 20, 20] = bad
    out = tv_denoise(image, 0.2, num_iter=6, tol=0, accelerate=accelerate)
    assert not out[0, 20, 20].isfinite()
    assert out[0, :13].isfinite().all()
    assert out[0, :, 28:].isfinite().all()
    assert out[1].isfinite().all()
    assert not tv_denoise(image, 0.2, accelerate=accelerate)[0, 20, 20].isfinite()


@pytest.mark.parametrize("options", [{}, {"accelerate": True}, {"channels": True}, {"ndim": 3}], ids=str)
def test_gradients(options):
    image = make((2, 3, 4), dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(functools.partial(tv_denoise, weight=0.2, num_iter=5, tol=0, **options), image)


@needs_native
@pytest.mark.parametrize("options", [{}, {"accelerate": True}, {"channels": True}, {"ndim": 3}], ids=str)
@pytest.mark.parametrize("quick", [1, 1 << 25])
def test_gradients_of_the_op_are_those_of_the_twin(monkeypatch, options, quick):
    module = sys.modules[tv_denoise.__module__]
    monkeypatch.setattr(module, "_QUICK", quick)
    monkeypatch.setattr(module, "_SECONDS", 0)
    image, weight = make((3, 9, 11)), make((3, 9, 11), seed=1)
    grads = []
    for function in (tv_denoise, tv_denoise_reference):
        x = image.clone().requires_grad_()
        (grad,) = torch.autograd.grad((function(x, 0.3, num_iter=30, **options) * weight).sum(), x)
        grads.append(grad)
    torch.testing.assert_close(*grads, rtol=1e-3, atol=1e-4)


@needs_native
@pytest.mark.parametrize("grad", [False, True])
def test_opcheck(grad):
    tv_denoise(make((4, 4)), 0.1)
    op = torch.ops.imgrestore.tv_denoise.default
    image = make((2, 1, 6, 7)).requires_grad_(grad)
    dual = torch.zeros(2, 4, 1, 6, 7, requires_grad=grad)
    torch.library.opcheck(op, (image, dual, 0.1, 2, True, 8, 2, 0.0, 1.0, True))
    # With gradients the backward is traced in many ways, which takes seconds a case, and how many iterations it goes
    # through depends on the values where there is a tolerance.
    if not grad:
        torch.library.opcheck(op, (image, None, 0.1, 2, False, 0, 2, 0.0, 0.0, True))
        torch.library.opcheck(op, (image, None, 0.1, 2, False, 0, 9, 1e-3, 0.0, False))
        torch.library.opcheck(op, (image, None, 0.1, 2, False, 0, 0, 0.0, 0.0, False))


@needs_native
def test_op_refuses_what_it_would_misread():
    tv_denoise(make((4, 4)), 0.1)
    image, rest = make((1, 1, 6, 7)), (0.1, 2, False, 0, 9, 0.0, 0.0, True)
    with pytest.raises(RuntimeError, match="dual must be"):
        torch.ops.imgrestore.tv_denoise(image, torch.zeros(1, 4, 1, 6, 7), *rest)
    with pytest.raises(RuntimeError, match="image must be"):
        torch.ops.imgrestore.tv_denoise(image[0], None, *rest)


def test_meta_tensors():
    assert tv_denoise(make((2, 8, 6)).to("meta"), 0.1).shape == (2, 8, 6)


def test_vmap_and_forward_mode():
    image = make((3, 8, 6), dtype=torch.float64)
    function = functools.partial(tv_denoise, weight=0.2, num_iter=12)
    torch.testing.assert_close(torch.func.vmap(function)(image), function(image))
    _, tangent = torch.func.jvp(function, (image,), (torch.ones_like(image),))
    torch.testing.assert_close(tangent, torch.ones_like(image))


def test_compiles_without_graph_breaks():
    image = make((2, 8, 6))
    compiled = torch.compile(lambda x: tv_denoise(2 * x, 0.2, num_iter=3), backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(image), tv_denoise(2 * image, 0.2, num_iter=3))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"image": [[1.0]]}, TypeError, r"image: got list, expected a torch\.Tensor"),
        ({"image": torch.zeros(8, 6, dtype=torch.uint8)}, TypeError, r"image: got dtype torch\.uint8, expected"),
        ({"image": torch.zeros(6)}, ValueError, r"image: got shape \(6,\), expected at least 2 dimensions"),
        ({"image": torch.zeros(6, 6), "channels": True}, ValueError, r"image: .* at least 3 dimensions"),
        ({"weight": 0}, ValueError, "weight: got 0, expected a positive number"),
        ({"weight": math.nan}, ValueError, "weight: got nan, expected a positive number"),
        ({"weight": "1"}, TypeError, "weight: got str, expected a float"),
        ({"tol": -1.0}, ValueError, r"tol: got -1\.0, expected 0 or a positive"),
        ({"num_iter": 0}, ValueError, "num_iter: got 0, expected at least 1"),
        ({"num_iter": 2.0}, TypeError, "num_iter: got float, expected an int"),
        ({"ndim": 1}, ValueError, "ndim: got 1, expected 2 or 3"),
        ({"progress": 1}, TypeError, "progress: got int, expected a callable or None"),
    ],
)
def test_errors_name_the_argument(change, error, message):
    with pytest.raises(error, match=message):
        tv_denoise(**{"image": torch.zeros(2, 8, 6), "weight": 0.1, **change})


CHILD = """
import torch
from imgrestore.ops import tv_denoise, tv_denoise_reference
generator = torch.Generator().manual_seed(3)
for shape, options in [((1, 1), {}), ((2, 3), {}), ((40, 45), {}), ((70, 1600), {}), ((5, 9, 37), {"ndim": 3}),
                       ((3, 33, 35), {"channels": True})]:
    for accelerate in (False, True):
        image = torch.randn(shape, generator=generator)
        options.update(num_iter=20, tol=1e-9, accelerate=accelerate)
        exact = tv_denoise_reference(image.double(), 0.3, **options)
        error = (tv_denoise(image, 0.3, **options) - exact).abs().max() / exact.abs().max()
        assert error < 1e-5, (shape, options, error)
"""


@needs_native
@isas
def test_every_instruction_set(isa):
    assert_isa(CHILD, isa)


def test_same_answers_without_native_code():
    assert_without_native(CHILD)


def test_pictures_of_a_large_batch_stop_each_by_itself():
    batch = torch.rand(48, 64, 64, generator=torch.Generator().manual_seed(0))
    batch[0] = 0.5 + 1e-4 * batch[0]
    together = tv_denoise(batch, 0.1)
    for i in (0, 1, 40, 47):
        assert torch.equal(together[i], tv_denoise(batch[i], 0.1))
