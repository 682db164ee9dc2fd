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
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a line for each picture and method.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file of --csv.")] = False,
) -> None:
    """Score a task on pictures of which the truth is known.

    DIR holds real pairs in input/ and gt/, under the same names; or clean pictures, each of which is damaged by the
    task's forward model. The table tells PSNR and SSIM (means), PSNR after the best change of exposure and colour, the
    least gain of any picture, and the median time.
    """

    def run(progress: Any) -> Scores:
        from imgrestore.evaluate import METHODS, evaluate

        chosen = _methods(methods, context.args) or METHODS
        if csv is not None and csv.exists() and not overwrite:
            raise FileExistsError(f"--csv {csv} exists already; --overwrite replaces it")
        if csv is not None and not csv.parent.is_dir():
            raise FileNotFoundError(f"--csv {csv}: there is no folder {csv.parent}")
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

    try:
        with _progress() as progress:
            scores = run(progress)
        if csv is not None:
            scores.to_csv(csv, overwrite=overwrite)
    except (OSError, ValueError, TypeError, ImportError) as error:
        print(f"imgrestore evaluate: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        print("interrupted: nothing was scored to the end", file=sys.stderr, flush=True)
        raise typer.Exit(INTERRUPTED) from None
    _print(scores)


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
