"""The training ground of the nets that take pictures apart: what is common to all of them."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from imgrestore.classical.estimate import Estimate
from imgrestore.data.estimates import content_of, kept_estimates
from imgrestore.data.pack import read_pack, spread
from imgrestore.data.pairs import read_pairs
from imgrestore.data.separation import Sample, SeparationBatch, cut, planes_of, reduced_to, toned
from imgrestore.losses import LOSSES, ssim
from imgrestore.nets.separator import LAYERS, Form, Separated, Separator, SeparatorConfig
from imgrestore.tasks.separation import MARKS, marks_of
from imgrestore.train.ground import TrainError, net_config, reading
from imgrestore.train.options import Options
from imgrestore.train.scores import PSNR, Measure, psnr, sheet

__all__ = ["SeparationGround"]

# Shorter side of what is kept of pairs and marked pictures, and side of the drawn pictures whose estimates are kept.
KEPT, DRAWN = 320, 256
# How many of these there are, and how many clean pictures are held out to be scored.
POOL, HELD_DRAWN = 480, 16
# Damages drawn on each of the held-out clean pictures: with one, chance decided which net was the best.
DRAWS = 4
# Shares of the crops: real pairs, marked pictures, drawn ones with classical estimates; the others are drawn afresh.
REAL, MARKED, POOLED = 0.3, 0.2, 0.15
# How many of the fresh ones are undamaged, how many are truths of real pairs, and how often a user's mask is told.
CLEAN, TRUTHS, TOLD = 0.2, 0.4, 0.25
# Weights beside the scene's loss: structure, and where the damage is.
STRUCTURE, WHERE = 0.2, 0.3
# Mean squared change of a picture from which on its damage is seen, and up to which it is not, and the part of a marked
# picture that has to be damaged.
SEEN, UNSEEN, MARKED_PART = 5e-4, 3e-5, 0.02
# A told mask reaches by up to so many pixels beyond the damage.
LOOSE = 3
SHOWN_SIDE, SHOWN = 256, 4
FEW = 16
# Of the kept estimates, and of all that is drawn.
VERSION, DRAWING = 4, 1
PLANES = ("observed", "truth", "estimate", "layer", "found", "area")
# What is drawn for held-out pictures and for the pool has seeds of its own, apart from those of the steps.
HELD_SEED, POOL_SEED = 1 << 40, 1 << 41


class SeparationGround(ABC):
    """Batches, loss and validation of a `Separator`; see `imgrestore.train.ground.Ground`.

    Subclasses say of which task, how damage is drawn, and how its area is told in a real pair.

    Parameters
    ----------
    options : Options
        The run's.
    device : torch.device
        Where the net lives; pictures stay in the host's memory.
    """

    task: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ("clean",)
    takes: ClassVar[tuple[str, ...]] = ("pairs", "masks")
    defaults: ClassVar[Mapping[str, Any]] = {"batch": 8, "size": 128, "loss": "psnr"}
    measure: ClassVar[Measure] = PSNR
    # Weight of what is said to be undamaged, as pictures may be damaged by nature; truths of pairs on which damage is
    # drawn count fully.
    sure: ClassVar[float] = 1.0
    # How many of those drawn afresh are shown to the classical method, where it is quick enough.
    asked: ClassVar[float] = 0.0
    # Sides of what crops show, as parts of a picture's shorter side.
    parts: ClassVar[tuple[float, float]] = (0.7, 1.0)

    @staticmethod
    @abstractmethod
    def drawn(clean: Tensor, other: Tensor | None, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Damage a picture (3, H, W) with the help of another: what is observed, the truth, and where (1, H, W)."""

    @staticmethod
    def scene(clean: Tensor, other: Tensor | None, rng: np.random.Generator) -> Tensor:
        """What is to be damaged, or left undamaged, of a picture (3, H, W) and another: by default the picture."""
        return clean

    @staticmethod
    @abstractmethod
    def damaged_area(observed: Tensor, truth: Tensor) -> Tensor:
        """Where a real pair is damaged: (1, H, W), 0 to 1."""

    @staticmethod
    @abstractmethod
    def estimator(observed: Tensor, mask: Tensor | None, good: Tensor) -> Estimate:
        """The task's classical method."""

    def __init__(self, options: Options, device: torch.device) -> None:
        self.options, self.device = options, device
        self.form: Form = MARKS[self.task].form
        self.layers = LAYERS[self.form]
        self.config = net_config(SeparatorConfig, {"form": self.form}, options.net)
        with reading("clean", options.clean):
            clean = read_pack(options.clean)
        pairs: dict[str, Any] = {}
        marked: dict[str, Any] = {}
        if options.pairs:
            with reading("pairs", options.pairs):
                pairs = {f"pairs/{name}": pair for name, pair in read_pairs(options.pairs).items()}
        if options.masks:
            with reading("masks", options.masks):
                marked = {f"masks/{name}": pair for name, pair in read_pairs(options.masks, truth="mask").items()}
        self.textures: dict[str, NDArray[np.uint8]] = {}
        if options.textures:
            with reading("textures", options.textures):
                self.textures = read_pack(options.textures)
        plain = {name: (one,) for name, one in (*clean.items(), *self.textures.items())}
        self.fingerprint = {"content": content_of({**pairs, **marked, **plain}), "separation": DRAWING}
        self.sets = sorted({name.split("/")[0] for name in (*pairs, *marked, *plain)})
        count = options.validation
        held_clean = spread(list(clean), min(count, HELD_DRAWN))
        held_pairs, held_marked = spread(list(pairs), count), spread(list(marked), count)
        self.held = [*held_pairs, *held_marked, *held_clean]
        self.clean = [reduced_to(one, KEPT) for name, one in clean.items() if name not in self.held]
        self.others = self._helpers()
        if not self.clean:
            raise TrainError(f"--clean {options.clean} has {len(clean)} pictures; expected more than are held out")
        self.unseen = [reduced_to(clean[name], KEPT) for name in held_clean]
        jobs = {name: (self.task, "pair", *pair, None) for name, pair in pairs.items()}
        jobs |= {name: (self.task, "mask", *pair, None) for name, pair in marked.items()}
        for kind, seed, number in (("drawn", POOL_SEED, POOL), ("held", HELD_SEED, DRAWS * len(self.unseen))):
            jobs |= {f"{kind}/{i}": (self.task, "drawn", *self._drawn(seed + i, kind == "held")) for i in range(number)}
        items = dict(zip(jobs, self._estimates(jobs), strict=True))
        self.real, self.marked, self.pool = (
            [item for name, item in items.items() if name.startswith(start) and name not in self.held]
            for start in ("pairs/", "masks/", "drawn/")
        )
        self.scored = {
            "pairs": [items[name] for name in held_pairs],
            "drawn": [item for name, item in items.items() if name.startswith("held/")],
        }
        self.judged = [items[name] for name in held_marked]
        self.count = len(self.clean) + len(self.real) + len(self.marked)
        self.loss = LOSSES[options.loss]

    # Data

    def _drawn(self, seed: int, held: bool) -> tuple[NDArray[np.uint8], ...]:
        """A drawn picture of bytes: observed, truth, area."""
        rng = np.random.default_rng([self.options.seed, seed])
        sources = self.unseen if held else self.clean
        index = (seed - HELD_SEED) % len(sources) if held else int(rng.integers(len(sources)))
        clean = planes_of(cut(sources[index], DRAWN, self.parts, rng))
        return tuple(_bytes(one) for one in self.drawn(clean, self._one_of(self.others, DRAWN, rng), rng))

    def _helpers(self) -> list[NDArray[np.uint8]]:
        """The pictures with whose help others are damaged."""
        return self.clean

    def _one_of(self, sources: list[NDArray[np.uint8]], size: int, rng: np.random.Generator) -> Tensor | None:
        return planes_of(cut(sources[int(rng.integers(len(sources)))], size, self.parts, rng)) if sources else None

    def _estimates(self, jobs: dict[str, tuple[Any, ...]]) -> list[dict[str, NDArray]]:
        """Classical estimates of all pictures: computed once and kept in the run's folder."""
        o = self.options
        told = f"{self.task} {VERSION} {o.seed} {o.validation} {list(jobs)} {self.fingerprint['content']}"
        workers = o.workers or (os.cpu_count() or 1) - 1
        path = o.folder / "estimates.npz"
        return kept_estimates(path, _estimated, list(jobs.values()), told, workers if len(jobs) > FEW else 0)

    def net(self) -> Separator:
        """A new net."""
        return Separator(self.config)

    def batch(self, step: int, part: int) -> SeparationBatch:
        """A part of a step's batch, which depends on the seed, the step and the part alone."""
        rng = np.random.default_rng(self.options.seed_of(step, part))
        samples = [self._sample(rng) for _ in range(self.options.part_size)]
        return SeparationBatch.of(samples).to(self.device)

    def _sample(self, rng: np.random.Generator) -> Sample:
        kind = rng.random()
        for share, source in ((REAL, self.real), (MARKED, self.marked), (POOLED, self.pool)):
            if kind < share and source:
                item = source[int(rng.integers(len(source)))]
                return self._told(self._crop(item, rng), rng)
            kind -= share if source else 0
        size = self.options.size
        # What is undamaged in the truths of pairs is known.
        known = bool(self.real) and rng.random() < TRUTHS
        sources = [item["truth"] for item in self.real] if known else self.clean
        clean, sure = self._one_of(sources, size, rng), 1.0 if known else self.sure
        assert clean is not None
        (clean,), _ = toned([clean], None, self.form, rng)
        clean = self.scene(clean, self._one_of(self.others, size, rng), rng)
        if rng.random() < CLEAN:
            return Sample.untreated(clean, clean, torch.zeros_like(clean[:1]), self.layers, sure=sure)
        observed, truth, area = self.drawn(clean, self._one_of(self.others, size, rng), rng)
        sample = Sample.untreated(observed, truth, area, self.layers, sure=sure)
        return self._told(self._estimated(sample) if rng.random() < self.asked else sample, rng)

    def _estimated(self, sample: Sample) -> Sample:
        """The same with its classical estimate."""
        whole = torch.ones(1, *sample.observed.shape[1:], dtype=torch.bool)
        with torch.no_grad():
            marks = marks_of(self.task, self.estimator(sample.observed, None, whole))
        return replace(sample, **vars(marks))

    def _crop(self, item: dict[str, NDArray], rng: np.random.Generator) -> Sample:
        """A crop of a kept picture, in other light."""
        planes = torch.from_numpy(cut(_stacked(item), self.options.size, self.parts, rng)).permute(2, 0, 1)
        observed, truth, estimate, layer, found, area = _split(planes, item)
        (observed, truth, estimate), changed = toned([observed, truth, estimate], layer, self.form, rng)
        assert changed is not None
        return _sample_of(item, self.sure, observed, truth, estimate, changed, found, area)

    def _told(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The same with a user's mask, now and then."""
        if not sample.scored or rng.random() > TOLD:
            return sample
        reach = int(rng.integers(LOOSE + 1))
        mask = F.max_pool2d((sample.area > 0.5).float()[None], 2 * reach + 1, 1, reach)
        mask = F.avg_pool2d(mask, 3, 1, 1, count_include_pad=False)[0]
        return replace(sample, given=torch.cat([mask, torch.ones_like(mask)]))

    # Loss

    def step_loss(self, net: Separator, batch: SeparationBatch) -> Tensor:
        """The loss of a part of a batch."""
        b = batch
        result = net(b.observed, b.estimate, b.layer, b.found, b.given)
        # bfloat16 keeps 8 bits, too few for the differences of products that SSIM is made of.
        with torch.autocast(self.device.type, enabled=False):
            loss = self._scene_loss(result, b) + WHERE * self._area_loss(result, b)
        return loss if net.judge is None else loss + self._judge_loss(net, b)

    @staticmethod
    def _judge_loss(net: Separator, batch: SeparationBatch) -> Tensor:
        """How wrong the judge is about what was observed, and about the truths as undamaged pictures."""
        b = batch
        nothing = torch.zeros_like(b.layer)
        error = (b.observed - b.truth).square().mean((1, 2, 3))
        marked = b.area.mean((1, 2, 3)) > MARKED_PART
        damaged = (error > SEEN) | ((b.scored.flatten() == 0) & marked)
        odds = net.presence(b.observed, b.estimate, b.layer, b.found)
        clean = net.presence(b.truth, b.truth, nothing, nothing[:, :1])
        # What can hardly be seen is neither damaged nor clean, and where no truth is known nothing is.
        told = damaged | (error < UNSEEN) & (b.scored.flatten() > 0)
        blame = F.binary_cross_entropy_with_logits(odds, damaged.float(), reduction="none") * told
        excuse = F.softplus(clean) * b.scored.flatten() * b.sure.flatten()
        return (blame + excuse).mean()

    def _scene_loss(self, result: Separated, batch: SeparationBatch) -> Tensor:
        known = batch.scored.flatten() > 0
        if not bool(known.any()):
            return torch.zeros((), device=self.device)
        scene, truth = result.scene[known], batch.truth[known]
        # A mean over all pictures, those without a truth too, lest a few others weigh more.
        share = float(known.float().mean())
        loss: Tensor = self.loss(scene, truth, None)
        return share * (loss + STRUCTURE * ssim(scene, truth, None))

    @staticmethod
    def _area_loss(result: Separated, batch: SeparationBatch) -> Tensor:
        weight = batch.area + (1 - batch.area) * batch.sure
        blame = F.binary_cross_entropy_with_logits(result.odds, batch.area, reduction="none")
        return (weight * blame).mean()

    # Validation

    @torch.no_grad()
    def validate(self, net: Separator) -> dict[str, float]:
        """Mean PSNR of the classical estimate (``before ...``) and of the net on the held-out pictures."""
        scores: dict[str, float] = {}
        for name, items in self.scored.items():
            if not items:
                continue
            before, after = [], []
            for item in items:
                case = self._whole(item)
                before.append(psnr(case.estimate, case.truth))
                after.append(psnr(_result(net, case).scene, case.truth))
            scores |= {f"before {name}": float(np.mean(before)), f"net {name}": float(np.mean(after))}
        return scores

    @torch.no_grad()
    def remarks(self, net: Separator) -> dict[str, float]:
        """What the net does to undamaged pictures, and how its masks agree with marked ones."""
        truths = [self._whole(item).truth for items in self.scored.values() for item in items]
        kept = []
        for truth in truths:
            nothing = truth.new_zeros(1, self.layers, *truth.shape[-2:])
            kept.append(psnr(net(truth, truth, nothing, nothing[:, :1]).scene, truth))
        told = {"undamaged pictures to themselves, dB": float(np.mean(kept)), "the worst of them, dB": min(kept)}
        if self.judged:
            shares = []
            for item in self.judged:
                case = self._whole(item)
                found, area = _result(net, case).odds > 0, case.area > 0.5
                shares.append(float((found & area).sum() / (found | area).sum().clamp_min(1)))
            told["intersection over union of held-out masks"] = float(np.mean(shares))
        return told

    @torch.no_grad()
    def samples(self, net: Separator) -> NDArray:
        """Observed, classical, net, truth and mask of some held-out pictures."""
        rows = []
        for items in self.scored.values():
            for item in items[:SHOWN]:
                case = self._whole(item)
                found = _result(net, case)
                mask = found.odds.sigmoid().expand(-1, 3, -1, -1)
                row = [case.observed, case.estimate, found.scene, case.truth, mask]
                rows.append([F.interpolate(one, (SHOWN_SIDE, SHOWN_SIDE), mode="area")[0] for one in row])
        return sheet(rows)

    def _whole(self, item: dict[str, NDArray]) -> SeparationBatch:
        """A kept picture as the task shows it to the net."""
        stack = reduced_to(_stacked(item), MARKS[self.task].viewed)
        planes = torch.from_numpy(np.ascontiguousarray(stack)).permute(2, 0, 1).float()
        return SeparationBatch.of([_sample_of(item, self.sure, *_split(planes, item))]).to(self.device)


def _result(net: Separator, case: SeparationBatch) -> Separated:
    found: Separated = net(case.observed, case.estimate, case.layer, case.found, case.given)
    return found


def _sample_of(item: dict[str, NDArray], sure: float, *planes: Tensor) -> Sample:
    observed, truth, estimate, layer, found, area = planes
    scored = float(item["scored"])
    return Sample(
        observed, truth, estimate, layer, found, area, torch.zeros(2, *area.shape[1:]), scored, sure if scored else 1.0
    )


def _split(planes: Tensor, item: dict[str, NDArray]) -> tuple[Tensor, ...]:
    """The planes of a kept picture that were `_stacked`."""
    return planes.split([item[name].shape[2] for name in PLANES])


def _stacked(item: dict[str, NDArray]) -> NDArray[np.float32]:
    """The planes of a kept picture, one after the other: (H, W, C)."""
    parts = [item[name].astype(np.float32) / (1 if name == "layer" else 255) for name in PLANES]
    return np.concatenate(parts, axis=2)


def _bytes(planes: Tensor) -> NDArray[np.uint8]:
    return (planes.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()


def _estimated(task: str, kind: str, first: Any, second: Any, drawn: Any) -> dict[str, NDArray]:
    """The record of a pair, of a picture with a mask, or of a pair that was drawn, with its area."""
    from imgrestore.train.ground import ground_of

    ground: Any = ground_of(task)
    observed, truth = (planes_of(reduced_to(one, KEPT)) for one in (first, second))
    if kind == "mask":
        truth, area = observed, truth.amax(0, keepdim=True)
    else:
        area = planes_of(drawn) if kind == "drawn" else ground.damaged_area(observed, truth)
    with torch.no_grad():
        found = ground.estimator(observed, None, torch.ones(1, *observed.shape[1:], dtype=torch.bool))
    marks = marks_of(task, found)
    kept = {"observed": observed, "truth": truth, "estimate": marks.estimate, "found": marks.found, "area": area}
    layer = marks.layer.half().permute(1, 2, 0).numpy()
    scored = np.array(float(kind != "mask"))
    return {**{name: _bytes(one) for name, one in kept.items()}, "layer": layer, "scored": scored}
