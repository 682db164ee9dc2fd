"""``imgrestore diagnose``: pictures in, a table of what is wrong with each out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .options import Details, Inputs, Overwrite, OwnWeights, Recursive
from .run import FAILED, INTERRUPTED, USAGE, say


def command(
    inputs: Inputs,
    as_json: Annotated[
        bool, typer.Option("--json", help="A line of JSON for each picture instead of a table.")
    ] = False,
    details: Details = None,
    weights: OwnWeights = None,
    recursive: Recursive = False,
    overwrite: Overwrite = False,
) -> None:
    """Tell which damages pictures show, how strong they are, where, and how sure that is.

    Of a file with pages each is told by itself; `--details` draws the first.

    A file that fails is reported in one line while the others go on; the exit status is then 1.
    """
    from imgrestore.job import one_line

    from .files import UsageError, read_only

    try:
        jobs = read_only(inputs, sheet=details, recursive=recursive)
        if weights is not None:
            from imgrestore.diagnosis.examine import verdict

            verdict(weights)  # told now rather than of every picture
    except (UsageError, OSError, ValueError, TypeError) as error:
        say(f"imgrestore diagnose: {one_line(error)}")
        raise typer.Exit(USAGE) from None
    failed = False
    try:
        for source, target in jobs:
            try:
                _tell(source, target, weights, as_json=as_json, named=len(jobs) > 1, overwrite=overwrite)
            except (OSError, ValueError, TypeError, ImportError) as error:
                say(f"{source}: {one_line(error)}")
                failed = True
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    if failed:
        raise typer.Exit(FAILED)


def _tell(
    source: Path, target: Path | None, weights: Path | None, *, as_json: bool, named: bool, overwrite: bool
) -> None:
    """Diagnose a file, print what was found, and draw the first page where that is asked for."""
    import numpy as np

    from imgrestore import io
    from imgrestore.diagnosis.file import diagnose_pages

    if target is not None and target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists already; --overwrite replaces it")
    for page, report in diagnose_pages(source, weights):
        if as_json:
            where = {"file": str(source)} if page is None else {"file": str(source), "page": page}
            print(json.dumps({**where, **report.to_dict()}), flush=True)
        else:
            name = f"{source}" if page is None else f"{source}, page {page}"
            apart = named or page is not None
            print(*([f"{name}:"] if apart else []), report, *([""] if apart else []), sep="\n", flush=True)
        if target is not None and page in (None, 1):
            target.parent.mkdir(parents=True, exist_ok=True)
            io.write(target, np.asarray(report.plot(source.name)), overwrite=overwrite)
