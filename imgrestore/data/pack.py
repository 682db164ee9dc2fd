"""Folders of pictures packed into one small file, so that they can move to another machine, and read again."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from imgrestore.io.atomic import whole_file

__all__ = ["SUFFIXES", "decoded", "pack", "read_pack", "split", "spread"]

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}


def pack(folders: Sequence[str | Path], out: str | Path, max_bytes: int = 50_000_000, max_side: int = 1024) -> Path:
    """Pack folders of pictures into one file.

    JPEG files are taken byte for byte: encoding them again would only lose. Other pictures, and those larger than
    `max_side`, become JPEG of quality 98 without chroma subsampling; gray of 16 bits is brought to 8. When the limit
    does not hold them all, every folder after the first that would pass it is thinned evenly.

    Parameters
    ----------
    folders : sequence of path
        Folders of pictures, the most important first. Each has a name of its own: pictures are named after it.
    out : path
        The ``.npz`` file to write, whole or not at all; one that exists is replaced.
    max_bytes : int
        Size limit.
    max_side : int
        Larger pictures are reduced to it.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ValueError
        Where two folders have one name, a picture cannot be read, or there is none that the limit has room for.
    FileNotFoundError, NotADirectoryError
        Where there is no such folder.
    """
    places = [Path(folder) for folder in folders]
    for number, folder in enumerate(places):
        for earlier in places[:number]:
            if earlier.name == folder.name:
                raise ValueError(f"{earlier} and {folder} are both named {folder.name}; expected names that differ")
    names: list[str] = []
    blobs: list[bytes] = []
    room = max_bytes - 200_000
    for folder in places:
        paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
        found = [(p.name, _encode(p, max_side)) for p in paths]
        total = sum(len(blob) for _, blob in found)
        keep = min(1.0, room / max(total, 1))
        found = [item for i, item in enumerate(found) if int((i + 1) * keep) > int(i * keep)]
        for name, blob in found:
            if len(blob) <= room:
                names.append(f"{folder.name}/{name}")
                blobs.append(blob)
                room -= len(blob)
    if not names:
        told = ", ".join(map(str, places)) or "no folder"
        raise ValueError(
            f"nothing to pack: {told} holds no pictures ({', '.join(sorted(SUFFIXES))}) that {max_bytes} bytes have "
            "room for"
        )
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    ends = np.cumsum([len(blob) for blob in blobs])
    with whole_file(out, overwrite=True) as stream:
        np.savez(stream, names=np.array(names), ends=ends, bytes=np.frombuffer(b"".join(blobs), np.uint8))
    return out


def _encode(path: Path, max_side: int) -> bytes:
    data = path.read_bytes()
    found = decoded(data, str(path))
    with Image.open(io.BytesIO(data)) as picture:
        if picture.format == "JPEG" and max(picture.size) <= max_side and picture.mode == "RGB":
            return data
    rgb = Image.fromarray(found)
    if max(rgb.size) > max_side:
        scale = max_side / max(rgb.size)
        rgb = rgb.resize((round(rgb.width * scale), round(rgb.height * scale)), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    rgb.save(stream, "JPEG", quality=98, subsampling=0)
    return stream.getvalue()


def decoded(data: bytes, name: str) -> NDArray[np.uint8]:
    """The picture (H, W, 3) in a file's bytes, or an error that names it."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            mode = picture.mode
            # PIL would clip these to 8 bits. Gray of 16 bits was I in PNG once.
            if mode.startswith("I;16") or (mode == "I" and picture.format == "PNG"):
                gray = (np.asarray(picture).astype(np.uint32) + 128) // 257
                return np.repeat(gray.astype(np.uint8)[..., None], 3, axis=-1)
            if not mode.startswith(("I", "F")):
                return np.asarray(picture.convert("RGB"))
    except UnidentifiedImageError as error:
        raise ValueError(f"cannot read {name}: it is damaged, or no picture") from error
    except MemoryError:
        raise
    except Exception as error:  # of many types: OSError, SyntaxError, struct.error, DecompressionBombError
        raise ValueError(f"cannot read {name}: {str(error) or type(error).__name__}") from error
    raise ValueError(f"cannot read {name}: its values are of PIL's mode {mode}; expected 8 bits, or gray of 16 bits")


def read_pack(source: str | Path) -> dict[str, NDArray[np.uint8]]:
    """The pictures of a packed file, or of a folder.

    Parameters
    ----------
    source : path
        A file written by `pack`, or a folder of pictures.

    Returns
    -------
    dict of str to ndarray of uint8, shape (H, W, 3)
        Name to picture, in a fixed order. Gray of 16 bits is brought to 8: round(v / 257).

    Raises
    ------
    ValueError
        Where the file is none that `pack` wrote, there are no pictures, or one of them cannot be read: it is damaged,
        too large for PIL, or of 32 bits.
    FileNotFoundError
        Where there is no such file or folder.
    """
    source = Path(source)
    if source.is_dir():
        paths = sorted(p for p in source.iterdir() if p.suffix.lower() in SUFFIXES)
        names, streams = [f"{source.name}/{p.name}" for p in paths], [p.read_bytes() for p in paths]
    else:
        names, streams = _unpacked(source)
    if not streams:
        raise ValueError(f"{source} holds no pictures; expected files ending in {', '.join(sorted(SUFFIXES))}")
    places = [f"{name} of {source}" for name in names]
    with ThreadPoolExecutor(16) as pool:
        return dict(zip(names, pool.map(decoded, streams, places), strict=True))


def _unpacked(source: Path) -> tuple[list[str], list[bytes]]:
    """Names and bytes of the pictures of a packed file."""
    try:
        with np.load(source) as stored:
            names, data = [str(name) for name in stored["names"]], stored["bytes"].tobytes()
            ends = [int(end) for end in stored["ends"]]
    except (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{source} is damaged, or no file of packed pictures") from error
    return names, [data[a:b] for a, b in zip([0, *ends][: len(ends)], ends, strict=True)]


def split(pictures: dict[str, NDArray[np.uint8]], validation: int = 16) -> tuple[list[str], list[str]]:
    """Names for training and for validation.

    Parameters
    ----------
    pictures : dict
        As from `read_pack`.
    validation : int
        How many to hold out, spread evenly over all.

    Returns
    -------
    train, held : list of str
        Disjoint.
    """
    names = list(pictures)
    held = spread(names, validation)
    return [n for n in names if n not in set(held)], held


def spread(names: list[str], count: int) -> list[str]:
    """So many of a list of names, at least one and at most a quarter, spread evenly over it.

    Parameters
    ----------
    names : list of str
    count : int

    Returns
    -------
    list of str
        Empty where `names` is.
    """
    count = max(1, min(count, len(names) // 4)) if names else 0
    return [names[round((i + 0.5) * len(names) / count - 0.5)] for i in range(count)]
