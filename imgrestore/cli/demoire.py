"""``imgrestore demoire``: pictures in, the same without moiré out."""

from __future__ import annotations

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


def command(
    inputs: Inputs,
    out: Out,
    method: MethodOption = MethodName.auto,
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
    """Take moiré, scan lines and half-tone screens off pictures.

    Type, size, bit depth and metadata of each picture are kept. A picture without the damage comes back as it was.

    A file that fails is reported in one line while the others go on; the exit status is then 1.
    """

    def prepare() -> Work:
        from imgrestore.tasks.demoire import demoire
        from imgrestore.tasks.demoire_net import own_refiner

        own_refiner(weights, method.value, refined=True)  # told now rather than of every picture
        return Work(demoire, {"method": method.value, "mask": read_mask(mask), "weights": weights, **on_device(device)})

    run(
        "demoire",
        prepare,
        inputs,
        out,
        details=details,
        recursive=recursive,
        overwrite=overwrite,
        verbose=verbose,
        limits=Limits(max_memory, tile),
    )
