"""``imgrestore deblur``: pictures in, sharper pictures out."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Details, Inputs, Out, Overwrite, Recursive, Verbose
from .run import Work, read_mask, run

if TYPE_CHECKING:
    from imgrestore.psf import Psf


class MethodName(str, Enum):
    """The methods of `imgrestore.deblur`, for the command line's help."""

    auto = "auto"
    wiener = "wiener"
    rl = "rl"
    tv = "tv"
    hyperlaplacian = "hyperlaplacian"


class BoundaryName(str, Enum):
    """What the scene does beyond the frame, for the command line's help."""

    unknown = "unknown"
    zero = "zero"
    reflect = "reflect"
    periodic = "periodic"


def command(
    inputs: Inputs,
    out: Out,
    psf: Annotated[
        str | None,
        typer.Option(help="What blurred them: gaussian:SIGMA, disk:RADIUS, motion:LENGTH:ANGLE, or a file."),
    ] = None,
    method: Annotated[MethodName, typer.Option(help="How to deblur.")] = MethodName.auto,
    noise: Annotated[
        float | None,
        typer.Option(min=0, help="Standard deviation of the noise, in the pictures' units; estimated by default."),
    ] = None,
    mask: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A picture that is bright where pixels are good.")
    ] = None,
    boundary: Annotated[
        BoundaryName, typer.Option(help="What the scene does beyond the frame.")
    ] = BoundaryName.unknown,
    refine: Annotated[
        bool, typer.Option("--refine/--no-refine", help="Let the method auto refine photographs by the net.")
    ] = True,
    details: Details = None,
    recursive: Recursive = False,
    overwrite: Overwrite = False,
    verbose: Verbose = False,
) -> None:
    """Deblur pictures whose blur is known.

    Type, size, bit depth and metadata of each picture are kept.

    A stack of pages is deblurred as a volume with a 3-D PSF, else page by page.

    A file that fails is reported in one line while the others go on; the exit status is then 1.
    """

    def prepare() -> Work:
        from imgrestore.tasks.deblur import deblur

        known = _psf(psf)
        settings = {
            "psf": known,
            "method": method.value,
            "noise": noise,
            "mask": read_mask(mask),
            "boundary": boundary.value,
            "refine": refine,
        }
        return Work(deblur, settings, space=known.ndim)

    run("deblur", prepare, inputs, out, details=details, recursive=recursive, overwrite=overwrite, verbose=verbose)


def _psf(text: str | None) -> Psf:
    from imgrestore.psf import Psf

    if text is None:
        from imgrestore.tasks.deblur import NO_PSF

        raise ValueError(f"--psf is missing: {NO_PSF}")
    try:
        return Psf.parse(text)
    except FileNotFoundError:
        raise ValueError(
            f"--psf {text}: no such file, nor gaussian:SIGMA, disk:RADIUS or motion:LENGTH:ANGLE"
        ) from None
    except (ValueError, TypeError) as error:
        raise ValueError(f"--psf {text}: {error}") from None
