"""`restore`: diagnose a picture, mend what was found in an order that makes sense, and look again after each step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from imgrestore.diagnosis import Report, diagnose
from imgrestore.diagnosis.clues import TASKS
from imgrestore.pixels import ChannelAxis, to_planes
from imgrestore.tasks.deblur import deblur
from imgrestore.tasks.demoire import demoire
from imgrestore.tasks.dereflect import dereflect
from imgrestore.tasks.derust import derust
from imgrestore.tasks.deshadow import deshadow
from imgrestore.tasks.despecular import despecular
from imgrestore.tasks.device import chosen
from imgrestore.types import Restoration

__all__ = [
    "NOTHING_TO_MEND",
    "ORDER",
    "TAKEN_BACK",
    "Plan",
    "Restored",
    "Step",
    "checked_plan",
    "first_of",
    "looks_worse",
    "restore",
]

# What came last goes first: the camera's grid, its optics, the pane before it, the light on the surface, the surface.
ORDER = ("moire", "blur", "reflection", "specular", "shadow", "rust")
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "moire": demoire,
    "blur": deblur,
    "reflection": dereflect,
    "specular": despecular,
    "shadow": deshadow,
    "rust": derust,
}
# From which probability on a damage is worth a step. The judgements of the tasks for moiré and blur find next to
# nothing in sound pictures, so that a try costs time alone; all others have to be believed.
TRIED = {"moire": 0.2, "blur": 0.2, "reflection": 0.5, "specular": 0.5, "shadow": 0.5, "rust": 0.5}
# Probabilities are cautious, so that sound pictures are left alone. One that was mended was not sound. Shadows have
# to be believed even then, as lifting one that is none changes most.
TRIED_AFTER = {**dict.fromkeys(ORDER, 0.25), "shadow": 0.5}
# A shadow that lies over more than this part of a picture leaves nothing in the light to lift it to: such pictures are
# dark themselves.
COVERED = 0.92
# A step that makes the picture look more damaged by so much, in sums of probabilities, is taken back; and one for a
# damage that was not believed, unless the picture then looks less damaged by so much.
WORSE, BETTER = 0.5, 0.2
Progress = Callable[[str, float], None]
Plan = Sequence["str | tuple[str, Mapping[str, Any]]"]
Steps = list[tuple[str, Mapping[str, Any]]]
NOTHING_TO_MEND = "nothing to mend was found: the picture is left as it is"
UNCHANGED = "nothing was changed"
TAKEN_BACK = "taken back: the picture looked no better"


@dataclass(frozen=True, eq=False)
class Step:
    """One task that was tried.

    Attributes
    ----------
    damage, task : str
        What was to be removed, and by which function.
    restoration : Restoration
        What the task gave.
    kept : bool
        Whether its picture was gone on with.
    why : str
        In words.
    before : Report or None
        The diagnosis that led to it; None where a plan was given.
    """

    damage: str
    task: str
    restoration: Restoration
    kept: bool
    why: str
    before: Report | None = None


@dataclass(frozen=True, eq=False)
class Restored(Restoration):
    """A picture after all its steps; its layers are the result and what each kept step took off.

    Parameters
    ----------
    steps : tuple of Step
        In their order, those that were not kept among them.
    reports : tuple of Report
        The diagnoses: the first one, and one after each step that changed the picture. Empty where a plan was given.
    """

    steps: tuple[Step, ...] = field(default=())
    reports: tuple[Report, ...] = field(default=())

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "steps", tuple(self.steps))
        object.__setattr__(self, "reports", tuple(self.reports))

    def __reduce__(self) -> tuple[Any, ...]:
        _, parts = super().__reduce__()
        return Restored, (*parts, self.steps, self.reports)


def restore(
    image: Any,
    *,
    plan: Plan | None = None,
    details: bool = False,
    refine: bool = True,
    channel_axis: ChannelAxis = "auto",
    device: str | torch.device | None = None,
    progress: Progress | None = None,
) -> Any:
    """Restore a picture without being told what is wrong with it.

    The picture is diagnosed. Of the damages that are likely the one that came last is removed first: moiré and blur,
    which the camera made, then reflections, highlights, shadows and stains. Moiré and blur are tried where they are not
    believed, too, as their tasks tell sound pictures well; in a picture that was mended all but shadows are. The result
    is diagnosed again, until nothing is left that was not tried. A step after which the picture looks more damaged than
    before is taken back, as is a try that brought nothing, and a picture with nothing to mend comes back as it was.

    Parameters
    ----------
    image : ndarray or torch.Tensor
        One picture or a batch, as the tasks take it: uint8, uint16 or floating point in any range; gray, RGB or RGBA.
        Of a batch each picture has a plan of its own.
    plan : sequence, optional
        The steps, instead of a diagnosis: names of tasks or damages, each alone or with its settings, as in
        ``["deblur", ("deshadow", {"kind": "document"})]``. All of them are kept.
    details : bool
        Return a `Restored` instead of the picture; of a batch a tuple of them.
    refine : bool
        False: the steps are the classical estimates.
    channel_axis : int, None or "auto"
        As in the tasks.
    device : str or torch.device, optional
        Where the tasks' nets compute, as in the tasks.
    progress : callable, optional
        Called with what is being done and the part of all that is done, up to 1.

    Returns
    -------
    array, or Restored
        Type, shape, dtype and range of `image`. The `Restored` has a layer "restored" and one for each step that was
        kept, "deblur" and so on, which is what that step took off; together they are the input. Its `confidence` is
        the probability that there is nothing left to mend, None where a plan was given; `steps` has the `Restoration`
        of every step, and `reports` the diagnoses.

    Raises
    ------
    TypeError
        Where `image` is no array, or has a dtype that the tasks do not take.
    ValueError
        Where it is empty, has no finite pixel or, without a plan, other than 1 or 3 channels of colour, a step of the
        plan is unknown, or the device is not there.

    See Also
    --------
    imgrestore.diagnose : the diagnosis alone.

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore import restore
    >>> flat = np.full((64, 64, 3), 90, np.uint8)
    >>> bool((restore(flat) == flat).all())
    True
    """
    steps = None if plan is None else checked_plan(plan)
    planes = to_planes(image, channel_axis=channel_axis)
    settings: dict[str, Any] = {"refine": refine, "device": chosen(device, image)}
    if len(planes.data) == 1:
        done = _restored(image, steps, {**settings, "channel_axis": channel_axis}, progress)
        return done if details else done.image
    pictures, axis = _apart(image, planes.channel_axis)
    parts = []
    for number, picture in enumerate(pictures):
        beside = None if progress is None else _within(progress, number, len(pictures))
        parts.append(_restored(picture, steps, {**settings, "channel_axis": axis}, beside))
    if details:
        return tuple(parts)
    join = torch.stack if isinstance(image, torch.Tensor) else np.stack
    return join([part.image for part in parts]).reshape(image.shape)


def _restored(image: Any, plan: Steps | None, settings: dict[str, Any], progress: Progress | None) -> Restored:
    """One picture after all its steps."""
    tell = progress or _silent
    steps, reports = _planned(image, plan, settings, tell) if plan is not None else _found(image, settings, tell)
    tell("done", 1.0)
    kept = [step for step in steps if step.kept]
    result = kept[-1].restoration.image if kept else _copy(image)
    return Restored(
        result,
        _layers(image, kept),
        confidence=reports[-1].sound if reports else None,
        notes=(*(f"{step.task}: {step.why}" for step in steps), *(() if steps else (NOTHING_TO_MEND,))),
        steps=tuple(steps),
        reports=tuple(reports),
    )


def _found(image: Any, settings: dict[str, Any], tell: Progress) -> tuple[list[Step], list[Report]]:
    """Mend what a diagnosis finds likely, the last damage first, and diagnose again."""
    axis = settings["channel_axis"]
    tell("diagnosing", 0.0)
    report = diagnose(image, channel_axis=axis)
    steps: list[Step] = []
    reports = [report]
    while True:
        tried = [step.damage for step in steps]
        damage = first_of(report, tried, mended=any(step.kept for step in steps))
        if damage is None:
            return steps, reports
        part = len(tried) / len(ORDER)
        tell(f"{TASKS[damage]}", part)
        one = _carried_out(damage, image, settings, {})
        if _same(one.image, image):
            steps.append(Step(damage, TASKS[damage], one, False, _first(one, UNCHANGED), report))
            continue
        tell("diagnosing again", part)
        after = diagnose(one.image, channel_axis=axis)
        reports.append(after)
        if looks_worse(report, after, damage):
            steps.append(Step(damage, TASKS[damage], one, False, TAKEN_BACK, report))
            continue
        steps.append(Step(damage, TASKS[damage], one, True, _first(one, "done"), report))
        image, report = one.image, after


def _planned(image: Any, plan: Steps, settings: dict[str, Any], tell: Progress) -> tuple[list[Step], list[Report]]:
    """Carry out a plan that was given."""
    steps = []
    for number, (damage, own) in enumerate(plan):
        tell(TASKS[damage], number / len(plan))
        one = _carried_out(damage, image, settings, own)
        steps.append(Step(damage, TASKS[damage], one, True, _first(one, "done")))
        image = one.image
    return steps, []


def _carried_out(damage: str, image: Any, settings: dict[str, Any], own: Mapping[str, Any]) -> Restoration:
    done: Restoration = FUNCTIONS[damage](image, **{**settings, **own, "details": True})
    return done


def first_of(report: Report, tried: Sequence[str], *, mended: bool = False) -> str | None:
    """The damage to be removed next.

    Parameters
    ----------
    report : Report
    tried : sequence of str
        Damages that were tried already.
    mended : bool
        Whether a step has been kept.

    Returns
    -------
    str or None
        Of those that are likely enough to be worth a step, the one that came about last; None where none is left. A
        shadow over nearly all of the picture is not worth one: nothing says how bright the picture would be without.
    """
    odds = report.probabilities
    if float(report["shadow"].mask.mean()) > COVERED:
        tried = (*tried, "shadow")
    least = {name: min(part, TRIED_AFTER[name]) if mended else part for name, part in TRIED.items()}
    return next((name for name in ORDER if odds[name] >= least[name] and name not in tried), None)


def looks_worse(before: Report, after: Report, damage: str) -> bool:
    """Whether a step is to be taken back: it made a picture look more damaged, or was a try that brought nothing.

    Parameters
    ----------
    before, after : Report
    damage : str
        What the step was to remove.

    Returns
    -------
    bool
    """
    most = WORSE if damage in before.believed else -BETTER
    return _damage(after) - _damage(before) > most


def checked_plan(plan: Any) -> Steps:
    """A user's plan as damages with their settings.

    Parameters
    ----------
    plan : sequence
        As in `restore`.

    Returns
    -------
    list of (str, mapping)

    Raises
    ------
    ValueError
        Where it is no sequence of tasks.
    """
    if isinstance(plan, (str, Mapping)) or not isinstance(plan, Sequence):
        raise ValueError(f"plan is {plan!r}; expected a sequence of tasks, such as ['deblur', 'derust']")
    known = {**{task: name for name, task in TASKS.items()}, **{name: name for name in TASKS}}
    steps: Steps = []
    for entry in plan:
        name, own = entry if isinstance(entry, (tuple, list)) and len(entry) == 2 else (entry, {})
        if not isinstance(name, str) or name not in known or not isinstance(own, Mapping):
            raise ValueError(
                f"plan has the step {entry!r}; expected one of {', '.join(TASKS.values())}, or (task, settings)"
            )
        steps.append((known[name], own))
    return steps


def _layers(image: Any, kept: list[Step]) -> dict[str, Any]:
    """The result and what each step took off, in floating point: their sum is the input."""
    before = _as_float(image)
    layers: dict[str, Any] = {}
    for step in kept:
        after = _as_float(step.restoration.image)
        name = step.task if step.task not in layers else f"{step.task} {len(layers) + 1}"
        layers[name] = before - after
        before = after
    return {"restored": before, **layers}


def _as_float(image: Any) -> Any:
    if isinstance(image, torch.Tensor):
        return image.detach() if image.is_floating_point() else image.detach().float()
    return image if image.dtype.kind == "f" else image.astype(np.float32)


def _apart(image: Any, axis: int | None) -> tuple[Any, int | None]:
    """The pictures of a batch along one axis, and where the channels of each are."""
    lead = image.ndim - (2 if axis is None else 3)
    if axis is not None and axis % image.ndim < lead:
        raise ValueError(
            f"channel_axis is {axis} in a batch of shape {tuple(image.shape)}; expected one behind its batch axes"
        )
    return image.reshape(-1, *image.shape[lead:]), None if axis is None else axis % image.ndim - lead


def _within(progress: Progress, number: int, count: int) -> Progress:
    """What tells of one picture of a batch."""
    return lambda text, part: progress(f"picture {number + 1} of {count}, {text}", (number + part) / count)


def _silent(text: str, part: float) -> None:
    """Tell nobody."""


def _damage(report: Report) -> float:
    return sum(one.probability for one in report.findings)


def _first(one: Restoration, otherwise: str) -> str:
    return one.notes[0] if one.notes else otherwise


def _same(one: Any, other: Any) -> bool:
    """Whether two pictures are the same, NaN in the same places among them."""
    if isinstance(one, torch.Tensor):
        return bool(((one == other) | ((one != one) & (other != other))).all())
    return bool(np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))


def _copy(image: Any) -> Any:
    return image.detach().clone() if isinstance(image, torch.Tensor) else image.copy()
