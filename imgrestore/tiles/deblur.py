"""Deblurring large pictures: PSF, noise, range and method are settled once, then tiles are deblurred by them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import torch

from imgrestore.ops.blur_operator import BlurOperator, as_psf
from imgrestore.pixels import (
    ChannelAxis,
    not_negative,
)
from imgrestore.psf import Psf
from imgrestore.psf_field import PsfField
from imgrestore.tasks.deblur import NOT_EXPLAINED, SPREAD, fit_of
from imgrestore.tasks.deblur_blind import find_blurs
from imgrestore.tasks.deblur_field import known_field
from imgrestore.tasks.deblur_fit import Blur, Fit, Method
from imgrestore.tiles.deblur_plan import Plan, Solver, net_for
from imgrestore.tiles.deblur_settle import TOLERANCE, TOLERANCE_NET, Part, part_of, plan_of, reach_of, settled_of
from imgrestore.tiles.deblur_work import DeblurWork
from imgrestore.tiles.look import Look
from imgrestore.tiles.masks import mask_source
from imgrestore.tiles.prepared import Prepared, Unchanged, Work
from imgrestore.tiles.rim import Axis, Rim
from imgrestore.tiles.source import Source

__all__ = ["prepare_deblur"]

# Pixels that are left out are filled from so far away.
FILLED = 50
# What the halo has beyond the reach that was measured on one part.
SPARE = 8
# Working memory for one pixel of a tile with its halo: of each channel, and beside it. Measured by
# benchmarks/tiles_memory.py, with a tenth and more to spare; the net's was not, and
# is twice what `imgrestore.tasks.deblur_net` says.
BYTES: Mapping[Solver, tuple[float, float]] = {
    "wiener": (70.0, 90.0),
    "rl": (25.0, 35.0),
    "tv": (80.0, 30.0),
    "hyperlaplacian": (80.0, 40.0),
    "net": (100.0, 600.0),
}
# What the net reaches in one part of the picture, it may exceed in another.
LEAST_NET = 128
HYPER = (
    "hyperlaplacian decides by thresholds that jump: some pixels in a hundred of a tile may differ from those of the "
    "whole, single ones by some hundredths of the range"
)


def prepare_deblur(
    source: Source,
    look: Look,
    psf: Any = None,
    *,
    field: Any = None,
    method: Method = "auto",
    noise: float | None = None,
    mask: Any = None,
    refine: bool = True,
    weights: str | os.PathLike[str] | None = None,
    boundary: str = "unknown",
    channel_axis: ChannelAxis = "auto",
    device: str | torch.device | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Prepared:
    """Settle what concerns the whole of a blurred picture.

    Parameters
    ----------
    source : Source
    look : Look
    psf, field, method, noise, mask, refine, weights, boundary, channel_axis, device, progress
        As in `imgrestore.deblur`; `boundary` has to be "unknown", and `field` None. `mask` may be anything that is
        read by slices.

    Returns
    -------
    Prepared

    Raises
    ------
    TypeError, ValueError
        Where an option is not as described; the message names it.
    """
    _check(psf, field, method, boundary)
    file = None if weights is None else os.fspath(weights)
    if file is not None:
        net_for(file)
    level = None if noise is None else not_negative(noise, "noise", note=", in the picture's units")
    known = None if psf is None else as_psf(psf)
    good = None if mask is None else mask_source(mask, source.shape)
    parts = [part_of(pixels, window, look, good, channel_axis, device) for window, pixels in look.crops]
    blurs = _blurs(parts, known, progress)
    blur = max(blurs, key=lambda one: (not _is_point(one.psf), one.confidence))
    notes = list(dict.fromkeys(blur.notes))
    if known is None:
        notes += look.crop_notes("the PSF was looked for")
    reason = _nothing_to_do(blurs, parts)
    if reason:
        return _untouched(source, (*notes, reason))
    fits = [_fit(part, blur.psf, blur, level, known is None, file) for part in parts]
    settled = settled_of(fits, look, channel_axis, device)
    plan, told = plan_of(settled, fits, method, refine, file, look)
    if plan is None:
        return _untouched(source, (*notes, NOT_EXPLAINED))
    notes += [*told, f"noise {float(settled.noise.square().mean().sqrt()) * plan.unit:.4g} in the picture's units"]
    reach = reach_of(plan, fits[0])
    if plan.solver == "net":
        reach = replace(reach, pixels=max(reach.pixels, LEAST_NET))
    if reach.rest > (TOLERANCE_NET if plan.solver == "net" else TOLERANCE):
        notes.append(f"tiles agree with the whole to {reach.rest:.1g} of the range only")
    pixels = reach.pixels + SPARE + (0 if look.finite and good is None else FILLED)
    notes += look.crop_notes("noise and method were settled")
    options = {"method": method, "noise": noise, "refine": refine, "weights": weights}
    return _prepared(source, look, plan, pixels, good, tuple(notes), channel_axis, device, options)


def _check(psf: Any, field: Any, method: str, boundary: str) -> None:
    if method not in get_args(Method):
        raise ValueError(f"method is {method!r}; expected one of {', '.join(get_args(Method))}")
    if boundary != "unknown":
        raise ValueError(f"boundary is {boundary!r}; expected 'unknown', which alone goes with tiles")
    if field is not None or isinstance(psf, PsfField) or known_field(psf) is not None:
        raise ValueError("field: a PSF that changes over the picture does not go with tiles; expected a single PSF")
    if psf is not None and as_psf(psf).ndim != 2:
        raise ValueError(f"psf has {as_psf(psf).ndim} axes; expected 2, as tiles are parts of a picture")


def _blurs(parts: list[Part], psf: Psf | None, progress: Any) -> list[Blur]:
    if psf is None:
        return [find_blurs(part.planes, part.valid, "unknown", progress)[0] for part in parts]
    data = parts[0].planes.data
    return [Blur(BlurOperator(psf, (data.shape[2], data.shape[3]), "unknown", data), psf)]


def _is_point(psf: Psf | PsfField) -> bool:
    assert isinstance(psf, Psf)
    return bool(psf.array[psf.centre] > 1 - SPREAD)


def _nothing_to_do(blurs: list[Blur], parts: list[Part]) -> str | None:
    if sum(_is_point(blur.psf) for blur in blurs) > len(blurs) / 2:
        return "nothing to deblur: the PSF is a single point"
    values = [part.planes.data[part.used] for part in parts]
    ends = [(float(one.min()), float(one.max())) for one in values if one.numel()]
    if not ends or min(low for low, _ in ends) == max(high for _, high in ends):
        return "nothing to deblur: the picture is constant"
    return None


def _fit(part: Part, psf: Any, blur: Blur, level: float | None, guessed: bool, weights: str | None) -> Fit:
    data = part.planes.data
    operator = BlurOperator(psf, (data.shape[2], data.shape[3]), "unknown", data)
    net = None if weights is None else net_for(weights)
    own = replace(blur, operator=operator)
    given = None if level is None else level / part.planes.peak
    return fit_of(data, own, given, part.used, part.clipped, net, guessed)


def _untouched(source: Source, notes: tuple[str, ...]) -> Prepared:
    return Prepared("deblur", tuple(source.shape), np.dtype(source.dtype), 0, notes, 1.0, 0, Unchanged())


def _prepared(
    source: Source,
    look: Look,
    plan: Plan,
    reach: int,
    mask: Source | None,
    notes: tuple[str, ...],
    channel_axis: ChannelAxis,
    device: Any,
    options: dict[str, Any],
) -> Prepared:
    height, width = look.shape[:2]
    stride = plan.stride
    halo = reach + stride
    whole = BlurOperator(plan.psf, (height, width), "unknown", torch.zeros(1))
    axes = tuple(
        Axis(length, before, mirror.numpy())
        for length, before, mirror in zip((height, width), whole.before, whole._mirror, strict=True)
    )
    turns = plan.solver != "rl"
    rim = Rim.of(source, halo) if turns else None
    mask_rim = Rim.of(mask, halo) if turns and mask is not None else None
    if plan.solver == "hyperlaplacian":
        notes = (*notes, HYPER)
    options |= {"channel_axis": channel_axis, "device": device}
    work: Work = DeblurWork(
        plan,
        reach,
        look.shape,
        (axes[0], axes[1]),
        rim,
        mask_rim,
        mask,
        channel_axis,
        device,
        options if look.is_whole else None,
    )
    kept = sum(one.nbytes for one in (rim, mask_rim) if one is not None)
    if plan.solver == "net":
        kept += sum(p.numel() * p.element_size() for p in net_for(plan.weights).parameters())
    each, beside = BYTES[plan.solver]
    channels = plan.sigma.shape[1]
    return Prepared("deblur", look.shape, look.dtype, halo, notes, each * channels + beside, kept, work)
