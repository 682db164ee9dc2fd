"""The product of matrices that the kernels of the nets are made of."""

import numpy as np
import pytest
import torch
from executor import needs_executor

pytestmark = needs_executor


def rounded(values):
    return torch.from_numpy(values).bfloat16().double().numpy()


@pytest.mark.parametrize("order", [0, 1, 7])
def test_mma_is_a_product_of_matrices(executor, order):
    rng = np.random.default_rng(0)
    a, b, d = (rng.standard_normal(shape, np.float32) for shape in ((3, 16, 16), (3, 16, 8), (3, 16, 8)))
    executor.configure(order=order)
    try:
        out = executor.mma(a, b, d)
    finally:
        executor.configure()
    np.testing.assert_allclose(out, d + rounded(a) @ rounded(b), rtol=1e-5, atol=1e-6)


def test_what_is_not_finite_stays_in_its_row(executor):
    a, b, d = np.ones((1, 16, 16)), np.ones((1, 16, 8)), np.zeros((1, 16, 8))
    a[0, 3, 5], a[0, 12, 0] = np.nan, np.inf
    out = executor.mma(a, b, d)[0]
    assert np.isnan(out[3]).all()
    assert np.isposinf(out[12]).all()
    assert (np.delete(out, (3, 12), 0) == 16).all()


def test_a_warp_must_have_all_its_lanes(executor):
    a, b, d = np.ones((1, 16, 16)), np.ones((1, 16, 8)), np.zeros((1, 16, 8))
    with pytest.raises(RuntimeError, match="mma: a product of matrices by a warp that has not all its lanes"):
        executor.mma(a, b, d, lanes=20)
