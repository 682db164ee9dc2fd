"""``imgrestore explain``: a picture in, a sheet out that shows which places speak for a damage."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from .options import Overwrite, OwnWeights


class WayName(str, Enum):
    """The methods, for the command line's help."""

    occlusion = "occlusion"
    gradient = "gradient"


def command(
    picture: Annotated[Path, typer.Argument(metavar="PICTURE", help="The picture.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="SHEET", help="The sheet to draw, as PNG or JPEG.")],
    damage: Annotated[
        str | None, typer.Option(help="blur, moire, shadow, reflection, specular or rust; all by default.")
    ] = None,
    method: Annotated[WayName, typer.Option(help="occlusion is slower, and easier to read.")] = WayName.occlusion,
    patch: Annotated[int | None, typer.Option(min=1, help="Side of the patches, pixels.")] = None,
    weights: OwnWeights = None,
    overwrite: Overwrite = False,
) -> None:
    """Show which places of a picture speak for a damage, and which against it."""
    import numpy as np

    from imgrestore import io
    from imgrestore.evidence import explain

    try:
        if out.exists() and not overwrite:
            raise FileExistsError(f"{out} exists already; --overwrite replaces it")
        found = io.read(picture)
        if found.has_pages:
            raise ValueError(f"{picture} has {found.pages} pages; expected one picture")
        pixels = found.pixels[..., :-1] if found.has_alpha else found.pixels
        axis = -1 if pixels.ndim == 3 else None
        told = explain(pixels, damage=damage, method=method.value, patch=patch, weights=weights, channel_axis=axis)
        io.write(out, np.asarray(told.plot(picture.name)), overwrite=overwrite)
    except (OSError, ValueError, TypeError) as error:
        print(f"imgrestore explain: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        raise typer.Exit(2) from None
    for name, score in sorted(told.scores.items(), key=lambda item: -item[1]):
        print(f"{name}: {score:.2f}")
