"""``imgrestore deshadow``: pictures in, the same without shadows out."""

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
from .run import Limits, Work, on_device, read_mask, run


class KindName(str, Enum):
    """The kinds of shadow, for the command line's help."""

    auto = "auto"
    cast = "cast"
    soft = "soft"
    document = "document"


def command(
    inputs: Inputs,
    out: Out,
    method: MethodOption = MethodName.auto,
    kind: Annotated[KindName, typer.Option(help="Which kind of shadow; found by default.")] = KindName.auto,
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
    """Take shadows off photographs and documents.

    Type, size, bit depth and metadata of each picture are kept. A picture without the damage comes back as it was.

    A file that fails is reported in one line while the others go on; the exit status is then 1.
    """

    def prepare() -> Work:
        from imgrestore.tasks.deshadow import deshadow
        from imgrestore.tasks.separation import own_separator

        own_separator("deshadow", weights, method.value, refined=True)  # told now rather than of every picture
        settings = {
            "method": method.value,
            "mask": read_mask(mask),
            "kind": kind.value,
            "weights": weights,
            **on_device(device),
        }
        return Work(deshadow, settings)

    run(
        "deshadow",
        prepare,
        inputs,
        out,
        details=details,
        recursive=recursive,
        overwrite=overwrite,
        verbose=verbose,
        limits=Limits(max_memory, tile),
    )
