"""One blurred picture, all that is known of it, and the scene that explains it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import nn

from imgrestore import ops
from imgrestore.classical.admm import sparse_planes
from imgrestore.classical.noise import noise_of_planes
from imgrestore.classical.quadratic import quadratic
from imgrestore.classical.spectrum import estimate_balance
from imgrestore.ops.blur_operator import BlurOperator
from imgrestore.psf import Psf
from imgrestore.psf_field import PsfField
from imgrestore.tasks.deblur_net import refine as refine_scene

__all__ = ["Answer", "Blur", "Fit", "Method", "rms"]

Method = Literal["auto", "wiener", "rl", "tv", "hyperlaplacian"]

RICHARDSON_LUCY_STEPS = 200
# So little that a star keeps its light to 1 %, and enough that even light does not break up into grains.
RICHARDSON_LUCY_TV = 0.001
SPARSE_STEPS = {"tv": 30, "hyperlaplacian": 40}
# A dark ground: this part of the picture within so many noise levels above this quantile.
SKY_PART = 0.4
SKY_WIDTH = 6.0
SKY_QUANTILE = 0.01
# and lights this many times brighter than that width.
SKY_CONTRAST = 30.0
SAMPLES = 1_000_000
# A picture is explained where what is left over is no more than so many times its noise and this part of its range.
EXPLAINED, PSF_ERROR = 2.0, 0.02
# Noise does not take a dark pixel further below 0 than this many times its standard deviation.
LIGHT_NOISE = 6.0


@dataclass(frozen=True)
class Blur:
    """What blurred one picture, and how far that is to be trusted.

    Attributes
    ----------
    operator : BlurOperator
    psf : Psf or PsfField
    caution : float
        The methods are told this many times the noise.
    confidence : float
        From 0 to 1; 1 for a PSF that was given.
    notes : tuple of str
    """

    operator: BlurOperator
    psf: Psf | PsfField
    caution: float = 1.0
    confidence: float = 1.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """The scene of one picture, what the net changed of it (None where it took no part), and how it was found."""

    scene: torch.Tensor
    change: torch.Tensor | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Fit:
    """One picture (1, C, *frame), its blur, what is known of its pixels, and the net (None: the one that ships).

    `noise` was given or measured; `sigma` is what the methods are told, with the errors of a camera and of the PSF.
    `guessed` says that the PSF is an estimate.
    """

    data: torch.Tensor
    blur: BlurOperator
    sigma: torch.Tensor
    noise: torch.Tensor
    good: torch.Tensor
    clipped: torch.Tensor
    eight_bit: bool
    caution: float = 1.0
    net: nn.Module | None = None
    guessed: bool = False

    @property
    def valid(self) -> torch.Tensor | None:
        """The pixels to fit; None for all."""
        return None if bool(self.good.all()) else self.good

    @property
    def saturated(self) -> torch.Tensor | None:
        """The pixels that are lower bounds only; None for none."""
        return self.clipped if bool(self.clipped.any()) else None

    @property
    def robust(self) -> bool:
        """Counts are noisier where they are bright; only a camera's glare and clipping call for distrust."""
        return self.eight_bit or self.saturated is not None

    @cached_property
    def sky(self) -> torch.Tensor | None:
        """The dark ground. An 8-bit picture's black is a choice of its maker, and its noise is hidden there."""
        return None if self.eight_bit else _sky(self.data, self.sigma, self.good)

    @cached_property
    def lower(self) -> torch.Tensor | None:
        """The level below which nothing in the scene is."""
        return _darkest(self.data, self.sigma, self.good) if self.sky is None else self.sky

    def answer(self, method: Method, refined: bool) -> Answer:
        """Deblur by a method; "auto" may ask the net to refine its result."""
        if method != "auto":
            return Answer(self.solve(method), None, (f"method {method}", *self._warnings(method)))
        counts = self.lower is not None and (self.blur.space == 3 or self.sky is not None)
        chosen: Method = "rl" if counts else "tv"
        note = f"method {chosen}"
        if counts or not refined:
            return Answer(self.solve(chosen), None, (note,))
        answer = refine_scene(
            self.data,
            self.blur,
            self.sigma,
            valid=self.valid,
            saturated=self.saturated,
            lower=self.lower,
            robust=self.robust,
            caution=self.caution,
            net=self.net,
            guessed=self.guessed,
        )
        scene = self.solve(chosen) if answer.scene is None else answer.scene
        return Answer(scene, answer.change, (note, *answer.notes))

    def explained_by(self, answer: Answer) -> bool:
        """Whether the picture is an answer's scene through the blur, but for noise and an error of the PSF.

        The noise is that of the median: what no PSF explains would else be taken for noise.
        """
        used = self.good & ~self.clipped
        values = self.data.detach()[used]
        noise = noise_of_planes(self.data, used).square().mean().sqrt()
        residual = rms(self.data - self.blur.observe(answer.scene), used)
        return bool(residual <= EXPLAINED * noise + PSF_ERROR * (values.max() - values.min()))

    def _warnings(self, method: Method) -> tuple[str, ...]:
        below = int(((self.data < 0) & self.good).sum()) if method == "rl" and self.lower is None else 0
        return (f"{below} values below 0 were taken for 0",) if below else ()

    def solve(self, method: Method) -> torch.Tensor:
        """The scene by a classical method, on the domain or the frame."""
        data, blur, sigma = self.data, self.blur, self.sigma
        if method == "wiener":
            used = None if self.valid is None and self.saturated is None else self.good & ~self.clipped
            balance = estimate_balance(data, blur, sigma, used)
            return quadratic(data, blur, balance, valid=self.valid, saturated=self.saturated)
        if method == "rl":
            background: torch.Tensor | float = 0.0 if self.sky is None else self.sky
            scene, _ = ops.richardson_lucy(
                data,
                blur,
                RICHARDSON_LUCY_STEPS,
                background=background,
                tv_weight=RICHARDSON_LUCY_TV,
                sigma=sigma,
                valid=self.valid,
                saturated=self.saturated,
            )
            return scene + background
        return sparse_planes(
            data,
            blur,
            sigma,
            prior="tv" if method == "tv" else "hyper_laplacian",
            num_iter=SPARSE_STEPS[method],
            valid=self.valid,
            saturated=self.saturated,
            lower=self.lower,
            robust=self.robust,
        ).scene


def _darkest(data: torch.Tensor, sigma: torch.Tensor, valid: torch.Tensor) -> torch.Tensor | None:
    """0 for a picture of light, which has no values below it but for noise; None for any other."""
    light = (data.detach() >= -LIGHT_NOISE * sigma) | ~valid
    return torch.zeros_like(sigma) if bool(light.all()) else None


def _sky(data: torch.Tensor, sigma: torch.Tensor, valid: torch.Tensor) -> torch.Tensor | None:
    """The level (N, C, 1, ...) of an even dark ground that most of the picture shows, or None.

    Stars and stained cells stand on such a ground. No part of the scene is darker, and light that is taken for less
    than the ground would be light taken from its surroundings.
    """
    flat = torch.where(valid, data.detach(), torch.nan).flatten(2)
    flat = flat[..., :: max(1, flat.shape[-1] // SAMPLES)]
    low = flat.nanquantile(SKY_QUANTILE, dim=-1, keepdim=True)
    width = SKY_WIDTH * sigma.detach().flatten(2)
    near = (flat <= low + width).sum(dim=-1, keepdim=True)
    bright = flat.nan_to_num(-torch.inf).amax(dim=-1, keepdim=True) - low > SKY_CONTRAST * width
    if not bool(((near >= SKY_PART * flat.shape[-1]) & bright).all()):
        return None
    return low.clamp_min(0).reshape(sigma.shape)


def rms(residual: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """The root of the mean square over some pixels; 0 where there are none."""
    values = residual.detach()[where]
    return values.square().mean().sqrt() if values.numel() else residual.new_zeros(())
