"""The arguments and options that all tasks share, as annotations."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class MethodName(str, Enum):
    """How the tasks work that take a picture apart."""

    auto = "auto"
    classical = "classical"


Inputs = Annotated[list[str], typer.Argument(metavar="IN", help="Pictures, folders of pictures, or patterns.")]
Out = Annotated[str, typer.Option("-o", "--out", metavar="OUT", help="A file for one picture, else a folder.")]
Details = Annotated[
    str | None,
    typer.Option(
        metavar="SHEET",
        help="Draw input, result, layers, PSF and mask: a file, or for several a folder or {name}.png.",
    ),
]
DamageMask = Annotated[
    Path | None,
    typer.Option("--mask", metavar="FILE", help="A picture that is bright where the damage is; found by default."),
]
Recursive = Annotated[bool, typer.Option("-r", "--recursive", help="Go down into folders.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Say what was estimated.")]
MethodOption = Annotated[
    MethodName, typer.Option("--method", help="auto is the best there is, classical works without nets.")
]
Device = Annotated[
    str | None,
    typer.Option("--device", metavar="DEVICE", help="Where to compute: cpu, cuda, cuda:1; by default on the CPU."),
]
OwnWeights = Annotated[
    Path | None,
    typer.Option("--weights", metavar="FILE", help="Weights of the net, as `imgrestore train` writes them."),
]
MaxMemory = Annotated[
    str | None,
    typer.Option(
        "--max-memory",
        metavar="BYTES",
        help="Restore tile by tile, in so much memory (2GB, 900MB); large TIFF and Zarr go so unasked, in 2GB.",
    ),
]
TileSide = Annotated[
    int | None,
    typer.Option(
        "--tile", min=16, metavar="PIXELS", help="Restore tile by tile, in tiles of this side; the largest by default."
    ),
]
