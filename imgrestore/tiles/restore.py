"""`restore` on large pictures: a diagnosis of the picture reduced and of parts of it, then a chain of tasks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from imgrestore.diagnosis import Report
from imgrestore.diagnosis.clues import TASKS
from imgrestore.diagnosis.examine import examined
from imgrestore.diagnosis.views import views_of, views_of_parts
from imgrestore.pixels import ChannelAxis
from imgrestore.plan import NOTHING_TO_MEND, TAKEN_BACK, Plan, checked_plan, first_of, looks_worse
from imgrestore.tiles.look import Look, look_at
from imgrestore.tiles.prepared import STEP_BYTES, Prepared, Unchanged
from imgrestore.tiles.source import Source
from imgrestore.tiles.window import Window

__all__ = ["After", "Chain", "prepare_restore"]

# Sides of the parts in which a step is carried out where more is asked for at once: less where its halo is wide, or its
# net takes much, but no less than the first.
LEAST_PART, PART, PART_STEP = 256, 1024, 64


@dataclass(frozen=True)
class After:
    """A picture after a step, computed as it is read.

    Attributes
    ----------
    source : Source
        Before the step.
    step : Prepared
    """

    source: Source
    step: Prepared

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole picture."""
        return self.step.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its pixels."""
        return self.step.dtype

    def read(self, window: Window) -> NDArray[Any]:
        """The pixels of a window, part by part: (h, w) or (h, w, C)."""
        result = np.empty((*window.shape, *self.shape[2:]), self.dtype)
        for part in _parts(window, _side(self.step)):
            result[part.inside(window)] = self.step(self.source.read(self.step.seen(part)), part)
        return result


@dataclass(frozen=True)
class Chain:
    """Carries out one step after the other on a tile.

    Attributes
    ----------
    steps : tuple of Prepared
    """

    steps: tuple[Prepared, ...]

    def __call__(self, pixels: NDArray[Any], seen: Window, core: Window) -> NDArray[Any]:
        """Restore one tile; each step leaves what the next one has to see."""
        for number, step in enumerate(self.steps):
            wanted = core.grown(sum(later.halo for later in self.steps[number + 1 :]), step.shape)
            around = wanted.grown(step.halo, step.shape)
            pixels = step(np.ascontiguousarray(pixels[around.inside(seen)]), wanted)
            seen = wanted
        return pixels


def prepare_restore(
    source: Source,
    look: Look,
    *,
    plan: Plan | None = None,
    refine: bool = True,
    channel_axis: ChannelAxis = "auto",
    device: str | torch.device | None = None,
    progress: Any = None,
) -> Prepared:
    """Diagnose a large picture, and get ready for the steps that it needs.

    After each step the picture is gone over again, with all steps so far, to be diagnosed anew.

    Parameters
    ----------
    source : Source
    look : Look
    plan, refine, channel_axis, device
        As in `imgrestore.restore`.
    progress : callable, optional
        As there; only looking at the picture is told of.

    Returns
    -------
    Prepared
    """
    from imgrestore.tiles.prepare import prepare

    common: dict[str, Any] = {"refine": refine, "channel_axis": channel_axis}
    if device is not None:
        common["device"] = device
    current, notes = source, []
    steps: list[Prepared] = []
    given = None if plan is None else checked_plan(plan)
    report = _report(look, channel_axis) if given is None else None
    tried: list[str] = []
    while True:
        entry = _next(given, report, tried, bool(steps))
        if entry is None:
            break
        damage, own = entry
        tried.append(damage)
        if progress is not None:
            progress(f"looking, for {TASKS[damage]}", 0.0)
        step = prepare(TASKS[damage], current, look_pixels=look.pixels, **{**common, **own})
        first = step.notes[0] if step.notes else "done"
        if isinstance(step.work, Unchanged):
            notes.append(f"{TASKS[damage]}: {first}")
            continue
        after = After(current, step)
        if report is not None:
            found = _report(look_at(after, look.pixels), channel_axis)
            if looks_worse(report, found, damage):
                notes.append(f"{TASKS[damage]}: {TAKEN_BACK}")
                continue
            report = found
        current = after
        steps.append(step)
        notes.append(f"{TASKS[damage]}: {first}")
    return Prepared(
        "restore",
        tuple(source.shape),
        np.dtype(source.dtype),
        sum(step.halo for step in steps),
        tuple(notes) or (NOTHING_TO_MEND,),
        max((step.bytes_per_pixel for step in steps), default=0.0) + 2 * _pixel_bytes(source),
        sum(step.fixed_bytes for step in steps),
        Chain(tuple(steps)) if steps else Unchanged(),
    )


def _next(given: Any, report: Report | None, tried: list[str], mended: bool) -> Any:
    """The next damage to be removed, with settings of its own; None at the end."""
    if given is not None:
        return given[len(tried)] if len(tried) < len(given) else None
    assert report is not None
    damage = first_of(report, tried, mended=mended)
    return None if damage is None else (damage, {})


def _report(look: Look, channel_axis: ChannelAxis) -> Report:
    if look.is_whole:
        return examined(views_of(look.reduced, channel_axis))
    parts = [part for _, part in look.crops]
    return examined(views_of_parts(look.reduced, parts, (look.shape[0], look.shape[1]), channel_axis))


def _side(step: Prepared) -> int:
    for side in range(PART, LEAST_PART, -PART_STEP):
        if (side + 2 * step.halo) ** 2 * step.bytes_per_pixel <= STEP_BYTES:
            return side
    return LEAST_PART


def _parts(window: Window, side: int) -> Iterator[Window]:
    for part in Window.grid(window.shape, (side, side)):
        yield Window(window.top + part.top, window.left + part.left, part.height, part.width)


def _pixel_bytes(source: Source) -> float:
    return float(np.dtype(source.dtype).itemsize * np.prod(source.shape[2:], dtype=int))
