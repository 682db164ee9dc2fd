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
    from imgrestore.evaluate_masks import MaskScores
    from imgrestore.train.confusion import Confusion

# What the table tells of means: heading, field and format. Pictures have some of these fields, masks the others.
COLUMNS = (
    ("PSNR, dB", "psnr", "{:.2f}"),
    ("SSIM", "ssim", "{:.4f}"),
    ("fitted, dB", "psnr_fitted", "{:.2f}"),
    ("worst change, dB", "worst_change", "{:+.2f}"),
    ("IoU", "iou", "{:.3f}"),
    ("balanced error", "balanced_error", "{:.3f}"),
    ("precision", "precision", "{:.3f}"),
    ("recall", "recall", "{:.3f}"),
    ("seconds", "seconds", "{:.2f}"),
)
# Fields that mean nothing of the damaged picture itself.
OF_METHODS = ("worst_change", "seconds")


class TaskName(str, Enum):
    """The tasks, for the command line's help."""

    deblur = "deblur"
    demoire = "demoire"
    deshadow = "deshadow"
    dereflect = "dereflect"
    despecular = "despecular"
    derust = "derust"
    diagnose = "diagnose"
    restore = "restore"


Task = Annotated[TaskName, typer.Argument(metavar="TASK", help=", ".join(one.value for one in TaskName) + ".")]
Weights = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Weights that imgrestore train wrote; those that ship by default.")
]


def command(
    context: typer.Context,
    task: Task,
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Real pairs in DIR/input and DIR/gt, marked pictures in DIR/input and DIR/mask, or clean pictures to "
            "be damaged.",
        ),
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
        int | None,
        typer.Option(min=1, help="Pictures to draw from the clean ones: for diagnose 600 by default, for restore 300."),
    ] = None,
    shows: Annotated[
        str | None,
        typer.Option(metavar="DAMAGE", help="diagnose: DIR holds photographs that show this damage, or none."),
    ] = None,
    two: Annotated[bool, typer.Option("--two", help="restore: two damages in every picture.")] = False,
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

    Or it holds pictures in input/ and masks of their damage in mask/, and the table tells how well the masks that the
    task finds agree with these: intersection over union, balanced error, precision and recall.

    For diagnose DIR holds clean pictures, from which as many with each damage are drawn as without any; the table tells
    accuracy, F1 and which damage is taken for which, by the classifier alone. With --shows DIR holds photographs, and
    the table tells what the whole diagnosis takes them for.

    For restore DIR holds clean pictures, too. A fifth of what is drawn is sound. The table tells what the whole
    diagnosis, with the evidence of physics, takes for what, and what restore gains beside the task that is right.
    """
    if task in (TaskName.diagnose, TaskName.restore):
        more = " ".join(context.args) or None
        given = {"methods": methods, "mask": with_mask, "psf": psf, "noise": noise, "arguments": more}
        if task is TaskName.restore:
            _restore(
                folder, {**given, "limit": limit, "weights": weights, "csv": csv, "shows": shows}, cases, seed, two
            )
        elif shows is None:
            _diagnose(folder, {**given, "limit": limit, "two": two}, cases, seed, weights, csv, overwrite)
        else:
            _photographs(folder, shows, {**given, "cases": cases, "seed": seed, "two": two, "csv": csv}, limit, weights)
        return

    marked = _is_marked(folder)

    def run(progress: Any) -> Scores | MaskScores:
        from imgrestore.evaluate import METHODS, evaluate
        from imgrestore.evaluate_masks import evaluate_masks

        chosen = _methods(methods, context.args) or METHODS
        _check_csv(csv, overwrite)
        if cases is not None or two or shows is not None:
            raise ValueError("--cases, --two or --shows is given; expected none: only diagnose and restore take them")
        common: dict[str, Any] = {"methods": chosen, "limit": limit, "weights": weights, "progress": progress}
        if not marked:
            made: dict[str, Any] = {"noise": noise, "seed": seed, "psf": psf, "with_mask": with_mask}
            return evaluate(task.value, folder, **common, **made)
        for name, value in {"noise": noise, "psf": psf, "with_mask": with_mask}.items():
            if value not in (None, False):
                raise ValueError(f"{name} is given, but {folder} has masks to be found and no gt; expected none")
        return evaluate_masks(task.value, folder, **common)

    with _failures():
        with _progress() as progress:
            scores = run(progress)
        if csv is not None:
            scores.to_csv(csv, overwrite=overwrite)
    _print(scores)


def _is_marked(folder: Path) -> bool:
    """Whether a folder holds masks that are the truth, and not a help for pictures with a truth."""
    return (folder / "input").is_dir() and (folder / "mask").is_dir() and not (folder / "gt").is_dir()


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
    with _failures():
        from imgrestore.evaluate_diagnosis import CASES, evaluate_diagnosis
        from imgrestore.io.atomic import whole_file

        _check_none("diagnose", given, "--cases, --seed and --weights")
        _check_csv(csv, overwrite)
        with _progress() as progress:
            found = evaluate_diagnosis(folder, cases=cases or CASES, seed=seed, weights=weights, progress=progress)
        if csv is not None:
            with whole_file(csv, overwrite) as stream:
                stream.write(found.to_csv().encode())
    _print_confusion("diagnose", found)


def _photographs(folder: Path, shows: str, given: dict[str, Any], limit: int | None, weights: Path | None) -> None:
    """Score the whole diagnosis on photographs of one kind."""
    with _failures():
        from imgrestore.evaluate_diagnosis import evaluate_photographs

        _check_none("diagnose --shows", given, "--limit and --weights")
        with _progress() as progress:
            found = evaluate_photographs(folder, shows, limit=limit, weights=weights, progress=progress)
    row = found.counts[found.names.index(shows)]
    told = ", ".join(f"{name} {count}" for name, count in zip(found.names, row, strict=True) if count)
    print(f"{folder}: {found.accuracy:.3f} of {row.sum()} photographs are taken for {shows} ({told})")


def _restore(folder: Path, given: dict[str, Any], cases: int | None, seed: int, two: bool) -> None:
    """Score a diagnosis and what is done about it."""
    with _failures():
        from imgrestore.evaluate_restore import CASES, evaluate_restore

        _check_none("restore", given, "--cases, --seed and --two")
        with _progress() as progress:
            found = evaluate_restore(folder, cases=cases or CASES, seed=seed, two=two, progress=progress)
    if not two:
        _print_confusion("restore", found.confusion)
    sound = sum(not one.damages for one in found.scores)
    print(f"gain: {found.gain:+.2f} dB; the right task alone: {found.gain_alone:+.2f} dB")
    if sound:
        print(f"{sound} sound pictures: at least {found.least_sound:.1f} dB to themselves, {found.harmed} below 45 dB")


def _check_none(task: str, given: dict[str, Any], expected: str) -> None:
    for name, value in given.items():
        if value not in (None, False):
            raise ValueError(f"{name} is given, but {task} takes none; expected {expected}")


def _print_confusion(name: str, found: Confusion) -> None:
    from rich.console import Console
    from rich.table import Table

    count = int(found.counts.sum())
    title = f"{name}: {count} pictures, accuracy {found.accuracy:.3f}, macro F1 {found.macro_f1:.3f}"
    table = Table(title=title, title_justify="left")
    table.add_column("truth", no_wrap=True)
    for heading in ("F1", *found.names):
        table.add_column(heading, justify="right")
    for label, row in zip(found.names, found.counts, strict=True):
        table.add_row(label, f"{found.f1[label]:.2f}", *(str(int(one)) for one in row))
    Console(markup=False, highlight=False).print(table)


def _methods(given: list[str] | None, more: list[str]) -> tuple[str, ...]:
    """The methods after ``--methods``, in one word with commas or in several words."""
    if more and not given:
        raise ValueError(f"{' '.join(more)}: expected one folder; methods go after --methods")
    words = " ".join([*(given or []), *(more or [])]).replace(",", " ").split()
    return tuple(dict.fromkeys(words))


def _print(scores: Scores | MaskScores) -> None:
    from rich.console import Console
    from rich.table import Table

    count = scores.mean(scores.methods[0]).pictures
    title = f"{scores.task}: {count} picture{'s' * (count > 1)}"
    table = Table(title=title, title_justify="left")
    table.add_column("", no_wrap=True)
    columns = [column for column in COLUMNS if hasattr(scores.mean(scores.methods[0]), column[1])]
    for heading, _, _ in columns:
        table.add_column(heading, justify="right")
    for method in scores.methods:
        mean = scores.mean(method)
        figures = [form.format(getattr(mean, field)) for _, field, form in columns]
        if method == "input":
            figures = ["" if field in OF_METHODS else one for one, (_, field, _) in zip(figures, columns, strict=True)]
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
