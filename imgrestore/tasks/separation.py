"""The learned half of the tasks that take a picture apart: correct the classical layer where the net sees damage."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imgrestore import ops
from imgrestore.classical.estimate import Estimate
from imgrestore.nets.refiner import view_of
from imgrestore.nets.separator import Form, Separator, added_layer, covered_layer, factor_layer
from imgrestore.nets.weights import WeightsError, load
from imgrestore.tasks.device import HERE, moved, net_on
from imgrestore.tasks.own_weights import own_net

__all__ = [
    "MARKS",
    "Marks",
    "Seen",
    "classical_only",
    "lifted",
    "marks_of",
    "own_separator",
    "refine",
    "seen_by_net",
]


@dataclass(frozen=True)
class Kind:
    """What a task's net corrects.

    Attributes
    ----------
    scene, layer : str
        Names of the two layers.
    form : {"factor", "added", "covered"}
        How it meets the scene.
    doubtful, sure : float
        Evidence up to which the net is not followed, and from which on it is followed altogether. For a factor it is
        the light that is given back to the fiftieth part of the picture that gets most of it, for a range of 1; else
        the probability that there is damage at all, by the net's judge.
    viewed : int
        Shorter side of what the net sees: what belongs together has to fit into its view.
    kept : {"", "masked", "unmasked"}
        Of which pictures, with or without a user's mask, the classical result is kept wherever it changed anything.
    agreed : float
        How far the net is followed below masks and in other pictures that the classical method changed: where both are
        about equally wrong, their mean is less so.
    near : int
        Within how many pixels of what the classical method found the net is heard in such pictures; 0 for everywhere.
    obeys : bool
        Whether all of a user's mask counts as damaged. Else the net's own probabilities count below it: reflections
        lie over a whole picture, but not evenly.
    """

    scene: str
    layer: str
    form: Form
    doubtful: float
    sure: float
    viewed: int
    kept: Literal["", "masked", "unmasked"] = ""
    agreed: float = 1.0
    near: int = 0
    obeys: bool = True


MARKS = {
    "deshadow": Kind("scene", "gain", "factor", 0.24, 0.28, 160, "masked"),
    "dereflect": Kind("transmission", "reflection", "added", 0.9885, 0.991, 160, agreed=0.7, obeys=False),
    "despecular": Kind("diffuse", "specular", "added", 0.9, 0.97, 224, agreed=0.35, near=4),
    "derust": Kind("scene", "density", "covered", 0.95, 0.99, 224, "unmasked", agreed=0.5),
}
# Pictures with a shorter side are none of the net's; how many times as long as its shorter side the longer one may be
# in what it sees.
LEAST_SIDE, LONGEST = 32, 4
# Less than this of a crust is none.
SEEN = 1e-3
# The least factor that is told, and the darkest pixel that has a shadow's factor of its own.
LEAST, BLACK = 0.03, 1e-6
# The part of a picture that has to be given back its light before a shadow is believed.
PART = 0.02
# The guided filter that brings a factor to full size: radius in pixels of the reduced picture, and step of light kept.
RADIUS, STEP = 3, 0.03
COLOURS = 3
# Log odds whose exponential is a number still.
LARGE = 80.0
NO_NUMBERS = "classical only: the net's picture had values that are no numbers"


@dataclass(frozen=True)
class Marks:
    """A classical estimate as `imgrestore.nets.separator.Separator` takes it.

    Attributes
    ----------
    estimate : Tensor, shape (3, H, W)
        The scene.
    layer : Tensor, shape (L, H, W)
        The damage.
    found : Tensor of float32, shape (1, H, W)
        1 where damage was found.
    """

    estimate: Tensor
    layer: Tensor
    found: Tensor


@dataclass(frozen=True)
class _Told:
    """What a net says of a picture, at full size: layer (L, H, W), odds (1, H, W), filling (3, H, W).

    And the log odds that there is damage at all.
    """

    layer: Tensor
    odds: Tensor
    filling: Tensor
    presence: float


def marks_of(task: str, one: Estimate) -> Marks:
    """A classical estimate in colour, as the task's net takes it.

    Parameters
    ----------
    task : str
        One of `MARKS`.
    one : Estimate
        Of shape (3, H, W).

    Returns
    -------
    Marks
    """
    kind = MARKS[task]
    layer = one.layers[kind.layer]
    if kind.form == "factor":
        layer = layer.clamp(LEAST, 1).log()
    elif kind.form == "covered":
        hidden = one.layers["opaque"].abs().amax(0, keepdim=True) > SEEN
        layer = torch.cat([layer.expand(COLOURS, -1, -1), hidden.float()])
    found = torch.zeros_like(one.image[:1]) if one.mask is None else one.mask.float()
    return Marks(one.image, layer, found)


def own_separator(task: str, weights: Any, method: str, refined: bool) -> nn.Module | None:
    """The net of a user's own weights, as `imgrestore.tasks.own_weights.own_net` gives it.

    Raises
    ------
    ValueError
        Also where the net's layer meets the scene in another way.
    """
    net = own_net(task, Separator, weights, method, refined)
    if isinstance(net, Separator) and net.config.form != MARKS[task].form:
        raise WeightsError(f"{weights}: a net of the form {net.config.form}; expected {MARKS[task].form}")
    return net


@dataclass(frozen=True)
class Seen:
    """What a task's net sees in a picture, whether it is to be believed or not.

    Attributes
    ----------
    presence : float
        Logarithm of the odds that there is damage at all.
    odds : Tensor of float32, shape (1, H, W)
        The same of every pixel.
    scene : Tensor of float32, shape (3, H, W)
        What the net alone would make of the picture.
    """

    presence: float
    odds: Tensor
    scene: Tensor


@torch.no_grad()
def seen_by_net(task: str, picture: Tensor, found: Estimate, net: nn.Module | None = None) -> Seen:
    """Ask a task's net what it sees, without a say of the classical method whether it is to be followed.

    Parameters
    ----------
    task : str
        One of `MARKS`.
    picture : Tensor of float32, shape (3, H, W)
        On the CPU, 32 pixels or more a side.
    found : Estimate
        The classical one.
    net : Module, optional
        A `Separator`; by default the one that ships.

    Returns
    -------
    Seen

    Raises
    ------
    WeightsError
        Where there are no weights.
    """
    net = load(task) if net is None else net
    assert isinstance(net, Separator)
    kind = MARKS[task]
    told = _asked(net, picture, None, marks_of(task, found), kind, kind.form != "factor")
    presence = told.presence if kind.form != "factor" else float(torch.sigmoid(told.odds).mean().logit(1e-6))
    return Seen(presence, told.odds, _corrected(kind, picture, told, found, torch.sigmoid(told.odds)).image)


@torch.no_grad()
def refine(
    task: str,
    picture: Tensor,
    mask: Tensor | None,
    found: Estimate,
    net: nn.Module | None,
    device: torch.device = HERE,
) -> Estimate:
    """Let the task's net correct what a classical method made of a picture.

    Parameters
    ----------
    task : str
        One of `MARKS`.
    picture : Tensor of float32, shape (C, H, W)
    mask : Tensor of bool, shape (1, H, W), optional
        The user's: nothing is changed elsewhere, but for a rim of a pixel.
    found : Estimate
        The classical one.
    net : Module, optional
        A `Separator`; by default the one that ships.
    device : torch.device
        Where the net computes.

    Returns
    -------
    Estimate
        With the same layers, which still make the picture. It is the classical one, with a note, where the net cannot
        take part, and without where it sees no damage.
    """
    if len(picture) != COLOURS or min(picture.shape[1:]) < LEAST_SIDE:
        return classical_only(found, "the net knows pictures in colour, and none that are tiny")
    try:
        net = load(task) if net is None else net
    except WeightsError as error:
        return classical_only(found, str(error))
    kind = MARKS[task]
    if kind.kept == ("unmasked" if mask is None else "masked") and found.changes(picture):
        # Told where a shadow is, the classical method measures its light better than the net guesses it; and so it does
        # the density of stains where one surface goes on around them.
        return classical_only(found, "it was measured from the surface around the damage")
    there, area, estimate = moved((picture, mask, found), device)
    refined: Estimate = moved(_refined(task, there, area, estimate, net_on(net, device)), HERE)
    return refined


def _refined(task: str, picture: Tensor, mask: Tensor | None, found: Estimate, net: nn.Module) -> Estimate:
    """The same, where the net can take part; all on one device."""
    assert isinstance(net, Separator)
    kind, before = MARKS[task], marks_of(task, found)
    judged = mask is None and kind.form != "factor" and not found.changes(picture)
    told = _asked(net, picture, mask, before, kind, judged)
    if not all(bool(one.isfinite().all()) for one in (told.layer, told.odds, told.filling)):
        return replace(found, notes=(*found.notes, NO_NUMBERS))
    likely = torch.sigmoid(told.odds)
    share: float | Tensor = _followed(kind, picture, told, found, mask)
    if share == 0:
        return found
    area = likely > 0.5 if mask is None else mask
    if mask is None and found.mask is not None and kind.near and found.changes(picture):
        share, area = share * _softened(found.mask.float()[None], kind.near)[0], found.mask
    held = replace(told, layer=before.layer + share * (told.layer - before.layer))
    return replace(_corrected(kind, picture, held, found, likely), mask=area)


def classical_only(found: Estimate, why: str) -> Estimate:
    """A classical estimate that no net has seen, with the reason where it says that there is damage."""
    return replace(found, notes=(*found.notes, f"classical only: {why}")) if found.damaged else found


def _asked(net: Separator, picture: Tensor, mask: Tensor | None, marks: Marks, kind: Kind, judged: bool) -> _Told:
    """What the net says of a picture, which it sees reduced; where it is not judged, that there is damage."""
    size = tuple(picture.shape[1:])
    scale = min(1.0, kind.viewed / min(size), LONGEST * kind.viewed / max(size))
    small = [max(LEAST_SIDE // 2, round(scale * length)) for length in size]

    def reduced(planes: Tensor) -> Tensor:
        return planes[None] if scale == 1 else F.interpolate(planes[None], small, mode="area")

    seen, estimate, layer, found = (reduced(one) for one in (picture, marks.estimate, marks.layer, marks.found))
    given = None
    if mask is not None and kind.obeys:
        soft = _softened(reduced(mask.float()))
        given = torch.cat([soft, torch.ones_like(soft)], dim=1)
    view = view_of(picture[None], marks.estimate[None], net.config.view)
    result = net(seen, estimate, layer, found, given, view)
    filling = result.scene if result.filling is None else result.filling
    presence = _presence(net, result.odds, seen, estimate, layer, found, view) if judged else math.inf
    change, odds = result.layer - layer, result.odds
    if scale < 1:
        change, odds, filling = (
            F.interpolate(one, size, mode="bilinear", align_corners=False) for one in (change, odds, filling)
        )
        # What the reduced picture blurs follows the edges of the full one.
        guide, radius = picture.mean(0), max(1, round(RADIUS / scale))
        change = torch.stack([ops.guided(plane, guide, radius, STEP**2) for plane in change[0]])[None]
    if mask is not None:
        change = change * _softened(mask.float()[None])
    return _Told(marks.layer + change[0], odds[0], filling[0], presence)


def _presence(net: Separator, odds: Tensor, *seen: Tensor) -> float:
    """The log odds of damage: what the net's judge says, or the mean over all pixels where it has none."""
    return float(torch.sigmoid(odds).mean().logit() if net.judge is None else net.presence(*seen))


def _softened(mask: Tensor, reach: int = 1) -> Tensor:
    """A mask (N, 1, H, W) with a rim of a pixel or more on both sides."""
    return F.avg_pool2d(mask, 2 * reach + 1, 1, reach, count_include_pad=False)


def _followed(kind: Kind, picture: Tensor, told: _Told, found: Estimate, mask: Tensor | None) -> float:
    """How far the net is followed, from 0 to 1.

    Dark hair and clothes look shaded to a net. But little light is given back to them, much less than to the body or
    ground on which a shadow is cast. Of other damage the net's judge has to be sure, unless the classical method found
    some, too.
    """
    if mask is not None or kind.form != "factor":
        if mask is not None or found.changes(picture):
            return kind.agreed
        evidence = 1 / (1 + math.exp(min(LARGE, -told.presence)))
    else:
        scene, _ = lifted(picture, told.layer)
        light = (scene - picture).mean(0).flatten()
        evidence = float(light.topk(max(1, round(PART * len(light)))).values[-1])
    return min(1.0, max(0.0, (evidence - kind.doubtful) / (kind.sure - kind.doubtful)))


def _corrected(kind: Kind, picture: Tensor, told: _Told, found: Estimate, likely: Tensor) -> Estimate:
    """An estimate with another layer."""
    layers = dict(found.layers)
    if kind.form == "factor":
        scene, damage = lifted(picture, told.layer)
    elif kind.form == "added":
        scene, damage = added_layer(picture, told.layer)
    else:
        scene, damage = (one[0] for one in covered_layer(picture[None], told.layer[None], told.filling[None]))
        damage = damage[:COLOURS]
        layers["opaque"] = picture - scene * torch.exp(-damage)
    layers |= {kind.scene: scene, kind.layer: damage}
    confidence = torch.maximum(likely, 1 - likely)
    notes = (*found.notes, "refined by the net") if found.changes(picture) else ("found by the net",)
    return replace(found, image=scene, layers=layers, notes=notes, confidence=confidence, damaged=True)


def lifted(picture: Tensor, layer: Tensor) -> tuple[Tensor, Tensor]:
    """The scene below a factor, which is lifted to white at the most, and the factor.

    Parameters
    ----------
    picture : Tensor, shape (C, H, W)
        White is 1.
    layer : Tensor, shape (C, H, W)
        Logarithm of the factor.

    Returns
    -------
    scene, factor : Tensor
    """
    _, layer = factor_layer(picture, layer)
    gain = torch.maximum(layer.exp(), picture.clamp(0, 1)).clamp(max=1)
    gain = torch.where(picture.abs() > BLACK, gain, 1.0)
    return picture / gain, gain
