import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from native_cases import assert_isa, assert_without_native, isas, needs_native

from imgrestore import _native
from imgrestore.ops import SparseProblem, SparseState, sparse_steps, sparse_steps_reference

PRIORS = ["tv", "hyper_laplacian"]
STIFFNESS = {"tv": 20.0, "hyper_laplacian": 120.0}
# Frame, domain, where the frame begins.
PLACES = [
    ((1, 1), (1, 1), (0, 0)),
    ((1, 5), (1, 6), (0, 1)),
    ((5, 1), (8, 1), (2, 0)),
    ((7, 11), (12, 15), (3, 2)),
    ((17, 13), (18, 16), (1, 3)),
    ((16, 32), (16, 32), (0, 0)),
    ((30, 31), (36, 40), (2, 5)),
    ((33, 64), (45, 81), (12, 17)),
    ((2, 100), (3, 125), (1, 25)),
    ((64, 3), (250, 5), (1, 1)),
]


def make(place=PLACES[6], channels=3, batch=1, prior="tv", dtype=torch.float32, seed=0, weight=2e-3, **options):
    frame, domain, before = place
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    psf = torch.zeros(domain, dtype=torch.float64)
    psf[: 1 + domain[0] // 4, : 1 + domain[1] // 4] = rand(1 + domain[0] // 4, 1 + domain[1] // 4)
    otf = torch.fft.rfft2(psf / psf.sum())
    scene = rand(batch, channels, *domain)
    window = tuple(slice(b, b + n) for b, n in zip(before, frame, strict=True))
    blurred = torch.fft.irfft2(torch.fft.rfft2(scene) * otf, s=domain)
    observed = blurred[(..., *window)] + 0.02 * (rand(batch, channels, *frame) - 0.5)
    known = rand(batch, channels, *frame)
    known = torch.where(known < 0.1, -1.0, (known < 0.8).double()) if options.pop("holes", False) else None
    for name in ("lower", "outlier"):
        level = options.pop(name, None)
        options[name] = None if level is None else (level * (1 + rand(batch, channels))).to(dtype)
    problem = SparseProblem(
        observed.to(dtype),
        otf.to(torch.complex64 if dtype == torch.float32 else torch.complex128),
        before,
        (weight * (1 + rand(batch))).to(dtype),
        prior=prior,
        stiffness=STIFFNESS[prior],
        known=None if known is None else known.to(dtype),
        **options,
    )
    return problem, SparseState(scene.to(dtype), blurred.to(dtype))


def cast(values, dtype):
    wide = torch.complex64 if dtype == torch.float32 else torch.complex128

    def one(value):
        if not isinstance(value, torch.Tensor):
            return value
        return value.to(wide if value.is_complex() else dtype)

    return type(values)(*map(one, values))


def copy(state):
    return SparseState(*(v.clone() if isinstance(v, torch.Tensor) else v for v in state))


def assert_is_twin(problem, state, steps=5, tolerance=1e-5):
    exact = sparse_steps_reference(cast(problem, torch.float64), cast(state, torch.float64), steps)
    found = sparse_steps(problem, copy(state), steps)
    assert found.step == exact.step
    for name in ("scene", "blurred"):
        a, b = getattr(found, name), getattr(exact, name)
        assert a.dtype == problem.observed.dtype
        assert a.shape == b.shape
        error = (a - b).abs().max() / b.abs().max().clamp_min(1)
        assert error < tolerance, (name, float(error))


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("channels", [1, 3, 2])
@pytest.mark.parametrize("place", [*PLACES, ((7, 8), (11, 14), (1, 2))], ids=str)
def test_is_its_twin(place, channels, prior):
    assert_is_twin(*make(place, channels, prior=prior))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_is_its_twin_anywhere(data):
    domain = tuple(data.draw(st.sampled_from([2, 3, 8, 15, 16, 18, 20, 48, 60, 75, 90])) for _ in range(2))
    frame = tuple(data.draw(st.integers(1, d)) for d in domain)
    before = tuple(data.draw(st.integers(0, d - n)) for d, n in zip(domain, frame, strict=True))
    options = {
        "holes": data.draw(st.booleans()),
        "outside": data.draw(st.sampled_from(["free", "dark"])),
        "lower": data.draw(st.sampled_from([None, 0.2])),
        "outlier": data.draw(st.sampled_from([None, 0.03])),
    }
    channels, prior = data.draw(st.sampled_from([1, 3])), data.draw(st.sampled_from(PRIORS))
    assert_is_twin(*make((frame, domain, before), channels, prior=prior, **options), steps=6, tolerance=2e-5)


@pytest.mark.parametrize("options", [{"holes": True}, {"outlier": 0.02}, {"lower": 0.3}, {"outside": "dark"}], ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_option(channels, options):
    problem, state = make(PLACES[7], channels, batch=2, **options)
    assert_is_twin(problem, state, steps=9)
    plain = sparse_steps(problem._replace(known=None, outlier=None, lower=None, outside="free"), copy(state), 9)
    assert (sparse_steps(problem, copy(state), 9).scene - plain.scene).abs().max() > 2e-4


@pytest.mark.parametrize("prior", PRIORS)
def test_many_steps_end_where_the_twin_does(prior):
    problem, state = make(((90, 80), (100, 90), (4, 5)), prior=prior, weight=1e-3)
    exact = sparse_steps_reference(cast(problem, torch.float64), cast(state, torch.float64), 40)
    error = (sparse_steps(problem, copy(state), 40).scene - exact.scene).abs()
    # Of the hyper-Laplacian a gradient at its threshold may fall to either side.
    assert error.max() < (1e-4 if prior == "tv" else 0.2)
    assert error.square().mean().sqrt() < (1e-5 if prior == "tv" else 2e-3)


def test_the_objective_falls():
    problem, state = make(PLACES[7], 1, dtype=torch.float64)

    def objective(state):
        window = tuple(slice(b, b + n) for b, n in zip(problem.before, problem.observed.shape[2:], strict=True))
        misfit = (state.blurred[(..., *window)] - problem.observed).square().sum() / 2
        slopes = torch.stack([torch.roll(state.scene, -1, axis) - state.scene for axis in (-2, -1)])
        return misfit + problem.weight[0] * slopes.square().sum(dim=0).sqrt().sum()

    first, second, third = (objective(sparse_steps(problem, state, n)) for n in (2, 20, 200))
    assert first > second > third


@pytest.mark.parametrize("options", [{}, {"outlier": 0.02, "lower": 0.2, "holes": True}], ids=["plain", "all"])
def test_steps_in_parts_are_the_steps_at_once(options):
    problem, state = make(batch=2, **options)
    whole, part = sparse_steps(problem, copy(state), 10), copy(state)
    for steps in (3, 0, 1, 6):
        part = sparse_steps(problem, part, steps)
    assert part.step == 10
    torch.testing.assert_close(part.scene, whole.scene, rtol=0, atol=2e-6)
    again = sparse_steps_reference(problem, sparse_steps(problem, copy(state), 4), 6)
    torch.testing.assert_close(again.scene, whole.scene, rtol=0, atol=1e-5)
    back = sparse_steps(problem, sparse_steps_reference(problem, state, 4), 6)
    torch.testing.assert_close(back.scene, whole.scene, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[..., ::2, 3:34],
        lambda x: x.mT[..., :30, :31],
        lambda x: x[:, :1].expand(-1, 3, -1, -1)[..., 5:35, 1:32],
    ],
    ids=["rows", "transposed", "expanded"],
)
def test_strided_pictures(view):
    problem, state = make()
    observed = view(torch.rand(1, 3, 60, 70, generator=torch.Generator().manual_seed(1)))
    observed = observed[..., :30, :31]
    state = SparseState(state.scene.mT.contiguous().mT, state.blurred)
    assert_is_twin(problem._replace(observed=observed, otf=problem.otf.T.contiguous().T), state)


def test_own_otf_and_own_weight_of_every_picture():
    problem, state = make(batch=3)
    other, _ = make(batch=3, seed=5)
    problem = problem._replace(otf=torch.stack([problem.otf, other.otf, problem.otf.conj()])[:, None])
    assert_is_twin(problem, state)
    together = sparse_steps(problem, copy(state), 5).scene
    for i in range(3):
        own = {name: getattr(problem, name)[i : i + 1] for name in ("observed", "otf", "weight")}
        alone = SparseState(state.scene[i : i + 1].clone(), state.blurred[i : i + 1].clone())
        alone = sparse_steps(problem._replace(**own), alone, 5)
        torch.testing.assert_close(alone.scene, together[i : i + 1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("batch", [2, 7])
def test_a_batch_is_its_pictures(batch):
    assert_is_twin(*make(PLACES[3], 3, batch=batch, lower=0.2))
    assert_is_twin(*make(((200, 90), (216, 100), (3, 4)), 3, batch=batch), steps=3)


def test_empty_batch_and_no_steps():
    problem, state = make()
    none = problem._replace(observed=problem.observed[:0], weight=problem.weight[:0])
    assert sparse_steps(none, SparseState(state.scene[:0], state.blurred[:0]), 3).scene.shape == (0, 3, 36, 40)
    problem, state = make()
    same = sparse_steps(problem, copy(state), 0)
    assert same.step == 0
    torch.testing.assert_close(same.scene, state.scene)


def test_a_callable_projects():
    problem, state = make(channels=1)
    window = tuple(slice(b, b + n) for b, n in zip(problem.before, problem.observed.shape[2:], strict=True))

    def inside(scene):
        held = torch.zeros_like(scene)
        held[(..., *window)] = scene[(..., *window)]
        return held

    dark, called = (sparse_steps(problem._replace(outside=o), copy(state), 6).scene for o in ("dark", inside))
    torch.testing.assert_close(dark, called, rtol=0, atol=1e-5)


def test_three_dimensions():
    generator = torch.Generator().manual_seed(0)
    observed = torch.rand(1, 1, 4, 5, 6, generator=generator)
    problem = SparseProblem(observed, torch.ones(4, 5, 4, dtype=torch.complex64), (0, 0, 0), torch.tensor([1e-3]))
    state = sparse_steps(problem, SparseState(observed, observed), 30)
    assert (state.scene - observed).abs().max() < 0.05


def test_several_threads_at_once_get_the_same_bits():
    jobs = [make(place, channels, seed=i) for i, place in enumerate(PLACES[3:8]) for channels in (1, 3)] * 2
    alone = [sparse_steps(problem, copy(state), 4).scene for problem, state in jobs]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda job: sparse_steps(job[0], copy(job[1]), 4).scene, jobs))
    for a, b in zip(alone, together, strict=True):
        assert torch.equal(a, b)


def test_bits_do_not_depend_on_threads():
    problem, state = make(((150, 140), (162, 150), (5, 6)), lower=0.1, outlier=0.02)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 1, 64):
            torch.set_num_threads(threads)
            found.append(sparse_steps(problem, copy(state), 9))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        if _native.available():
            assert torch.equal(other.scene, found[0].scene)
            assert torch.equal(other.blurred, found[0].blurred)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("options", [{}, {"holes": True, "outlier": 0.02, "lower": 0.1}], ids=["plain", "all"])
@pytest.mark.parametrize("prior", PRIORS)
def test_nan_stays_nan(prior, options, bad):
    problem, state = make(batch=2, prior=prior, **options)
    problem.observed[0, 1, 2, 3] = bad
    if problem.known is not None:
        problem.known[0, 1, 2, 3] = 1
    out = sparse_steps(problem, copy(state), 2).scene
    assert not out[0].isfinite().any()
    assert out[1].isfinite().all()


def test_a_weight_of_zero_is_plain_deconvolution():
    problem, state = make(PLACES[5], 1)
    problem = problem._replace(weight=torch.zeros(1), otf=torch.ones_like(problem.otf))
    assert_is_twin(problem, state, steps=60)
    torch.testing.assert_close(sparse_steps(problem, copy(state), 200).scene, problem.observed, rtol=0, atol=1e-4)


# Gradients run through the twin.


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("options", [{}, {"lower": 0.2, "outside": "dark", "holes": True}], ids=["plain", "all"])
def test_gradients(prior, options):
    problem, state = make(((4, 5), (6, 5), (1, 0)), 3, prior=prior, dtype=torch.float64, weight=0.02, **options)

    def run(observed, weight):
        return sparse_steps(problem._replace(observed=observed, weight=weight), state, 3).scene

    arguments = (problem.observed.requires_grad_(), problem.weight.requires_grad_())
    assert torch.autograd.gradcheck(run, arguments, atol=1e-5)


def test_float32_gradients_are_those_of_the_twin():
    problem, state = make()
    grads = []
    for function, dtype in ((sparse_steps, torch.float32), (sparse_steps_reference, torch.float64)):
        observed = problem.observed.to(dtype, copy=True).requires_grad_()
        found = function(cast(problem, dtype)._replace(observed=observed), cast(state, dtype), 5)
        grads.append(torch.autograd.grad(found.scene.square().sum(), observed)[0])
    torch.testing.assert_close(grads[0].double(), grads[1], rtol=1e-3, atol=1e-3)


def test_vmap_and_forward_mode():
    problem, state = make(channels=1, dtype=torch.float64)

    def run(observed):
        return sparse_steps(problem._replace(observed=observed), state, 3).scene

    mapped = torch.func.vmap(run)(problem.observed[None])
    torch.testing.assert_close(mapped[0], run(problem.observed))
    _, tangent = torch.func.jvp(run, (problem.observed,), (torch.ones_like(problem.observed),))
    assert tangent.abs().max() > 0


@needs_native
def test_opcheck():
    sparse_steps(*make(), 1)
    wide = torch.zeros(1, 1, 2, 6, 16), torch.zeros(1, 1, 4, 16)
    tensors = (torch.rand(1, 1, 6, 5), torch.rand(1, 1, 6, 5), *wide, None, None, torch.zeros(4 * 16 * 7))
    levels = torch.tensor([[0.1, 1e-9, 0, 0, 0, 1, 1, 1]], dtype=torch.float64)
    given = torch.rand(1, 1, 4, 4), torch.ones(1, 6, 3, dtype=torch.complex64), levels
    numbers = (1, 0, 0, 2, 0, False, False, 0.1, 0.3, 20.0, 3.0)
    torch.library.opcheck(torch.ops.imgrestore.sparse_steps.default, (*tensors, *given, *numbers))


@needs_native
def test_the_op_reads_and_writes_in_bounds_only():
    sparse_steps(*make(), 1)
    native = torch.ops.imgrestore.sparse_steps.default
    good = [torch.rand(1, 1, 6, 5), torch.rand(1, 1, 6, 5), torch.zeros(1, 1, 2, 6, 16), torch.zeros(1, 1, 4, 16), None]
    good += [None, torch.zeros(4 * 16 * 7), torch.rand(1, 1, 4, 4), torch.ones(1, 6, 3, dtype=torch.complex64)]
    good += [torch.ones(1, 8, dtype=torch.float64), 1, 0, 0, 2, 0, False, False, 0.1, 0.3, 20.0, 3.0]
    native(*good)
    changes = {0: torch.rand(1, 1, 7, 5), 1: torch.rand(1, 1, 6, 4), 2: torch.zeros(1, 1, 2, 6, 5), 10: 3}
    changes |= {11: -1, 14: 4, 3: torch.zeros(1, 1, 4, 4), 6: torch.zeros(10), 8: torch.zeros(1, 6, 4) * 1j}
    changes |= {7: torch.rand(1, 1, 4, 8)[..., ::2], 9: torch.ones(1, 8), 4: torch.zeros(1, 1, 6, 5)}
    for place, value in changes.items():
        with pytest.raises(RuntimeError, match="sparse_steps"):
            native(*good[:place], value, *good[place + 1 :])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"observed": [[1.0]]}, TypeError, r"observed: got list, expected a torch\.Tensor"),
        ({"observed": torch.zeros(1, 3, 30, 31, dtype=torch.uint8)}, TypeError, r"observed: got dtype torch\.uint8"),
        ({"observed": torch.zeros(3, 30, 31)}, ValueError, "observed: got 3 dimensions and 2 offsets"),
        ({"observed": torch.zeros(2, 3, 30, 31)}, ValueError, r"scene: got shape \(1, 3, 36, 40\), expected \(2, 3\)"),
        ({"before": (7, 0)}, ValueError, r"before: got \(7, 0\), expected a frame \(30, 31\) inside"),
        ({"otf": torch.zeros(36, 20) * 1j}, ValueError, r"otf: got shape \(36, 20\), expected \(36, 21\)"),
        ({"otf": torch.zeros(36, 21)}, TypeError, r"otf: got dtype torch\.float32, expected torch\.complex64"),
        ({"weight": torch.zeros(2)}, ValueError, r"weight: got shape \(2,\), expected \(1,\)"),
        ({"known": torch.zeros(30, 31)}, ValueError, r"known: got shape \(30, 31\)"),
        ({"lower": torch.zeros(3)}, ValueError, r"lower: got shape \(3,\), expected \(1, 3\)"),
        ({"outlier": torch.zeros(1)}, ValueError, r"outlier: got shape \(1,\)"),
        ({"prior": "l1"}, ValueError, "prior: got 'l1', expected one of tv, hyper_laplacian"),
        ({"outside": "grey"}, ValueError, "outside: got 'grey', expected 'free', 'dark' or a callable"),
        ({"blurred": torch.zeros(1, 3, 36, 41)}, ValueError, "blurred: got shape"),
        ({"scene": torch.zeros(1, 3, 36, 40).double()}, TypeError, r"scene: got dtype torch\.float64"),
        ({"steps": -1}, ValueError, "steps: got -1, expected a whole number that is 0 or more"),
        ({"steps": 1.5}, ValueError, r"steps: got 1\.5"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_errors_name_the_argument(change, error, message):
    problem, state = make()
    steps = change.pop("steps", 1)
    state = state._replace(**{name: change.pop(name) for name in list(change) if name in ("scene", "blurred")})
    with pytest.raises(error, match=message):
        sparse_steps(problem._replace(**change), state, steps)


CHILD = """
from test_sparse_steps import PLACES, PRIORS, assert_is_twin, make
for place in PLACES:
    for channels in (1, 3):
        for prior in PRIORS:
            options = {"lower": 0.2, "outlier": 0.03, "holes": True}
            assert_is_twin(*make(place, channels, prior=prior, **options), steps=6, tolerance=2e-5)
            assert_is_twin(*make(place, channels, prior=prior))
"""


@needs_native
@isas
def test_every_instruction_set(isa):
    assert_isa(CHILD, isa)


def test_same_answers_without_native_code():
    assert_without_native(CHILD)
