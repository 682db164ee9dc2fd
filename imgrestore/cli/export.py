"""``imgrestore export``: the net of a task as a file for other runtimes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .evaluate import Task, Weights


def command(
    task: Task,
    onnx: Annotated[Path, typer.Option("--onnx", metavar="FILE", help="The ONNX file to write.")],
    weights: Weights = None,
    size: Annotated[
        tuple[int, int] | None,
        typer.Option(metavar="H W", help="Fix height and width; by default they may be anything."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
) -> None:
    """Write the net of a task as an ONNX file.

    The file is compared with the net in ONNX Runtime before it is written. What its inputs are stands in its metadata.
    """
    try:
        from imgrestore.export import ExportError, to_onnx
    except ImportError as error:
        _fail(error, 2)
    try:
        done = to_onnx(task.value, onnx, weights=weights, size=size, overwrite=overwrite)
    except (OSError, ValueError, TypeError, ImportError) as error:
        _fail(error, 2)
    except ExportError as error:
        _fail(error, 1)
    sizes = " and ".join(" x ".join(map(str, shape)) for shape in done.checked)
    fixed = "fixed height and width" if done.size is None else f"{done.size[0]} x {done.size[1]}"
    print(
        f"{done.path}: {done.net} for {done.task}, opset {done.opset}, {'any height and width' if done.free else fixed}"
    )
    print(f"differs from the net by at most {done.difference:.2g} (random inputs, the first {sizes})")
    for title, described in (("inputs", done.inputs), ("outputs", done.outputs)):
        print(f"{title}:")
        for name, text in described.items():
            print(f"  {name}: {text}")


def _fail(error: Exception, status: int) -> None:
    print(f"imgrestore export: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
    raise typer.Exit(status) from None
