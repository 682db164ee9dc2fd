"""``imgrestore derust``: pictures in, the same without stains out."""

from __future__ import annotations

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
from .run import Limits, Work, on_device, read_mask, read_triple, run


def command(
    inputs: Inputs,
    out: Out,
    method: MethodOption = MethodName.auto,
    stain: Annotated[
        str,
        typer.Option(
            metavar="R,G,B", help="Optical density of the stain, of which only the ratios count; found by default."
        ),
    ] = "auto",
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
    """Take rust and stains off pictures.

    Type, size, bit depth and metadata of each picture are kept. A picture without the damage comes back as it was.

    A file that fails is reported in one line while the others go on; the exit status is then 1.
    """

    def prepare() -> Work:
        from imgrestore.tasks.derust import derust
        from imgrestore.tasks.separation import own_separator

        own_separator("derust", weights, method.value, refined=True)  # told now rather than of every picture

        return Work(
            derust,
            {
                "method": method.value,
                "mask": read_mask(mask),
                "stain": read_triple(stain, "--stain"),
                "weights": weights,
                **on_device(device),
            },
        )

    run(
        "derust",
        prepare,
        inputs,
        out,
        details=details,
        recursive=recursive,
        overwrite=overwrite,
        verbose=verbose,
        limits=Limits(max_memory, tile),
    )
