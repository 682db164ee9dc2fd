"""What speaks for each damage in one picture, as numbers: physics first, then what the nets see.

Blur, moiré, noise and storage live at full resolution and are looked for in the part of a picture that shows most.
Shadows, reflections, highlights and stains are looked for in the whole picture, reduced.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from imgrestore.classical import moire
from imgrestore.classical.admm import span_of
from imgrestore.classical.estimate import Estimate
from imgrestore.classical.jpeg import jpeg_scale
from imgrestore.classical.noise import noise_of_planes
from imgrestore.classical.psf_choice import Judge, point
from imgrestore.classical.psf_judge import steepness, width
from imgrestore.classical.psf_parametric import Candidate, parametric
from imgrestore.classical.psf_shake import telling
from imgrestore.classical.psf_spectrum import Spectrum
from imgrestore.classical.reflection import estimate_reflection
from imgrestore.classical.rust import separate_stains
from imgrestore.classical.rust_find import looks_like_rust
from imgrestore.classical.shadow import estimate_shadow
from imgrestore.classical.specular import estimate_highlights
from imgrestore.diagnosis.ground import only_lights
from imgrestore.diagnosis.views import LEAST_SIDE, Views
from imgrestore.nets.diagnoser import DAMAGES, Diagnoser, Diagnosis
from imgrestore.nets.refiner import Refiner
from imgrestore.nets.weights import load
from imgrestore.tasks.separation import Seen, seen_by_net

__all__ = ["SEPARATED", "TASKS", "Clues", "clues_of"]

# The function that removes each damage.
TASKS = {
    "blur": "deblur",
    "moire": "demoire",
    "shadow": "deshadow",
    "reflection": "dereflect",
    "specular": "despecular",
    "rust": "derust",
}
LUMA = (0.299, 0.587, 0.114)
# Light is cut off from here on; where a larger part of a picture is, it is white paper.
NEARLY_CLIPPED, PAPER = 250 / 255, 0.15
LARGEST_PSF, LOOKED_AT = 107, 400_000
# Bounds of numbers that may be infinite, or beyond all use.
LEAST_ODDS, UNCHANGED = -15.0, 60.0
# A net's picture is told by the fiftieth part of it that changes most.
PART = 50
TINY = 1e-9
# The sides of the parts that the classifier looks at, beside those of the picture.
CROP = 0.62

Classical = Callable[[Tensor, Tensor | None, Tensor], Estimate]
# What befalls things that light falls on, and the method that takes it apart from them.
SEPARATED: dict[str, Classical] = {
    "shadow": estimate_shadow,
    "reflection": estimate_reflection,
    "specular": estimate_highlights,
    "rust": separate_stains,
}


@dataclass(frozen=True)
class Clues:
    """What one picture shows.

    Attributes
    ----------
    numbers : dict of str to float
        All finite; the same names for every picture.
    marks : dict of str to Tensor of float32, shape (h, w)
        By damage: the logarithm of the odds that it shows in a place of the whole picture.
    strengths : dict of str to float
        By damage, 0 to 1, as the net measures it.
    noise : float
        Standard deviation, for a range of 1.
    jpeg : float
        How coarsely it was stored, as `imgrestore.classical.jpeg.jpeg_scale` has it; 0 for not seen.
    words : dict of str to str
        By damage: the physical evidence in words.
    lights : bool
        Whether there are small lights on an even dark ground alone, as of stars: nothing that light falls on.
    """

    numbers: dict[str, float]
    marks: dict[str, Tensor]
    strengths: dict[str, float]
    noise: float
    jpeg: float
    words: dict[str, str] = field(default_factory=dict)
    lights: bool = False


@torch.no_grad()
def clues_of(views: Views, net: Diagnoser) -> Clues:
    """Look for all six damages.

    Parameters
    ----------
    views : Views
    net : Diagnoser

    Returns
    -------
    Clues
    """
    diagnosis = net.diagnose(views.picture)
    numbers = _numbers_of(diagnosis) | _again(net, views.picture)
    noise = float(noise_of_planes(views.close[None]).mean())
    jpeg = jpeg_scale((views.close * 255).round() / 255)
    numbers |= {"jpeg": jpeg, "noise": _log(noise, 1e-3)}
    blur, blur_words = _blur(views.close)
    waves, wave_words = _moire(views)
    numbers |= blur | waves
    words = {"blur": blur_words, "moire": wave_words}
    marks = {name: diagnosis.where[0, i] for i, name in enumerate(DAMAGES)}
    good = torch.ones(1, *views.whole.shape[1:], dtype=torch.bool)
    for name, classical in SEPARATED.items():
        found = classical(views.whole, None, good)
        seen = seen_by_net(TASKS[name], views.whole, found)
        numbers |= _separated(TASKS[name], views.whole, found, seen)
        words[name] = found.notes[0] if found.notes else ""
        marks[name] = seen.odds[0] if found.mask is None else torch.maximum(seen.odds[0], _sure(found.mask[0]))
    numbers["brown"] = float(looks_like_rust(_array(views.whole)).mean())
    strengths = {name: float(value) for name, value in zip(DAMAGES, diagnosis.strength[0], strict=True)}
    numbers = {name: _finite(value) for name, value in numbers.items()}
    return Clues(numbers, marks, strengths, noise, jpeg, words, only_lights(views.whole))


def _numbers_of(diagnosis: Diagnosis) -> dict[str, float]:
    """What the classifier says of the picture, and of its places."""
    found: dict[str, float] = {}
    for i, name in enumerate(DAMAGES):
        places = diagnosis.where[0, i]
        found |= {
            f"net_{name}": float(diagnosis.logits[0, i]),
            f"strength_{name}": float(diagnosis.strength[0, i]),
            f"where_{name}": float(places.amax()),
            f"wmean_{name}": float(torch.sigmoid(places).mean()),
        }
        if diagnosis.near is not None:
            found[f"near_{name}"] = float(torch.sigmoid(diagnosis.near[0, :, i]).mean())
    return found


def _again(net: Diagnoser, picture: Tensor) -> dict[str, float]:
    """What the classifier says of the picture mirrored, and of parts of it, which it sees in more detail."""
    height, width = picture.shape[1:]
    tall, wide = (max(LEAST_SIDE, math.ceil(CROP * length)) for length in (height, width))
    corners = [(top, left) for top in (0, height - tall) for left in (0, width - wide)]
    corners.append(((height - tall) // 2, (width - wide) // 2))
    parts = [picture[:, top : top + tall, left : left + wide].contiguous() for top, left in corners]
    mirrored = net.diagnose(picture.flip(2)).logits[0]
    told = torch.cat([net.diagnose(part).logits for part in parts])
    most = told.topk(2, dim=0).values.mean(0)
    found: dict[str, float] = {}
    for i, name in enumerate(DAMAGES):
        values = {"mirror": mirrored[i], "parts": told[:, i].mean(), "most": most[i]}
        found |= {f"{what}_{name}": float(value) for what, value in values.items()}
    return found


def _blur(close: Tensor) -> tuple[dict[str, float], str]:
    """How steep the picture's steps are, and how well a Gaussian, a disk or a motion explains its spectrum."""
    plane = torch.einsum("c,chw->hw", close.new_tensor(LUMA), close)[None, None]
    span, offset = span_of(plane, torch.ones_like(plane, dtype=torch.bool))
    gray = ((plane - offset) / span)[0, 0]
    usable = (close < NEARLY_CLIPPED).all(0)
    if float((~usable).float().mean()) > PAPER:
        usable = torch.ones_like(usable)
    noise = float(noise_of_planes(gray[None, None]))
    values, counts = gray.numpy(), usable.numpy()
    steep = steepness(values, noise, point(), counts)
    found = {"steep": steep, "without": 0.0, "share": 0.0, "gain": 0.0, "width": 0.0, "trust": 0.0, "gshare": 0.0}
    found["steepb"] = steep
    spectrum = Spectrum.of(values, counts, noise)
    few = [] if spectrum is None else parametric(spectrum, "auto", values, noise, LARGEST_PSF)
    if spectrum is None or not few:
        return found, f"steps of {steep:.2f} of the range between neighbours"
    judge = Judge(values, counts, telling(gray, usable, LOOKED_AT), noise, spectrum, True)
    best = max(few, key=lambda one: one.gain)
    whole = max(spectrum.without_blur, TINY)
    trust = max(judge.trust(one) for one in few)
    found |= {
        "without": math.log1p(max(spectrum.without_blur, 0)),
        "share": best.gain / whole,
        "gain": math.log1p(max(best.gain, 0)),
        "width": width(best.psf),
        "steepb": steepness(values, noise, best.psf, counts),
        "trust": trust,
        "gshare": max((one.gain for one in few if one.kind == "gaussian"), default=0.0) / whole,
    }
    return found, _blur_words(best, found)


def _blur_words(best: Candidate, found: dict[str, float]) -> str:
    steps = f"steps of {found['steep']:.2f} of the range between neighbours"
    if found["share"] <= 0:
        return steps
    return f"{steps}; a {best.kind} of {found['width']:.1f} pixels explains {found['share']:.0%} of the spectrum's fall"


def _moire(views: Views) -> tuple[dict[str, float], str]:
    """Waves that stand out of the spectrum, over the whole frame or from window to window, and the look of a screen."""
    found = moire.estimate(views.close, None, torch.ones(1, *views.close.shape[1:], dtype=torch.bool))
    net = load("demoire")
    assert isinstance(net, Refiner)
    clues = found.clues
    numbers = {
        "peaks": math.log1p(clues["waves"]),
        "peak": clues["wave"],
        "bent": clues["bent"],
        "bentc": clues["bent_chroma"],
        "bands": clues["bands"],
        "bandstr": clues["bands_strength"],
        "screen": max(clues["screen"], LEAST_ODDS),
        "demoire": float(net.evidence(views.picture)),
    }
    return numbers, found.notes[0] if found.notes else ""


def _separated(task: str, whole: Tensor, found: Estimate, seen: Seen) -> dict[str, float]:
    """What the classical method of a task found, and what its net would change."""
    light = (seen.scene - whole).mean(0).flatten()
    some = max(1, len(light) // PART)
    numbers = {
        f"{task}_presence": seen.presence,
        f"{task}_likely": _log(float(torch.sigmoid(seen.odds).mean())),
        f"{task}_top": float(seen.odds.flatten().topk(some).values[-1]),
        f"{task}_light": float(light.topk(some).values[-1]),
        f"{task}_dark": float((-light).topk(some).values[-1]),
        f"{task}_db": _decibels(seen.scene, whole),
        f"{task}_change": min(_decibels(found.image, whole), UNCHANGED),
    }
    return numbers | CLASSICAL[task](found)


CLASSICAL: dict[str, Callable[[Estimate], dict[str, float]]] = {
    "deshadow": lambda found: {
        "page": found.clues.get("page", 0.0),
        "pagedepth": found.clues.get("page_depth", 0.0),
        "cast": found.clues.get("cast", -6.0),
        "lifted": found.clues.get("lifted", 0.0),
        "shaded": found.clues.get("shaded", 0.0),
    },
    "dereflect": lambda found: {
        "ghost": found.clues.get("ghost", 0.0),
        "veil": max(found.clues.get("veil", LEAST_ODDS), LEAST_ODDS),
    },
    "despecular": lambda found: {
        "gloss": _log(found.clues.get("light", 0.0), 1e-2),
        "gloss_score": found.clues.get("score", 0.0),
        "linear": found.clues.get("linear", 0.0),
    },
    "derust": lambda found: {"stain": found.clues.get("belief", 0.0)},
}


def _sure(mask: Tensor) -> Tensor:
    """Log odds of a mask: even at least where it says that there is damage, and none elsewhere."""
    return torch.where(mask, 0.5, -torch.inf)


def _array(picture: Tensor) -> np.ndarray:
    return np.ascontiguousarray(picture.numpy().transpose(1, 2, 0))


def _decibels(one: Tensor, other: Tensor) -> float:
    return -10 * math.log10(max(float((one - other).square().mean()), TINY))


def _log(value: float, least: float = 1e-4) -> float:
    return math.log(max(value, 0.0) + least)


def _finite(value: float) -> float:
    return float(value) if math.isfinite(value) else 0.0
