"""Deblurring: y = k (x) x + n, where k is known or estimated, and may change over the picture."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, get_args

import torch
from torch import nn

from imgrestore.classical.admm import span_of
from imgrestore.classical.case import prepare, to_fit
from imgrestore.classical.jpeg import jpeg_noise
from imgrestore.classical.noise import noise_of_planes
from imgrestore.classical.spectrum import noise_beyond_blur
from imgrestore.nets.deep_wiener import DeepWiener
from imgrestore.ops.blur_operator import Boundary
from imgrestore.pixels import ChannelAxis, Planes, has_eight_bits, not_negative, saturated_pixels
from imgrestore.psf import Psf
from imgrestore.psf_field import PsfField
from imgrestore.tasks.check import REACH, tolerance, trust
from imgrestore.tasks.deblur_blind import find_blurs, no_blur
from imgrestore.tasks.deblur_field import FieldFit, field_blur, find_fields, known_field
from imgrestore.tasks.deblur_fit import Answer, Blur, Fit, Method, rms
from imgrestore.tasks.device import chosen
from imgrestore.tasks.own_weights import own_net
from imgrestore.types import Restoration

__all__ = ["Method", "deblur", "fit_of"]

NOT_EXPLAINED = "nothing to deblur: the PSF that was found does not explain the picture"
# A residual this many times the noise says that the PSF is not the one that blurred the picture.
UNEXPLAINED = 2.0
ROUNDING = 2e-3
# A PSF with all but this part of its light in one pixel blurs nothing.
SPREAD = 1e-3
TINY = 1e-12
# Of the brightest value: what float32 leaves over of an exact result.
ROUNDED = 1e-6
# 8-bit files are rounded, compressed and not linear in light, and their PSFs are guesses: more than the noise.
CAMERA_ERROR = 2.0 / 255
# The net was trained on errors smaller than theirs; told of more noise, it draws fewer ripples beside bright lights.
CAMERA_CAUTION = 2.0


def deblur(
    image: Any,
    psf: Any = None,
    *,
    field: tuple[int, int] | None = None,
    method: Method = "auto",
    noise: float | None = None,
    mask: Any = None,
    details: bool = False,
    refine: bool = True,
    weights: str | os.PathLike[str] | None = None,
    boundary: Boundary = "unknown",
    channel_axis: ChannelAxis = "auto",
    device: str | torch.device | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Any:
    """Sharpen a picture, whose blur is known or is found.

    Nothing needs to be set: the PSF, the noise and the weights are estimated, the scene is taken to go on beyond the
    frame, and saturated and NaN pixels stay out of the fit. A picture in which no blur is found comes back as it was.

    Parameters
    ----------
    image : ndarray or torch.Tensor
        NumPy: (H, W); (H, W, C) with C up to 4, where the 2nd of 2 and the 4th of 4 channels is alpha and is kept as
        it is; (D, H, W) with a 3-D PSF. Torch: (H, W), (C, H, W), (N, C, H, W), and with a depth before H for a 3-D
        PSF. uint8, uint16, or floating point in any range (values outside 0 to 1 are kept). Computed in float32,
        float64 tensors in float64; each picture of a batch is judged alone.
    psf : Psf, PsfField, array or str, optional
        What blurred the picture; see `imgrestore.Psf`. Words as in `Psf.parse`. It is scaled to sum 1. A
        `imgrestore.PsfField`, or an array (rows, columns, h, w) of PSFs, is for blur that changes over the picture.
        By default it is estimated, of each picture of a batch alone: see `imgrestore.classical.estimate_psf`.
    field : tuple of int, optional
        Rows and columns of PSFs to be estimated, where the blur changes over the picture and none is known.
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
    weights : str or path-like, optional
        A file of weights that ``imgrestore train deblur`` wrote, for the net to use; by default those that ship with
        this version.
    boundary : {"unknown", "zero", "reflect", "periodic"}
        What the scene does beyond the frame; the net takes part where it is unknown. Fields of PSFs go with "unknown".
    channel_axis : int, None or "auto"
        As in scikit-image: the axis of the channels, or None where there are none and leading axes are a batch. Set it
        for pictures of more than 4 channels, and for 4 channels none of which is alpha.
    device : str or torch.device, optional
        Where to compute: "cpu", "cuda", "cuda:1". By default where `image` is, for NumPy arrays the CPU. The result is
        where `image` is. A PSF that is not given is estimated by the CPU.
    progress : callable, optional
        Called with what is being done and the part of that step which is done, from 0 to 1.

    Returns
    -------
    array or Restoration
        Type, shape, dtype and range of `image`. Its `Restoration` has the layers "reblurred" (what the result looks
        like through the PSF) and "residual" (what that leaves over), whose sum is the input, and "refinement" (what the
        net changed, where it took part); `mask` (True where a pixel was left out of the fit), `psf` (a tuple where the
        pictures of a batch have their own), and `confidence`, in float32, of the shape of `image` without its channels:
        around each pixel the noise (with one gray level of 8 bits) over the residual, 1 at the most, times the
        confidence in an estimated PSF; one number for stacks with a 3-D PSF and for what comes back as it was.

    Raises
    ------
    TypeError
        Where `image` is no array, or has a dtype other than those above, or `weights` is no path.
    ValueError
        Where the PSF is zero, negative, NaN or larger than the picture, the picture is empty or has no finite pixel,
        its layout cannot be told, an option is none of those above, `psf` and `field` are both given, the windows of
        `field` are less than 64 pixels long, `weights` is no sound file of a net for deblurring, or is given where no
        net is asked for, or `device` is none that is there.

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

    Without a PSF:

    >>> from skimage import data
    >>> found = deblur(data.camera()[:200, :200], details=True)
    >>> found.notes[0]
    'no blur was found'
    """
    if method not in get_args(Method):
        raise ValueError(f"method is {method!r}; expected one of {', '.join(get_args(Method))}")
    net = own_net("deblur", DeepWiener, weights, method, refine)
    where = chosen(device, image)
    double = isinstance(image, torch.Tensor) and image.dtype == torch.float64
    dtype = torch.float64 if double else torch.float32
    if psf is not None and field is not None:
        raise ValueError("psf and field are both given; expected one of them: field is for PSFs that are to be found")
    psfs = known_field(psf)
    if psf is None or psfs is not None:
        planes, valid = to_fit(image, 2, mask, channel_axis, dtype=dtype, device=where)
        if psfs is not None:
            blurs = [field_blur(psfs, planes.data, boundary)] * len(planes.data)
        elif field is not None:
            blurs = find_fields(planes, valid, field, boundary, progress)
        else:
            blurs = find_blurs(planes, valid, boundary, progress)
    else:
        case = prepare(image, psf, boundary, mask, channel_axis, dtype=dtype, device=where)
        planes, valid = case.planes, case.valid
        blurs = [Blur(case.blur, case.psf)] * len(planes.data)
    used = torch.ones_like(planes.good) if valid is None else valid
    reason = _nothing_to_do(blurs, planes.data, used)
    if reason:
        return _untouched(image, planes, blurs, reason, details)

    saturated = saturated_pixels(planes, used)
    level = None if noise is None else not_negative(noise, "noise", note=", in the picture's units") / planes.peak
    fits = [
        fit_of(data, blur, level, good, clipped, net, psf is None)
        for data, blur, good, clipped in zip(
            planes.data.split(1), blurs, used.split(1), saturated.split(1), strict=True
        )
    ]
    if progress is not None:
        progress("deblurring", 0.0)
    answers, scenes = [], []
    for i, finite in enumerate(planes.good.split(1)):
        answer = None if _is_point(blurs[i].psf) else fits[i].answer(method, refine)
        if answer is not None and psf is None and not fits[i].explained_by(answer):
            answer, blurs[i] = None, no_blur(fits[i].data, boundary, NOT_EXPLAINED)
            fits[i] = fit_of(planes.data[i : i + 1], blurs[i], level, used[i : i + 1], saturated[i : i + 1], net, True)
        scenes.append(fits[i].blur.framed(answer.scene) if answer else torch.where(finite, fits[i].data, torch.nan))
        answers.append(answer or Answer(fits[i].data, None, ()))
    if all(_is_point(blur.psf) for blur in blurs):
        return _untouched(image, planes, blurs, NOT_EXPLAINED, details)
    result = planes.back(torch.cat(scenes), keep_bad=False)
    return _restoration(result, fits, answers, blurs, planes, used & ~saturated) if details else result


def fit_of(
    data: torch.Tensor,
    blur: Blur,
    level: float | None,
    good: torch.Tensor,
    clipped: torch.Tensor,
    net: nn.Module | None,
    guessed: bool,
) -> Fit:
    """One picture with its noise, to which the errors of a camera and of an estimated PSF are added."""
    if level is not None:
        noise = data.new_full((1, data.shape[1]) + (1,) * (data.ndim - 2), level)
    else:
        noise = _noise(data, blur, None if bool(good.all()) else good)
    eight_bit = has_eight_bits(data)
    camera = eight_bit and level is None
    sigma = (noise.square() + _file_error(data) ** 2).sqrt() if camera else noise
    sigma = sigma * blur.caution
    caution = CAMERA_CAUTION if camera else 1.0
    known = (data, blur.operator, sigma, noise, good, clipped, eight_bit, caution, net, guessed)
    return FieldFit(*known, psfs=blur.psf) if isinstance(blur.psf, PsfField) else Fit(*known)


def _file_error(data: torch.Tensor) -> float:
    """By how much a picture of 8 bits (1, C, H, W) differs from what the camera saw, beside its noise."""
    stored = data.ndim == 4 and data.shape[1] in (1, 3)
    return max(CAMERA_ERROR, jpeg_noise(data[0])) if stored else CAMERA_ERROR


def _noise(data: torch.Tensor, blur: Blur, valid: torch.Tensor | None) -> torch.Tensor:
    # What one PSF lets nothing pass of, another of the field may.
    by_median = isinstance(blur.psf, PsfField)
    return noise_of_planes(data, valid) if by_median else noise_beyond_blur(data, blur.operator, valid)


def _restoration(
    result: Any, fits: list[Fit], answers: list[Answer], blurs: list[Blur], planes: Planes, used: torch.Tensor
) -> Restoration:
    """The result with its layers and what can be said of it."""
    peak = planes.peak
    reblurred = torch.cat([fit.blur.observe(answer.scene) for fit, answer in zip(fits, answers, strict=True)])
    residual = planes.data - reblurred
    noise, level = _seen_noise(fits, blurs), rms(residual, used)
    notes = list(dict.fromkeys(note for blur in blurs for note in blur.notes))
    notes += dict.fromkeys(note for answer in answers for note in answer.notes)
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
        psf=_one_or_all(blurs),
        confidence=_confidence(fits, blurs, planes, residual, used),
        notes=tuple(notes),
        forward=_observed_again,
    )


def _confidence(fits: list[Fit], blurs: list[Blur], planes: Planes, residual: torch.Tensor, used: torch.Tensor) -> Any:
    """How well each picture is explained around each of its pixels, times the trust in its PSF; one number for stacks.

    A picture of a batch that was left as it was has no residual, and so the trust in that.
    """
    sure = residual.new_tensor([blur.confidence for blur in blurs])
    spans = torch.cat([span_of(fit.data, fit.valid)[0].flatten() for fit in fits])
    expected = tolerance(torch.stack([fit.noise.square().mean().sqrt() for fit in fits]), spans)
    # An even picture has neither noise nor range, and a residual of rounding.
    expected = torch.maximum(expected, ROUNDED * torch.stack([_brightest(fit) for fit in fits]))
    if residual.ndim == 5:
        level = rms(residual, used).clamp_min(TINY)
        return float((expected.square().mean().sqrt() / level).clamp(max=1) * sure.min())
    reach = max(REACH, *(size for blur in blurs for size in blur.psf.shape))
    shares = trust(residual, expected[:, None, None, None], known=None if bool(used.all()) else used, reach=reach)
    return planes.back_area((shares * sure[:, None, None, None]).to(torch.float32))


def _brightest(fit: Fit) -> torch.Tensor:
    return torch.where(fit.data.isfinite(), fit.data, 0.0).abs().amax()


def _seen_noise(fits: list[Fit], blurs: list[Blur]) -> torch.Tensor:
    """The noise of the pictures, without what was added out of caution."""
    powers = [(fit.sigma / blur.caution).square().mean() for fit, blur in zip(fits, blurs, strict=True)]
    return torch.stack(powers).mean().sqrt()


def _untouched(image: Any, planes: Planes, blurs: list[Blur], reason: str, details: bool) -> Any:
    """A picture that is returned as it is, with a residual of nothing."""
    same = image.clone() if isinstance(image, torch.Tensor) else image.copy()
    if not details:
        return same
    layers = {
        "reblurred": planes.back(planes.data, as_float=True),
        "residual": planes.back(torch.zeros_like(planes.data), as_float=True),
    }
    notes = tuple(dict.fromkeys([*(note for blur in blurs for note in blur.notes), reason]))
    confidence = min(blur.confidence for blur in blurs)
    return Restoration(same, layers, psf=_one_or_all(blurs), confidence=confidence, notes=notes)


def _one_or_all(blurs: list[Blur]) -> Any:
    """The PSF of a picture, or of a batch in which all have the same; else a tuple."""
    psfs = [blur.psf for blur in blurs]
    return psfs[0] if all(psf is psfs[0] for psf in psfs) else tuple(psfs)


def _observed_again(image: Any, layers: Mapping[str, Any]) -> Any:
    return layers["reblurred"] + layers["residual"]


def _nothing_to_do(blurs: list[Blur], data: torch.Tensor, valid: torch.Tensor) -> str | None:
    if all(_is_point(blur.psf) for blur in blurs):
        return "nothing to deblur: the PSF is a single point"
    values = data.detach()[valid]
    if bool(values.max() == values.min()):
        return "nothing to deblur: the picture is constant"
    return None


def _is_point(psf: Psf | PsfField) -> bool:
    middle: tuple[Any, ...] = (..., *psf.centre)
    return bool((psf.array[middle] > 1 - SPREAD).all())
