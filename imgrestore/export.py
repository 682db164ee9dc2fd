"""Write the net of a task as an ONNX file, and hold it to the net: ``imgrestore export``."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from imgrestore import __version__
from imgrestore.export_recipes import LEAST_SIDE, MOST_SIDE, Recipe, free_axes, recipe_of
from imgrestore.io.atomic import whole_file
from imgrestore.nets import weights as shipped

__all__ = ["ExportError", "Exported", "to_onnx"]

OPSET = 18
# What the file may differ from the net, for a range of 1.
TOLERANCE = 1e-3
# Sides in units of the stride at which the file is compared with the net.
CHECKED = ((1, 12, 10), (2, 7, 15))


class ExportError(RuntimeError):
    """The ONNX file would not do what the net does, or could not be made. None was written."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes
    ----------
    path : Path
    task, net : str
        The net's task and its class.
    sha256 : str
        Of the weights' file.
    inputs, outputs : dict of str to str
        What each of them is, by its name.
    opset : int
        Version of ONNX's operators.
    size : (int, int) or None
        Height and width, where they are fixed.
    difference : float
        The largest difference from the net's result, for a range of 1.
    free : bool
        Whether height and width may be anything at each use.
    checked : tuple of tuple of int
        Shapes of the first of the random inputs that it was found on.
    """

    path: Path
    task: str
    net: str
    sha256: str
    inputs: dict[str, str]
    outputs: dict[str, str]
    opset: int
    size: tuple[int, int] | None
    difference: float
    free: bool
    checked: tuple[tuple[int, ...], ...]


def to_onnx(
    task: str,
    path: str | os.PathLike[str],
    *,
    weights: str | os.PathLike[str] | None = None,
    size: tuple[int, int] | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write the net of a task as an ONNX file.

    The file is compared with the net on random pictures, in ONNX Runtime, before it is written.

    Parameters
    ----------
    task : str
        A task that has a net.
    path : path-like
        Where to; written whole or not at all.
    weights : path-like, optional
        A file that training wrote; the weights that ship with this version by default.
    size : (int, int), optional
        Height and width of the net's inputs, multiples of its stride: for runtimes that take no other than fixed sizes.
        By default they may be anything between 16 and 4096 at each use. The batch may be anything in either case.
    overwrite : bool
        Replace a file that exists.

    Returns
    -------
    Exported

    Raises
    ------
    ImportError
        Where onnx, onnxscript or onnxruntime is not installed.
    ValueError
        Where the task has no weights, those given cannot be read, or `size` does not fit.
    FileExistsError
        Where the file exists and may not be replaced.
    ExportError
        Where PyTorch cannot translate the net, or the result in ONNX Runtime is not that of the net.
    """
    _check_packages()
    path = Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists already and overwrite is False")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {path.parent}")
    net, sha256 = _net(task, weights)
    recipe = recipe_of(net)
    _check_size(size, recipe)
    model = _translate(recipe, size)
    facts = {
        "task": task,
        "net": type(net).__name__,
        "config": json.dumps(net.config.to_dict()),  # type: ignore[operator, union-attr]
        "weights_sha256": sha256,
        "inputs": json.dumps(dict(recipe.inputs)),
        "outputs": json.dumps(dict(recipe.outputs)),
        "imgrestore": __version__,
    }
    for key, value in facts.items():
        model.metadata_props.add(key=key, value=value)
    content = model.SerializeToString()
    difference, checked = _compare(content, recipe, size)
    with whole_file(path, overwrite) as stream:
        stream.write(content)
    inputs, outputs = dict(recipe.inputs), dict(recipe.outputs)
    free = recipe.free and size is None
    return Exported(path, task, facts["net"], sha256, inputs, outputs, OPSET, size, difference, free, checked)


def _check_packages() -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        try:
            __import__(package)
        except ImportError as error:
            raise ImportError(
                f"export needs {package}, which is not installed ({error}): pip install 'imgrestore[onnx]'"
            ) from error


def _net(task: str, weights: str | os.PathLike[str] | None) -> tuple[nn.Module, str]:
    """A net, and the hash of its weights' file."""
    if weights is None:
        return shipped.load(task), shipped.SHA256[task]
    return shipped.load_net(weights, task), hashlib.sha256(Path(weights).read_bytes()).hexdigest()


def _check_size(size: tuple[int, int] | None, recipe: Recipe) -> None:
    if size is None:
        return
    if not recipe.free:
        raise ValueError(f"size is {tuple(size)}; expected none: this net's inputs have sides of their own")
    stride = recipe.stride
    if len(size) != 2 or any(not LEAST_SIDE <= side <= MOST_SIDE or side % stride for side in size):
        raise ValueError(
            f"size is {tuple(size)}; expected a height and a width from {LEAST_SIDE} to {MOST_SIDE}, "
            f"multiples of {stride}"
        )


def _translate(recipe: Recipe, size: tuple[int, int] | None) -> Any:
    """The net as an ONNX model."""
    stride = recipe.stride
    rows, columns, batch = free_axes(stride)
    # An axis whose example is 1 long would be taken for fixed.
    height, width = size or (12 * stride, 10 * stride)
    example = recipe.example(2, height, width, 0)
    free = recipe.shapes(rows, columns, batch) if size is None else recipe.shapes(None, None, batch)
    try:
        with torch.no_grad(), _quiet():
            program = torch.onnx.export(
                recipe.module,
                example,
                input_names=list(recipe.inputs),
                output_names=list(recipe.outputs),
                dynamic_shapes=free,
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:  # the outer ones tell of the exporter's steps
            cause = cause.__cause__
        text = " ".join(str(cause).split())
        raise ExportError(f"PyTorch {torch.__version__} could not translate the net to ONNX: {text[:400]}") from error
    assert program is not None
    return _without_traces(program.model_proto)


def _without_traces(model: Any) -> Any:
    """The model without the exporter's notes on lines of code, which name folders of this machine."""
    graph = model.graph
    for part in (graph, *graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.ClearField("doc_string")
    return model


def _compare(content: bytes, recipe: Recipe, size: tuple[int, int] | None) -> tuple[float, tuple[tuple[int, ...], ...]]:
    """The largest difference between the file's result and the net's, on two sets of random inputs."""
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    worst, checked = 0.0, []
    for seed, (batch, rows, columns) in enumerate(CHECKED, start=1):
        height, width = size or (rows * recipe.stride, columns * recipe.stride)
        inputs = recipe.example(batch, height, width, seed)
        with torch.no_grad():
            expected = recipe.reference(*inputs)
        fed = {name: tensor.numpy() for name, tensor in zip(recipe.inputs, inputs, strict=True)}
        try:
            found = session.run(None, fed)
        except Exception as error:
            text = " ".join(str(error).split())
            raise ExportError(f"ONNX Runtime cannot run the net on {_told(inputs[0])}: {text[:400]}") from error
        for name, one, other in zip(recipe.outputs, found, expected, strict=True):
            if one.shape != tuple(other.shape):
                raise ExportError(f"in ONNX Runtime {name} has shape {one.shape}; expected {tuple(other.shape)}")
            difference = float(np.abs(one - other.numpy()).max())
            if not difference <= TOLERANCE:
                raise ExportError(
                    f"in ONNX Runtime {name} of {_told(inputs[0])} differs from the net's by {difference:.3g}; "
                    f"expected at most {TOLERANCE:g}"
                )
            worst = max(worst, difference)
        checked.append(tuple(inputs[0].shape))
    return worst, tuple(checked)


def _told(values: torch.Tensor) -> str:
    return " x ".join(map(str, values.shape))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks on its own insides from the user."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [one.level for one in loggers]
    try:
        for one in loggers:
            one.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)
