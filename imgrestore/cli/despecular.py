"""``imgrestore despecular``: pictures in, the same without highlights out."""

from __future__ import annotations

from enum import Enum
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


class Transfer(str, Enum):
    """How values are coded."""

    auto = "auto"
    srgb = "srgb"
    linear = "linear"


def command(
    inputs: Inputs,
    out: Out,
    method: MethodOption = MethodName.auto,
    illuminant: Annotated[
        str,
        typer.Option(metavar="R,G,B", help="Colour of the light, of which only the ratios count; white by default."),
    ] = "auto",
    transfer: Annotated[
        Transfer, typer.Option(help="How values are coded: as of a photograph, or linear in light; found by default.")
    ] = Transfer.auto,
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
    """Take specular highlights off glossy bodies.

    Type, size, bit depth and metadata of each picture are kept. A picture without the damage comes back as it was.

    A file that fails is reported in one line while the others go on; the exit status is then 1.
    """

    def prepare() -> Work:
        from imgrestore.tasks.despecular import despecular
        from imgrestore.tasks.separation import own_separator

        own_separator("despecular", weights, method.value, refined=True)  # told now rather than of every picture
        return Work(
            despecular,
            {
                "method": method.value,
                "mask": read_mask(mask),
                "illuminant": read_triple(illuminant, "--illuminant"),
                "transfer": transfer.value,
                "weights": weights,
                **on_device(device),
            },
        )

    run(
        "despecular",
        prepare,
        inputs,
        out,
        details=details,
        recursive=recursive,
        overwrite=overwrite,
        verbose=verbose,
        limits=Limits(max_memory, tile),
    )
