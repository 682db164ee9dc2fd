"""Deblurring: y = k (x) x + n with a known k."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch

from imgrestore.classical.admm import sparse_planes
from imgrestore.classical.likelihood import richardson_lucy_planes
from imgrestore.classical.operator import BlurOperator, Boundary, as_psf
from imgrestore.classical.quadratic import quadratic
from imgrestore.classical.spectrum import estimate_balance, noise_beyond_blur
from imgrestore.pixels import ChannelAxis, Planes, not_negative, saturated_pixels, to_mask, to_planes
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
SPARSE_STEPS = {"tv": 30, "hyperlaplacian": 40}
# A dark ground: this part of the picture within so many noise levels above this quantile.
SKY_PART = 0.4
SKY_WIDTH = 6.0
SKY_QUANTILE = 0.01
# and lights this many times brighter than that width.
SKY_CONTRAST = 30.0
SAMPLES = 1_000_000
# 8-bit files are rounded, compressed and not linear in light, and their PSFs are guesses: more than the noise.
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
        PSF. uint8, uint16, or floating point in any range (values outside 0 to 1 are kept).
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
    known = as_psf(psf)
    double = isinstance(image, torch.Tensor) and image.dtype == torch.float64
    planes = to_planes(image, known.ndim, channel_axis, dtype=torch.float64 if double else torch.float32)
    data = planes.data
    keeps_gradient = isinstance(psf, torch.Tensor) and psf.requires_grad
    kernel = psf / psf.sum() if keeps_gradient else known
    blur = BlurOperator(kernel, tuple(data.shape[2:]), boundary, data)
    valid = planes.good if mask is None else planes.good & to_mask(mask, planes)
    if not bool(valid.any()):
        raise ValueError("mask leaves no pixel to fit; expected True where a pixel is good")
    sigma = _noise(planes, blur, noise, valid)
    saturated = saturated_pixels(planes) & valid

    reason = _nothing_to_do(known, data, valid)
    if reason:
        layers = {"reblurred": planes.back(data, as_float=True), "residual": planes.back(data * 0, as_float=True)}
        same = image.clone() if isinstance(image, torch.Tensor) else image.copy()
        return Restoration(same, layers, psf=known, confidence=1.0, notes=(reason,)) if details else same

    fit = _Fit(
        data,
        blur,
        sigma,
        valid=None if bool(valid.all()) else valid,
        saturated=saturated if bool(saturated.any()) else None,
        # Counts are noisier where they are bright; only a camera's glare and clipping call for distrust.
        robust=planes.peak == 255.0 or bool(saturated.any()),
        # An 8-bit picture's black is a choice of its maker, and its noise is hidden there.
        sky=_sky(data, sigma, valid) if planes.peak != 255.0 else None,
    )
    chosen: str = method
    if method == "auto":
        chosen = "rl" if known.ndim == 3 or fit.sky is not None else "tv"
    scene = first = None
    notes = [f"method {chosen}"]
    if method == "auto" and chosen == "tv" and refine:
        refined = refine_scene(
            data,
            blur,
            sigma,
            valid=fit.valid,
            saturated=fit.saturated,
            lower=fit.lower,
            robust=fit.robust,
            caution=CAMERA_CAUTION if planes.peak == 255.0 and noise is None else 1.0,
        )
        scene, first = refined.scene, refined.first
        notes.append(refined.note)
    if scene is None:
        scene = fit.solve(chosen)
    result = planes.back(blur.framed(scene), keep_bad=False)
    if not details:
        return result
    return _restoration(result, scene, first, planes, fit, known, notes)


@dataclass(frozen=True)
class _Fit:
    """A picture, its blur, and what is known of its pixels."""

    data: torch.Tensor
    blur: BlurOperator
    sigma: torch.Tensor
    valid: torch.Tensor | None
    saturated: torch.Tensor | None
    robust: bool
    sky: torch.Tensor | None

    @property
    def lower(self) -> torch.Tensor | None:
        """The level below which nothing in the scene is."""
        return _darkest(self.data, self.sigma) if self.sky is None else self.sky

    @property
    def used(self) -> torch.Tensor:
        """True where a pixel's value was fitted."""
        used = torch.ones_like(self.data, dtype=torch.bool) if self.valid is None else self.valid
        return used if self.saturated is None else used & ~self.saturated

    def solve(self, method: str) -> torch.Tensor:
        """The scene by a classical method, on the domain or the frame."""
        data, blur, sigma = self.data, self.blur, self.sigma
        if method == "wiener":
            used = None if self.valid is None and self.saturated is None else self.used
            return quadratic(data, blur, estimate_balance(data, blur, sigma, used), valid=used)
        if method == "rl":
            background: torch.Tensor | float = 0.0 if self.sky is None else self.sky
            scene, _ = richardson_lucy_planes(
                data,
                blur,
                RICHARDSON_LUCY_STEPS,
                background=background,
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
    result: Any,
    scene: torch.Tensor,
    first: torch.Tensor | None,
    planes: Planes,
    fit: _Fit,
    psf: Psf,
    notes: list[str],
) -> Restoration:
    """The result with its layers and what can be said of it."""
    reblurred = fit.blur.observe(scene)
    residual = fit.data - reblurred
    noise, level = fit.sigma.square().mean().sqrt(), _rms(residual, fit.used)
    notes.append(f"noise {float(noise) * planes.peak:.4g} in the picture's units")
    left_out = int((~fit.used).sum())
    if left_out:
        notes.append(f"{left_out} saturated, NaN or masked values were left out of the fit")
    if level > UNEXPLAINED * noise + ROUNDING * fit.data.detach().abs().amax():
        notes.append(f"the PSF explains the picture to {float(level) * planes.peak:.3g} only, well above its noise")
    layers = {
        "reblurred": planes.back(reblurred, as_float=True, keep_bad=False),
        "residual": planes.back(residual, as_float=True),
    }
    if first is not None:
        change = fit.blur.framed(scene - first)
        layers["refinement"] = planes.back(change, as_float=True, keep_bad=False)
    return Restoration(
        result,
        layers,
        mask=planes.back_mask(~fit.used),
        psf=psf,
        confidence=float((noise / level.clamp_min(1e-12)).clamp(max=1)),
        notes=tuple(notes),
        forward=_observed_again,
    )


def _observed_again(image: Any, layers: Mapping[str, Any]) -> Any:
    return layers["reblurred"] + layers["residual"]


def _noise(planes: Planes, blur: BlurOperator, noise: float | None, valid: torch.Tensor) -> torch.Tensor:
    data = planes.data
    if noise is None:
        estimated = noise_beyond_blur(data, blur, None if bool(valid.all()) else valid)
        return (estimated.square() + CAMERA_ERROR**2).sqrt() if planes.peak == 255.0 else estimated
    level = not_negative(noise, "noise", note=", in the picture's units")
    return data.new_full(data.shape[:2] + (1,) * (data.ndim - 2), level / planes.peak)


def _nothing_to_do(psf: Psf, data: torch.Tensor, valid: torch.Tensor) -> str | None:
    if psf.array[psf.centre] > 1 - SPREAD:
        return "nothing to deblur: the PSF is a single point"
    values = data.detach()[valid]
    if bool(values.max() == values.min()):
        return "nothing to deblur: the picture is constant"
    return None


def _darkest(data: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor | None:
    """0 for a picture of light, which has no values below it but for noise; None for any other."""
    values = data.detach()
    return torch.zeros_like(sigma) if bool((values >= -LIGHT_NOISE * sigma).all()) else None


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
