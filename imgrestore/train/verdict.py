"""Fit the verdict, which weighs clues: ``python -m imgrestore.train.verdict CLEAN... --out verdict.safetensors``.

Clues take seconds a picture, the fit itself a minute. So clues are kept in a file of JSON lines, and a run that was
stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from imgrestore import io
from imgrestore.data.damages import NONE, damaged, finished
from imgrestore.data.pack import read_pack
from imgrestore.data.photographs import labelled_folders
from imgrestore.diagnosis.clues import clues_of
from imgrestore.diagnosis.views import Views, views_of
from imgrestore.nets.diagnoser import DAMAGES, Diagnoser
from imgrestore.nets.verdict import Verdict, VerdictConfig
from imgrestore.nets.weights import load, write_net
from imgrestore.train.checkpoint import write_bytes

__all__ = ["Case", "drawn", "fitted", "gathered", "photographed"]

SIZE = 512
# Shares of drawn pictures without damage and with two, and of those that stay as the forward model left them.
SOUND, TWO, RAW = 0.25, 0.1, 0.5
ATTEMPTS = 8
# The fit: steps, pictures a step, learning rate, decay, clues left out at random, and pictures that each member sees.
STEPS, BATCH, RATE, DECAY, LEFT_OUT, SEEN = 400, 256, 0.01, 30.0, 0.3, 0.8
# Clues by which the classifier tells a damage: at the picture, its mirror image, and parts of it.
LOOKS = ("net", "mirror", "parts", "most")
# So large a part of the pictures without damage has to be told as such, by members that did not see them.
SOUND_KEPT = 0.95


@dataclass(frozen=True)
class Case:
    """One picture to learn from.

    Attributes
    ----------
    key : str
        Which it is.
    picture : ndarray of uint8, shape (H, W, 3)
    damages : tuple of str
        What it shows; empty for nothing.
    """

    key: str
    picture: NDArray[np.uint8]
    damages: tuple[str, ...]


def drawn(pictures: Sequence[NDArray[np.uint8]], count: int, seed: int = 1) -> Iterator[Case]:
    """Clean pictures, damaged by the forward models.

    Parameters
    ----------
    pictures : sequence of ndarray of uint8, shape (H, W, 3)
    count : int
    seed : int
        The same seed and pictures make the same cases.

    Yields
    ------
    Case
        Half of them with other tones, noise and storage, as files have them.
    """
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        chance = rng.random()
        wanted = 0 if chance < SOUND else 2 if chance < SOUND + TWO else 1
        names = tuple(str(name) for name in rng.choice(np.array(DAMAGES), wanted, replace=False))
        for attempt in range(ATTEMPTS):
            rng = np.random.default_rng((seed, number, attempt))
            clean, other = (pictures[int(rng.integers(len(pictures)))] for _ in range(2))
            case = damaged(clean, names, SIZE, rng, other)
            if int(case.present.sum()) == wanted:
                planes = case.picture if rng.random() < RAW else finished(case, rng).picture
                pixels = (planes * 255).round().byte().movedim(0, -1).numpy()
                yield Case(f"drawn {seed} {number}", np.ascontiguousarray(pixels), names)
                break


def photographed(damage: str, folder: str | Path, most: int) -> Iterator[Case]:
    """Photographs that show one damage, or none.

    Parameters
    ----------
    damage : str
        One of `imgrestore.nets.diagnoser.DAMAGES`, or "none".
    folder : path
        Files that `imgrestore.io.read` reads.
    most : int
        Of more files so many are taken, spread evenly.

    Yields
    ------
    Case
    """
    paths = [path for path in sorted(Path(folder).iterdir()) if io.is_picture(path)]
    step = max(1.0, len(paths) / most)
    for path in paths if step == 1 else [paths[int(i * step)] for i in range(most)]:
        picture = io.read(path)
        pixels = picture.pixels[..., :3] if picture.pixels.ndim == 3 else picture.pixels
        yield Case(f"{damage} {'/'.join(path.parts[-3:])}", pixels, () if damage == NONE else (damage,))


def gathered(cases: Iterator[Case], store: Path, net: Diagnoser) -> list[dict[str, Any]]:
    """The clues of all cases; those that are in the store already are not looked for again.

    Parameters
    ----------
    cases : iterator of Case
    store : Path
        A file of JSON lines, to which is added. Clues of another classifier are not counted.
    net : Diagnoser

    Returns
    -------
    list of dict
        With "key", "net", "damages" and "clues".
    """
    classifier = _digest(net)
    known = _read(store, classifier)
    # A line that a killed run did not finish goes.
    store.write_text("".join(json.dumps(row) + "\n" for row in known.values()))
    rows = []
    with store.open("a") as stream:
        for case in cases:
            if case.key not in known:
                axis = -1 if case.picture.ndim == 3 else None
                views: Views = views_of(case.picture, axis)
                clues = clues_of(views, net).numbers
                row = {"key": case.key, "net": classifier, "damages": list(case.damages), "clues": clues}
                stream.write(json.dumps(row) + "\n")
                stream.flush()
                known[case.key] = row
            rows.append(known[case.key])
    return rows


def _digest(net: Diagnoser) -> str:
    """What tells one classifier from another."""
    found = hashlib.sha256()
    for values in net.state_dict().values():
        found.update(values.numpy().tobytes())
    return found.hexdigest()[:16]


def _read(store: Path, classifier: str) -> dict[str, dict[str, Any]]:
    """The rows of a store that were made with a classifier, by key."""
    known = {}
    for line in store.read_text().splitlines() if store.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if row["net"] == classifier:
            known[row["key"]] = row
    return known


def fitted(rows: Sequence[dict[str, Any]], seed: int = 0) -> Verdict:
    """Fit a verdict to clues.

    Parameters
    ----------
    rows : sequence of dict
        As `gathered` gives them.
    seed : int

    Returns
    -------
    Verdict

    Raises
    ------
    ValueError
        Where they are not the same clues in all rows.
    """
    names = tuple(sorted(rows[0]["clues"]))
    if any(set(row["clues"]) != set(names) for row in rows):
        raise ValueError("the store has clues of another version: remove it")
    numbers = torch.tensor([[row["clues"][name] for name in names] for row in rows])
    truth = torch.tensor([[float(name in row["damages"]) for name in DAMAGES] for row in rows])
    torch.manual_seed(seed)
    net = Verdict(VerdictConfig(names))
    net.mean.copy_(numbers.mean(0))
    net.deviation.copy_(numbers.std(0).clamp_min(1e-3))
    rule = _told_alone(net)
    seen = max(1, round(SEEN * len(rows)))
    parts = torch.stack([torch.randperm(len(rows))[:seen] for _ in range(net.config.members)])
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
    for _ in range(STEPS):
        chosen = parts[:, torch.randperm(seen)[:BATCH]]
        told = net.each(_thinned(numbers[chosen], net.mean))
        loss = F.binary_cross_entropy_with_logits(told, truth[chosen], reduction="none").sum(-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for parameter, start in zip(net.parameters(), rule, strict=True):
                parameter.lerp_(start, DECAY * schedule.get_last_lr()[0])
        schedule.step()
    _made_cautious(net, numbers, truth, parts)
    return net.eval()


@torch.no_grad()
def _told_alone(net: Verdict) -> list[Tensor]:
    """Let the linear rules begin with the mean of the classifier's looks, from which other clues only lead so far.

    Returns
    -------
    list of Tensor
        What the fit decays to, for each of the net's parameters: this rule, and 0 for the layers beside it.
    """
    for column, damage in enumerate(net.config.classes):
        looks = [i for i, name in enumerate(net.config.clues) if name in {f"{look}_{damage}" for look in LOOKS}]
        for i in looks:
            net.straight[:, i, column] = net.deviation[i] / len(looks)
            net.bias[:, :, column] += net.mean[i] / len(looks)
    kept = {"straight", "bias"}
    return [one.clone() if name in kept else torch.zeros_like(one) for name, one in net.named_parameters()]


@torch.no_grad()
def _made_cautious(net: Verdict, numbers: Tensor, truth: Tensor, parts: Tensor) -> None:
    """Lower all odds until enough pictures without damage are told as such: to mend what is sound is worse than not to.

    Each picture is judged by the members that were fitted without it.
    """
    told = net.each(numbers.expand(net.config.members, -1, -1))
    strange = torch.ones(told.shape[:2], dtype=torch.bool).scatter_(1, parts, False)
    judged = strange.any(0) & ~truth.any(1)
    if not bool(judged.any()):
        return
    weight = strange.float()[..., None]
    odds = ((told * weight).sum(0) / weight.sum(0).clamp_min(1))[judged].amax(1)
    net.bias.sub_(torch.quantile(odds, SOUND_KEPT))


def _thinned(numbers: Tensor, mean: Tensor) -> Tensor:
    """Clues of which some say nothing, so that none is relied on alone."""
    return torch.where(torch.rand(numbers.shape) < LEFT_OUT, mean, numbers)


def main(arguments: Sequence[str] | None = None) -> None:
    """Gather clues and fit.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the command line by default.
    """
    parser = argparse.ArgumentParser("python -m imgrestore.train.verdict", description=__doc__)
    parser.add_argument("clean", nargs="+", help="folders of clean pictures, or files packed by imgrestore.data")
    parser.add_argument(
        "--unseen",
        action="append",
        default=[],
        metavar="CLEAN",
        help="the same, which the classifier did not learn from",
    )
    parser.add_argument("--real", action="append", default=[], metavar="DAMAGE=FOLDER", help="photographs that show it")
    parser.add_argument("--cases", type=int, default=900, help="how many pictures are drawn")
    parser.add_argument("--unseen-cases", type=int, default=320, help="how many more are drawn on those of --unseen")
    parser.add_argument("--most", type=int, default=40, help="photographs of each folder")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="the weights; clues and card lie beside them")
    given = parser.parse_args(arguments)
    try:
        real = labelled_folders(given.real)
    except ValueError as error:
        parser.error(str(error))
    pictures, unseen = (
        [picture for source in sources for picture in read_pack(source).values()]
        for sources in (given.clean, given.unseen)
    )
    net = load("diagnose")
    assert isinstance(net, Diagnoser)
    store = given.out.with_suffix(".clues.jsonl")
    rows = gathered(drawn(pictures, given.cases, given.seed), store, net)
    if unseen:
        rows += gathered(drawn(unseen, given.unseen_cases, given.seed + 1), store, net)
    for damage, folder in real:
        rows += gathered(photographed(damage, folder, given.most), store, net)
    found = fitted(rows, given.seed)
    card = {
        "task": "verdict",
        "net": "Verdict",
        "config": found.config.to_dict(),
        "parameters": sum(p.numel() for p in found.parameters()),
        "data": [Path(source).name for source in given.clean] + [_named(*entry) for entry in real],
        "not seen by the classifier": [Path(source).name for source in given.unseen],
        "pictures": {name: sum(name in row["damages"] for row in rows) for name in DAMAGES}
        | {NONE: sum(not row["damages"] for row in rows)},
        "drawn": given.cases + (given.unseen_cases if unseen else 0),
        "of each folder at most": given.most,
        "seed": given.seed,
        "torch": torch.__version__,
        "sha256": write_net(given.out, found, "verdict"),
    }
    write_bytes(given.out.with_suffix(".json"), (json.dumps(card, indent=2) + "\n").encode())


def _named(damage: str, folder: Path) -> str:
    """A folder as the card has it: with what lies around it, and what it shows."""
    return f"{'/'.join(folder.resolve().parts[-3:])}: {damage}"


if __name__ == "__main__":
    main()
