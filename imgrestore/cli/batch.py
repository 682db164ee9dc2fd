"""``imgrestore batch TASK``: what a task's own command does, for many pictures on many processes or machines."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, get_type_hints

import typer

from imgrestore import __version__
from imgrestore.job import Job, one_line

from .run import FAILED, INTERRUPTED, USAGE, Asked, carried_out, progress_bar, say

if TYPE_CHECKING:
    from imgrestore.job import Work
    from imgrestore.scale.orders import Order, Outcome
    from imgrestore.scale.report import Report

PANEL = "Many pictures"
WHAT_ELSE = """

The pictures are given out to processes of this machine, or to the workers of a dask scheduler. A picture that fails
never stops the others: the report has a line for each.

Status: 0 where all pictures are written, 1 where one failed, 2 where the call makes no sense, 130 when interrupted."""


def command(
    inputs: Annotated[list[str], typer.Argument(metavar="SRC", help="Pictures, folders of pictures, or patterns.")],
    out: Annotated[str, typer.Option("-o", "--out", metavar="DIR", help="The folder for the results.")],
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            rich_help_panel=PANEL,
            help="Processes; by default one for each GPU, or as many as the cores have room for.",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            rich_help_panel=PANEL,
            help="Threads of each worker: 1 by default, with --scheduler as many as it was started with.",
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            rich_help_panel=PANEL,
            help="Of a running dask scheduler, tcp://host:8786, whose workers see the same files under the same paths.",
        ),
    ] = None,
    retries: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            rich_help_panel=PANEL,
            help="How often to try a picture again whose worker died or whose file could not be reached.",
        ),
    ] = 2,
    resume: Annotated[
        bool,
        typer.Option("--resume", rich_help_panel=PANEL, help="Go on: leave out what an earlier run finished."),
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=PANEL,
            help="A line of JSON for each picture, appended as it is done; DIR/report.jsonl by default.",
        ),
    ] = None,
) -> None:
    """Restore many pictures: what `batch` asks for beside a task's own options."""


def group(tasks: Mapping[str, Callable[..., None]]) -> typer.Typer:
    """The commands ``batch TASK``.

    Parameters
    ----------
    tasks : mapping of str to callable
        The commands of the tasks, which carry out what they are asked by `imgrestore.cli.run.run`.

    Returns
    -------
    Typer
    """
    app = typer.Typer(
        no_args_is_help=True, help="Restore many pictures at once, on all cores or many machines: batch TASK SRC..."
    )
    for name, one in tasks.items():
        app.command(name, no_args_is_help=True)(_batched(one))
    return app


def _batched(one: Callable[..., None]) -> Callable[..., None]:
    """A task's command with the options of a batch beside its own."""
    common, own = _parameters(command), _parameters(one)
    both = {**own, **common}
    # Those without a default, which are the sources and the folder, come first.
    ordered = sorted(both.values(), key=lambda parameter: parameter.default is not inspect.Parameter.empty)

    def batched(**given: Any) -> None:
        many = {name: given[name] for name in common}
        with carried_out(partial(_carry_out, many=many)):
            one(**{name: given[name] for name in own})

    batched.__doc__ = inspect.cleandoc(one.__doc__ or "") + WHAT_ELSE
    batched.__signature__ = inspect.Signature(ordered)  # type: ignore[attr-defined]
    batched.__annotations__ = {parameter.name: parameter.annotation for parameter in ordered}
    return batched


def _parameters(function: Callable[..., None]) -> dict[str, inspect.Parameter]:
    hints = get_type_hints(function, include_extras=True)
    found = inspect.signature(function).parameters
    return {name: one.replace(annotation=hints[name]) for name, one in found.items()}


def _carry_out(asked: Asked, many: dict[str, Any]) -> None:
    from imgrestore.scale.batch import Manner, Totals, restore_many, tidy

    try:
        shown, jobs, work, report = _prepared(asked, many)
    except (OSError, ValueError, TypeError, ImportError) as error:
        _refuse(asked, error)
    totals = Totals()
    manner = Manner(many["resume"], asked.overwrite, asked.verbose, many["retries"], many["threads"] or 0)
    try:
        with _client(many, len(jobs)) as client, progress_bar(len(jobs)) as (step, tell):

            def heard(order: Order, outcome: Outcome) -> None:
                source = shown[order.number]
                step(source.name, totals.ended)
                for line in outcome.notes if outcome.error is None else (outcome.error,):
                    if outcome.status != "skipped":
                        tell(f"{source}: {line}")

            def waiting() -> None:
                tell("the scheduler has no workers yet; waiting for them")

            restore_many(client, jobs, work, report, manner, totals, heard=heard, waiting=waiting)
    except KeyboardInterrupt:
        tidy(jobs)
        say(f"interrupted: {totals} of {len(jobs)}; --resume goes on")
        raise typer.Exit(INTERRUPTED) from None
    except (OSError, RuntimeError, ImportError) as error:  # the scheduler is gone, workers do not fit, no report
        say(f"imgrestore batch {asked.name}: {one_line(error)}")
        say(f"{totals} of {len(jobs)}; --resume goes on")
        raise typer.Exit(FAILED) from None
    finally:
        report.close(complete=totals.ended == len(jobs))
    say(f"{totals} of {len(jobs)}; {report.path} tells of each")
    if totals.failed:
        raise typer.Exit(FAILED)


def _prepared(asked: Asked, many: dict[str, Any]) -> tuple[list[Path], list[Job], Work, Report]:
    """What is to be done, all of it checked: the sources as a user named them, the jobs, the work, and the report."""
    from imgrestore.scale.batch import absolute
    from imgrestore.scale.extra import needed
    from imgrestore.scale.report import Report, digest

    if many["scheduler"] is not None and many["workers"] is not None:
        raise ValueError("--scheduler and --workers are both given; expected one: a scheduler has its own workers")
    needed("distributed")
    planned = _planned(asked)
    jobs, work = absolute(planned, asked.prepare())
    settings = {name: value for name, value in work.settings.items() if name != "device"}
    made_by = digest({"task": asked.name, "version": __version__, "settings": settings})
    path = many["report"] or Path(asked.out) / "report.jsonl"
    report = Report(path, asked.name, made_by, resume=many["resume"])
    began = datetime.now(timezone.utc).isoformat(timespec="seconds")
    report.head(pictures=len(jobs), began=began, options={name: _in_words(value) for name, value in settings.items()})
    return [job.source for job in planned], jobs, work, report


def _client(many: dict[str, Any], pictures: int) -> AbstractContextManager[Any]:
    from imgrestore.scale.cluster import connected, local, workers_by_default

    if many["scheduler"] is not None:
        return connected(many["scheduler"])
    threads = many["threads"] or 1
    workers = many["workers"] or workers_by_default(threads)
    return local(min(workers, pictures), threads, many["retries"])


def _refuse(asked: Asked, error: Exception) -> NoReturn:
    say(f"imgrestore batch {asked.name}: {one_line(error)}")
    raise typer.Exit(USAGE) from None


def _in_words(value: Any) -> Any:
    """A setting as the report tells it: numbers and words as they are, of the rest the kind and the shape."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, Path):
        return str(value)
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else f"{type(value).__name__} {tuple(shape)}"


def _planned(asked: Asked) -> list[Job]:
    from .files import UsageError, plan

    if Path(asked.out).is_file():
        raise UsageError(f"-o {asked.out} is a file; expected a folder")
    folder = asked.out if asked.out.endswith(("/", os.sep)) else asked.out + os.sep
    jobs = plan(asked.inputs, folder, details=asked.details, save_psf=asked.save_psf, recursive=asked.recursive)
    inside = os.path.join(os.path.realpath(folder), "")
    for job in jobs:
        if os.path.realpath(job.source).startswith(inside):
            raise UsageError(f"{job.source} lies in -o {asked.out}; results would be taken for sources")
    return jobs
