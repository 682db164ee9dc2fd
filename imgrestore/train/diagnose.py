"""The diagnoser's training ground: damaged pictures or a user's classes, batches, loss and validation."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from imgrestore.data.photographs import labelled_folders
from imgrestore.nets.diagnoser import Diagnoser, DiagnoserConfig
from imgrestore.nets.separator import Separator
from imgrestore.nets.weights import load
from imgrestore.train.checkpoint import write_bytes
from imgrestore.train.confusion import Confusion
from imgrestore.train.diagnose_cases import Cases, ClassSource, DamageSource, Source
from imgrestore.train.ground import CallError, TrainError, net_config
from imgrestore.train.options import Options
from imgrestore.train.scores import SHARES, Measure, sheet

__all__ = ["DiagnoseGround", "answer"]

# What strengths and places weigh beside classes.
STRENGTH, PLACED = 2.0, 1.0
# What a damage that is there weighs beside one that is not, in a picture and in a place: most of the six are not.
PRESENT, SHOWING = 3.0, 2.0
# How sure the net may get: labels are as far from 0 and 1.
UNSURE = 0.02
# Pictures of each class on the sheet, their side, and the colours of their frames: right and wrong.
SHOWN, SHOWN_SIDE, FRAME = 8, 112, 4
RIGHT, WRONG = (0.2, 0.6, 0.3), (0.85, 0.25, 0.2)
# Whose shipped net a new one begins with.
LENDER = "dereflect"
VERSION = 3


class DiagnoseGround:
    """Batches, loss and validation of the diagnoser; see `imgrestore.train.ground.Ground`.

    Parameters
    ----------
    options : Options
        The run's.
    device : torch.device
        Where the net lives; pictures stay in the host's memory.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    takes: ClassVar[tuple[str, ...]] = ("clean", "classes")
    defaults: ClassVar[Mapping[str, Any]] = {"batch": 16, "size": 224, "loss": "cross-entropy", "validation": 64}
    measure: ClassVar[Measure] = SHARES

    def __init__(self, options: Options, device: torch.device) -> None:
        if bool(options.clean) == bool(options.classes):
            raise CallError("expected one of --clean and --classes: diagnose learns damages, or a user's classes")
        if options.real and options.classes:
            raise CallError(f"--real is {options.real[0]}; expected none with --classes, which are photographs already")
        try:
            labelled_folders(options.real)
        except ValueError as error:
            raise CallError(str(error)) from None
        self.options, self.device = options, device
        self.source: Source = DamageSource(options) if options.clean else ClassSource(options)
        default = self.source.config
        self.config = net_config(DiagnoserConfig, {**vars(default)}, options.net)
        self.sets, self.held, self.count = self.source.sets, self.source.held, self.source.count
        self.fingerprint = {"content": self.source.content, "diagnose": VERSION}
        if not self.source.scored:
            raise TrainError("there are no held-out pictures to score")

    def net(self) -> Diagnoser:
        """A new net; of damages it begins with what the net of reflections sees, where there is one of its size."""
        net = Diagnoser(self.config)
        if self.config.several:
            # Of another size, or where the weights are missing (a WeightsError is one), it begins at random.
            with suppress(ValueError):
                lender = load(LENDER)
                assert isinstance(lender, Separator)
                net.borrow(lender)
        return net

    def batch(self, step: int, part: int) -> Cases:
        """A part of a step's batch, which depends on the seed, the step and the part alone."""
        found = self.source.batch(step, part, self.config)
        planes: dict[str, Any] = {
            name: value.to(self.device) for name, value in vars(found).items() if isinstance(value, Tensor)
        }
        return replace(found, **planes)

    def step_loss(self, net: Diagnoser, batch: Cases) -> Tensor:
        """The loss of a part of a batch: cross-entropy, of damages in all places too, and the strengths' error."""
        found = net(batch.view, batch.windows)
        if not self.config.several:
            return F.cross_entropy(found.logits, batch.truth, label_smoothing=UNSURE)
        sure = batch.truth * (1 - 2 * UNSURE) + UNSURE
        loss = _blamed(found.logits, sure, PRESENT)
        # Of photographs it is not known how strong a damage is, nor where: they come last.
        known = batch.known
        loss = loss + PLACED * _blamed(found.where[:known], batch.where[:known], SHOWING)
        if found.near is not None:
            loss = loss + PLACED * _blamed(found.near[:known], batch.near[:known], SHOWING)
        return loss + STRENGTH * (found.strength - batch.strength)[:known].square().mean()

    @torch.no_grad()
    def answers(self, net: Diagnoser) -> list[int]:
        """What a net says of the held-out pictures, in their order: places in the source's labels."""
        pictures = (picture.to(self.device).float() / 255 for picture, _ in self.source.scored)
        return [answer(net.diagnose(one).logits[0], self.config.several) for one in pictures]

    def confusion(self, net: Diagnoser) -> Confusion:
        """Which held-out pictures are taken for what."""
        return Confusion.of(self.source.labels, [truth for _, truth in self.source.scored], self.answers(net))

    def validate(self, net: Diagnoser) -> dict[str, float]:
        """Accuracy and macro F1 on the held-out pictures; before: of the most common answer alone.

        The confusion matrix is written to ``confusion.csv`` in the run's folder.
        """
        found = self.confusion(net)
        self.options.folder.mkdir(parents=True, exist_ok=True)
        write_bytes(self.options.folder / "confusion.csv", found.to_csv().encode())
        plain = found.commonest()
        return {
            "before accuracy": plain.accuracy,
            "net accuracy": found.accuracy,
            "before macro F1": plain.macro_f1,
            "net macro F1": found.macro_f1,
        }

    def remarks(self, net: Diagnoser) -> dict[str, Any]:
        """The F1 of each class, and the confusion matrix."""
        found = self.confusion(net)
        return {"F1": {name: round(value, 3) for name, value in found.f1.items()}, "confusion": found.to_dict()}

    def samples(self, net: Diagnoser) -> NDArray:
        """Held-out pictures, a row for each class, in a green frame where it was found and in a red one where not."""
        rows: list[list[Tensor]] = [[] for _ in self.source.labels]
        for (picture, truth), found in zip(self.source.scored, self.answers(net), strict=True):
            if len(rows[truth]) < SHOWN:
                shown = F.interpolate(picture[None].float() / 255, size=(SHOWN_SIDE, SHOWN_SIDE), mode="area")[0]
                framed = torch.tensor(RIGHT if found == truth else WRONG)[:, None, None].repeat(
                    1, SHOWN_SIDE + 2 * FRAME, SHOWN_SIDE + 2 * FRAME
                )
                framed[:, FRAME:-FRAME, FRAME:-FRAME] = shown
                rows[truth].append(framed)
        return sheet([row for row in rows if row])


def _blamed(logits: Tensor, truth: Tensor, there: float) -> Tensor:
    """Cross-entropy, with a weight for what is there."""
    weight = torch.full((), there, device=logits.device)
    return F.binary_cross_entropy_with_logits(logits.float(), truth, pos_weight=weight)


def answer(logits: Tensor, several: bool) -> int:
    """The answer that logits give where one is expected.

    Parameters
    ----------
    logits : Tensor, shape (classes,)
    several : bool
        Whether a picture may be of no class.

    Returns
    -------
    int
        The place of the largest logit; the number of classes where it may be none, and none is above 0.
    """
    most = int(logits.argmax())
    return len(logits) if several and float(logits[most]) <= 0 else most
