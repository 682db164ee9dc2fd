"""Pictures in classes: folders of them, and the files of CIFAR-10 as they are."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgrestore.data.pack import SUFFIXES, decoded

__all__ = ["Classes", "read_classes"]

# Larger pictures are reduced to it.
MOST_SIDE = 1024
# CIFAR-10: side and planes of a picture, classes, how the files for training and for testing begin, and more bytes than
# any of them has.
SIDE, PLANES, CLASSES = 32, 3, 10
PIXELS = SIDE * SIDE * PLANES
LEARNT, TESTED = "data_batch_", "test_batch"
MOST_BYTES = 2**28


@dataclass(frozen=True)
class Classes:
    """Pictures in classes.

    Attributes
    ----------
    names : tuple of str
        The classes.
    pictures : list of ndarray of uint8, shape (H, W, 3)
    labels : list of int
        Of each picture, its class's place in `names`.
    titles : list of str
        Of each picture, the file, or its place in one.
    tested : set of int
        The places of pictures that are there to be tested on, and not to be learned from; none where nobody said so.
    """

    names: tuple[str, ...]
    pictures: list[NDArray[np.uint8]]
    labels: list[int]
    titles: list[str]
    tested: frozenset[int] = frozenset()


def read_classes(source: str | Path) -> Classes:
    """Read a folder of classes, or CIFAR-10.

    Parameters
    ----------
    source : path
        A folder with a folder for each class, in which its pictures lie. Or the folder of CIFAR-10 as it is
        distributed, in its binary version (``data_batch_1.bin`` ...) or its Python version (``data_batch_1`` ...), of
        whose files ``test_batch`` may be missing; or a single one of these files.

    Returns
    -------
    Classes
        Pictures of more than 1024 pixels along a side are reduced to that.

    Raises
    ------
    ValueError
        Where the folder holds neither, there are fewer than two classes, a class has no picture, or a file is damaged
        or holds anything but what it should. The file is named.
    FileNotFoundError
        Where there is no such file or folder.

    Notes
    -----
    The Python version is pickled. Nothing in it is run: the only names that such a file may call are those by which
    NumPy keeps an array, and they lead to functions here that keep its bytes.

    References
    ----------
    A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009: CIFAR-10.
    """
    source = Path(source)
    if not source.exists():
        raise FileNotFoundError(f"{source}: there is no such file or folder")
    if source.is_file():
        return _cifar([source], source.parent)
    files = [path for path in sorted(source.iterdir()) if path.is_file() and _is_batch(path)]
    return _cifar(files, source) if files else _folders(source)


def _folders(source: Path) -> Classes:
    folders = [path for path in sorted(source.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    if len(folders) < 2:
        raise ValueError(
            f"{source} holds {len(folders)} folders; expected one for each of two classes or more, or CIFAR-10's files"
        )
    found = Classes(tuple(folder.name for folder in folders), [], [], [])
    for label, folder in enumerate(folders):
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
        if not paths:
            raise ValueError(f"{folder} holds no pictures; expected files ending in {', '.join(sorted(SUFFIXES))}")
        for path in paths:
            found.pictures.append(_reduced(decoded(path.read_bytes(), str(path))))
            found.labels.append(label)
            found.titles.append(f"{folder.name}/{path.name}")
    return found


def _reduced(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    scale = MOST_SIDE / max(height, width)
    if scale >= 1:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def _is_batch(path: Path) -> bool:
    return path.name.removesuffix(".bin").startswith((LEARNT, TESTED))


def _cifar(files: list[Path], folder: Path) -> Classes:
    names = _names(folder)
    found = Classes(names, [], [], [])
    tested: set[int] = set()
    for path in files:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"{path} has more than {MOST_BYTES >> 20} MiB; expected a file of CIFAR-10")
        labels, pictures = _binary(path) if path.suffix == ".bin" else _pickled(path)
        if len(labels) and max(labels) >= CLASSES:
            raise ValueError(f"{path} has a label of {max(labels)}; expected 0 to {CLASSES - 1}, as CIFAR-10 has them")
        if path.name.startswith(TESTED):
            tested.update(range(len(found.labels), len(found.labels) + len(labels)))
        found.labels.extend(labels)
        found.pictures.extend(np.ascontiguousarray(pictures.reshape(-1, PLANES, SIDE, SIDE).transpose(0, 2, 3, 1)))
        found.titles.extend(f"{path.name}/{i}" for i in range(len(labels)))
    return Classes(names, found.pictures, found.labels, found.titles, frozenset(tested))


def _names(folder: Path) -> tuple[str, ...]:
    """The classes' names as the files beside the pictures tell them, or their numbers where there are no such files."""
    text, kept = folder / "batches.meta.txt", folder / "batches.meta"
    names = [str(number) for number in range(CLASSES)]
    if text.exists():
        names = [line.strip() for line in text.read_text(errors="replace").splitlines() if line.strip()]
    elif kept.exists():
        told = _unpickled(kept).get(b"label_names")
        names = [_text(name) for name in told] if isinstance(told, list) else []
    if len(names) != CLASSES or len(set(names)) != CLASSES:
        where = text if text.exists() else kept
        raise ValueError(f"{where} names {len(set(names))} classes; expected the {CLASSES} of CIFAR-10")
    return tuple(names)


def _binary(path: Path) -> tuple[list[int], NDArray[np.uint8]]:
    """Records of one byte for the class and 3072 for the picture."""
    content = np.frombuffer(path.read_bytes(), np.uint8)
    if not content.size or content.size % (PIXELS + 1):
        raise ValueError(f"{path} has {content.size} bytes; expected a multiple of {PIXELS + 1}, as CIFAR-10 has them")
    records = content.reshape(-1, PIXELS + 1)
    return records[:, 0].tolist(), records[:, 1:]


def _pickled(path: Path) -> tuple[list[int], NDArray[np.uint8]]:
    """A dictionary with a list of labels and an array of pictures."""
    batch = _unpickled(path)
    labels, kept = batch.get(b"labels"), batch.get(b"data")
    if not isinstance(labels, list) or not all(type(one) is int and one >= 0 for one in labels):
        raise ValueError(f"{path} has no list of labels; expected a file of CIFAR-10")
    expected = (len(labels), PIXELS)
    if not isinstance(kept, _Array) or kept.kind != "u1" or kept.shape != expected or kept.by_columns:
        raise ValueError(f"{path} has no bytes of pictures, shape {expected}, as data; expected a file of CIFAR-10")
    if len(kept.content) != len(labels) * PIXELS or not labels:
        raise ValueError(f"{path} is cut short: {len(kept.content)} bytes of pictures for {len(labels)} labels")
    return labels, np.frombuffer(kept.content, np.uint8)


def _text(name: Any) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)


class _Array:
    """What a pickle keeps of an array of NumPy's."""

    def __init__(self, *_: Any) -> None:
        self.shape: Any = ()
        self.kind: Any = None
        self.by_columns = False
        self.content = b""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, by_columns, content = state
        if not isinstance(kind, _Dtype) or not isinstance(content, bytes):
            raise pickle.UnpicklingError("an array of other than numbers")
        self.shape, self.kind, self.by_columns, self.content = shape, kind.name, bool(by_columns), content


class _Dtype:
    """What a pickle keeps of the type of an array's numbers."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.name = _text(name)

    def __setstate__(self, state: Any) -> None:
        pass


def _encode(text: Any, coding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or _text(coding) not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError("a text of an unknown coding")
    return text.encode("latin1")


# What may be called, and what is called instead.
KNOWN: dict[tuple[str, str], Callable[..., Any] | type] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in KNOWN:
            raise pickle.UnpicklingError(f"it calls {module}.{name}, which no file of CIFAR-10 needs")
        return KNOWN[module, name]


def _unpickled(path: Path) -> dict[Any, Any]:
    """A pickled dictionary, its names as bytes whichever Python wrote it."""
    try:
        with path.open("rb") as stream:
            found = _Unpickler(stream, encoding="bytes").load()
    except MemoryError:
        raise
    except Exception as error:  # of many types: a damaged pickle may do anything within what is known
        text = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} is damaged, or no file of CIFAR-10: {text}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds a {type(found).__name__}; expected a dictionary, as CIFAR-10's files do")
    return {name.encode() if isinstance(name, str) else name: value for name, value in found.items()}
