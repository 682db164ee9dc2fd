"""``imgrestore restore``: pictures in, the same without whatever damage a diagnosis finds out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .options import (
    Details,
    Device,
    Inputs,
    MaxMemory,
    MethodName,
    MethodOption,
    Out,
    Overwrite,
    Recursive,
    TileSide,
    Verbose,
)
from .run import Limits, Work, on_device, run

if TYPE_CHECKING:
    from imgrestore.types import Restoration


def command(
    inputs: Inputs,
    out: Out,
    plan: Annotated[
        str | None,
        typer.Option(metavar="TASK,TASK", help="The steps, such as deblur,derust; by default those of a diagnosis."),
    ] = None,
    method: MethodOption = MethodName.auto,
    device: Device = None,
    details: Details = None,
    max_memory: MaxMemory = None,
    tile: TileSide = None,
    recursive: Recursive = False,
    overwrite: Overwrite = False,
    verbose: Verbose = False,
) -> None:
    """Diagnose pictures, and remove what is found, one damage after another.

    Type, size, bit depth and metadata of each picture are kept. A picture with nothing to mend comes back as it was.

    A file that fails is reported in one line while the others go on; the exit status is then 1.
    """

    def prepare() -> Work:
        from imgrestore.plan import checked_plan, restore

        steps = None if plan is None else [step.strip() for step in plan.split(",")]
        if steps is not None:
            checked_plan(steps)  # told now rather than of every picture
        settings = {"plan": steps, "refine": method is MethodName.auto, **on_device(device)}
        return Work(restore, settings, has_progress=True, told=_what_was_done)

    run(
        "restore",
        prepare,
        inputs,
        out,
        details=details,
        recursive=recursive,
        overwrite=overwrite,
        verbose=verbose,
        limits=Limits(max_memory, tile),
    )


def _what_was_done(found: Restoration) -> str | None:
    return found.notes[0] if len(found.notes) == 1 else "; ".join(found.notes) or None
