"""The learned half of demoiré: is it a photographed screen; refine the classical estimate; check what was changed."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from imgrestore.classical.estimate import Estimate
from imgrestore.classical.moire import estimate
from imgrestore.classical.moire_screen import Screen, screen_of
from imgrestore.nets.refiner import Refiner
from imgrestore.nets.weights import WeightsError, load
from imgrestore.tasks.check import believed, local_rms
from imgrestore.tasks.device import HERE, moved, net_on
from imgrestore.tasks.own_weights import own_net

__all__ = ["LAYER", "corrected", "judged_by", "own_refiner", "refine", "told_by"]

LAYER = "refinement"
CHANNELS = 3
# What a correction may be high in the mean of a window: this much anyway, so much of the moiré taken off there,
# and so much of the picture's own structure. Beyond is nothing that the damage could have been.
ANYWAY, OF_PATTERN, OF_STRUCTURE = 0.02, 1.0, 0.6
# The gray ramp along which tones must not turn around, and the least that they may rise along it.
RAMP, LEAST_RISE = 17, 0.2
# Logarithms of the odds, as the net gives them, from which on a picture is taken for the photograph of a screen, and at
# which there is no more doubt.
DOUBT, SURE = 1.0, 2.0
NO_NUMBERS = "classical only: the net's picture had values that are no numbers"
# A share of less than this somewhere is worth a note.
NOTED = 0.5


def own_refiner(weights: Any, method: str, refined: bool) -> nn.Module | None:
    """The net of a user's own weights, as `imgrestore.tasks.own_weights.own_net` gives it.

    Raises
    ------
    ValueError
        Also where it takes other maps than the moiré, or gives anything else than colours.
    """
    net = own_net("demoire", Refiner, weights, method, refined)
    if isinstance(net, Refiner) and not net.config.maps == net.config.outputs == CHANNELS:
        raise WeightsError(
            f"{weights}: a net of {net.config.maps} maps and {net.config.outputs} outputs; expected {CHANNELS} of each"
        )
    return net


@torch.no_grad()
def refine(
    picture: Tensor,
    mask: Tensor | None,
    good: Tensor,
    net: nn.Module | None,
    device: torch.device = HERE,
) -> Estimate:
    """Take a picture apart as the classical method does, but let the net judge and refine photographs of screens.

    Parameters
    ----------
    picture : Tensor of float32, shape (C, H, W)
        Only pictures in colour are ever taken for photographs of screens.
    mask, good : Tensor
        As `imgrestore.classical.moire.estimate` takes them.
    net : Module, optional
        A `Refiner`; by default the one that ships.
    device : torch.device
        Where the net computes.

    Returns
    -------
    Estimate
        With one more layer, "refinement": what the net added. Scene, moiré and tone still add up to the picture. The
        net is followed as far as the evidence goes that this is the photograph of a screen: waves that repeat exactly
        are taken off better without it.
    """
    screen = screen_of(picture)
    # Gray and tiny pictures are never taken for photographs of screens, and a mask says what there is.
    if mask is not None or screen.odds == -math.inf:
        return _left(estimate(picture, mask, good, screen))
    try:
        net = load("demoire") if net is None else net
    except WeightsError as error:
        return _unrefined(estimate(picture, mask, good, screen), f"classical only: {error}")
    net = net_on(net, device)
    assert isinstance(net, Refiner)
    odds = net.evidence(picture.to(device))
    if not math.isfinite(odds):
        return _unrefined(estimate(picture, mask, good, screen), NO_NUMBERS)
    found = estimate(picture, mask, good, judged_by(odds, screen))
    if not found.strength > 0:
        return _left(found)
    there, estimated = picture.to(device), moved(found, device)
    curve, code = told_by(there, estimated.layers["scene"], net)
    refined: Estimate = moved(corrected(there, estimated, net, curve, code), HERE)
    return refined


def _left(found: Estimate) -> Estimate:
    """An estimate that is not that of a photographed screen."""
    return _unrefined(found, "classical only: the net knows photographs of screens" if found.damaged else None)


def _unrefined(found: Estimate, note: str | None) -> Estimate:
    """An estimate as it is, with nothing in the net's layer."""
    layers = {**found.layers, LAYER: torch.zeros_like(found.layers["scene"])}
    return replace(found, layers=layers, notes=(*found.notes, note) if note else found.notes)


def told_by(picture: Tensor, scene: Tensor, net: Refiner) -> tuple[Tensor, Tensor]:
    """What the net says of a whole picture (3, H, W) and its estimate: a curve of tones (1, 3, 10), and a code."""
    told: tuple[Tensor, Tensor] = net.head(net.view_of(picture[None], scene[None]))
    return told


def judged_by(odds: float, screen: Screen) -> Screen:
    """A screen as the net judges it, by the logarithm of the odds that there is one.

    To the judge waves and half-tones look like moiré; of these the statistics have to be for a screen, too.
    """
    strength = min(1.0, max(0.0, (odds - DOUBT) / (SURE - DOUBT)))
    return replace(screen, odds=odds, strength=strength, only_alone=screen.strength == 0)


def corrected(picture: Tensor, found: Estimate, net: Refiner, curve: Tensor, code: Tensor) -> Estimate:
    """An estimate, or a part of one, corrected by the net.

    Parameters
    ----------
    picture : Tensor, shape (3, H, W)
    found : Estimate
    net : Refiner
    curve, code : Tensor
        What it says of the whole; see `told_by`.

    Returns
    -------
    Estimate
    """
    seen, scene, moire = (plane[None] for plane in (picture, found.layers["scene"], found.layers["moire"]))
    curve = _rising(curve * found.strength)
    tone = net.tone_of(scene, curve)
    correction = net.correction_of(seen, scene, moire, tone, code)
    if not bool((tone.isfinite() & correction.isfinite()).all()):
        return _unrefined(found, NO_NUMBERS)
    share = _share(correction, moire, seen)
    correction = correction * share * found.strength
    change = tone[0] + correction[0]
    layers = {
        "scene": found.layers["scene"] + change,
        "moire": found.layers["moire"] - correction[0],
        "tone": found.layers["tone"] - tone[0],
        LAYER: change,
    }
    notes = [*found.notes, "refined by the net"]
    if float(share.min()) < NOTED:
        notes.append("the net's correction was larger than moiré can be in places, and was held back there")
    return replace(
        found, image=layers["scene"], layers=layers, notes=tuple(notes), confidence=found.confidence * share[0]
    )


def _rising(curve: Tensor) -> Tensor:
    """A change of tones held back until it turns no gray ramp around: darker stays darker."""
    ramp = torch.linspace(0, 1, RAMP, device=curve.device).expand(1, 3, 1, RAMP)
    steps = Refiner.tone_of(ramp, curve).diff(dim=-1) * (RAMP - 1)
    worst = float(steps.min())
    return curve if worst >= LEAST_RISE - 1 else curve * ((LEAST_RISE - 1) / worst)


def _share(correction: Tensor, moire: Tensor, picture: Tensor) -> Tensor:
    """How far a correction is to be believed at each pixel: (1, 1, H, W)."""
    structure = picture - torch.nn.functional.avg_pool2d(picture, 15, 1, 7, count_include_pad=False)
    allowed = ANYWAY + OF_PATTERN * local_rms(moire) + OF_STRUCTURE * local_rms(structure)
    return believed(local_rms(correction) / allowed)
