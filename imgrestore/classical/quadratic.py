"""Wiener deconvolution: a quadratic prior on the gradient."""

from __future__ import annotations

import torch

from imgrestore.classical.admm import DATA_PENALTY, data_step, filled
from imgrestore.ops.blur_operator import BlurOperator

__all__ = ["quadratic"]

STEPS = 20


def quadratic(
    observed: torch.Tensor,
    blur: BlurOperator,
    balance: torch.Tensor,
    *,
    valid: torch.Tensor | None = None,
    saturated: torch.Tensor | None = None,
    start: torch.Tensor | None = None,
) -> torch.Tensor:
    """Minimise ``||M (H x - y)||^2 + balance * ||grad x||^2`` over the domain.

    Parameters
    ----------
    observed : torch.Tensor, shape (N, C, *frame)
    blur : BlurOperator
    balance : torch.Tensor that broadcasts over (N, C, 1, ...)
    valid, saturated : torch.Tensor of bool, optional
        Pixels to fit, and pixels whose value is only a lower bound.
    start : torch.Tensor, shape (N, C, *domain), optional
        Where the steps begin; by default at what was observed, mirrored.

    Returns
    -------
    torch.Tensor, shape (N, C, *domain)
    """
    power = blur.otf.abs().square()
    prior = balance * blur.gradient_power(observed)
    tiny = torch.finfo(observed.dtype).tiny
    if blur.boundary == "periodic" and valid is None and saturated is None:
        gain = blur.otf_adjoint / (power + prior).clamp_min(tiny)
        return blur.inverse_fft(gain * blur.forward_fft(observed))
    fit_data = data_step(observed, blur, valid, saturated)
    tied = blur.boundary in ("zero", "reflect")
    denominator = (DATA_PENALTY * power + prior + (DATA_PENALTY if tied else 0.0)).clamp_min(tiny)
    scene = blur.extend(filled(observed, valid)) if start is None else start
    blurred = blur.spread(scene)
    dual_data, dual_tie = torch.zeros_like(scene), torch.zeros_like(scene)
    for _ in range(STEPS):
        data = fit_data(blurred + dual_data)
        dual_data = blurred + dual_data - data
        spectrum = DATA_PENALTY * blur.otf_adjoint * blur.forward_fft(data - dual_data)
        if tied:
            held = blur.project(scene + dual_tie)
            dual_tie = scene + dual_tie - held
            spectrum = spectrum + DATA_PENALTY * blur.forward_fft(held - dual_tie)
        spectrum = spectrum / denominator
        scene, blurred = blur.inverse_fft(spectrum), blur.inverse_fft(spectrum * blur.otf)
    return blur.project(scene)
