"""Deconvolution with a sparse-gradient prior, by ADMM on the scene and its gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from imgrestore.ops import BlurOperator, SparseProblem, SparseState, sparse_steps
from imgrestore.ops.sparse_steps import Prior

__all__ = [
    "DATA_PENALTY",
    "Prior",
    "Solution",
    "data_step",
    "filled",
    "span_of",
    "sparse_gradients",
    "sparse_planes",
    "sparse_weight",
]

# weight = STRENGTH * sigma ** 1.5 for a range of 1, found on photographs at noise levels from 0.3 to 3 %.
STRENGTH = {"tv": 0.7, "hyper_laplacian": 0.7}
# Chroma edges are weaker than those of luma and sit at the same places.
CHROMA_WEIGHT = 3.0
DATA_PENALTY = 0.1
TIE_PENALTY = 0.3
GRADIENT_PENALTY = {"tv": 20.0, "hyper_laplacian": 120.0}
LEAST_NOISE = 5e-4
TAILS = 1e-3
OUTLIER_LEVEL = 4.0
REWEIGH_EVERY = 4
LEAST_SPAN = 1e-4
FILL_STEPS = 50
TINY = 1e-20
# Values times steps of a native call: about 0.2 s, after which an interrupt is heard and progress is told.
VALUES_AT_ONCE = 40_000_000


@dataclass(frozen=True)
class Solution:
    """What a solver found on the whole domain, and the same blurred: planes (N, C, *domain)."""

    scene: torch.Tensor
    blurred: torch.Tensor


def sparse_planes(
    data: torch.Tensor,
    blur: BlurOperator,
    sigma: torch.Tensor,
    *,
    prior: Prior = "tv",
    weight: float | None = None,
    num_iter: int = 30,
    valid: torch.Tensor | None = None,
    saturated: torch.Tensor | None = None,
    lower: torch.Tensor | None = None,
    robust: bool = True,
    progress: Callable[[float], None] | None = None,
    span: tuple[torch.Tensor, torch.Tensor] | None = None,
    start: torch.Tensor | None = None,
) -> Solution:
    """Run `sparse_gradients` on planes of any range and number of channels.

    Parameters
    ----------
    data : torch.Tensor, shape (N, C, *frame)
        3 channels are one picture in RGB; with any other number each channel is a picture of its own.
    blur : BlurOperator
    sigma : torch.Tensor, broadcasts over (N, C, 1, ...)
        Standard deviation of the noise.
    prior, num_iter, valid, saturated, progress
        As in `sparse_gradients`.
    span : tuple of two torch.Tensor, optional
        Range and lower end, as `span_of` gives them, of the picture that `data` is a part of: shape (N, 1, 1, ...), or
        (N * C, 1, 1, ...) where each channel is a picture of its own.
    start : torch.Tensor, shape (N, C, *domain), optional
        Where the search begins, in the units of `data`; by default at `data`, mirrored.
    weight : float, optional
        For total variation in the units of `data`, for the hyper-Laplacian for a range of 1; from the noise by default.
    lower : torch.Tensor that broadcasts over (N, C, 1, ...), optional
        The scene is nowhere darker than this, in the units of `data`.
    robust : bool
        Let pixels count less that no scene explains within 4 times the noise.

    Returns
    -------
    Solution
    """
    batch, channels = data.shape[:2]
    if channels != 3 and channels != 1:
        sigma = sigma.expand(batch, channels, *sigma.shape[2:])
        found = sparse_planes(
            _single(data),
            blur,
            _single(sigma),
            prior=prior,
            weight=weight,
            num_iter=num_iter,
            valid=None if valid is None else _single(valid),
            saturated=None if saturated is None else _single(saturated),
            lower=None if lower is None else _single(lower.expand(batch, channels, *lower.shape[2:])),
            robust=robust,
            progress=progress,
            span=span,
            start=None if start is None else _single(start),
        )
        shape = (batch, channels, *blur.domain)
        return Solution(found.scene.reshape(shape), found.blurred.reshape(shape))
    width, offset = span_of(data, valid) if span is None else span
    if blur.boundary == "zero":
        offset = torch.zeros_like(offset)  # dark outside means 0 in the units of the data
    unit = (data - offset).div_(width)
    level = sigma.expand(batch, channels, *sigma.shape[2:]).mean(dim=1, keepdim=True) / width
    if weight is None:
        strength = sparse_weight(level, prior)
    else:
        strength = weight / width if prior == "tv" else torch.full_like(width, weight)
    found = sparse_gradients(
        unit,
        blur,
        strength,
        prior=prior,
        num_iter=num_iter,
        valid=valid,
        saturated=saturated,
        lower=None if lower is None else (lower - offset) / width,
        outlier=outlier_level(level) if robust else None,
        progress=progress,
        start=None if start is None else (start - offset) / width,
    )
    return Solution(torch.addcmul(offset, found.scene, width), torch.addcmul(offset, found.blurred, width))


def sparse_weight(sigma: torch.Tensor, prior: Prior = "tv") -> torch.Tensor:
    """The weight of the prior that suits a noise level, for a picture whose range is 1."""
    return STRENGTH[prior] * sigma.clamp_min(LEAST_NOISE) ** 1.5


def outlier_level(sigma: torch.Tensor) -> torch.Tensor:
    """The residual beyond which a pixel counts as an outlier, for a picture whose range is 1."""
    return OUTLIER_LEVEL * sigma.clamp_min(LEAST_NOISE)


def sparse_gradients(
    observed: torch.Tensor,
    blur: BlurOperator,
    weight: torch.Tensor,
    *,
    prior: Prior = "tv",
    num_iter: int = 30,
    valid: torch.Tensor | None = None,
    saturated: torch.Tensor | None = None,
    lower: torch.Tensor | None = None,
    outlier: torch.Tensor | None = None,
    progress: Callable[[float], None] | None = None,
    start: torch.Tensor | None = None,
) -> Solution:
    """Find the scene with sparse gradients that explains a blurred picture.

    Minimises ``||M (H x - y)||^2 / 2 + weight * sum_i |grad x|_i ** p`` over the whole domain, where M is 1 on the
    good pixels of the frame: nothing is assumed of the scene beyond it. The length of the gradient goes over
    directions and channels together, chroma counting more, so that the edges of all channels fall on the same places.

    Parameters
    ----------
    observed : torch.Tensor, shape (N, C, *frame)
        Range about 1, float32 or float64; bad pixels may hold any finite value. 3 channels are taken for RGB.
    blur : BlurOperator
    weight : torch.Tensor that broadcasts over (N, 1, 1, ...)
    prior : {"tv", "hyper_laplacian"}
        p = 1, or p = 2/3.
    num_iter : int
    valid : torch.Tensor of bool, optional
        Pixels to fit; shape of `observed`.
    saturated : torch.Tensor of bool, optional
        Pixels whose value is only a lower bound; shape of `observed`.
    lower : torch.Tensor that broadcasts over (N, C, 1, ...), optional
        The scene is nowhere darker than this (within what the iteration has reached).
    outlier : torch.Tensor that broadcasts over (N, C, 1, ...), optional
        Residuals beyond this level count less and less: glare, clipped streaks, moving things.
    progress : callable, optional
        Called with the part that is done, up to 1.
    start : torch.Tensor, shape (N, C, *domain), optional
        Where the search begins; by default at what was observed, mirrored.

    Returns
    -------
    Solution

    References
    ----------
    As in `imgrestore.ops.sparse_steps`.
    """
    observed = observed.contiguous()
    batch, channels = observed.shape[:2]
    bounded = blur.boundary in ("zero", "reflect")
    outside: str | Callable[[torch.Tensor], torch.Tensor] = "dark" if blur.boundary == "zero" else "free"
    problem = SparseProblem(
        observed,
        blur.otf,
        blur.before,
        _levels(weight, (batch,), observed),
        prior=prior,
        stiffness=GRADIENT_PENALTY[prior],
        known=_known(observed, valid, saturated),
        lower=None if lower is None else _levels(lower, (batch, channels), observed),
        outlier=None if outlier is None else _levels(outlier, (batch, channels), observed),
        outside=blur.project if blur.boundary == "reflect" else outside,
        data_penalty=DATA_PENALTY,
        bound_penalty=TIE_PENALTY,
        chroma_weight=CHROMA_WEIGHT,
        reweigh_every=REWEIGH_EVERY,
    )
    scene = blur.extend(filled(observed, valid)) if start is None else start
    state = SparseState(scene, blur.spread(scene))
    at_once = max(1, VALUES_AT_ONCE // scene.numel())
    while state.step < num_iter:
        state = sparse_steps(problem, state, min(at_once, num_iter - state.step))
        if progress is not None:
            progress(state.step / num_iter)
    if bounded:
        scene = blur.project(state.scene)
        return Solution(scene, blur.spread(scene))
    return Solution(state.scene, state.blurred)


def _levels(values: torch.Tensor, shape: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
    """One value for each picture, or for each of its channels."""
    return values.to(like).expand(*shape, *(1,) * (like.ndim - len(shape))).reshape(shape)


def _known(observed: torch.Tensor, valid: torch.Tensor | None, saturated: torch.Tensor | None) -> torch.Tensor | None:
    """How much pixels count: 1, or 0 where they are not valid, or -1 where they are only lower bounds."""
    if valid is None and saturated is None:
        return None
    known = torch.ones_like(observed) if valid is None else valid.to(observed.dtype)
    return known if saturated is None else torch.where(saturated, -1.0, known)


def data_step(
    observed: torch.Tensor,
    blur: BlurOperator,
    valid: torch.Tensor | None,
    saturated: torch.Tensor | None = None,
) -> Callable[[torch.Tensor], torch.Tensor]:
    """The step towards the data: from a blurred domain that is wanted to one that agrees with what was observed.

    Parameters
    ----------
    observed : torch.Tensor, shape (N, C, *frame)
    blur : BlurOperator
    valid, saturated : torch.Tensor of bool, optional
        Pixels to fit, and pixels whose value is only a lower bound.

    Returns
    -------
    callable
        Planes (N, C, *domain) to planes of that shape.
    """
    known = torch.ones_like(observed[:, :1]) if valid is None else valid.to(observed.dtype)
    if saturated is not None:
        known = known * (~saturated)
    mask, given = blur.pad(known), blur.pad(known * observed)
    bound = None
    if saturated is not None:
        bound = blur.pad(torch.where(saturated, observed, -torch.inf)).nan_to_num(neginf=-1e30)
        bound = torch.where(blur.pad(saturated.to(observed.dtype)) > 0, bound, -1e30)

    def step(wanted: torch.Tensor) -> torch.Tensor:
        values = (given + DATA_PENALTY * wanted) / (mask + DATA_PENALTY)
        return values if bound is None else torch.maximum(values, bound)

    return step


def filled(observed: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
    """Pixels that are not valid taken from the good ones around them, from the rim of each hole inwards.

    Parameters
    ----------
    observed : torch.Tensor, shape (N, C, *frame)
    valid : torch.Tensor of bool, optional

    Returns
    -------
    torch.Tensor, shape of `observed`
        The mean of the good pixels where a hole is too large to be filled from its rim.
    """
    if valid is None or bool(valid.all()):
        return observed
    space = tuple(range(2, observed.ndim))
    average = torch.nn.functional.avg_pool2d if len(space) == 2 else torch.nn.functional.avg_pool3d
    good = valid.to(observed.dtype)
    values = torch.where(valid, observed, 0.0)
    mean = values.sum(dim=space, keepdim=True) / good.sum(dim=space, keepdim=True).clamp_min(1)
    for _ in range(FILL_STEPS):
        near = average(good, 3, stride=1, padding=1)
        values = torch.where(good > 0, values, average(values, 3, stride=1, padding=1) / near.clamp_min(1e-6))
        good = (near > 0).to(observed.dtype)
        if bool(good.all()):
            break
    return torch.where(good > 0, values, mean)


def _single(planes: torch.Tensor) -> torch.Tensor:
    """Every channel as a picture of its own."""
    return planes.reshape(-1, 1, *planes.shape[2:])


def span_of(data: torch.Tensor, valid: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Range and lower end of each picture, a few outliers at both ends left out: (N, 1, 1, ...)."""
    values = data.detach().reshape(data.shape[0], -1)
    step = max(1, values.shape[1] // 1_000_000)
    values = values[:, ::step]
    good = None if valid is None else valid.reshape(data.shape[0], -1)[:, ::step]
    darkest, low = _lower_end(values, good)
    brightest, high = (-end for end in _lower_end(-values, good))
    # A few bright points on an even ground are no outliers.
    least = LEAST_SPAN * (brightest - darkest)
    low, span = low.nan_to_num(0.0), torch.maximum(high - low, least).nan_to_num(0.0, neginf=0.0)
    shape = (-1,) + (1,) * (data.ndim - 1)
    return span.clamp_min(TINY).reshape(shape), low.reshape(shape)


def _lower_end(values: torch.Tensor, good: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """The least of each row's good values, and the quantile TAILS: each (N,), NaN where there are none."""
    if good is None:
        count = torch.full(values.shape[:1], values.shape[1], device=values.device)
    else:
        count, values = good.sum(dim=1), torch.where(good, values, torch.inf)
    place = TAILS * (count - 1).clamp_min(0).double()
    floor = place.long()
    # A few of the smallest values are found much sooner than all are sorted.
    smallest = values.topk(min(int(floor.max()) + 2, values.shape[1]), dim=1, largest=False).values
    below = smallest.gather(1, floor[:, None])[:, 0]
    above = smallest.gather(1, (floor[:, None] + 1).clamp_max(smallest.shape[1] - 1))[:, 0]
    part = (place - floor).to(values.dtype)
    quantile = torch.where(part > 0, below + part * (above - below), below)
    none = count == 0
    return smallest[:, 0].masked_fill(none, torch.nan), quantile.masked_fill(none, torch.nan)
