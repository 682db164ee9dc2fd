import math

import pytest
import torch
from device_cases import kernels_of, planes
from executor import needs_executor

from imgrestore.ops import SparseProblem, SparseState, sparse_steps, sparse_steps_reference
from imgrestore.ops import _sparse_twin as twin

pytestmark = needs_executor

PRIORS = ["tv", "hyper_laplacian"]
# Frame, domain, where the frame begins.
PLACES = [
    ((1, 1), (1, 1), (0, 0)),
    ((1, 5), (1, 6), (0, 1)),
    ((5, 1), (8, 1), (2, 0)),
    ((3, 5), (4, 9), (1, 2)),
    ((9, 30), (9, 32), (0, 1)),
    ((17, 60), (20, 64), (1, 3)),
    ((2, 100), (3, 125), (1, 25)),
    ((64, 3), (540, 5), (1, 1)),
]


def case(place, channels=3, pictures=2, *, each=False, seed=0, **options):
    frame, domain, before = place
    observed = planes(pictures, channels, *frame, seed=seed)
    kernel = torch.zeros(pictures if each else 1, 1, *domain, dtype=torch.float64)
    for i in range(len(kernel)):
        kernel[i, 0, : min(2, domain[0]), : min(3 - i % 2, domain[1])] = 1
    otf = torch.fft.rfftn(kernel / kernel.sum((-2, -1), keepdim=True), dim=(-2, -1)).to(torch.complex64)
    weight = 2e-3 * torch.arange(1.0, pictures + 1)
    problem = SparseProblem(observed, otf if each else otf[0, 0], before, weight, **options)
    scene = planes(pictures, channels, *domain, seed=seed + 1)
    return problem, SparseState(scene, planes(pictures, channels, *domain, seed=seed + 2))


def apply(values, function):
    return type(values)(*(function(x) if isinstance(x, torch.Tensor) else x for x in values))


def in_double(values):
    return apply(values, lambda x: x.to(torch.complex128 if x.is_complex() else torch.float64))


def part(native, like):
    return native.cpu()[..., : like.shape[-1]] if isinstance(like, torch.Tensor) else native


def check(device, problem, state, steps=(2, 3, 1), tolerance=1e-5):
    """As the twin in float64, all of the state, and the same bits in every order of threads."""
    exact = sparse_steps_reference(in_double(problem), in_double(state), sum(steps))
    there = apply(problem, device.put)
    results = []
    for _ in device.orders():
        found = apply(state, lambda x: device.put(x.clone()))
        for count in steps:
            found = sparse_steps(there, found, count)
        assert found.step == exact.step
        assert found.work is not None
        # The native state has working space at the ends of its rows.
        results.append([part(a, like) for a, like in zip(found[:-1], exact[:-1], strict=True)])
    for i, theirs in enumerate(exact[:-1]):
        if not isinstance(theirs, torch.Tensor) or not sum(steps):
            continue
        assert all(torch.equal(results[0][i], other[i]) for other in results[1:])
        error = (results[0][i].double() - theirs).abs().max() / exact.scene.abs().max()
        assert float(error) < tolerance
    return SparseState(*results[0])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("place", PLACES, ids=str)
def test_is_its_twin(device, place, channels, prior):
    check(device, *case(place, channels, prior=prior), steps=(3,))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("outside", ["free", "dark"])
@pytest.mark.parametrize("lower", [False, True])
def test_bounds(device, channels, outside, lower):
    bound = 0.3 * planes(2, channels, seed=5) if lower else None
    place = ((7, 20), (10, 36), (2, 5))
    check(device, *case(place, channels, outside=outside, lower=bound, each=True))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("outlier", [False, True])
def test_weights_and_outliers(device, channels, known, outlier):
    counts = torch.randint(-1, 2, (2, channels, 7, 20), generator=torch.Generator().manual_seed(4)).float()
    levels = 0.1 + planes(2, channels, seed=6)
    options = {"known": counts if known else None, "outlier": levels if outlier else None, "reweigh_every": 2}
    check(device, *case(((7, 20), (10, 36), (2, 5)), channels, **options))


def test_a_batch_with_everything(device):
    counts = torch.randint(-1, 2, (3, 3, 12, 11), generator=torch.Generator().manual_seed(4)).float()
    options = {"lower": 0.2 * planes(3, 3, seed=7), "outlier": 0.1 + planes(3, 3, seed=6), "reweigh_every": 3}
    options |= {"known": counts, "outside": "dark", "prior": "hyper_laplacian", "data_penalty": 0.2}
    options |= {"bound_penalty": 0.5, "chroma_weight": 2.0, "stiffness": 60.0}
    check(device, *case(((12, 11), (15, 12), (1, 0)), 3, 3, each=True, **options), steps=(1, 2, 4))


def test_strided_arguments(device):
    problem, state = case(((8, 9), (10, 12), (1, 1)))
    turned = problem.observed.mT.contiguous().mT
    view = planes(4, 3, 9, 20)[1:3, :, 1:, :9]
    otf = problem.otf.T.contiguous().T
    for observed in (turned, view):
        strided = SparseState(state.scene.mT.contiguous().mT, state.blurred)
        check(device, problem._replace(observed=observed, otf=otf), strided)


def test_what_was_given_is_left_alone_and_steps_in_parts_are_the_same(device):
    problem, state = case(((8, 9), (10, 12), (1, 1)), 1)  # of one channel, which goes in and out as it is
    problem = apply(problem, device.put)
    scene = device.put(state.scene)
    together = sparse_steps(problem, SparseState(scene, scene), 6)
    assert torch.equal(scene.cpu(), state.scene)
    parts = SparseState(scene, scene)
    for count in (1, 0, 3, 2):
        parts = sparse_steps(problem, parts, count)
    assert torch.equal(parts.scene, together.scene)
    assert torch.equal(parts.dual_gradient[..., :12], together.dual_gradient[..., :12])


def test_no_steps(device):
    problem, state = case(((5, 6), (6, 8), (1, 1)))
    found = check(device, problem, state, steps=(0,))
    assert torch.equal(found.scene, state.scene)
    none = apply(problem._replace(otf=problem.otf[None, None]), lambda x: device.put(x[:0]))
    none = none._replace(otf=device.put(problem.otf))
    assert sparse_steps(none, apply(state, lambda x: device.put(x[:0])), 3).scene.shape == (0, 3, 6, 8)


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1.0, 1e4])
def test_the_prior_is_the_twins_for_gradients_of_any_length(device, prior, scale):
    problem, state = case(((4, 40), (4, 40), (0, 0)), 1, 1, prior=prior)
    problem = problem._replace(observed=problem.observed * scale)
    state = SparseState(state.scene * scale, state.blurred * scale)
    found = sparse_steps(apply(problem, device.put), apply(state, device.put), 1)
    steep = twin.gradient(state.scene.double(), 2)
    keep = twin.shrinkage(steep, 1 / problem.stiffness, twin.EXPONENT[prior])
    error = (found.dual_gradient[..., :40].cpu() - (steep - keep * steep)).abs().max() / steep.abs().max()
    assert float(error) < 2e-6


def test_nan_stays_where_it_is_and_beside_it(device):
    problem, state = case(((12, 40), (15, 45), (1, 2)), 3, 2, lower=torch.zeros(2, 3))
    problem.observed[0, 1, 5, 6] = math.nan
    state.scene[0, 2, 10, 32] = math.nan
    found = sparse_steps(apply(problem, device.put), apply(state, device.put), 1)
    found = apply(found, torch.Tensor.cpu)
    at = torch.zeros(15, 45, dtype=torch.bool)
    at[6, 8] = True
    assert torch.equal(found.dual_data[..., :40].isnan().any(1)[0], at[1:13, 2:42])
    at[...] = False
    at[10, 32] = True
    assert torch.equal(found.dual_bound[..., :45].isnan().any(1)[0], at)
    at[9, 32] = at[10, 31] = True  # the pixels whose gradient it is in
    assert torch.equal(found.dual_gradient[..., :45].isnan().any(2).any(1)[0], at)
    assert not found.scene[0].isfinite().any()
    assert all(t[1].isfinite().all() for t in (found.scene, found.blurred))


def test_other_sizes_and_projections_are_left_to_the_twin(device):
    for problem, state in (
        case(((6, 7), (7, 9), (0, 1))),
        case(((6, 7), (8, 9), (0, 1)), 2),
        case(((6, 7), (8, 9), (0, 1)), outside=lambda scene: scene.clamp_max(0.5)),
        [in_double(x) for x in case(((6, 7), (8, 9), (0, 1)))],
    ):
        there = apply(problem, device.put), apply(state, device.put)
        found = sparse_steps(*there, 2)
        assert found.work is None
        assert torch.equal(found.scene, sparse_steps_reference(*there, 2).scene)


def test_a_step_is_four_kernels(device):
    if not device.module:
        pytest.skip("needs the executor's list of launches")
    problem, state = case(PLACES[5])
    state = sparse_steps(problem, state, 1)
    names = kernels_of(device, lambda: sparse_steps(problem, state, 2))
    step = ["sparse_points", *(f"sparse_steps {n}" for n in ("rows", "columns", "rows back"))]
    assert names == ["sparse_steepness", "sparse_colours", *step, *step, "sparse_colours"]
