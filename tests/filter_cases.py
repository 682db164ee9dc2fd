"""What the tests of the filters have in common: pictures, views of pictures, threads and gradients."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

BOUNDARIES = ("reflect", "nearest", "mirror", "wrap", "zero")
SIZES = [(1, 1), (1, 7), (9, 1), (2, 3), (5, 16), (16, 17), (31, 33), (47, 64), (67, 131)]
VIEWS = {
    "rows": lambda x: x[:, ::2, 3:43],
    "transposed": lambda x: x.transpose(-1, -2)[:, :32, :40],
    "columns": lambda x: x[:, 5:37, 1:81:2],
    "expanded": lambda x: x[:1, :32, :40].expand(4, 32, 40),
    "flipped": lambda x: x.flip(-1)[:, :32, :40],
}
views = pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)


def picture(*shape, dtype=torch.float32, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def relative_error(out, exact):
    assert out.shape == exact.shape
    assert exact.dtype == torch.float64
    return float((out - exact).abs().max() / exact.abs().max().clamp_min(1e-30)) if out.numel() else 0.0


def assert_same_bits_everywhere(function, *shapes):
    """Twice, with one thread and two, and from several Python threads at once."""
    jobs = [picture(*shape, seed=i) for i, shape in enumerate(shapes)] * 3
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = [function(job) for job in jobs]
        torch.set_num_threads(2)
        assert all(map(torch.equal, alone, [function(job) for job in jobs]))
        with ThreadPoolExecutor(4) as pool:
            assert all(map(torch.equal, alone, pool.map(function, jobs)))
    finally:
        torch.set_num_threads(threads)


def gradients(function, inputs):
    inputs = [x.detach().clone().requires_grad_() for x in inputs]
    out = function(*inputs)
    weight = picture(*out.shape, seed=9).to(out.dtype) - 0.5
    return torch.autograd.grad((out * weight).sum(), inputs)


def assert_gradients_of_twin(function, twin, *inputs, tolerance=1e-5):
    """The float32 gradients of the op are those of the twin in float64."""
    found = gradients(function, inputs)
    exact = gradients(twin, [x.double() for x in inputs])
    for a, b in zip(found, exact, strict=True):
        assert a.dtype == torch.float32
        assert relative_error(a.double(), b) < tolerance
