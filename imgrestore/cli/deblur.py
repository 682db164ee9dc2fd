"""``imgrestore deblur``: pictures in, sharper pictures out."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Details, Device, Inputs, MaxMemory, Out, Overwrite, OwnWeights, Recursive, TileSide, Verbose
from .run import Limits, Work, on_device, read_mask, run

if TYPE_CHECKING:
    from imgrestore.psf import Psf
    from imgrestore.psf_field import PsfField
    from imgrestore.types import Restoration


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
        typer.Option(
            help="What blurred them: gaussian:SIGMA, disk:RADIUS, motion:LENGTH:ANGLE, or a file; "
            "estimated from each picture by default."
        ),
    ] = None,
    save_psf: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Keep the PSF that was used, as .npy (exact), .tif or .png: a file, or for several a folder or "
            "{name}.npy; of a stack of pages that of the first.",
        ),
    ] = None,
    field: Annotated[
        str | None,
        typer.Option(
            metavar="ROWSxCOLUMNS", help="Estimate the blur in so many parts of the picture, as it changes over it."
        ),
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
    weights: OwnWeights = None,
    device: Device = None,
    details: Details = None,
    max_memory: MaxMemory = None,
    tile: TileSide = None,
    recursive: Recursive = False,
    overwrite: Overwrite = False,
    verbose: Verbose = False,
) -> None:
    """Deblur pictures, whose blur is known or estimated.

    Type, size, bit depth and metadata of each picture are kept.

    Without --psf, a picture in which no blur is found comes back as it was.

    A stack of pages is deblurred as a volume with a 3-D PSF, else page by page.

    A file that fails is reported in one line while the others go on; the exit status is then 1.
    """

    def prepare() -> Work:
        from imgrestore.nets.deep_wiener import DeepWiener
        from imgrestore.tasks.deblur import deblur
        from imgrestore.tasks.own_weights import own_net

        if psf is not None and field is not None:
            raise ValueError("--psf and --field are both given; expected one of them: --field is for PSFs to be found")
        known = None if psf is None else _psf(psf)
        _check_saving(save_psf, known, field)
        settings: dict[str, Any] = {
            "psf": known,
            "method": method.value,
            "noise": noise,
            "mask": read_mask(mask),
            "boundary": boundary.value,
            "refine": refine,
            **on_device(device),
        }
        if weights is not None:
            own_net("deblur", DeepWiener, weights, method.value, refine)  # told now rather than of every picture
            settings["weights"] = weights
        if field is not None:
            settings["field"] = _rows_and_columns(field)
        if known is not None:
            return Work(deblur, settings, space=known.ndim)
        return Work(deblur, settings, has_progress=True, told=_found if verbose else _left_alone)

    run(
        "deblur",
        prepare,
        inputs,
        out,
        details=details,
        recursive=recursive,
        overwrite=overwrite,
        verbose=verbose,
        save_psf=save_psf,
        limits=Limits(max_memory, tile),
    )


def _found(restoration: Restoration) -> str | None:
    """What was found out about the blur of a picture."""
    return _left_alone(restoration) or (restoration.notes[0] if restoration.notes else None)


def _left_alone(restoration: Restoration) -> str | None:
    """Why nothing was done, where it was not."""
    if not any(note.startswith("nothing to deblur: the PSF") for note in restoration.notes):
        return None
    return f"left as it was: {restoration.notes[0]}"


def _check_saving(save_psf: str | None, known: Psf | PsfField | None, field: str | None) -> None:
    if save_psf is None:
        return
    several = field is not None or (known is not None and known.array.ndim == 4)
    folder = save_psf.endswith("/") or Path(save_psf).is_dir()
    if several and not folder and Path(save_psf).suffix.lower() not in (".npy", ""):
        raise ValueError(f"--save-psf {save_psf}: a field of PSFs is written to .npy only")
    if known is not None and known.ndim == 3 and Path(save_psf).suffix.lower() == ".png":
        raise ValueError(f"--save-psf {save_psf}: a 3-D PSF does not fit into PNG; expected .npy or .tif")


def _rows_and_columns(text: str) -> tuple[int, int]:
    try:
        rows, columns = (int(part) for part in text.lower().split("x"))
    except ValueError:
        rows = columns = 0
    if rows < 1 or columns < 1:
        raise ValueError(f"--field is {text!r}; expected ROWSxCOLUMNS, such as 3x4")
    return rows, columns


def _psf(text: str) -> Psf | PsfField:
    import numpy as np

    from imgrestore.psf import Psf, read_numbers
    from imgrestore.psf_field import PsfField

    try:
        path = Path(text)
        if path.suffix.lower() in (".npy", ".npz") and np.ndim(values := read_numbers(path)) == 4:
            return PsfField(values)
        return Psf.parse(text)
    except FileNotFoundError:
        raise ValueError(
            f"--psf {text}: no such file, nor gaussian:SIGMA, disk:RADIUS or motion:LENGTH:ANGLE"
        ) from None
    except (ValueError, TypeError) as error:
        raise ValueError(f"--psf {text}: {error}") from None
