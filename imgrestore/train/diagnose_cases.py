"""What a diagnoser learns from and is scored on: damaged pictures, or a user's classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from imgrestore.data.classes import Classes, read_classes
from imgrestore.data.damages import NONE, DamagedPicture, damaged, drawn_damages, finished, seeded_cases
from imgrestore.data.estimates import content_of
from imgrestore.data.pack import read_pack, split
from imgrestore.data.photographs import labelled_folders, photographs
from imgrestore.data.windows import random_windows
from imgrestore.nets.diagnoser import DAMAGES, DiagnoserConfig, view_of
from imgrestore.train.ground import TrainError, reading
from imgrestore.train.options import Options

__all__ = ["Cases", "ClassSource", "DamageSource", "Source"]

# A picture is learned from so often on average, and so many batches of pictures are there to choose from.
REUSED, KEPT = 4, 8
# With each picture its twin is shown, so that all that differs is the damage.
SHOWN = 2
# Windows of each picture that a step sees.
WINDOWS = 2
# One in so many pictures of a step is a photograph, where there are any, reduced to so many times the crops' side.
PHOTOGRAPHED, LARGER = 8, 2
# Held-out pictures of each kind.
EACH = 30
# Of classes: sides of the part of a picture that is seen, as parts of its own, and by how much its tones change.
PART, CONTRAST, OFFSET = 0.8, (0.7, 1.3), 0.15
# Pictures no wider are seen whole and need no windows; the view is no smaller than the least.
VIEW, LEAST_VIEW = 128, 32
# Changes of less are not seen in a place, and more are plain to see, dB; and places across a window.
FAINT, PLAIN = 36.0, 28.0
PLACES = 16


@dataclass
class Cases:
    """What a step learns from.

    Attributes
    ----------
    view : Tensor of float32, shape (N, 3, view, view)
        As `imgrestore.nets.diagnoser.Diagnoser.forward` takes it; `windows`, too.
    windows : Tensor of float32, shape (N, K, 3, 128, 128)
    truth : Tensor
        Of several classes float32 (N, classes), 1 for each that is present; else int64 (N,).
    strength : Tensor of float32, shape (N, classes)
        From 0 to 1.
    where, near : Tensor of float32, shape (N, classes, places, places) and (N, K, classes, 16, 16)
        How well each damage can be seen in the places of both, from 0 to 1; no planes where a picture is of one class.
    known : int
        Of how many pictures, the first ones, strengths and places are known.
    """

    view: Tensor
    windows: Tensor
    truth: Tensor
    strength: Tensor
    where: Tensor
    near: Tensor
    known: int


class Source(Protocol):
    """Where the cases come from.

    Attributes
    ----------
    config : DiagnoserConfig
        Of a net that goes with them.
    labels : tuple of str
        The possible answers: the classes, and "none" where there may be none.
    sets, held, count, content
        As `imgrestore.train.ground.Ground` has them; the last is a fingerprint of the pictures.
    scored : list of (Tensor of uint8 (3, H, W), int)
        Held-out pictures and their answers.
    """

    config: DiagnoserConfig
    labels: tuple[str, ...]
    sets: list[str]
    held: list[str]
    count: int
    content: str
    scored: list[tuple[Tensor, int]]

    def batch(self, step: int, part: int, config: DiagnoserConfig) -> Cases:
        """A part of a step's batch, for a net of this configuration; it follows from the seed, step and part alone."""


class DamageSource:
    """Clean pictures, damaged as they are drawn, and photographs that show a damage or none; see `Source`.

    Parameters
    ----------
    options : Options
    """

    def __init__(self, options: Options) -> None:
        with reading("clean", options.clean):
            pictures = read_pack(options.clean)
        learnt, self.held = split(pictures, options.validation)
        if len(learnt) < 2:
            raise TrainError(f"--clean {options.clean} holds {len(pictures)} pictures; expected 3 or more")
        self.config = DiagnoserConfig()
        self.labels: tuple[str, ...] = (*DAMAGES, NONE)
        with reading("real", " ".join(options.real)):
            real = photographs(options.real, LARGER * options.size)
        self.sets = sorted({name.split("/")[0] for name in pictures}) + [
            f"{damage}: {folder.name}" for damage, folder in labelled_folders(options.real)
        ]
        everything = pictures | {f"{label} {name}": one for label, own in real.items() for name, one in own.items()}
        self.content = content_of({name: (one,) for name, one in everything.items()})
        self.photographs = {label: list(own.values()) for label, own in real.items()}
        self.pictures = [pictures[name] for name in learnt]
        self.count, self.options = len(learnt) + sum(map(len, self.photographs.values())), options
        self.drawn: dict[tuple[int, int], DamagedPicture] = {}
        held = [pictures[name] for name in self.held]
        self.scored = [
            ((picture * 255).round().byte(), self.labels.index(truth))
            for picture, truth in seeded_cases(held, EACH, options.size)
        ]

    def batch(self, step: int, part: int, config: DiagnoserConfig) -> Cases:
        """Pictures with none, one or two damages, and each again without the last of them; photographs come last.

        To damage a picture takes far longer than to learn from it. So every step draws a few new pictures and leaves
        out those that were drawn first; it learns from some of all that are there.
        """
        whole = self.options.part_size
        photographed = min(whole - 1, -(-whole // PHOTOGRAPHED)) if self.photographs else 0
        known = whole - photographed
        size = -(-known // SHOWN)
        rng = np.random.default_rng((self.options.seed_of(step, part), 1))
        new = -(-size // REUSED)
        numbers = rng.integers(new * step, new * step + KEPT * size, size)
        drawn = [self._picture(part, int(number)) for number in numbers]
        # What was left behind is not asked for again.
        for key in [key for key in self.drawn if key[0] == part and key[1] < new * step]:
            del self.drawn[key]
        cases, seen = [], []
        for case, seed in zip(drawn, rng.integers(2**32, size=(size, SHOWN)), strict=True):
            # Twins are finished alike; sound pictures have none and are finished in two ways.
            for one, how in ((case, seed[0]), (case.twin, seed[0]) if case.twin else (case, seed[1])):
                own = np.random.default_rng(how)
                cases.append(one)
                shown = finished(one, own)
                seen.append(_seen(torch.cat([shown.picture, shown.changed]), config, own))
        truth, strength = (
            torch.stack([getattr(one, name) for one in cases[:known]]) for name in ("present", "strength")
        )
        labels: Sequence[str] = rng.choice(list(self.photographs), photographed).tolist() if photographed else ()
        seen = seen[:known] + [_seen(self._photograph(label, rng), config, rng) for label in labels]
        truth = torch.cat(
            [
                truth,
                torch.tensor([[float(label == name) for name in DAMAGES] for label in labels]).view(-1, len(DAMAGES)),
            ]
        )
        strength = torch.cat([strength, torch.zeros(photographed, len(DAMAGES))])
        views, windows = (torch.stack(planes) for planes in zip(*seen, strict=True))
        where, near = _visible(views[:, 3:], config.places), _visible(windows[:, :, 3:].flatten(0, 1), PLACES)
        near = near.unflatten(0, windows.shape[:2])
        return Cases(views[:, :3].contiguous(), windows[:, :, :3].contiguous(), truth, strength, where, near, known)

    def _photograph(self, label: str, rng: np.random.Generator) -> Tensor:
        """One that shows a damage, mirrored at random, and planes that do not say where: (3 + damages, H, W)."""
        own = self.photographs[label]
        picture = _planes(own[int(rng.integers(len(own)))]).float() / 255
        picture = picture.flip(2) if rng.random() < 0.5 else picture
        return torch.cat([picture, picture.new_zeros(len(DAMAGES), *picture.shape[1:])])

    def _picture(self, part: int, number: int) -> DamagedPicture:
        """The picture of a number, which follows from the seed, the part and the number alone."""
        if (part, number) not in self.drawn:
            rng = np.random.default_rng((self.options.seed_of(number, part), 0))
            clean, other = (self.pictures[int(rng.integers(len(self.pictures)))] for _ in range(2))
            self.drawn[part, number] = damaged(clean, drawn_damages(rng), self.options.size, rng, other)
        return self.drawn[part, number]


class ClassSource:
    """A user's pictures in their classes; see `Source`.

    Parameters
    ----------
    options : Options
    """

    def __init__(self, options: Options) -> None:
        with reading("classes", options.classes):
            found = read_classes(options.classes)
        self.labels = found.names
        held = _held(found, options.validation)
        learnt = [i for i in range(len(found.labels)) if i not in held and i not in found.tested]
        for part in (learnt, held):
            lacking = set(range(len(found.names))) - {found.labels[i] for i in part}
            if lacking:
                name = found.names[min(lacking)]
                raise TrainError(f"--classes {options.classes}: {name} has too few pictures; expected 2 or more")
        self.held = [found.titles[i] for i in sorted(held)]
        self.sets = [Path(options.classes).name]
        self.content = content_of({t: (p,) for t, p in zip(found.titles, found.pictures, strict=True)})
        self.of_class: list[list[NDArray[np.uint8]]] = [[] for _ in found.names]
        for i in learnt:
            self.of_class[found.labels[i]].append(found.pictures[i])
        self.count, self.options = len(learnt), options
        widest = max(max(one.shape[:2]) for own in self.of_class for one in own)
        default = DiagnoserConfig()
        stride = 2 ** len(options.net.get("blocks", default.blocks))
        # At least two places of the deepest features lie along a side, and the view is a multiple of their stride.
        least, most = max(LEAST_VIEW, 2 * stride), max(VIEW, 2 * stride)
        view = min(most, max(least, -(-widest // stride) * stride))
        self.config = replace(
            default, classes=found.names, several=False, view=view, detail=default.detail if widest > view else 0
        )
        self.scored = [(_planes(found.pictures[i]), found.labels[i]) for i in sorted(held)]

    def batch(self, step: int, part: int, config: DiagnoserConfig) -> Cases:
        """Pictures, as often of one class as of another; parts of them, mirrored, with other tones."""
        rng, size = np.random.default_rng(self.options.seed_of(step, part)), self.options.part_size
        labels = rng.integers(len(self.labels), size=size)
        own = [self.of_class[label] for label in labels]
        pictures = [_altered(some[int(rng.integers(len(some)))], rng) for some in own]
        seen = [_seen(one, config, rng) for one in pictures]
        views, windows = (torch.stack(planes) for planes in zip(*seen, strict=True))
        strength = torch.ones(size, len(self.labels))
        nowhere = views[:, :0]
        return Cases(views, windows, torch.from_numpy(labels), strength, nowhere, nowhere, size)


def _held(found: Classes, count: int) -> set[int]:
    """So many pictures of each class: of those that are there to be tested on, else at most a quarter of all."""
    held: set[int] = set()
    for label in range(len(found.names)):
        own = [i for i, one in enumerate(found.labels) if one == label and (not found.tested or i in found.tested)]
        most = min(count, len(own) if found.tested else max(1, len(own) // 4))
        held |= {own[round((i + 0.5) * len(own) / most - 0.5)] for i in range(most)} if own else set()
    return held


def _planes(picture: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def _altered(picture: NDArray[np.uint8], rng: np.random.Generator) -> Tensor:
    """A large part of a picture, mirrored at random, with other tones: float32 (3, H, W)."""
    height, width = (max(1, round(length * rng.uniform(PART, 1))) for length in picture.shape[:2])
    top, left = (int(rng.integers(n - m + 1)) for n, m in zip(picture.shape[:2], (height, width), strict=True))
    planes = _planes(picture[top : top + height, left : left + width]).float() / 255
    planes = planes.flip(2) if rng.random() < 0.5 else planes
    return ((planes - 0.5) * rng.uniform(*CONTRAST) + 0.5 + rng.uniform(-OFFSET, OFFSET)).clamp(0, 1)


def _seen(planes: Tensor, config: DiagnoserConfig, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """What a net sees of planes (C, H, W) in training: the whole, reduced, and a few windows at random."""
    return view_of(planes, config.view), random_windows(planes, WINDOWS if config.detail else 0, rng)


def _visible(changed: Tensor, places: int) -> Tensor:
    """How well changes (N, C, H, W), squares of them, can be seen in so many places along a side: 0 to 1."""
    if not len(changed):
        return changed.new_zeros(0, changed.shape[1], places, places)
    power = F.adaptive_avg_pool2d(changed.clamp_min(0), places)
    return ((10 * torch.log10(power.clamp_min(1e-8)) + FAINT) / (FAINT - PLAIN)).clamp(0, 1)
