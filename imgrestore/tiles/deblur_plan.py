"""Deblurring a part of a picture with all that concerns the whole of it given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from imgrestore.classical.admm import sparse_planes
from imgrestore.classical.quadratic import quadratic
from imgrestore.nets.deep_wiener import DeepWiener
from imgrestore.nets.pieces import NO_CUTS, Cuts
from imgrestore.nets.weights import load
from imgrestore.ops._richardson_lucy_course import Course, follow_course
from imgrestore.ops.blur_operator import BlurOperator
from imgrestore.psf import Psf
from imgrestore.tasks.deblur_fit import RICHARDSON_LUCY_TV, SPARSE_STEPS
from imgrestore.tasks.deblur_net import FIRST_STEPS, known_of, net_scene, share_of
from imgrestore.tasks.device import net_on
from imgrestore.tasks.own_weights import own_net

__all__ = ["Canvas", "Plan", "Solver", "net_for"]

Solver = Literal["wiener", "rl", "tv", "hyperlaplacian", "net"]


@dataclass(frozen=True)
class Plan:
    """What is decided once for a picture. Tensors are those of `imgrestore.tasks.deblur_fit.Fit`, on the CPU.

    Attributes
    ----------
    psf : Psf
    solver : str
    unit : float
        What 1 stands for in the picture; `Planes.peak`.
    sigma : Tensor, shape (1, C, 1, 1)
        The noise that the methods are told of.
    span : tuple of two Tensor
        Range and lower end of the picture, as `imgrestore.classical.admm.span_of` gives them.
    tops : Tensor, shape (1, C, 1, 1)
        The value from which on a channel is saturated; infinite where it is not.
    balance : Tensor
        Weight of Wiener's prior.
    background : Tensor, shape (1, C, 1, 1)
        Of Richardson-Lucy.
    lower : Tensor or None
    robust, guessed : bool
    caution : float
    courses : tuple of Course
        Of Richardson-Lucy, one for each channel.
    variance : Tensor or None
        Of the net's features.
    weights : str or None
        The file of the net's weights.
    """

    psf: Psf
    solver: Solver
    unit: float
    sigma: Tensor
    span: tuple[Tensor, Tensor]
    tops: Tensor
    balance: Tensor
    background: Tensor
    lower: Tensor | None
    robust: bool
    guessed: bool
    caution: float
    courses: tuple[Course, ...] = ()
    variance: Tensor | None = None
    weights: str | None = None

    @property
    def stride(self) -> int:
        """Of the net's grid, 1 without it."""
        if self.solver != "net":
            return 1
        stride = net_for(self.weights).unets[0].stride
        assert isinstance(stride, int)
        return stride


def net_for(weights: str | None) -> DeepWiener:
    """The net of a file, or the one that ships."""
    net = own_net("deblur", DeepWiener, weights, "auto", True) or load("deblur")
    assert isinstance(net, DeepWiener)
    return net


@dataclass(frozen=True)
class Canvas:
    """A part of a picture: what its pixels are, which of them count, and what lies in its frame.

    Attributes
    ----------
    data : Tensor, shape (1, C, h, w)
        Where nothing was observed, what a search may begin with.
    good : Tensor of bool, shape of `data`
        Pixels to fit.
    frame : tuple of two slices
        The part of the canvas that lies in the picture's own frame, on this side of any gap.
    cuts : tuple of two sequences of int
        Where in the canvas's own periodic domain that of the whole picture begins anew; one may lie beyond its end.
    """

    data: Tensor
    good: Tensor
    frame: tuple[slice, slice]
    cuts: Cuts = NO_CUTS

    def scene(self, plan: Plan) -> Tensor:
        """The scene that explains it, shape of `data`; of use a halo away from the canvas's sides."""
        data, good = self.data, self.good
        clipped = good & (data >= plan.tops.to(data))
        saturated = clipped if bool(clipped.any()) else None
        valid = None if bool(good.all()) else good
        blur = BlurOperator(plan.psf, (data.shape[2], data.shape[3]), "unknown", data)
        sigma = plan.sigma.to(data)
        if plan.solver == "rl":
            return self._richardson_lucy(plan, blur, valid, saturated)
        start = blur.extend(data)
        if plan.solver == "wiener":
            balance = plan.balance.to(data)
            return blur.framed(quadratic(data, blur, balance, valid=valid, saturated=saturated, start=start))
        span = (plan.span[0].to(data), plan.span[1].to(data))
        known: dict[str, Any] = {
            "valid": valid,
            "saturated": saturated,
            "lower": None if plan.lower is None else plan.lower.to(data),
            "robust": plan.robust,
            "span": span,
            "start": start,
        }
        if plan.solver == "net":
            first = sparse_planes(data, blur, sigma, num_iter=FIRST_STEPS, **known)
            seen = known_of(data, valid, saturated)
            net = net_on(net_for(plan.weights), data.device)
            variance = None if plan.variance is None else plan.variance.to(data)
            scene = net_scene(net, first, data, blur, sigma, seen, span, plan.caution, variance, self._inner(blur))
            return self._believed(plan, blur, scene, first.scene, seen)
        prior: Any = "tv" if plan.solver == "tv" else "hyper_laplacian"
        steps = SPARSE_STEPS[plan.solver]
        return blur.framed(sparse_planes(data, blur, sigma, prior=prior, num_iter=steps, **known).scene)

    def _inner(self, blur: BlurOperator) -> Cuts:
        """The cuts that lie inside of the domain."""
        rows, columns = (
            [cut for cut in cuts if 0 < cut < length] for cuts, length in zip(self.cuts, blur.domain, strict=True)
        )
        return rows, columns

    def _believed(self, plan: Plan, blur: BlurOperator, refined: Tensor, first: Tensor, known: Tensor) -> Tensor:
        """The net's scene where it explains the picture; windows end at the picture's frame, as for the whole."""
        inside = (..., *self.frame)
        residuals = [(self.data - blur.crop(blur.spread(scene)))[inside].contiguous() for scene in (refined, first)]
        seen = known[inside].contiguous()
        span = plan.span[0].to(self.data)
        share, _ = share_of(residuals[0], residuals[1], blur, plan.sigma.to(self.data), span, seen, plan.guessed)
        mixed = blur.crop(first).clone()
        mixed[inside] += share * (blur.crop(refined) - blur.crop(first))[inside]
        return mixed

    def _richardson_lucy(
        self, plan: Plan, blur: BlurOperator, valid: Tensor | None, saturated: Tensor | None
    ) -> Tensor:
        planes = []
        for c, course in enumerate(plan.courses):
            one = slice(c, c + 1)
            background = float(plan.background[0, c])
            scene = follow_course(
                self.data[:, one].contiguous(),
                blur,
                course,
                background=background,
                tv_weight=RICHARDSON_LUCY_TV,
                valid=None if valid is None else valid[:, one].contiguous(),
                saturated=None if saturated is None else saturated[:, one].contiguous(),
            )
            planes.append(blur.framed(scene) + background)
        return torch.cat(planes, dim=1)
