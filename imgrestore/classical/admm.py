"""Deconvolution with a sparse-gradient prior, by ADMM on the scene and its gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from imgrestore.ops.blur_operator import BlurOperator

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

Prior = Literal["tv", "hyper_laplacian"]

# weight = STRENGTH * sigma ** 1.5 for a range of 1, found on photographs at noise levels from 0.3 to 3 %.
STRENGTH = {"tv": 0.7, "hyper_laplacian": 0.7}
EXPONENT = {"tv": 1.0, "hyper_laplacian": 2 / 3}
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

# Rows: luma, and two differences, orthonormal; so the noise stays white and the data term the same.
OPPONENT = ((3**-0.5, 3**-0.5, 3**-0.5), (2**-0.5, 0.0, -(2**-0.5)), (6**-0.5, -2 * 6**-0.5, 6**-0.5))


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
) -> Solution:
    """Run `sparse_gradients` on planes of any range and number of channels.

    Parameters
    ----------
    data : torch.Tensor, shape (N, C, *frame)
        3 channels are one picture in RGB; with any other number each channel is a picture of its own.
    blur : BlurOperator
    sigma : torch.Tensor, broadcasts over (N, C, 1, ...)
        Standard deviation of the noise.
    prior, num_iter, valid, saturated
        As in `sparse_gradients`.
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
        )
        shape = (batch, channels, *blur.domain)
        return Solution(found.scene.reshape(shape), found.blurred.reshape(shape))
    span, offset = span_of(data, valid)
    if blur.boundary == "zero":
        offset = torch.zeros_like(offset)  # dark outside means 0 in the units of the data
    unit = (data - offset) / span
    level = sigma.expand(batch, channels, *sigma.shape[2:]).mean(dim=1, keepdim=True) / span
    if weight is None:
        strength = sparse_weight(level, prior)
    else:
        strength = weight / span if prior == "tv" else torch.full_like(span, weight)
    found = sparse_gradients(
        unit,
        blur,
        strength,
        prior=prior,
        num_iter=num_iter,
        valid=valid,
        saturated=saturated,
        lower=None if lower is None else (lower - offset) / span,
        outlier=outlier_level(level) if robust else None,
    )
    return Solution(found.scene * span + offset, found.blurred * span + offset)


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

    Returns
    -------
    Solution

    References
    ----------
    Almeida & Figueiredo, "Deconvolving images with unknown boundaries using the alternating direction method of
    multipliers" (2013). Krishnan & Fergus, "Fast image deconvolution using hyper-Laplacian priors" (2009). Blomgren &
    Chan, "Color TV: total variation methods for restoration of vector-valued images" (1998). Cho, Wang & Lee,
    "Handling outliers in non-blind image deconvolution" (2011).
    """
    colour = _Colour(observed)
    fit_data = data_step(observed, blur, valid, saturated, colour)
    tied = lower is not None or blur.boundary in ("zero", "reflect")
    stiffness = GRADIENT_PENALTY[prior]
    penalty = stiffness * weight
    power = blur.otf.abs().square()
    denominator = DATA_PENALTY * power + penalty * colour.weight**2 * blur.gradient_power(observed)
    tie = TIE_PENALTY * penalty if tied else torch.full_like(penalty, 1e-9)
    denominator = denominator + tie

    scene = blur.extend(colour.split(filled(observed, valid)))
    blurred = blur.spread(scene)
    gradient = [colour.weight * g for g in _gradient(scene, blur.space)]
    dual_data, dual_tie = torch.zeros_like(scene), torch.zeros_like(scene)
    dual_gradient = [torch.zeros_like(g) for g in gradient]
    for step in range(num_iter):
        if outlier is not None and step and step % REWEIGH_EVERY == 0:
            trust = _trust(colour.join(blur.crop(blurred)) - observed, outlier)
            fit_data = data_step(observed, blur, trust if valid is None else trust * valid, saturated, colour)
        wanted = blurred + dual_data
        data = fit_data(wanted)
        dual_data = wanted - data

        steep = [g + d for g, d in zip(gradient, dual_gradient, strict=True)]
        keep = _shrinkage(steep, 1 / stiffness, EXPONENT[prior])
        dual_gradient = [s - keep * s for s in steep]

        right = _divergence(
            [penalty * colour.weight * (keep * s - d) for s, d in zip(steep, dual_gradient, strict=True)]
        )
        if tied:
            free = scene + dual_tie
            held = blur.project(free)
            if lower is not None:
                held = colour.split(torch.maximum(colour.join(held), lower))
            dual_tie = free - held
            right = right + tie * (held - dual_tie)
        spectrum = DATA_PENALTY * blur.otf_adjoint * blur.forward_fft(data - dual_data) + blur.forward_fft(right)
        spectrum = spectrum / denominator
        scene = blur.inverse_fft(spectrum)
        blurred = blur.inverse_fft(spectrum * blur.otf)
        gradient = [colour.weight * g for g in _gradient(scene, blur.space)]
    if blur.boundary in ("zero", "reflect"):
        scene = blur.project(scene)
        blurred = blur.spread(scene)
    return Solution(colour.join(scene), colour.join(blurred))


class _Colour:
    """RGB as luma and chroma; any other number of channels as it is."""

    def __init__(self, like: torch.Tensor) -> None:
        self.matrix = like.new_tensor(OPPONENT) if like.shape[1] == 3 else None
        weight = like.new_ones(like.shape[1])
        if self.matrix is not None:
            weight[1:] = CHROMA_WEIGHT
        self.weight = weight.reshape(1, -1, *(1,) * (like.ndim - 2))

    def split(self, planes: torch.Tensor) -> torch.Tensor:
        return planes if self.matrix is None else torch.einsum("ij,nj...->ni...", self.matrix, planes)

    def join(self, planes: torch.Tensor) -> torch.Tensor:
        return planes if self.matrix is None else torch.einsum("ji,nj...->ni...", self.matrix, planes)


def data_step(
    observed: torch.Tensor,
    blur: BlurOperator,
    valid: torch.Tensor | None,
    saturated: torch.Tensor | None = None,
    colour: _Colour | None = None,
) -> Callable[[torch.Tensor], torch.Tensor]:
    """The step towards the data: from a blurred domain that is wanted to one that agrees with what was observed.

    Parameters
    ----------
    observed : torch.Tensor, shape (N, C, *frame)
    blur : BlurOperator
    valid, saturated : torch.Tensor of bool, optional
        Pixels to fit, and pixels whose value is only a lower bound.
    colour : _Colour, optional
        The space of colours that the domain is in.

    Returns
    -------
    callable
        Planes (N, C, *domain) to planes of that shape.
    """
    colour = colour or _Colour(observed[:, :1])
    known = torch.ones_like(observed) if valid is None else valid.to(observed.dtype)
    if saturated is not None:
        known = known * (~saturated)
    whole = valid is None and saturated is None
    mask = blur.pad(known[:, :1] if whole else known)
    given = blur.pad(known * (colour.split(observed) if whole else observed))
    bound = None
    if saturated is not None:
        bound = blur.pad(torch.where(saturated, observed, -torch.inf)).nan_to_num(neginf=-1e30)
        bound = torch.where(blur.pad(saturated.to(observed.dtype)) > 0, bound, -1e30)

    def step(wanted: torch.Tensor) -> torch.Tensor:
        values = wanted if whole else colour.join(wanted)
        values = (given + DATA_PENALTY * values) / (mask + DATA_PENALTY)
        if bound is not None:
            values = torch.maximum(values, bound)
        return values if whole else colour.split(values)

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
    if valid is not None:
        values = torch.where(valid.reshape(values.shape), values, torch.nan)
    values = values[:, :: max(1, values.shape[1] // 1_000_000)]
    low, high = (values.nanquantile(q, dim=1) for q in (TAILS, 1 - TAILS))
    # A few bright points on an even ground are no outliers.
    least = LEAST_SPAN * (values.nan_to_num(-torch.inf).amax(dim=1) - values.nan_to_num(torch.inf).amin(dim=1))
    low, span = low.nan_to_num(0.0), torch.maximum(high - low, least).nan_to_num(0.0, neginf=0.0)
    shape = (-1,) + (1,) * (data.ndim - 1)
    return span.clamp_min(TINY).reshape(shape), low.reshape(shape)


def _trust(residual: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
    """Cauchy's weights: near 1 within the level, falling off with the square beyond it."""
    return 1 / (1 + (residual.detach() / level).square())


def _gradient(scene: torch.Tensor, space: int) -> list[torch.Tensor]:
    return [torch.roll(scene, -1, axis) - scene for axis in range(-space, 0)]


def _divergence(parts: list[torch.Tensor]) -> torch.Tensor:
    """Adjoint of `_gradient`."""
    total = torch.zeros_like(parts[0])
    for part, axis in zip(parts, range(-len(parts), 0), strict=True):
        total = total + torch.roll(part, 1, axis) - part
    return total


def _shrinkage(parts: list[torch.Tensor], threshold: float, exponent: float) -> torch.Tensor:
    """The factor by which the prior shortens gradients: argmin_k threshold * (k s)^p + (k s - s)^2 / 2."""
    square = torch.stack([p.square().sum(dim=1, keepdim=True) for p in parts]).sum(dim=0)
    length = square.clamp_min(1e-20).sqrt()
    if exponent == 1.0:
        return (1 - threshold / length).clamp_min(0)
    # Generalised soft thresholding: a few fixed-point steps from above the point where zero wins (Zuo et al. 2013).
    power = 1 / (2 - exponent)
    dead = (2 * threshold * (1 - exponent)) ** power
    dead += threshold * exponent * (2 * threshold * (1 - exponent)) ** (power * (exponent - 1))
    safe = length.clamp_min(dead)
    kept = safe
    for _ in range(3):
        kept = safe - threshold * exponent * kept ** (exponent - 1)
    return torch.where(length > dead, kept / safe, torch.zeros_like(kept))
