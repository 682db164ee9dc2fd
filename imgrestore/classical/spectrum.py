"""What a picture's spectrum says of its noise and of its scene."""

from __future__ import annotations

import torch

from imgrestore.classical.admm import filled, span_of
from imgrestore.classical.noise import noise_of_planes
from imgrestore.ops.blur_operator import BlurOperator

__all__ = ["estimate_balance", "noise_beyond_blur", "taper", "tapered_power"]

SEARCH_DECADES = (-7.0, 3.0)
SEARCH_STEPS = 81
# Largest variance of a scene's gradients, for a range of 1.
STEEPEST = 0.03
# More spectrum than this tells nothing more about one number.
SAMPLES = 200_000
# Where the transfer function is below this, what is seen is noise; it must be so on this part of the spectrum.
OPAQUE = 1e-3
LEAST_OPAQUE = 0.02
MEDIAN_OF_EXPONENTIAL = 0.6931471805599453


def taper(frame: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
    """A window that falls to zero at the frame's rim: Hann on each axis."""
    window = like.new_ones(())
    for axis, size in enumerate(frame):
        shape = [1] * len(frame)
        shape[axis] = size
        line = torch.hann_window(size + 2, periodic=False, dtype=like.dtype, device=like.device)[1:-1]
        window = window * line.reshape(shape)
    return window


def tapered_power(observed: torch.Tensor, blur: BlurOperator, valid: torch.Tensor | None = None) -> torch.Tensor:
    """Power spectrum of the frame without its mean, scaled so that white noise has its variance.

    Parameters
    ----------
    observed : torch.Tensor, shape (N, C, *frame)
    blur : BlurOperator
    valid : torch.Tensor of bool, optional

    Returns
    -------
    torch.Tensor, shape (N, C, bins)
        The half spectrum on the domain, flattened. Without gradient.
    """
    data = filled(observed.detach(), valid)
    space = tuple(range(2, data.ndim))
    window = taper(blur.frame, data)
    seen = window.expand(data.shape) if valid is None else window * valid
    # The data less their mean first, so that a large one costs no digits; then less their mean under the window.
    tapered = (data - data.mean(dim=space, keepdim=True)) * window
    tapered = tapered - tapered.sum(dim=space, keepdim=True) / window.sum() * window
    energy = seen.square().sum(dim=space, keepdim=True).clamp_min(1e-12)
    return (blur.forward_fft(blur.pad(tapered)).abs().square() / energy).flatten(2)


def noise_beyond_blur(observed: torch.Tensor, blur: BlurOperator, valid: torch.Tensor | None = None) -> torch.Tensor:
    """The noise of a blurred picture, (N, C, 1, ...): the larger of two estimates.

    One is the median of second differences, which speaks for the larger part of the picture. The other is the power
    where the blur lets nothing pass: it also has the noise of a few bright places, as counts do, and what the PSF
    does not explain.

    Parameters
    ----------
    observed : torch.Tensor, shape (N, C, *frame)
    blur : BlurOperator
    valid : torch.Tensor of bool, optional

    Returns
    -------
    torch.Tensor
        Without gradient.
    """
    sigma = noise_of_planes(observed, valid)
    response = blur.otf.detach().abs()
    opaque = (response < OPAQUE).reshape(*response.shape[: response.ndim - blur.space], -1)
    if opaque.ndim > 1 or float(opaque.float().mean()) < LEAST_OPAQUE:
        return sigma
    power = tapered_power(observed, blur, valid)[..., opaque]
    power = power[..., :: max(1, power.shape[-1] // SAMPLES)]
    beyond = (power.median(dim=-1).values / MEDIAN_OF_EXPONENTIAL).sqrt()
    return torch.maximum(sigma, beyond.reshape(sigma.shape))


def estimate_balance(
    observed: torch.Tensor, blur: BlurOperator, sigma: torch.Tensor, valid: torch.Tensor | None = None
) -> torch.Tensor:
    """The weight of `quadratic` under which the picture's spectrum is most likely.

    The scene's gradients are taken for Gaussian with variance v, so that the spectrum of the tapered picture has the
    variance ``|H|^2 v / |D|^2 + sigma^2`` (D the gradient); v is the most likely one, and the weight sigma^2 / v.

    Parameters
    ----------
    observed : torch.Tensor, shape (N, C, *frame)
    blur : BlurOperator
    sigma : torch.Tensor that broadcasts over (N, C, 1, ...)
    valid : torch.Tensor of bool, optional

    Returns
    -------
    torch.Tensor that broadcasts over (N, 1, 1, ...)
        Without gradient.
    """
    data = observed.detach()
    power = tapered_power(data, blur, valid)[..., 1:]
    prior = blur.otf.detach().abs().square() / blur.gradient_power(data).clamp_min(1e-12)
    prior = prior.expand(*([1] * (2 + blur.space - prior.ndim)), *prior.shape).flatten(2)[..., 1:]
    if power.shape[-1] == 0:  # a single pixel
        return data.new_zeros((data.shape[0],) + (1,) * (data.ndim - 1))
    step = max(1, power.shape[-1] // SAMPLES)
    power, prior = power[..., ::step].double(), prior[..., ::step].double()
    scale = power.mean(dim=(1, 2), keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
    floor = sigma.detach().flatten(2).double().square().clamp_min(scale * 1e-10)
    best, best_cost = torch.ones_like(scale), torch.full_like(scale, torch.inf)
    for exponent in torch.linspace(*SEARCH_DECADES, SEARCH_STEPS).tolist():
        variance = scale * 10.0**exponent
        model = prior * variance + floor
        cost = (model.log() + power / model).mean(dim=(1, 2), keepdim=True)
        better = cost < best_cost
        best, best_cost = torch.where(better, variance, best), torch.where(better, cost, best_cost)
    # A few lights beside a dark scene look like white noise: no scene's gradients are as large all over.
    span, _ = span_of(observed, valid)
    best = torch.minimum(best, STEEPEST * span.flatten(1).double()[..., None].square())
    floor = floor.mean(dim=1, keepdim=True)
    balance = floor / best.clamp_min(1e-12 * floor)
    return balance.to(data.dtype).reshape(-1, *(1,) * (data.ndim - 1))
