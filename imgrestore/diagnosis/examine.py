"""`diagnose`: from a picture to a report."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from imgrestore.diagnosis.clues import SEPARATED, TASKS, Clues, clues_of
from imgrestore.diagnosis.report import NOTHING, Finding, Report
from imgrestore.diagnosis.views import LEAST_SIDE, Views, views_of
from imgrestore.nets.diagnoser import DAMAGES
from imgrestore.nets.verdict import Verdict
from imgrestore.nets.weights import load
from imgrestore.pixels import ChannelAxis
from imgrestore.tasks.own_weights import own_net

__all__ = ["diagnose", "examined", "verdict"]

# A damage is believed from this probability on.
BELIEVED = 0.5
# Blur and moiré mostly lie over a whole picture: over all of it where less than this part is marked.
LEAST_PART = {"blur": 0.25, "moire": 0.1}
LARGEST_QUALITY = 100
ONLY_LIGHTS = "lights on an even dark ground: nothing that shadows, reflections, highlights or stains could lie on"


def diagnose(
    image: Any, *, weights: str | os.PathLike[str] | None = None, channel_axis: ChannelAxis = "auto"
) -> Report:
    """Tell what is wrong with a picture: which of six damages, how strong, where, and how sure.

    Physics comes first: how steep the steps of the picture are and what kernel explains its spectrum, waves that stand
    out of the spectrum, edges that behave like those of cast shadows, an image that comes twice or a veil of light,
    spots that are mirrored light on a coloured body, stains with the colours of rust. What the nets of the six tasks
    and a classifier see is weighed beside it. Several damages may be there, and "nothing to mend" is an answer.

    Parameters
    ----------
    image : ndarray or torch.Tensor
        One picture, as the tasks take it: uint8, uint16 or floating point in any range, gray, RGB or RGBA (alpha is
        left out). NaN and infinite pixels are left out. A large one is looked at reduced to 384 pixels, and closely in
        the part with most detail.
    weights : path-like, optional
        A file that ``python -m imgrestore.train.verdict`` wrote; the weights that ship by default.
    channel_axis : int, None or "auto"
        As in the tasks.

    Returns
    -------
    Report

    Raises
    ------
    TypeError
        Where `image` is no array or has a dtype that the tasks do not take, or `weights` is no path.
    ValueError
        Where it is empty, a batch, has other than 1 or 3 channels of colour or no finite pixel
        (`imgrestore.nets.weights.WeightsError` where weights are missing or are no sound file for this).

    References
    ----------
    The methods' papers stand with the functions that they are in, see `imgrestore.deblur` and its siblings.

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore import diagnose
    >>> rows, columns = np.mgrid[:96, :96]
    >>> scene = 0.5 + 0.2 * np.sin(columns / 20) * np.cos(rows / 15)
    >>> report = diagnose((scene + 0.2 * np.sin(2 * np.pi * 0.31 * columns)).astype(np.float32))
    >>> report.first, report["moire"].task
    ('moire', 'demoire')
    """
    judge = verdict(weights)
    return examined(views_of(image, channel_axis), judge)


def examined(views: Views, judge: Verdict | None = None) -> Report:
    """Tell what is wrong with a picture that was looked at.

    Parameters
    ----------
    views : Views
    judge : Verdict, optional
        The one that ships by default.

    Returns
    -------
    Report
    """
    judge = verdict() if judge is None else judge
    reason = _too_little(views)
    if reason:
        return _nothing(views, reason)
    net: Any = load("diagnose")
    clues = clues_of(views, net)
    numbers = torch.tensor([[clues.numbers[name] for name in judge.config.clues]], dtype=torch.float32)
    with torch.no_grad():
        probability = torch.sigmoid(judge(numbers))[0]
    return _report(views, clues, dict(zip(judge.config.classes, probability.tolist(), strict=True)))


def verdict(weights: Any = None) -> Verdict:
    """The net that weighs the clues: of a file, or the one that ships.

    Parameters
    ----------
    weights : path-like, optional
        As in `diagnose`.

    Returns
    -------
    Verdict

    Raises
    ------
    WeightsError
        Where there is none, or the file does not hold one.
    """
    net = own_net("verdict", Verdict, weights, "auto", True) or load("verdict")
    assert isinstance(net, Verdict)
    return net


def _report(views: Views, clues: Clues, probability: dict[str, float]) -> Report:
    if clues.lights:
        probability = probability | dict.fromkeys(SEPARATED, 0.0)
    ranked = sorted(DAMAGES, key=lambda name: -probability[name])
    believed = tuple(name for name in ranked if probability[name] >= BELIEVED)
    findings = [
        Finding(
            name,
            TASKS[name],
            probability[name],
            clues.strengths[name],
            _mask(name, clues.marks[name], views.size, name in believed),
            clues.words[name],
        )
        for name in ranked
    ]
    return Report(
        tuple(findings),
        sound=float(np.prod([1 - probability[name] for name in DAMAGES])),
        first=believed[0] if believed else NOTHING,
        believed=believed,
        noise=clues.noise * views.unit,
        jpeg=_quality(clues.jpeg),
        picture=_shown(views),
        notes=(*views.notes, ONLY_LIGHTS) if clues.lights else views.notes,
    )


def _mask(name: str, marks: Tensor, size: tuple[int, int], believed: bool) -> NDArray[np.bool_]:
    """Where a damage lies, at full size."""
    if not believed:
        return np.zeros(size, np.bool_)
    finite = marks.clamp(-30.0, 30.0)[None, None]
    mask = F.interpolate(finite, size=size, mode="bilinear", align_corners=False)[0, 0] > 0
    if float(mask.float().mean()) < LEAST_PART.get(name, 0.0):
        return np.ones(size, np.bool_)
    return mask.numpy()


def _quality(scale: float) -> int | None:
    """The quality of the usual encoders that rounds as coarsely as that."""
    if scale <= 0:
        return None
    quality = 50 / scale if scale > 1 else 100 - 50 * scale
    return min(LARGEST_QUALITY, max(1, round(quality)))


def _too_little(views: Views) -> str | None:
    if min(views.size) < LEAST_SIDE:
        return f"{views.size[0]} x {views.size[1]} pixels are too few to judge by"
    if bool((views.picture.amax(dim=(1, 2)) == views.picture.amin(dim=(1, 2))).all()):
        return "it is constant"
    return None


def _nothing(views: Views, reason: str) -> Report:
    """The report of a picture that shows nothing."""
    nowhere = np.zeros(views.size, np.bool_)
    findings = tuple(Finding(name, TASKS[name], 0.0, 0.0, nowhere, "") for name in DAMAGES)
    note = f"nothing can be told: {reason}"
    return Report(findings, 1.0, NOTHING, (), 0.0, None, _shown(views), (*views.notes, note))


def _shown(views: Views) -> NDArray[np.uint8]:
    pixels = (views.whole.clamp(0, 1) * 255).round().byte().movedim(0, -1)
    return np.ascontiguousarray(pixels.numpy())
