"""``imgrestore dereflect``: photographs through glass in, the scene behind it out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import (
    DamageMask,
    Details,
    Device,
    Inputs,
    MaxMemory,
    MethodName,
    MethodOption,
    Out,
    Overwrite,
    OwnWeights,
    Recursive,
    TileSide,
    Verbose,
)
from .run import Limits, Work, on_device, read_mask, read_pixels, run


def command(
    inputs: Inputs,
    out: Out,
    method: MethodOption = MethodName.auto,
    flash: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The same scene with a flash; for one picture of one page.")
    ] = None,
    polarized: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The same at another angle of a polariser; for one picture of one page."),
    ] = None,
    mask: DamageMask = None,
    weights: OwnWeights = None,
    device: Device = None,
    details: Details = None,
    max_memory: MaxMemory = None,
    tile: TileSide = None,
    recursive: Recursive = False,
    overwrite: Overwrite = False,
    verbose: Verbose = False,
) -> None:
    """Take reflections in glass off photographs.

    Type, size, bit depth and metadata of each picture are kept. A picture without the damage comes back as it was.

    A file that fails is reported in one line while the others go on; the exit status is then 1.
    """

    def prepare() -> Work:
        from imgrestore.tasks.dereflect import dereflect
        from imgrestore.tasks.separation import own_separator

        own_separator("dereflect", weights, method.value, refined=True)  # told now rather than of every picture
        return Work(
            dereflect,
            {
                "method": method.value,
                "mask": read_mask(mask),
                "flash": read_pixels(flash),
                "polarized": read_pixels(polarized),
                "weights": weights,
                **on_device(device),
            },
        )

    run(
        "dereflect",
        prepare,
        inputs,
        out,
        details=details,
        recursive=recursive,
        overwrite=overwrite,
        verbose=verbose,
        limits=Limits(max_memory, tile),
    )
