"""The kernels of `sparse_steps` between its transforms, which are torch's here: whole steps against the twin."""

import math

import numpy as np
import pytest
import torch
from device_cases import planes
from executor import needs_executor

from imgrestore.ops import SparseProblem, SparseState, sparse_steps_reference
from imgrestore.ops import _sparse_twin as twin
from imgrestore.ops.sparse_steps import _levels, _whole

pytestmark = needs_executor


class Iteration:
    """`sparse_steps` by the kernels of a module, with torch's transforms between them."""

    def __init__(self, module, problem, state, *, pairs=False):
        self.module, self.problem, self.pairs = module, problem, pairs
        self.shape = tuple(state.scene.shape)
        pictures, channels, height, width = self.shape
        rows, columns = problem.observed.shape[2:]
        tied = problem.lower is not None or problem.outside == "dark"
        self.levels = _levels(problem, tied).numpy()
        wide, frame = (pictures, channels, height, _whole(width)), (pictures, channels, rows, _whole(columns))
        self.dual = np.zeros((*wide[:2], 2, *wide[2:]), np.float32)
        self.dual_data, self.dual_bound = np.zeros(frame, np.float32), np.zeros(wide, np.float32) if tied else None
        known = problem.known
        if known is None and problem.outlier is not None:
            known = torch.ones_like(problem.observed)
        self.known = None if known is None else np.zeros(frame, np.float32)
        if known is not None:
            self.known[..., :columns] = known.numpy()
        self.a, self.b = self.room()
        self.recolour(state.scene.numpy().copy(), state.blurred.numpy().copy(), self.a, self.b, False)

    def room(self):
        if self.pairs:
            both = np.full((*self.shape, 2), np.nan, np.float32)
            return both, both
        return np.full(self.shape, np.nan, np.float32), np.full(self.shape, np.nan, np.float32)

    def recolour(self, *arguments):
        self.module.sparse_recolour(*arguments[:4], self.shape[1], arguments[4], self.pairs)

    def points(self, number):
        """Data, right side and the dual of the gradients."""
        p, (data, right) = self.problem, self.room()
        after = np.full_like(self.dual, np.nan)
        reweigh = p.outlier is not None and number and number % p.reweigh_every == 0
        self.module.sparse_points(
            {
                **{"scene": self.a, "blurred": self.b, "data": data, "right": right, "pairs": self.pairs},
                **{"dual_gradient": self.dual, "next_dual_gradient": after, "dual_data": self.dual_data},
                **{"dual_bound": self.dual_bound, "known": self.known, "observed": p.observed.contiguous().numpy()},
                **{"levels": self.levels, "top": p.before[0], "left": p.before[1], "reweigh": bool(reweigh)},
                **{"data_penalty": p.data_penalty, "bound_penalty": p.bound_penalty, "stiffness": p.stiffness},
                **{"chroma_weight": p.chroma_weight, "hyper_laplacian": p.prior == "hyper_laplacian"},
                "dark_outside": p.outside == "dark",
            }
        )
        return data, right, after

    def step(self, number):
        data, right, self.dual = self.points(number)
        dims, size = (-2, -1), self.shape[2:]
        if self.pairs:
            whole = torch.view_as_complex(torch.from_numpy(data)).to(torch.complex128)
            spectrum = torch.fft.fftn(whole, dim=dims).to(torch.complex64).numpy()
            self.solve(spectrum, None)
            new = torch.fft.ifftn(torch.from_numpy(spectrum).to(torch.complex128), dim=dims) * math.prod(size)
            self.a = self.b = torch.view_as_real(new).float().numpy()
            return
        spectra = [torch.fft.rfftn(torch.from_numpy(x).double(), dim=dims) for x in (data, right)]
        spectra = [s.to(torch.complex64).numpy() for s in spectra]
        self.solve(*spectra)
        new = [torch.fft.irfftn(torch.from_numpy(s).to(torch.complex128), s=size, dim=dims) for s in spectra]
        self.a, self.b = ((x * math.prod(size)).float().numpy() for x in new)

    def solve(self, first, second):
        p, (height, width) = self.problem, self.shape[2:]
        otf = p.otf.reshape(-1, height, width // 2 + 1).numpy()
        scale = 1 / (height * width)
        self.module.sparse_solve(first, second, otf, self.levels, width, p.data_penalty, p.chroma_weight, scale)

    def planes(self):
        scene, blurred = np.empty(self.shape, np.float32), np.empty(self.shape, np.float32)
        self.recolour(self.a, self.b, scene, blurred, True)
        return torch.from_numpy(scene), torch.from_numpy(blurred)


def case(pictures, channels, frame, domain, before, *, each=False, seed=0, **options):
    observed = planes(pictures, channels, *frame, seed=seed)
    kernel = torch.zeros(pictures if each else 1, 1, *domain, dtype=torch.float64)
    for i in range(len(kernel)):
        kernel[i, 0, : min(2, domain[0]), : min(3 - i % 2, domain[1])] = 1
    otf = torch.fft.rfftn(kernel / kernel.sum((-2, -1), keepdim=True), dim=(-2, -1)).to(torch.complex64)
    weight = 2e-3 * torch.arange(1.0, pictures + 1)
    problem = SparseProblem(observed, otf if each else otf[0, 0], before, weight, **options)
    scene = planes(pictures, channels, *domain, seed=seed + 1)
    return problem, SparseState(scene, planes(pictures, channels, *domain, seed=seed + 2))


def in_double(x):
    if not isinstance(x, torch.Tensor):
        return x
    return x.to(torch.complex128) if x.is_complex() else x.double()


def assert_is_twin(module, problem, state, steps=6, tolerance=1e-5, **how):
    problem64, state64 = (type(t)(*(in_double(x) for x in t)) for t in (problem, state))
    exact = sparse_steps_reference(problem64, state64, steps)
    results = []
    for order in (0, 1, 7):
        module.configure(order=order)
        run = Iteration(module, problem, state, **how)
        for number in range(steps):
            run.step(number)
        module.configure()
        width, columns = run.shape[3], problem.observed.shape[3]
        scene, blurred = run.planes()
        parts = [(scene, exact.scene), (blurred, exact.blurred)]
        if steps:
            parts.append((torch.from_numpy(run.dual[..., :width]), exact.dual_gradient))
            parts.append((torch.from_numpy(run.dual_data[..., :columns]), exact.dual_data))
            if exact.dual_bound is not None:
                parts.append((torch.from_numpy(run.dual_bound[..., :width]), exact.dual_bound))
            if exact.known is not None:
                parts.append((torch.from_numpy(run.known[..., :columns]), exact.known))
        for ours, theirs in parts:
            assert float((ours.double() - theirs).abs().max()) < tolerance * float(exact.scene.abs().max())
        results.append([ours.clone() for ours, _ in parts])
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))


SIZES = [((1, 1), (1, 1), (0, 0)), ((3, 5), (4, 9), (1, 2)), ((9, 30), (9, 31), (0, 1)), ((17, 60), (19, 64), (1, 3))]


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("prior", ["tv", "hyper_laplacian"])
@pytest.mark.parametrize(("frame", "domain", "before"), SIZES, ids=str)
def test_steps_are_the_twins(executor, channels, frame, domain, before, prior, pairs):
    problem, state = case(2, channels, frame, domain, before, prior=prior)
    assert_is_twin(executor, problem, state, steps=3, tolerance=2e-5, pairs=pairs)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("outside", ["free", "dark"])
@pytest.mark.parametrize("lower", [False, True])
def test_bounds(executor, channels, outside, lower):
    bound = 0.3 * planes(2, channels, seed=5) if lower else None
    problem, state = case(2, channels, (7, 20), (10, 33), (2, 5), outside=outside, lower=bound, each=True)
    assert_is_twin(executor, problem, state, tolerance=2e-5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("outlier", [False, True])
def test_weights_and_outliers(executor, channels, known, outlier):
    counts = torch.randint(-1, 2, (2, channels, 7, 20), generator=torch.Generator().manual_seed(4)).float()
    levels = 0.1 + planes(2, channels, seed=6)
    options = {"known": counts if known else None, "outlier": levels if outlier else None, "reweigh_every": 2}
    problem, state = case(2, channels, (7, 20), (10, 33), (2, 5), **options)
    assert_is_twin(executor, problem, state, tolerance=2e-5)


def test_no_steps_are_a_round_trip(executor):
    for pairs in (False, True):
        problem, state = case(2, 3, (5, 6), (7, 8), (1, 1))
        assert_is_twin(executor, problem, state, steps=0, tolerance=1e-6, pairs=pairs)


def test_nan_stays_where_it_is_and_beside_it(executor):
    problem, state = case(1, 3, (12, 40), (14, 45), (1, 2))
    problem.observed[0, 1, 5, 6] = math.nan
    state.scene[0, 2, 10, 32] = math.nan
    run = Iteration(executor, problem, state)
    made = [torch.from_numpy(x) for x in run.points(0)]
    data, right, after = made
    at = torch.zeros(14, 45, dtype=torch.bool)
    at[6, 8] = True
    assert torch.equal(data.isnan().any(1)[0], at)
    at[...] = False
    at[10, 32] = at[9, 32] = at[10, 31] = True  # the pixels whose gradient it is in
    assert torch.equal(after[..., :45].isnan().any(2).any(1)[0], at)
    spread = at | at.roll(1, 0) | at.roll(1, 1)
    assert torch.equal(right.isnan().any(1)[0], spread)


def test_the_prior_is_the_twins_for_gradients_of_any_length(executor):
    for prior in ("tv", "hyper_laplacian"):
        for scale in (1e-9, 1e-3, 1.0, 1e4):
            problem, state = case(1, 1, (4, 40), (4, 40), (0, 0), prior=prior)
            problem.observed.mul_(scale)
            state = SparseState(state.scene * scale, state.blurred * scale)
            run = Iteration(executor, problem, state)
            run.step(0)
            steep = twin.gradient(state.scene.double(), 2)
            keep = twin.shrinkage(steep, 1 / problem.stiffness, twin.EXPONENT[prior])
            error = (torch.from_numpy(run.dual[..., :40]) - (steep - keep * steep)).abs().max() / steep.abs().max()
            assert float(error) < 2e-6
