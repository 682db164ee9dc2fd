"""What is settled once for a blurred picture: from all of it, or from samples and parts of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imgrestore.classical.admm import span_of, sparse_planes
from imgrestore.classical.spectrum import estimate_balance
from imgrestore.ops._richardson_lucy_course import Course, find_course
from imgrestore.ops.blur_operator import BlurOperator
from imgrestore.pixels import (
    SATURATED_LEAST,
    SATURATED_PART,
    ChannelAxis,
    Planes,
    has_eight_bits,
    saturated_pixels,
    to_planes,
)
from imgrestore.psf import Psf
from imgrestore.tasks.deblur_fit import RICHARDSON_LUCY_STEPS, RICHARDSON_LUCY_TV, Answer, Fit, Method
from imgrestore.tasks.deblur_net import FIRST_STEPS, known_of, refine, seen_by_net
from imgrestore.tasks.device import chosen
from imgrestore.tiles.deblur_plan import Canvas, Plan, Solver, net_for
from imgrestore.tiles.deblur_work import mask_planes
from imgrestore.tiles.look import Look
from imgrestore.tiles.reach import Reach, find_reach
from imgrestore.tiles.source import Source
from imgrestore.tiles.window import Window

__all__ = ["TOLERANCE", "TOLERANCE_NET", "Part", "part_of", "plan_of", "reach_of", "settled_of"]

# By how much of the range tiles may differ from the whole at most where their surroundings end.
# The net rounds to 8 bits inside: less than the second cannot be told from that.
TOLERANCE, TOLERANCE_NET = 1e-5, 1e-3
# Side of the part on which a net is asked whether it takes part, where the picture is not looked at as a whole.
TRIED = 512


@dataclass(frozen=True)
class Part:
    """A part of the picture at full size (or its samples), as planes, and what counts of it."""

    planes: Planes
    used: Tensor
    clipped: Tensor

    @property
    def valid(self) -> Tensor | None:
        """What counts; None for all."""
        return None if bool(self.used.all()) else self.used


def unit_of(look: Look) -> float:
    """What 1 stands for in the planes of the picture and of all its parts."""
    ends = np.array([[look.least, look.most]]) if look.dtype.kind == "f" else np.zeros((1, 1), look.dtype)
    return to_planes(ends, channel_axis=None).peak


def part_of(
    pixels: NDArray[Any],
    window: Window | None,
    look: Look,
    mask: Source | None,
    channel_axis: ChannelAxis,
    device: Any,
) -> Part:
    """A part of a picture as planes.

    Parameters
    ----------
    pixels : ndarray
    window : Window or None
        Where it lies; None for samples from all over the picture.
    look : Look
    mask : Source or None
        True where a pixel is good.
    channel_axis, device
        As in `imgrestore.deblur`.

    Returns
    -------
    Part

    Raises
    ------
    ValueError
        Where the mask leaves nothing of a picture that was looked at as a whole.
    """
    where = chosen(device, pixels)
    planes = to_planes(pixels, 2, channel_axis, dtype=torch.float32, device=where, unit=unit_of(look))
    used = planes.good.expand(planes.data.shape)
    if mask is not None and window is not None:
        used = used & mask_planes(mask.read(window), planes)
        if look.is_whole and not bool(used.any()):
            raise ValueError("mask leaves no pixel to fit; expected True where a pixel is good")
    if look.is_whole:
        return Part(planes, used, saturated_pixels(planes, used))
    return Part(planes, used, used & (planes.data >= _tops(look, planes)))


def _tops(look: Look, planes: Planes) -> Tensor:
    """From which value on each channel (1, C, 1, 1) of a large picture is saturated, as `saturated_pixels` tells it."""
    count = planes.data.shape[1]
    if look.dtype.kind != "f":
        return planes.data.new_ones(1, count, 1, 1)
    heap, pixels = look.heap, look.shape[0] * look.shape[1]
    piled = (heap.pile >= max(SATURATED_LEAST, SATURATED_PART * pixels)) & (heap.rest > 0) & (heap.pile > heap.rest)
    tops = np.where(piled, heap.top / planes.peak, np.inf)[:count]
    return torch.from_numpy(tops).to(planes.data).reshape(1, count, 1, 1)


def settled_of(fits: list[Fit], look: Look, channel_axis: ChannelAxis, device: Any) -> Fit:
    """What is known of the whole picture: the fit of all of it, or of its samples with the noise of its parts."""
    if look.is_whole:
        return fits[0]
    sigma, noise = (
        torch.stack([getattr(fit, name) for fit in fits]).median(dim=0).values for name in ("sigma", "noise")
    )
    samples = part_of(look.samples, None, look, None, channel_axis, device)
    return replace(
        fits[0],
        data=samples.planes.data,
        sigma=sigma,
        noise=noise,
        good=samples.used,
        clipped=samples.clipped,
        eight_bit=has_eight_bits(samples.planes.data),
        caution=max(fit.caution for fit in fits),
    )


def plan_of(
    settled: Fit, fits: list[Fit], method: Method, refined: bool, weights: str | None, look: Look
) -> tuple[Plan | None, list[str]]:
    """Everything that tiles are told, with notes; no plan where the PSF that was found does not explain the picture."""
    data, psf = settled.data, settled.blur.psf
    assert isinstance(psf, Psf)
    counts = settled.lower is not None and settled.sky is not None
    solver: Solver = ("rl" if counts else "tv") if method == "auto" else method
    notes = [f"method {solver}"]
    same = [
        replace(one, sigma=settled.sigma, noise=settled.noise, eight_bit=settled.eight_bit, caution=settled.caution)
        for one in fits
    ]
    span = span_of(data, settled.valid)
    if data.shape[1] not in (1, 3):
        parts = [
            span_of(one, None if settled.valid is None else settled.good[:, c : c + 1])
            for c, one in enumerate(data.split(1, dim=1))
        ]
        span = (torch.cat([low for low, _ in parts]), torch.cat([high for _, high in parts]))
    tops = torch.where(
        settled.clipped.any(dim=(2, 3), keepdim=True),
        torch.where(settled.clipped, data, -torch.inf).amax((2, 3), keepdim=True),
        torch.inf,
    )
    if look.dtype.kind != "f":
        tops = torch.ones_like(tops)
    plan = Plan(
        psf=psf,
        solver=solver,
        unit=unit_of(look),
        sigma=settled.sigma,
        span=span,
        tops=tops,
        balance=settled.sigma.new_zeros(1),
        background=torch.zeros_like(settled.sigma) if settled.sky is None else settled.sky,
        lower=settled.lower,
        robust=settled.robust,
        guessed=settled.guessed,
        caution=settled.caution,
        weights=weights,
    )
    if solver == "wiener":
        plan = replace(plan, balance=_balance(same))
    if solver == "rl":
        plan = replace(plan, courses=_courses(same[0], plan))
    if method == "auto" and not counts and refined:
        plan, told = _with_net(plan, same[0] if look.is_whole else _tried(same[0], plan))
        notes += told
    if settled.guessed and not _explained(plan, same[0]):
        return None, notes
    return plan, notes


def _balance(fits: list[Fit]) -> Tensor:
    found = []
    for fit in fits:
        used = None if fit.valid is None and fit.saturated is None else fit.good & ~fit.clipped
        found.append(estimate_balance(fit.data, fit.blur, fit.sigma, used))
    return torch.stack(found).median(dim=0).values


def _courses(fit: Fit, plan: Plan) -> tuple[Course, ...]:
    courses = []
    for c in range(fit.data.shape[1]):
        one = slice(c, c + 1)
        _, course = find_course(
            fit.data[:, one].contiguous(),
            fit.blur,
            RICHARDSON_LUCY_STEPS,
            background=float(plan.background[0, c]),
            tv_weight=RICHARDSON_LUCY_TV,
            sigma=fit.sigma[:, one],
            valid=None if fit.valid is None else fit.good[:, one].contiguous(),
            saturated=None if fit.saturated is None else fit.clipped[:, one].contiguous(),
        )
        courses.append(course)
    return tuple(courses)


def _tried(fit: Fit, plan: Plan) -> Fit:
    """The middle of a part, small enough to ask the net about."""
    height, width = fit.data.shape[2:]
    tall, wide = min(TRIED, height), min(TRIED, width)
    top, left = (height - tall) // 2, (width - wide) // 2
    middle = (..., slice(top, top + tall), slice(left, left + wide))
    data = fit.data[middle].contiguous()
    operator = BlurOperator(plan.psf, (tall, wide), "unknown", data)
    return replace(fit, data=data, blur=operator, good=fit.good[middle], clipped=fit.clipped[middle])


def _with_net(plan: Plan, fit: Fit) -> tuple[Plan, list[str]]:
    """The plan with the net, where it takes part in a picture; with what it says."""
    answer = refine(
        fit.data,
        fit.blur,
        fit.sigma,
        valid=fit.valid,
        saturated=fit.saturated,
        lower=plan.lower,
        robust=plan.robust,
        caution=plan.caution,
        net=fit.net,
        guessed=fit.guessed,
    )
    if answer.scene is None:
        return plan, list(answer.notes)
    net = net_for(plan.weights)
    first = sparse_planes(
        fit.data,
        fit.blur,
        fit.sigma,
        num_iter=FIRST_STEPS,
        valid=fit.valid,
        saturated=fit.saturated,
        lower=plan.lower,
        robust=plan.robust,
        span=plan.span,
    )
    known = known_of(fit.data, fit.valid, fit.saturated)
    with torch.no_grad():
        variance = net.variance_of(seen_by_net(first, fit.data, fit.blur, known, plan.span)[0])
    return replace(plan, solver="net", variance=variance), list(answer.notes)


def _explained(plan: Plan, fit: Fit) -> bool:
    frame = (slice(0, fit.data.shape[2]), slice(0, fit.data.shape[3]))
    scene = Canvas(fit.data, fit.good, frame).scene(plan)
    return fit.explained_by(Answer(fit.blur.extend(scene), None, ()))


def reach_of(plan: Plan, fit: Fit) -> Reach:
    """How far the plan's result depends on its surroundings, measured on a part of the picture."""

    def restore(planes: Tensor) -> Tensor:
        frame = (slice(0, planes.shape[2]), slice(0, planes.shape[3]))
        return Canvas(planes, torch.ones_like(planes, dtype=torch.bool), frame).scene(plan)

    # Thresholds that jump enlarge rounding until it cannot be told from what lies farther away; not in float64.
    data = fit.data.double() if plan.solver == "hyperlaplacian" else fit.data
    span = plan.span[0].reshape(1, -1, 1, 1).to(data)
    with torch.no_grad():
        return find_reach(
            restore,
            data,
            span,
            TOLERANCE_NET if plan.solver == "net" else TOLERANCE,
            start=max(64, 2 * max(plan.psf.shape)),
            stride=plan.stride,
        )
