"""A last step for a PSF of any shape: against the scene that it gives, instead of a sketch."""

from __future__ import annotations

import torch
from torch import Tensor

from imgrestore.classical.admm import sparse_planes
from imgrestore.classical.psf_parametric import Candidate
from imgrestore.classical.psf_spectrum import Spectrum, kernel_power
from imgrestore.classical.psf_steps import Level, kernel_step, pruned, recentred, sketch
from imgrestore.ops.blur_operator import BlurOperator
from imgrestore.psf import Psf

__all__ = ["polished"]

STEPS = 15
# Of the restored scene only edges stronger than in a sketch are believed.
SPARSITY = 1.5e-2
# The new PSF may explain the spectrum so little worse than the old one.
WORSE = 0.97


def polished(candidate: Candidate, picture: Tensor, good: Tensor, spectrum: Spectrum, noise: float) -> Candidate:
    """A PSF estimated once more, from the picture deblurred by total variation.

    Parameters
    ----------
    candidate : Candidate
    picture, good : Tensor, shape (H, W)
        As in `shake_psf`.
    spectrum : Spectrum
    noise : float
        Standard deviation.

    Returns
    -------
    Candidate
        The one that was given where the other explains less.
    """
    planes, valid = picture[None, None], good[None, None]
    blur = BlurOperator(candidate.psf, (picture.shape[0], picture.shape[1]), "unknown", planes)
    sigma = planes.new_full((1, 1, 1, 1), noise)
    scene = sparse_planes(planes, blur, sigma, num_iter=STEPS, valid=valid, robust=False).scene
    width = max(candidate.psf.shape)
    level = Level.of(picture, good, width)
    seen = Level.of(blur.framed(scene)[0, 0], good, width).picture
    flat = torch.ones(seen.shape[0], seen.shape[1] // 2 + 1, dtype=torch.complex64)
    kernel = kernel_step(sketch(seen, flat, SPARSITY), level.picture, width, level.weight)
    psf = Psf(recentred(pruned(kernel)).numpy())
    gain = spectrum.without_blur - spectrum.misfit(kernel_power(spectrum.size, psf.array))
    return Candidate(candidate.kind, psf, gain, {}) if gain >= WORSE * candidate.gain else candidate
