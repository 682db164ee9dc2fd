"""The demoiré net's training ground: real pairs and simulated screens, batches, loss and validation."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from imgrestore import ops
from imgrestore.data.estimates import content_of, kept_estimates
from imgrestore.data.moire import KEPT, MoireBatch, Scenes, estimated, reduced, simulated, thumbnails
from imgrestore.data.pack import read_pack, spread
from imgrestore.data.pairs import read_pairs
from imgrestore.data.tones import Tones
from imgrestore.data.windows import drawn_windows
from imgrestore.losses import LOSSES
from imgrestore.nets.refiner import Refiner, RefinerConfig
from imgrestore.tasks.demoire_net import DOUBT
from imgrestore.train.ground import CallError, TrainError, net_config, reading
from imgrestore.train.options import Options
from imgrestore.train.scores import PSNR, Measure, psnr, sheet

__all__ = ["DemoireGround"]

# What is simulated from clean pictures, at the most; share of the crops that come from real pairs, where there are any.
MOST_SIMULATED, REAL = 240, 0.75
# Whole pictures a step that the tone head learns from, and how many for each real pair: after these it stays as it is,
# or it would learn its pictures by heart.
THUMBNAILS, VIEWS = 64, 1000
# Pictures a step that the judge learns from, every other a clean one, windows of each, and how sure it may get.
JUDGED, WINDOWS, UNSURE = 8, 2, 0.01
# Radius of the windows beside whose means detail is learned, and what the error as a whole weighs beside it.
DETAIL, WHOLE = 12, 0.3
# Pixels across the middles of held-out pictures that are looked at.
CASE, SHOWN_SIDE, SHOWN = 448, 256, 3
# So few pictures are looked at here, and not by processes of their own.
FEW = 16
VERSION = 4


@dataclass
class Batch:
    """What a step learns from: crops, whole pictures reduced, and windows of damaged and clean ones in turn."""

    crops: MoireBatch
    views: Tensor
    truth: Tensor
    windows: Tensor


class DemoireGround:
    """Batches, loss and validation of the demoiré net; see `imgrestore.train.ground.Ground`.

    Parameters
    ----------
    options : Options
        The run's.
    device : torch.device
        Where the net lives; pictures stay in the host's memory.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    takes: ClassVar[tuple[str, ...]] = ("clean", "pairs")
    defaults: ClassVar[Mapping[str, Any]] = {"batch": 8, "size": 128, "loss": "psnr"}
    measure: ClassVar[Measure] = PSNR

    def __init__(self, options: Options, device: torch.device) -> None:
        if not options.clean and not options.pairs:
            raise CallError("--clean and --pairs are missing: demoire is trained on clean pictures, on pairs, or both")
        if options.size > KEPT:
            raise CallError(f"--size is {options.size}; expected at most {KEPT}, which is kept of every picture")
        self.options, self.device = options, device
        self.config = net_config(RefinerConfig, {}, options.net)
        pairs, clean = {}, {}
        if options.pairs:
            with reading("pairs", options.pairs):
                pairs = {f"pairs/{name}": pair for name, pair in read_pairs(options.pairs).items()}
        if options.clean:
            with reading("clean", options.clean):
                clean = read_pack(options.clean)
        self.fingerprint = {"content": content_of({**pairs, **{name: (one,) for name, one in clean.items()}})}
        held = [*spread(list(pairs), options.validation), *spread(list(clean), options.validation // 2)]
        self.sets = sorted({name.split("/")[0] for name in (*pairs, *clean)})
        seen = reduced(clean[name] for name in clean if name not in held)
        self.tones = _tones([pairs[name] for name in pairs if name not in held])
        jobs: dict[str, tuple[Any, ...]] = {name: (*pair, i, None) for i, (name, pair) in enumerate(pairs.items())}
        every = -(-len(clean) // MOST_SIMULATED) or 1
        for i, name in enumerate(clean):
            # Real pairs alone are scored, where there are any: what simulated screens show of tones is borrowed.
            if not pairs if name in held else i % every == 0:
                jobs[name] = (clean[name], None, options.seed_of(0, i), self._tone_for(clean[name], i))
        items = dict(zip(jobs, self._estimates(jobs), strict=True))
        self.held = held
        learnt = [name for name in items if name not in held]
        self.real = Scenes([items[name] for name in learnt if name in pairs], options.size)
        self.simulated = Scenes([items[name] for name in learnt if name not in pairs], options.size)
        self.case = "pairs" if pairs else "simulated"
        self.scored = Scenes([item for name, item in items.items() if name in held])
        self.clean = seen
        self.sound = [clean[name] for name in clean if name not in held]
        self.sound_held = [clean[name] for name in clean if name in held and pairs]
        self.count = len(self.real) + len(self.simulated)
        if not self.count or not len(self.scored):
            raise TrainError(
                f"there are {self.count} pictures to train on and {len(self.scored)} to score; expected at least "
                f"one each, those of {options.size} pixels or more on each side (--size)"
            )
        self.loss = LOSSES[options.loss]

    def _estimates(self, jobs: dict[str, tuple[Any, ...]]) -> list[dict[str, NDArray]]:
        """Classical estimates of all pictures: computed once and kept in the run's folder."""
        # What is held out decides which tones are lent.
        o = self.options
        told = f"{VERSION} {o.seed} {o.validation} {list(jobs)} {self.fingerprint['content']}"
        workers = self.options.workers or (os.cpu_count() or 1) - 1
        path = self.options.folder / "estimates.npz"
        return kept_estimates(path, _estimated, list(jobs.values()), told, workers if len(jobs) > FEW else 0)

    def _tone_for(self, clean: NDArray, number: int) -> NDArray | None:
        """The change of tones of a simulated photograph: that of a real one whose screen looked alike."""
        if self.tones is None:
            return None
        generator = torch.Generator().manual_seed(self.options.seed_of(0, number))
        return self.tones.borrow(reduced([clean]), generator)[0].numpy()

    def net(self) -> Refiner:
        """A new net."""
        return Refiner(self.config)

    def batch(self, step: int, part: int) -> Batch:
        """A part of a step's batch, which depends on the seed, the step and the part alone."""
        generator = torch.Generator().manual_seed(self.options.seed_of(step, part))
        count, size, view = self.options.part_size, self.options.size, self.config.view
        real = round(REAL * count) if len(self.simulated) else count
        # With fewer than four crops the kinds take turns.
        if len(self.simulated) and count < 4:
            real = count if step % 4 else 0
        real = real if len(self.real) else 0
        parts = [
            scenes.crops(number, size, view, generator)
            for scenes, number in ((self.real, real), (self.simulated, count - real))
            if number
        ]
        toned = THUMBNAILS if step * THUMBNAILS < VIEWS * len(self.real) else 0
        views, truth = thumbnails(self.real, self.clean, self.tones, toned, view, generator)
        windows = drawn_windows(self._judged(generator), WINDOWS, generator)
        drawn = (planes.to(self.device) for planes in (views, truth, windows))
        return Batch(MoireBatch.joined(parts).to(self.device), *drawn)

    def _judged(self, generator: torch.Generator) -> list[NDArray]:
        """Photographs of screens and clean pictures in turn, real ones and others as they come."""

        def one(*sources: Sequence[NDArray]) -> NDArray:
            filled = [source for source in sources if len(source)]
            source = filled[int(torch.randint(len(filled), (1,), generator=generator))]
            return source[int(torch.randint(len(source), (1,), generator=generator))]

        scenes = (self.real, self.simulated)
        seen, shown = ([each.planes(name) for each in scenes] for name in ("observed", "truth"))
        return [picture for _ in range(JUDGED // 2) for picture in (one(*seen), one(*shown, self.sound))]

    def step_loss(self, net: Refiner, batch: Batch) -> Tensor:
        """The loss of a part of a batch."""
        c = batch.crops
        # bfloat16 keeps 8 bits, and tones are to be told finer.
        with torch.autocast(self.device.type, enabled=False):
            curve, code = net.head(c.view)
            # A few crops say little of tones, and would teach the head their pictures by heart.
            tone = net.tone_of(c.scene, curve.detach())
            total = self._tone_loss(net, batch)
        correction = net.correction_of(c.observed, c.scene, c.pattern, tone, code)
        result = c.scene + tone + correction
        # Tones are the larger part of the error, and the same all over a crop: they would drown the detail.
        reach = min(DETAIL, c.truth.shape[-1] // 2)
        total = total + self.loss(_detail(result, reach), _detail(c.truth, reach), None)
        total = total + WHOLE * self.loss(result, c.truth, None)
        odds = net.judge(batch.windows)
        truth = torch.full_like(odds, UNSURE)
        truth[::2] = 1 - UNSURE
        return total + F.binary_cross_entropy_with_logits(odds, truth)

    def _tone_loss(self, net: Refiner, batch: Batch) -> Tensor:
        """What the tone head gets wrong of whole pictures."""
        if not len(batch.views):
            return torch.zeros((), device=self.device)
        curve, _ = net.head(batch.views)
        scene = batch.views[:, 3:]
        loss: Tensor = self.loss(scene + net.tone_of(scene, curve), batch.truth, None)
        return loss

    @torch.no_grad()
    def validate(self, net: Refiner) -> dict[str, float]:
        """Mean PSNR of the classical estimate (``before ...``) and of the net on the held-out pictures."""
        before, after = [], []
        for i in range(len(self.scored)):
            case = self.scored.middle(i, CASE, self.config.view).to(self.device)
            before.append(psnr(case.scene, case.truth))
            after.append(psnr(_result(net, case), case.truth))
        return {f"before {self.case}": sum(before) / len(before), f"net {self.case}": sum(after) / len(after)}

    @torch.no_grad()
    def remarks(self, net: Refiner) -> dict[str, float]:
        """What the judge says of held-out pictures."""

        def taken(pictures: Sequence[NDArray]) -> float:
            seen = (torch.from_numpy(np.array(one)).permute(2, 0, 1).float() / 255 for one in pictures)
            return sum(net.evidence(one.to(self.device)) > DOUBT for one in seen) / len(pictures)

        sound = [*self.scored.planes("truth"), *self.sound_held]
        return {
            "held-out screens recognised": taken(self.scored.planes("observed")),
            "held-out clean pictures taken for screens": taken(sound),
        }

    @torch.no_grad()
    def samples(self, net: Refiner) -> NDArray:
        """Observed, classical, net and truth of some held-out pictures."""
        rows: list[list[Tensor]] = []
        for i in range(min(SHOWN, len(self.scored))):
            case = self.scored.middle(i, SHOWN_SIDE, self.config.view).to(self.device)
            if case.truth.shape[-2:] == (SHOWN_SIDE, SHOWN_SIDE) or not rows:
                rows.append([case.observed[0], case.scene[0], _result(net, case)[0], case.truth[0]])
        return sheet([row for row in rows if row[0].shape == rows[0][0].shape])


def _result(net: Refiner, case: MoireBatch) -> Tensor:
    found = net(case.observed, case.scene, case.pattern, case.observed.new_ones(1), case.view)
    return case.scene + found.tone + found.correction


def _detail(planes: Tensor, reach: int) -> Tensor:
    """Planes less their mean over the window around each pixel."""
    return planes - ops.box(planes, reach, boundary="shrink")


def _tones(pairs: list[Any]) -> Tones | None:
    if not pairs:
        return None
    return Tones(reduced(truth for _, truth in pairs), reduced(observed for observed, _ in pairs))


def _estimated(first: Any, truth: Any, seed: int, curve: NDArray | None) -> dict[str, NDArray]:
    """The record of a real pair, or of a simulated one where there is no truth: then the picture is clean."""
    return estimated(simulated(first, seed, curve) if truth is None else (first, truth), seed)
