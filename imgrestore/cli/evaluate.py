"""``imgrestore evaluate``: pictures of which the truth is known in, a table of scores out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .run import INTERRUPTED

if TYPE_CHECKING:
    from imgrestore.evaluate import Scores


class TaskName(str, Enum):
    """The tasks, for the command line's help."""

    deblur = "deblur"
    demoire = "demoire"
    deshadow = "deshadow"
    dereflect = "dereflect"
    despecular = "despecular"
    derust = "derust"
    diagnose = "diagnose"


Task = Annotated[TaskName, typer.Argument(metavar="TASK", help=", ".join(one.value for one in TaskName) + ".")]
Weights = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Weights that imgrestore train wrote; those that ship by default.")
]


def command(
    context: typer.Context,
    task: Task,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Real pairs in DIR/input and DIR/gt, or clean pictures to be damaged.")
    ],
    methods: Annotated[
        list[str] | None,
        typer.Option(metavar="METHOD ...", help="What to score; classical and auto by default."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many pictures.")] = None,
    with_mask: Annotated[bool, typer.Option("--with-mask", help="Hand the task the pictures of DIR/mask.")] = False,
    psf: Annotated[
        str | None,
        typer.Option(
            help="For deblur: gaussian:SIGMA, disk:RADIUS, motion:LENGTH:ANGLE, or a file. By default drawn for clean "
            "pictures, and estimated for pairs."
        ),
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(
            min=0, help="Standard deviation of the noise on clean pictures, for a range of 1; 0.01 for deblur, else 0."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the damages and the noise.")] = 0,
    weights: Weights = None,
    cases: Annotated[
        int | None, typer.Option(min=1, help="diagnose: pictures to draw from the clean ones; 600 by default.")
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a line for each picture and method; for diagnose, the confusions."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file of --csv.")] = False,
) -> None:
    """Score a task on pictures of which the truth is known.

    DIR holds real pairs in input/ and gt/, under the same names; or clean pictures, each of which is damaged by the
    task's forward model. The table tells PSNR and SSIM (means), PSNR after the best change of exposure and colour, the
    least gain of any picture, and the median time.

    For diagnose DIR holds clean pictures, from which as many with each damage are drawn as without any; the table tells
    accuracy, F1 and which damage is taken for which.
    """
    if task is TaskName.diagnose:
        given = {"methods": methods, "limit": limit, "mask": with_mask, "psf": psf, "noise": noise}
        _diagnose(folder, given, cases, seed, weights, csv, overwrite)
        return

    def run(progress: Any) -> Scores:
        from imgrestore.evaluate import METHODS, evaluate

        chosen = _methods(methods, context.args) or METHODS
        _check_csv(csv, overwrite)
        if cases is not None:
            raise ValueError(f"--cases is {cases}; expected none: diagnose alone takes it")
        return evaluate(
            task.value,
            folder,
            methods=chosen,
            limit=limit,
            weights=weights,
            noise=noise,
            seed=seed,
            psf=psf,
            with_mask=with_mask,
            progress=progress,
        )

    with _failures():
        with _progress() as progress:
            scores = run(progress)
        if csv is not None:
            scores.to_csv(csv, overwrite=overwrite)
    _print(scores)


@contextmanager
def _failures() -> Iterator[None]:
    """Tell what goes wrong in one line, and end."""
    try:
        yield
    except (OSError, ValueError, TypeError, ImportError) as error:
        print(f"imgrestore evaluate: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        print("interrupted: nothing was scored to the end", file=sys.stderr, flush=True)
        raise typer.Exit(INTERRUPTED) from None


def _check_csv(csv: Path | None, overwrite: bool) -> None:
    if csv is not None and csv.exists() and not overwrite:
        raise FileExistsError(f"--csv {csv} exists already; --overwrite replaces it")
    if csv is not None and not csv.parent.is_dir():
        raise FileNotFoundError(f"--csv {csv}: there is no folder {csv.parent}")


def _diagnose(
    folder: Path,
    given: dict[str, Any],
    cases: int | None,
    seed: int,
    weights: Path | None,
    csv: Path | None,
    overwrite: bool,
) -> None:
    """Score a diagnosis."""
    from rich.console import Console
    from rich.table import Table

    with _failures():
        from imgrestore.evaluate_diagnosis import CASES, evaluate_diagnosis
        from imgrestore.io.atomic import whole_file

        for name, value in given.items():
            if value not in (None, False):
                raise ValueError(f"{name} is given, but diagnose takes none; expected --cases, --seed and --weights")
        _check_csv(csv, overwrite)
        with _progress() as progress:
            found = evaluate_diagnosis(folder, cases=cases or CASES, seed=seed, weights=weights, progress=progress)
        if csv is not None:
            with whole_file(csv, overwrite) as stream:
                stream.write(found.to_csv().encode())
    count = int(found.counts.sum())
    title = f"diagnose: {count} pictures, accuracy {found.accuracy:.3f}, macro F1 {found.macro_f1:.3f}"
    table = Table(title=title, title_justify="left")
    table.add_column("truth", no_wrap=True)
    for heading in ("F1", *found.names):
        table.add_column(heading, justify="right")
    for name, row in zip(found.names, found.counts, strict=True):
        table.add_row(name, f"{found.f1[name]:.2f}", *(str(int(one)) for one in row))
    Console(markup=False, highlight=False).print(table)


def _methods(given: list[str] | None, more: list[str]) -> tuple[str, ...]:
    """The methods after ``--methods``, in one word with commas or in several words."""
    if more and not given:
        raise ValueError(f"{' '.join(more)}: expected one folder; methods go after --methods")
    words = " ".join([*(given or []), *(more or [])]).replace(",", " ").split()
    return tuple(dict.fromkeys(words))


def _print(scores: Scores) -> None:
    from rich.console import Console
    from rich.table import Table

    count = scores.mean(scores.methods[0]).pictures
    title = f"{scores.task}: {count} picture{'s' * (count > 1)}"
    table = Table(title=title, title_justify="left")
    table.add_column("", no_wrap=True)
    for heading in ("PSNR, dB", "SSIM", "fitted, dB", "worst change, dB", "seconds"):
        table.add_column(heading, justify="right")
    for method in scores.methods:
        mean = scores.mean(method)
        figures = [f"{mean.psnr:.2f}", f"{mean.ssim:.4f}", f"{mean.psnr_fitted:.2f}"]
        figures += ["", ""] if method == "input" else [f"{mean.worst_change:+.2f}", f"{mean.seconds:.2f}"]
        table.add_row(method, *figures)
    Console(markup=False, highlight=False).print(table)


@contextmanager
def _progress() -> Iterator[Any]:
    """What to call as pictures are done: it moves a bar on standard error, on a terminal only."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, markup=False, highlight=False)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        line = bar.add_task("", total=None)
        yield lambda done, total, name: bar.update(
            line, description=name.replace("[", r"\["), completed=done, total=total
        )
