"""Trained weights: those that ship with the package, with a known hash and a card beside each, and a user's own.

Only safetensors are read, which hold numbers and nothing that could run.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from functools import lru_cache
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from imgrestore.nets.registry import hollow, is_hollow, name_of

__all__ = ["SHA256", "WeightsError", "load", "load_net", "write_net"]

HERE = Path(__file__).parent
SHA256 = {
    "deblur": "f49aca9389fa7d5dd7a27d8b9ddb772b3b0712ed145a4950605a6ce73cb300e4",
    "demoire": "d38779ab75d29927bc6df13599c11874a26c88aefa3c61ab5bb473a4d7a0df5e",
    "dereflect": "e6af1faafb8601c0145a55f3ec72feddf0daff298d8a2d51ae910e9fa752b232",
    "derust": "c7604b43bff560be4eb9d0ae8548b3a0d1a681f44dfcf32e413fa7688091ae24",
    "despecular": "4856a2868700f60c932848611605dd0974f66dc6dcc9adf8ee36fd67ad3ed524",
    "deshadow": "a2f5df95926470fa369f3bb3b2b4513f36cb8eceadb0f1efdeed1ecf82b882ad",
    "diagnose": "3efe76924d13645c2ec032f736278826885f63990a1b31fef6e6175cbb69bc55",
    "verdict": "dce52b40c3240bd020e340655e152cdbf7f4aa775b6df6920d6d6f2a83d7019f",
}
# A file that is larger is not even read: our nets have some megabytes.
MOST_BYTES = 2**30
# How files begin that torch.save or pickle wrote.
PICKLES = (b"PK\x03\x04", b"\x80")


class WeightsError(ValueError):
    """Weights that are missing, damaged, of another task or net, or not those that this version was released with."""


@lru_cache
def load(task: str) -> nn.Module:
    """The net of a task, with the weights that ship with this version.

    Parameters
    ----------
    task : str
        One of the keys of `SHA256`.

    Returns
    -------
    Module
        In float32, on the CPU, without gradients to its parameters. Kept for the next call; any number of threads
        may run it at once.

    Raises
    ------
    WeightsError
        Where there are none, or the file is missing or has another hash.

    Examples
    --------
    >>> from imgrestore.nets.weights import load
    >>> sum(p.numel() for p in load("deblur").parameters())
    1389082
    """
    if task not in SHA256:
        raise WeightsError(f"no weights ship for {task!r}; there are some for {', '.join(SHA256)}")
    path = HERE / f"{task}.safetensors"
    content = _read(path, f"the weights {path.name}")
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256[task]:
        raise WeightsError(f"the weights {path.name} have the hash {found[:12]}..., expected {SHA256[task][:12]}...")
    return _net(content, path, task).requires_grad_(False)


def load_net(path: str | os.PathLike[str], task: str | None = None) -> nn.Module:
    """Read a net from a file that training wrote.

    Parameters
    ----------
    path : str or path-like
        A safetensors file, whose metadata say which net it is, and of what size.
    task : str, optional
        What the weights have to be for; anything by default.

    Returns
    -------
    Module
        In float32, on the CPU, in evaluation mode.

    Raises
    ------
    WeightsError
        Where the file cannot be read, is not safetensors (a pickle or an archive of `torch.save` is never opened), is
        cut short, says nothing of its net or of a net that is not known, holds more, less or other shapes than
        that net, or a NaN or infinite number, or is for another task.
    """
    return _net(_read(path, f"{os.fspath(path)}"), path, task)


def write_net(path: str | os.PathLike[str], net: nn.Module, task: str) -> str:
    """Write a net to a file that `load_net` reads.

    The same weights give the same file, byte for byte. Until it is whole it has another name.

    Parameters
    ----------
    path : str or path-like
        Replaced where it exists.
    net : Module
        One of those in `imgrestore.nets.registry`; rounded to float16.
    task : str
        What it was trained for.

    Returns
    -------
    str
        The file's SHA-256.

    Raises
    ------
    TypeError
        Where the net is none of those.
    ValueError
        Where a weight is NaN, infinite, or too large for float16.
    """
    name, config = name_of(net), net.config.to_dict()  # type: ignore[operator, union-attr]
    tensors = {key: _halved(key, value) for key, value in net.state_dict().items()}
    content = _in_order(safetensors.torch.save(tensors, {"task": task, "net": name, "config": json.dumps(config)}))
    _write(Path(path), content)
    return hashlib.sha256(content).hexdigest()


def _halved(key: str, value: torch.Tensor) -> torch.Tensor:
    half = value.detach().to("cpu", torch.float16, copy=True).contiguous()
    if not bool(half.isfinite().all()):
        raise ValueError(f"net: {key} has a weight that is NaN, infinite, or beyond the range of float16")
    return half


def _in_order(content: bytes) -> bytes:
    """A safetensors file with the metadata in alphabetical order, which the library leaves to chance."""
    header, rest = _parts(content)
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + rest


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _read(path: str | os.PathLike[str], what: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise WeightsError(f"{what} cannot be read ({error.strerror})") from error
    if len(content) > MOST_BYTES:
        raise WeightsError(f"{what}: not the weights of a net (larger than {MOST_BYTES >> 20} MiB)")
    return content


def _net(content: bytes, path: str | os.PathLike[str], task: str | None) -> nn.Module:
    """The net in a file's content, every part of which is checked before it is used."""
    try:
        return _checked(content, task)
    except WeightsError as error:
        raise WeightsError(f"{os.fspath(path)}: {error}") from error.__cause__
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{os.fspath(path)}: not the weights of a net ({_reason(error)})") from error


def _checked(content: bytes, task: str | None) -> nn.Module:
    tensors = _tensors(content)
    metadata = _parts(content)[0].get("__metadata__") or {}
    missing = [key for key in ("task", "net", "config") if key not in metadata]
    if missing:
        raise ValueError(f"its metadata lack {', '.join(missing)}, which `imgrestore train` writes")
    if task is not None and metadata["task"] != task:
        raise WeightsError(f"weights for {metadata['task']!r}; expected weights for {task!r}")
    fields = json.loads(metadata["config"])
    if not isinstance(fields, dict):
        raise ValueError(f"its configuration is a {type(fields).__name__}; expected fields with their values")
    net = hollow(metadata["net"], fields, len(tensors))
    _compare(net.state_dict(), tensors)
    net.load_state_dict({key: value.to(torch.float32, copy=True) for key, value in tensors.items()}, assign=True)
    if is_hollow(net):
        raise ValueError("the net has numbers that no file holds")
    return net.eval()


def _tensors(content: bytes) -> dict[str, torch.Tensor]:
    if not content:
        raise ValueError("the file is empty; expected safetensors")
    try:
        return safetensors.torch.load(content)
    except SafetensorError as error:
        if content.startswith(PICKLES):
            told = "a pickle or an archive, as torch.save writes, which is never opened; expected safetensors"
            raise ValueError(told) from error
        raise


def _compare(wanted: dict[str, torch.Tensor], tensors: dict[str, torch.Tensor]) -> None:
    """See to it that the tensors are those that a net wants, and hold finite numbers."""
    lacking, more = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    if lacking or more:
        told = [f"{word} {_some(keys)}" for word, keys in (("lacks", lacking), ("has besides", more)) if keys]
        raise ValueError(f"for this net it {' and '.join(told)}")
    for key, tensor in tensors.items():
        shape, expected = tuple(tensor.shape), tuple(wanted[key].shape)
        if shape != expected:
            raise ValueError(f"{key} has shape {shape}; expected {expected}")
        if not tensor.is_floating_point():
            raise ValueError(f"{key} has dtype {str(tensor.dtype).removeprefix('torch.')}; expected floating point")
        if not bool(tensor.to(torch.float32).isfinite().all()):
            raise ValueError(f"{key} has numbers that are NaN or infinite")


def _parts(content: bytes) -> tuple[dict[str, Any], bytes]:
    """The header of a sound safetensors file, and the numbers after it."""
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), content[end:]


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
