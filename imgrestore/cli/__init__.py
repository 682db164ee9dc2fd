"""The command line: ``imgrestore deblur``, a command for every other task, and ``imgrestore info``.

Only what ``--help`` needs is imported here; torch and the rest wait until a command runs.
"""

from __future__ import annotations

from typing import Annotated

import typer

from imgrestore import __version__

from . import (
    batch,
    deblur,
    demoire,
    dereflect,
    derust,
    deshadow,
    despecular,
    diagnose,
    evaluate,
    explain,
    export,
    info,
    restore,
    train,
)

__all__ = ["app"]

app = typer.Typer(
    name="imgrestore",
    help="Restore damaged pictures.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
TASKS = {
    task.__name__.rpartition(".")[2]: task.command
    for task in (deblur, demoire, deshadow, dereflect, despecular, derust, restore)
}
for name, task in TASKS.items():
    app.command(name, no_args_is_help=True)(task)
app.add_typer(batch.group(TASKS), name="batch")
# The words after --methods.
app.command("diagnose", no_args_is_help=True)(diagnose.command)
app.command("evaluate", no_args_is_help=True, context_settings={"allow_extra_args": True})(evaluate.command)
app.command("export", no_args_is_help=True)(export.command)
app.command("explain", no_args_is_help=True)(explain.command)
app.command("train", no_args_is_help=True)(train.command)
app.command("info")(info.command)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"imgrestore {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Restore damaged pictures."""
