"""Steps of the alternating direction method for a blurred scene whose gradients are sparse."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from imgrestore import _native
from imgrestore.ops import _sparse_twin as twin
from imgrestore.ops._fft_device import covered, smooth
from imgrestore.ops.fft_filter import _COMPLEX

Prior = Literal["tv", "hyper_laplacian"]

# Rows of the native state are as long as a multiple of this.
_LANES = 16


class SparseProblem(NamedTuple):
    """What `sparse_steps` minimises, for N pictures of C channels in a frame, whose scenes have a periodic domain.

    Attributes
    ----------
    observed : Tensor, shape (N, C, H, W)
        float32 or float64, 2 or 3 axes of space. 3 channels are one picture in RGB.
    otf : Tensor, shape (rows, columns // 2 + 1) or (N, 1, rows, columns // 2 + 1)
        Half spectrum of the PSF on the domain, as `torch.fft.rfftn` lays it out.
    before : tuple of int
        Where the frame begins in the domain.
    weight : Tensor, shape (N,)
        Of the prior.
    prior : {"tv", "hyper_laplacian"}
        The sum of the gradients' lengths, or that of their powers of 2/3.
    stiffness : float
        The penalty of the gradients' split, for a weight of 1.
    known : Tensor, shape of `observed`, optional
        How much each pixel counts: 1, or 0, or -1 where its value is only a lower bound; 1 by default.
    lower : Tensor, shape (N, C), optional
        The scene is nowhere darker than this.
    outlier : Tensor, shape (N, C), optional
        Residuals beyond this level count less and less.
    outside : {"free", "dark"} or callable
        What the scene does beyond the frame: as it likes, or 0. A callable gives the nearest allowed domain.
    data_penalty, bound_penalty : float
        The penalty of the data's split, and that of the scene's bounds in units of the gradients' penalty.
    chroma_weight : float
        How much gradients of chroma count beside those of luma.
    reweigh_every : int
        After how many steps outliers are looked for again.
    """

    observed: Tensor
    otf: Tensor
    before: tuple[int, ...]
    weight: Tensor
    prior: Prior = "tv"
    stiffness: float = 20.0
    known: Tensor | None = None
    lower: Tensor | None = None
    outlier: Tensor | None = None
    outside: str | Callable[[Tensor], Tensor] = "free"
    data_penalty: float = 0.1
    bound_penalty: float = 0.3
    chroma_weight: float = 3.0
    reweigh_every: int = 4


class SparseState(NamedTuple):
    """How far the iteration has come.

    Attributes
    ----------
    scene, blurred : Tensor, shape (N, C, rows, columns)
        The scene, and the same blurred.
    step : int
        Steps done.
    dual_gradient, dual_data, dual_bound, known, work : Tensor, optional
        What the iteration keeps for itself; None before the first step.
    """

    scene: Tensor
    blurred: Tensor
    step: int = 0
    dual_gradient: Tensor | None = None
    dual_data: Tensor | None = None
    dual_bound: Tensor | None = None
    known: Tensor | None = None
    work: Tensor | None = None


def sparse_steps(problem: SparseProblem, state: SparseState, steps: int) -> SparseState:
    """Run steps towards the scene with sparse gradients that explains a blurred picture.

    Minimises ``||M (H x - y)||^2 / 2 + weight * sum_i |grad x|_i ** p`` by splitting the blurred scene, its gradients,
    and, where the scene is bounded, the scene itself. The length of a gradient goes over directions and channels
    together. Float32 pictures of 1 or 3 channels on the CPU and on CUDA devices, on a domain whose sizes are of the
    form 2^a 3^b 5^c (and on CUDA devices at most 7680), are done by the native library where it is loaded and no
    gradient is asked for; everything else runs on `sparse_steps_reference`, through which gradients run.

    Parameters
    ----------
    problem : SparseProblem
    state : SparseState
        Where to begin: a scene, and the same blurred. **Its tensors may be overwritten**: go on with what is returned.
    steps : int
        How many; 0 or more.

    Returns
    -------
    SparseState

    Raises
    ------
    TypeError
        When a tensor has not the dtype that goes with the others.
    ValueError
        When shapes or settings do not go together.

    References
    ----------
    Almeida & Figueiredo, "Deconvolving images with unknown boundaries using the alternating direction method of
    multipliers" (2013); Krishnan & Fergus, "Fast image deconvolution using hyper-Laplacian priors" (2009); Zuo et al.,
    "A generalized iterated shrinkage algorithm for non-convex sparse coding" (2013); Blomgren & Chan, "Color TV"
    (1998); Cho, Wang & Lee, "Handling outliers in non-blind image deconvolution" (2011).

    Examples
    --------
    >>> import torch
    >>> from imgrestore.ops import SparseProblem, SparseState, sparse_steps
    >>> image = torch.eye(8)[None, None]
    >>> problem = SparseProblem(image, torch.ones(8, 5, dtype=torch.complex64), (0, 0), torch.tensor([1e-3]))
    >>> state = sparse_steps(problem, SparseState(image.clone(), image.clone()), 10)
    >>> state.step, bool((state.scene - image).abs().max() < 0.02)
    (10, True)
    """
    _check(problem, state, steps)
    if not problem.observed.numel():  # torch.fft refuses it
        return state._replace(step=state.step + steps)
    if _native_takes(problem, state):
        native = _native.op("sparse_steps", _register)
        if native is not None:
            return _run_native(native, problem, state, steps)
    return sparse_steps_reference(problem, state, steps)


def sparse_steps_reference(problem: SparseProblem, state: SparseState, steps: int) -> SparseState:
    """Compute `sparse_steps` in plain torch, for any dtype, device and size: the twin that the kernels are held to.

    Parameters
    ----------
    problem, state, steps
        As in `sparse_steps`; the state is left alone.

    Returns
    -------
    SparseState

    Examples
    --------
    >>> import torch
    >>> from imgrestore.ops import SparseProblem, SparseState, sparse_steps_reference
    >>> image = torch.rand(1, 2, 7, 5)
    >>> problem = SparseProblem(image, torch.ones(7, 3, dtype=torch.complex64), (0, 0), torch.tensor([1e-3]))
    >>> sparse_steps_reference(problem, SparseState(image, image), 3).scene.shape
    torch.Size([1, 2, 7, 5])
    """
    space = len(problem.before)
    colour = twin.Colour(problem.observed, problem.chroma_weight)
    unit = (-1, 1, *(1,) * space)
    penalty = (problem.stiffness * problem.weight).reshape(unit)
    domain = state.scene.shape[2:]
    scene, blurred = colour.split(state.scene), colour.split(state.blurred)
    window: Any = (..., *(slice(b, b + n) for b, n in zip(problem.before, problem.observed.shape[2:], strict=True)))
    project = _projection(problem, domain, window)
    tied = project is not None or problem.lower is not None
    lower = None if problem.lower is None else _as_planes(problem.lower, space)
    tie = problem.bound_penalty * penalty if tied else torch.full_like(penalty, 1e-9)
    steepness = twin.gradient_power(scene, space)
    denominator = problem.data_penalty * problem.otf.abs().square() + penalty * colour.weight**2 * steepness + tie

    # The native state has working space at the ends of its rows.
    dual_data = _exact(state.dual_data, problem.observed.shape, problem.observed)
    dual_bound = _exact(state.dual_bound, scene.shape, scene) if tied else None
    dual_gradient = _exact(state.dual_gradient, (*scene.shape[:2], space, *domain), scene)
    known = problem.known if state.known is None else state.known[..., : problem.observed.shape[-1]]
    for step in range(state.step, state.step + steps):
        rgb = colour.join(blurred)
        if problem.outlier is not None and step and step % problem.reweigh_every == 0:
            known = twin.trusted(rgb[window] - problem.observed, _as_planes(problem.outlier, space), problem.known)
        wanted = rgb[window] + dual_data
        data = twin.nearest_to_data(wanted, problem.observed, known, problem.data_penalty)
        dual_data = wanted - data
        data = colour.split(rgb + twin.pad_to(data - dual_data - rgb[window], problem.before, domain))

        steep = colour.weight[:, :, None] * twin.gradient(scene, space) + dual_gradient
        keep = twin.shrinkage(steep, 1 / problem.stiffness, twin.EXPONENT[problem.prior])
        dual_gradient = steep - keep * steep
        right = penalty * twin.divergence(colour.weight[:, :, None] * (keep * steep - dual_gradient))
        if dual_bound is not None:
            free = colour.join(scene) + dual_bound
            held = free if project is None else project(free)
            held = held if lower is None else torch.maximum(held, lower)
            dual_bound = free - held
            right = right + tie * colour.split(held - dual_bound)
        spectrum = problem.data_penalty * problem.otf.conj() * twin.forward(data, space) + twin.forward(right, space)
        spectrum = spectrum / denominator
        scene = twin.inverse(spectrum, domain)
        blurred = twin.inverse(spectrum * problem.otf, domain)
    done = state.step + steps
    return SparseState(colour.join(scene), colour.join(blurred), done, dual_gradient, dual_data, dual_bound, known)


def _as_planes(values: Tensor, space: int) -> Tensor:
    return values.reshape(*values.shape, *(1,) * space)


def _exact(part: Tensor | None, shape: tuple[int, ...], like: Tensor) -> Tensor:
    return like.new_zeros(shape) if part is None else part[..., : shape[-1]]


def _projection(problem: SparseProblem, domain: tuple[int, ...], window: Any) -> Callable[[Tensor], Tensor] | None:
    if callable(problem.outside):
        return problem.outside
    if problem.outside == "free":
        return None
    return lambda scene: twin.pad_to(scene[window], problem.before, domain)


def _native_takes(problem: SparseProblem, state: SparseState) -> bool:
    observed, scene = problem.observed, state.scene
    tensors = [t for t in (*problem, *state) if isinstance(t, Tensor)]
    return (
        observed.dtype == torch.float32
        and observed.ndim == 4
        and observed.shape[1] in (1, 3)
        and all(t.device == observed.device for t in tensors)
        and not callable(problem.outside)
        and _covered(scene)
        and not (torch.is_grad_enabled() and any(t.requires_grad for t in tensors))
        and _native.takes(*tensors)
    )


def _covered(scene: Tensor) -> bool:
    if _native.on_cuda(scene):
        # Data and right side are transformed together.
        return covered(2 * scene.shape[0] * scene.shape[1], scene.shape[2:])
    return smooth(*scene.shape[2:])


def _run_native(native: Any, problem: SparseProblem, state: SparseState, steps: int) -> SparseState:
    batch, channels, height, width = state.scene.shape
    rows, columns = problem.observed.shape[2:]
    tied = problem.lower is not None or problem.outside == "dark"
    known = state.known if state.known is not None else problem.known
    if known is None and problem.outlier is not None:
        known = torch.ones_like(problem.observed)
    known = None if known is None else known.to(problem.observed)
    # Before the first native step nothing is our own to overwrite, and parts of the state may be one tensor.
    own = state.work is not None
    wide = (batch, channels, 2, height, _whole(width))
    # On a device, room for the other one of two duals of the gradients, which change places at each step.
    on_device = _native.on_cuda(problem.observed)
    room = wide if on_device else (channels * 4 * _whole(width // 2 + 1) * (height | 1),)
    state = SparseState(
        state.scene.contiguous() if own else state.scene.clone(memory_format=torch.contiguous_format),
        state.blurred.contiguous() if own else state.blurred.clone(memory_format=torch.contiguous_format),
        state.step,
        _wide(state.dual_gradient, (batch, channels, 2, height, width), problem.observed, own=own),
        _wide(state.dual_data, (batch, channels, rows, columns), problem.observed, own=own),
        _wide(state.dual_bound, (batch, channels, height, width), problem.observed, own=own) if tied else None,
        None if known is None else _wide(known, (batch, channels, rows, columns), problem.observed, own=own),
        state.work if state.work is not None and state.work.shape == room else problem.observed.new_empty(room),
    )
    otf = problem.otf if problem.otf.ndim == 2 else problem.otf[:, 0]
    native(
        *(state.scene, state.blurred, state.dual_gradient, state.dual_data, state.dual_bound, state.known, state.work),
        problem.observed if problem.observed.stride(-1) == 1 else problem.observed.contiguous(),
        otf.reshape(-1, height, width // 2 + 1).resolve_conj().contiguous(),
        _levels(problem, tied),
        *problem.before,
        state.step,
        steps,
        0 if problem.outlier is None else problem.reweigh_every,
        problem.prior == "hyper_laplacian",
        problem.outside == "dark",
        problem.data_penalty,
        problem.bound_penalty,
        problem.stiffness,
        problem.chroma_weight,
    )
    if on_device and steps % 2:
        state = state._replace(dual_gradient=state.work, work=state.dual_gradient)
    return state._replace(step=state.step + steps)


def _levels(problem: SparseProblem, tied: bool) -> Tensor:
    """What the kernel is told of each picture: penalty, tie, 3 lower bounds, 3 levels of outliers."""
    batch, channels = problem.observed.shape[:2]
    penalty = problem.stiffness * problem.weight.double()
    levels = problem.observed.new_zeros((batch, 8), dtype=torch.float64)
    levels[:, 0] = penalty
    levels[:, 1] = problem.bound_penalty * penalty if tied else 1e-9
    levels[:, 2 : 2 + channels] = -math.inf if problem.lower is None else problem.lower
    levels[:, 5 : 5 + channels] = 1.0 if problem.outlier is None else problem.outlier
    return levels


def _whole(size: int) -> int:
    return -(-size // _LANES) * _LANES


def _wide(part: Tensor | None, shape: tuple[int, ...], like: Tensor, *, own: bool = True) -> Tensor:
    """A part of the state with working space at the ends of its rows; as it is where it has that and is our own."""
    wide = (*shape[:-1], _whole(shape[-1]))
    if part is not None and own and tuple(part.shape) == wide and part.is_contiguous():
        return part
    made = like.new_zeros(wide)
    if part is not None:
        made[..., : shape[-1]] = part[..., : shape[-1]]
    return made


def _check(problem: SparseProblem, state: SparseState, steps: int) -> None:
    observed, scene = problem.observed, state.scene
    if not isinstance(observed, Tensor):
        raise TypeError(f"observed: got {type(observed).__name__}, expected a torch.Tensor")
    if observed.dtype not in _COMPLEX:
        raise TypeError(f"observed: got dtype {observed.dtype}, expected torch.float32 or torch.float64")
    space = len(problem.before)
    if space not in (2, 3) or observed.ndim != space + 2:
        raise ValueError(f"observed: got {observed.ndim} dimensions and {space} offsets, expected (N, C) and 2 or 3")
    lead, frame = tuple(observed.shape[:2]), tuple(observed.shape[2:])
    domain = tuple(scene.shape[2:])
    if scene.ndim != observed.ndim or tuple(scene.shape[:2]) != lead or 0 in domain or 0 in frame:
        raise ValueError(f"scene: got shape {tuple(scene.shape)}, expected {lead} and a domain that is not empty")
    if any(b < 0 or b + n > d for b, n, d in zip(problem.before, frame, domain, strict=True)):
        raise ValueError(f"before: got {problem.before}, expected a frame {frame} inside a domain {domain}")
    half = (*domain[:-1], domain[-1] // 2 + 1)
    shapes: tuple[tuple[str, Tensor | None, tuple[tuple[int, ...], ...]], ...] = (
        ("blurred", state.blurred, ((*lead, *domain),)),
        ("otf", problem.otf, (half, (1, 1, *half), (lead[0], 1, *half))),
        ("weight", problem.weight, (lead[:1],)),
        ("known", problem.known, ((*lead, *frame),)),
        ("lower", problem.lower, (lead,)),
        ("outlier", problem.outlier, (lead,)),
    )
    for name, value, expected in shapes:
        if value is not None and tuple(value.shape) not in expected:
            raise ValueError(f"{name}: got shape {tuple(value.shape)}, expected {' or '.join(map(str, expected))}")
    for name, value in (("scene", scene), ("blurred", state.blurred), ("otf", problem.otf)):
        wanted = _COMPLEX[observed.dtype] if name == "otf" else observed.dtype
        if value.dtype != wanted:
            raise TypeError(f"{name}: got dtype {value.dtype}, expected {wanted} to go with observed")
    if problem.prior not in get_args(Prior):
        raise ValueError(f"prior: got {problem.prior!r}, expected one of {', '.join(get_args(Prior))}")
    if not callable(problem.outside) and problem.outside not in ("free", "dark"):
        raise ValueError(f"outside: got {problem.outside!r}, expected 'free', 'dark' or a callable")
    if not isinstance(steps, int) or steps < 0:
        raise ValueError(f"steps: got {steps!r}, expected a whole number that is 0 or more")


def _register() -> None:
    # No backward: gradients are asked of the twin, which keeps what they need.
    torch.library.register_fake("imgrestore::sparse_steps", _fake)


def _fake(*arguments: Any) -> None:
    return None
