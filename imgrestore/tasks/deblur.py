"""Deblurring: y = k (x) x + n with a known k."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import torch

from imgrestore import ops
from imgrestore.classical.admm import sparse_planes
from imgrestore.classical.case import Case, prepare
from imgrestore.classical.quadratic import quadratic
from imgrestore.classical.spectrum import estimate_balance
from imgrestore.ops.blur_operator import BlurOperator, Boundary
from imgrestore.pixels import ChannelAxis, saturated_pixels
from imgrestore.psf import Psf
from imgrestore.tasks.deblur_net import refine as refine_scene
from imgrestore.types import Restoration

__all__ = ["Method", "deblur"]

Method = Literal["auto", "wiener", "rl", "tv", "hyperlaplacian"]

NO_PSF = (
    "deblur needs a psf: pass an array, an imgrestore.Psf (Psf.gaussian(2), Psf.disk(5), Psf.motion(15, angle=30)), "
    "or words or a file's name ('gaussian:2', 'disk:5', 'motion:15:30', 'psf.tif')"
)
# A residual this many times the noise says that the PSF is not the one that blurred the picture.
UNEXPLAINED = 2.0
ROUNDING = 2e-3
# A PSF with all but this part of its light in one pixel blurs nothing.
SPREAD = 1e-3
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
# 8-bit files are rounded, compressed and not linear in light, and their PSFs are guesses: more than the noise.
EIGHT_BIT = 255.0
CAMERA_ERROR = 2.0 / 255
# The net was trained on errors smaller than theirs; told of more noise, it draws fewer ripples beside bright lights.
CAMERA_CAUTION = 2.0
# Noise does not take a dark pixel further below 0 than this many times its standard deviation.
LIGHT_NOISE = 6.0


def deblur(
    image: Any,
    psf: Any = None,
    *,
    method: Method = "auto",
    noise: float | None = None,
    mask: Any = None,
    details: bool = False,
    refine: bool = True,
    boundary: Boundary = "unknown",
    channel_axis: ChannelAxis = "auto",
) -> Any:
    """Sharpen a picture whose blur is known.

    Nothing needs to be set: the noise and the weights are estimated, the scene is taken to go on beyond the frame, and
    saturated and NaN pixels stay out of the fit.

    Parameters
    ----------
    image : ndarray or torch.Tensor
        NumPy: (H, W); (H, W, C) with C up to 4, where the 2nd of 2 and the 4th of 4 channels is alpha and is kept as
        it is; (D, H, W) with a 3-D PSF. Torch: (H, W), (C, H, W), (N, C, H, W), and with a depth before H for a 3-D
        PSF. uint8, uint16, or floating point in any range (values outside 0 to 1 are kept). Computed in float32,
        float64 tensors in float64; each picture of a batch is judged alone.
    psf : Psf, array or str
        What blurred the picture; see `imgrestore.Psf`. Words as in `Psf.parse`. It is scaled to sum 1.
    method : {"auto", "wiener", "rl", "tv", "hyperlaplacian"}
        "wiener": linear, fastest. "rl": Richardson-Lucy, positive, keeps the light; for counts. "tv": total variation.
        "hyperlaplacian": sparse gradients. "auto": Richardson-Lucy for stacks, and for counts on an even dark ground
        (stars, fluorescence); for all others total variation, refined by a net where they are gray or RGB.
    noise : float, optional
        Standard deviation of the noise in the picture's units (0 to 255 for uint8). Estimated by default.
    mask : array of bool, shape (H, W) or that of `image`, optional
        True where a pixel is good. False keeps it out of the fit; it is filled from the scene around it.
    details : bool
        Return a `Restoration` instead of the picture.
    refine : bool
        Let "auto" hand gray and RGB photographs to the net. False: the classical estimate.
    boundary : {"unknown", "zero", "reflect", "periodic"}
        What the scene does beyond the frame; the net takes part where it is unknown.
    channel_axis : int, None or "auto"
        As in scikit-image: the axis of the channels, or None where there are none and leading axes are a batch. Set it
        for pictures of more than 4 channels, and for 4 channels none of which is alpha.

    Returns
    -------
    array or Restoration
        Type, shape, dtype and range of `image`. Its `Restoration` has the layers "reblurred" (what the result looks
        like through the PSF) and "residual" (what that leaves over), whose sum is the input, and "refinement" (what the
        net changed, where it took part); `mask` (True where a
        pixel was left out of the fit), `psf`, and `confidence`: the noise over the residual, 1 at the most.

    Raises
    ------
    TypeError
        Where `image` is no array, or has a dtype other than those above.
    ValueError
        Where there is no PSF, the PSF is zero, negative, NaN or larger than the picture, the picture is empty or has no
        finite pixel, its layout cannot be told, or an option is none of those above.

    See Also
    --------
    imgrestore.classical : the same methods, with all their settings.

    References
    ----------
    The methods' papers stand with the functions of `imgrestore.classical`; the net is after Dong, Roth & Schiele, "Deep
    Wiener deconvolution: Wiener meets deep learning for image deblurring" (2020).

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore import deblur
    >>> blurred = np.zeros((64, 64), np.uint16)
    >>> blurred[30:35, 30:35] = 1000
    >>> sharp = deblur(blurred, "disk:2.5")
    >>> sharp.shape, sharp.dtype, bool(sharp.max() > 1000)
    ((64, 64), dtype('uint16'), True)
    """
    if psf is None:
        raise ValueError(NO_PSF)
    if method not in get_args(Method):
        raise ValueError(f"method is {method!r}; expected one of {', '.join(get_args(Method))}")
    double = isinstance(image, torch.Tensor) and image.dtype == torch.float64
    case = prepare(image, psf, boundary, mask, channel_axis, dtype=torch.float64 if double else torch.float32)
    planes, blur = case.planes, case.blur
    eight_bit = planes.peak == EIGHT_BIT
    sigma = case.sigma(noise)
    if eight_bit and noise is None:
        sigma = (sigma.square() + CAMERA_ERROR**2).sqrt()
    valid = torch.ones_like(planes.good) if case.valid is None else case.valid
    saturated = saturated_pixels(planes, valid)

    reason = _nothing_to_do(case.psf, planes.data, valid)
    if reason:
        layers = {
            "reblurred": planes.back(planes.data, as_float=True),
            "residual": planes.back(torch.zeros_like(planes.data), as_float=True),
        }
        same = image.clone() if isinstance(image, torch.Tensor) else image.copy()
        return Restoration(same, layers, psf=case.psf, confidence=1.0, notes=(reason,)) if details else same

    caution = CAMERA_CAUTION if eight_bit and noise is None else 1.0
    answers = [
        _Fit(data, blur, level, good, clipped, eight_bit).answer(method, caution if refine else None)
        for data, level, good, clipped in zip(
            *(part.split(1) for part in (planes.data, sigma, valid, saturated)), strict=True
        )
    ]
    result = planes.back(torch.cat([blur.framed(answer.scene) for answer in answers]), keep_bad=False)
    if not details:
        return result
    return _restoration(result, answers, case, sigma, valid & ~saturated)


@dataclass(frozen=True)
class _Answer:
    """The scene of one picture, what the net changed of it (None where it took no part), and how it was found."""

    scene: torch.Tensor
    change: torch.Tensor | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Fit:
    """One picture (1, C, *frame), its blur, and what is known of its pixels."""

    data: torch.Tensor
    blur: BlurOperator
    sigma: torch.Tensor
    good: torch.Tensor
    clipped: torch.Tensor
    eight_bit: bool

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

    def answer(self, method: Method, caution: float | None) -> _Answer:
        """Deblur by a method; with a caution given, "auto" asks the net."""
        if method != "auto":
            return _Answer(self.solve(method), None, (f"method {method}", *self._warnings(method)))
        counts = self.lower is not None and (self.blur.space == 3 or self.sky is not None)
        chosen: Method = "rl" if counts else "tv"
        note = f"method {chosen}"
        if counts or caution is None:
            return _Answer(self.solve(chosen), None, (note,))
        refined = refine_scene(
            self.data,
            self.blur,
            self.sigma,
            valid=self.valid,
            saturated=self.saturated,
            lower=self.lower,
            robust=self.robust,
            caution=caution,
        )
        if refined.scene is None:
            return _Answer(self.solve(chosen), None, (note, refined.note))
        return _Answer(refined.scene, refined.change, (note, refined.note))

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


def _restoration(
    result: Any, answers: list[_Answer], case: Case, sigma: torch.Tensor, used: torch.Tensor
) -> Restoration:
    """The result with its layers and what can be said of it."""
    planes, peak = case.planes, case.planes.peak
    reblurred = torch.cat([case.blur.observe(answer.scene) for answer in answers])
    residual = planes.data - reblurred
    noise, level = sigma.square().mean().sqrt(), _rms(residual, used)
    notes = list(dict.fromkeys(note for answer in answers for note in answer.notes))
    notes.append(f"noise {float(noise) * peak:.4g} in the picture's units")
    left_out = int((~used).sum())
    if left_out:
        notes.append(f"{left_out} saturated, NaN or masked values were left out of the fit")
    brightest = torch.where(used, planes.data.detach().abs(), 0.0).amax()
    if level > UNEXPLAINED * noise + ROUNDING * brightest:
        notes.append(f"the PSF explains the picture to {float(level) * peak:.3g} only, well above its noise")
    layers = {
        "reblurred": planes.back(reblurred, as_float=True, keep_bad=False),
        "residual": planes.back(residual, as_float=True),
    }
    if any(answer.change is not None for answer in answers):
        nothing = torch.zeros_like(planes.data[:1])
        changes = torch.cat([nothing if answer.change is None else answer.change for answer in answers])
        layers["refinement"] = planes.back(changes, as_float=True, keep_bad=False)
    return Restoration(
        result,
        layers,
        mask=planes.back_mask(~used),
        psf=case.psf,
        confidence=float((noise / level.clamp_min(1e-12)).clamp(max=1)),
        notes=tuple(notes),
        forward=_observed_again,
    )


def _observed_again(image: Any, layers: Mapping[str, Any]) -> Any:
    return layers["reblurred"] + layers["residual"]


def _nothing_to_do(psf: Psf, data: torch.Tensor, valid: torch.Tensor) -> str | None:
    if psf.array[psf.centre] > 1 - SPREAD:
        return "nothing to deblur: the PSF is a single point"
    values = data.detach()[valid]
    if bool(values.max() == values.min()):
        return "nothing to deblur: the picture is constant"
    return None


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


def _rms(residual: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    values = residual.detach()[where]
    return values.square().mean().sqrt() if values.numel() else residual.new_zeros(())
