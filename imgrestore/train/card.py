"""The result of a run: weights in float16, and a card that says where they come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from imgrestore.nets.weights import load_net, write_net
from imgrestore.train.checkpoint import write_bytes
from imgrestore.train.ground import TrainError
from imgrestore.train.trainer import Trainer, machine

__all__ = ["export"]


def export(trainer: Trainer) -> dict[str, Any]:
    """Write the best net's weights, and their card beside them.

    Parameters
    ----------
    trainer : Trainer
        Its validation has found a best net.

    Returns
    -------
    dict
        The card.

    Raises
    ------
    TrainError
        Where there is no best net, float16 cannot hold its weights, or the files cannot be written.
    """
    options, ground = trainer.options, trainer.ground
    net: Any = trainer.best_net()
    best = trainer.best
    assert best is not None  # or there would be no best net
    path = Path(options.out)
    try:
        sha256 = write_net(path, net, options.task)
    except OSError as error:
        raise TrainError(f"{path} cannot be written: {error.strerror or error}") from error
    except ValueError as error:  # a weight that float16 cannot hold
        raise TrainError(f"{path} cannot be written: {error}") from error
    # What was written is read again, so that the scores are those of the file.
    rounded = load_net(path).to(trainer.device)
    card = {
        "task": options.task,
        "net": type(net).__name__,
        "config": net.config.to_dict(),
        "parameters": sum(p.numel() for p in net.parameters()),
        "data": ground.sets,
        "pictures": ground.count,
        "held out": ground.held,
        "command": options.command,
        "minutes": round(trainer.elapsed / 60, 2),
        "steps": best.step,
        "optimizer": options.optimizer,
        "loss": options.loss,
        "learning rate": options.lr,
        "batch": options.batch,
        "size": options.size,
        "seed": options.seed,
        "machine": machine(trainer.device, trainer.world.size),
        "torch": torch.__version__,
        f"validation {ground.measure.title}": _rounded(best.scores),
        f"validation {ground.measure.title} after rounding to float16": _rounded(ground.validate(rounded)),
        **_rounded(ground.remarks(rounded)),
        "sha256": sha256,
    }
    write_bytes(path.with_suffix(".json"), (json.dumps(card, indent=2) + "\n").encode())
    return card


def _rounded(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in facts.items()}
