"""The pictures that a task is scored on: real pairs of a folder, or clean pictures that its forward model damages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from imgrestore import io
from imgrestore.degrade import blur, moire, reflection, rust, shadow, specular
from imgrestore.psf import Psf

__all__ = ["TASKS", "Case", "Source", "find_marked", "find_sources"]

Pixels = NDArray[np.float32]
TASKS = ("deblur", "demoire", "deshadow", "dereflect", "despecular", "derust")
NOISE = 0.01
# Files in floating point may reach so far: noise and filters go beyond 0 and 1, counts go much further.
FLOATS = (-1, 2)


@dataclass(frozen=True)
class Case:
    """A damaged picture and the truth.

    Attributes
    ----------
    observed, truth : ndarray of float32, shape (H, W) or (H, W, C)
        For a range of 1, without alpha; noise, and files in floating point, may reach a little beyond 0 and 1. Of a
        picture on which damage was marked the truth is the mask, bool (H, W).
    settings : dict
        What the task is told besides the picture: a PSF, a mask.
    """

    observed: Pixels
    truth: NDArray[Any]
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """A case that has yet to be read or made.

    Attributes
    ----------
    name : str
        The picture's file, without its folder.
    load : callable
        Gives the `Case`, each time the same.
    """

    name: str
    load: Callable[[], Case]


def find_sources(
    task: str,
    folder: str | Path,
    *,
    limit: int | None = None,
    noise: float | None = None,
    seed: int = 0,
    psf: Any = None,
    with_mask: bool = False,
) -> list[Source]:
    """List the cases of a folder.

    Parameters
    ----------
    task : str
        One of `TASKS`.
    folder : path
        With the folders input and gt, whose pictures have the same names but for their suffixes: real pairs. Without
        them: clean pictures.
    limit : int, optional
        The first so many in the order of their names.
    noise : float, optional
        Standard deviation of the noise of pictures that are made, for a range of 1: by default 0.01 for deblur, and
        none besides the forward model's own for the others.
    seed : int
        Of all that is drawn. What happens to a picture depends on the seed and on its place in the folder.
    psf : Psf, array or str, optional
        For deblur: what blurs every clean picture, drawn by default; or what blurred the real pairs, found by default.
    with_mask : bool
        Hand the task the pictures of the folder mask, which belongs to real pairs.

    Returns
    -------
    list of Source

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        Where there is no such folder.
    ValueError
        Where it holds no pictures, a picture has no partner or more than one, or a setting does not fit.
    """
    folder = Path(folder)
    if not folder.exists():
        raise FileNotFoundError(f"{folder}: there is no such folder")
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; expected a folder of pictures, or one with input and gt")
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}; expected 1 or more")
    if noise is not None and not 0 <= noise < np.inf:
        raise ValueError(f"noise is {noise}; expected a standard deviation for a range of 1, not negative")
    if psf is not None and task != "deblur":
        raise ValueError(f"psf is given, but {task} knows none; expected it with deblur only")
    told = None if psf is None else _flat_psf(psf)
    if any((folder / part).is_dir() for part in ("input", "gt")):
        if noise is not None:
            raise ValueError(f"noise is given, but {folder} holds real pairs; expected it with clean pictures only")
        return _pairs(folder, limit, told, with_mask)
    if with_mask:
        raise ValueError(f"masks are asked for, but {folder} has no folders input, gt and mask")
    level = noise if noise is not None else NOISE if task == "deblur" else 0.0
    return [
        Source(path.name, _Damage(task, path, level, (seed, number), told))
        for number, path in enumerate(_pictures(folder, limit))
    ]


def find_marked(folder: str | Path, limit: int | None = None) -> list[Source]:
    """List the pictures of a folder on which damage was marked.

    Parameters
    ----------
    folder : path
        With the folders input and mask, whose pictures have the same names but for their suffixes.
    limit : int, optional
        The first so many in the order of their names.

    Returns
    -------
    list of Source
        The truth of their cases is a mask (H, W) of bool.

    Raises
    ------
    ValueError
        Where a folder is missing or holds no pictures, a picture has no partner or more than one, or `limit` is below
        1.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}; expected 1 or more")
    return [Source(path.name, _Marked(path, mask)) for path, mask in _partners(Path(folder), ("input", "mask"), limit)]


def _flat_psf(psf: Any) -> Psf:
    told = Psf.parse(psf) if isinstance(psf, str) else psf if isinstance(psf, Psf) else Psf(psf)
    if told.ndim != 2:
        raise ValueError(f"psf has shape {told.shape}; expected 2 axes")
    return told


@dataclass(frozen=True)
class _Pair:
    observed: Path
    truth: Path
    mask: Path | None
    psf: Psf | None

    def __call__(self) -> Case:
        observed, truth = _read(self.observed), _read(self.truth)
        if observed.shape != truth.shape:
            raise ValueError(
                f"{self.observed} has shape {observed.shape}, {self.truth} {truth.shape}; expected the same"
            )
        settings: dict[str, Any] = {} if self.psf is None else {"psf": self.psf}
        if self.mask is not None:
            settings["mask"] = _read_mask(self.mask, truth.shape[:2])
        return Case(observed, truth, settings)


@dataclass(frozen=True)
class _Marked:
    observed: Path
    mask: Path

    def __call__(self) -> Case:
        observed = _read(self.observed)
        return Case(observed, _read_mask(self.mask, observed.shape[:2]))


@dataclass(frozen=True)
class _Damage:
    task: str
    path: Path
    noise: float
    seed: tuple[int, int]
    psf: Psf | None

    def __call__(self) -> Case:
        rng = np.random.default_rng(self.seed)
        picture = _read(self.path)
        if picture.ndim == 3 and picture.shape[-1] not in (1, 3):
            raise ValueError(f"{self.path} has {picture.shape[-1]} channels; expected gray or RGB to be damaged")
        clean = torch.from_numpy(picture.reshape(*picture.shape[:2], -1)).movedim(-1, 0)
        settings: dict[str, Any] = {}
        if self.task == "deblur":
            psf = self.psf or _drawn(clean, rng)
            clean, observed = _blurred(clean, psf, self.path)
            settings["psf"] = psf
        else:
            observed = _damaged(self.task, clean, rng)
        observed = observed + self.noise * torch.from_numpy(rng.standard_normal(tuple(observed.shape), np.float32))
        return Case(_array(observed, picture), _array(clean, picture), settings)


def _damaged(task: str, clean: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A picture (C, H, W) with a damage that is drawn."""
    shape = tuple(clean.shape)
    if task == "demoire":
        return moire.apply(clean, moire.sample(shape, rng))
    if task == "deshadow":
        return shadow.apply(clean, shadow.sample(shape, rng))
    if task == "dereflect":
        return reflection.apply(clean, reflection.sample(shape, rng))
    if task == "derust":
        return rust.apply(clean, rust.sample(shape, rng))
    # Lobes lie where the picture shows a coloured surface, which gray does not tell.
    return specular.apply(clean, specular.sample(shape, rng, clean if shape[0] == 3 else None))


def _drawn(clean: torch.Tensor, rng: np.random.Generator) -> Psf:
    return Psf(blur.sample_psf(rng, max_size=max(5, min(41, min(clean.shape[-2:]) // 4))))


def _blurred(clean: torch.Tensor, psf: Psf, path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """The part of the scene that the frame shows, and the frame: the scene goes on past it."""
    height, width = (n - k + 1 for n, k in zip(clean.shape[-2:], psf.shape, strict=True))
    if min(height, width) < 16:
        raise ValueError(
            f"{path} has shape {tuple(clean.shape[-2:])}, which leaves {height} x {width} pixels of a frame blurred by "
            f"a PSF of {psf.shape[0]} x {psf.shape[1]}; expected 16 x 16 or more"
        )
    observed = blur.convolve_valid(clean.double(), torch.from_numpy(psf.array.copy())).float()
    top, left = (k - 1 - c for k, c in zip(psf.shape, psf.centre, strict=True))
    return clean[:, top : top + height, left : left + width], observed


def _array(planes: torch.Tensor, like: Pixels) -> Pixels:
    values = planes.float().movedim(0, -1).contiguous().numpy()
    return values[..., 0] if like.ndim == 2 else values


def _pairs(folder: Path, limit: int | None, psf: Psf | None, with_mask: bool) -> list[Source]:
    kinds = ("input", "gt", "mask") if with_mask else ("input", "gt")
    found = _partners(folder, kinds, limit)
    return [Source(files[0].name, _Pair(files[0], files[1], files[2] if with_mask else None, psf)) for files in found]


def _partners(folder: Path, kinds: Sequence[str], limit: int | None) -> list[list[Path]]:
    """The files of each picture in folders of one name each."""
    for kind in kinds:
        if not (folder / kind).is_dir():
            raise ValueError(f"{folder} has no folder {kind}; expected {', '.join(kinds)}")
    found = _pictures(folder / kinds[0], limit)
    others = [_by_stem(folder / kind) for kind in kinds[1:]]
    for kind, twins in zip(kinds[1:], others, strict=True):
        for path in found:
            _one_twin(path, kind, twins.get(path.stem, []))
    return [[path, *(twins[path.stem][0] for twins in others)] for path in found]


def _one_twin(path: Path, kind: str, twins: Sequence[Path]) -> None:
    if not twins:
        raise ValueError(f"{path} has no partner in {kind}; expected a picture {path.stem}.* there")
    if len(twins) > 1:
        names = ", ".join(twin.name for twin in twins)
        raise ValueError(f"{path} has {len(twins)} partners in {kind} ({names}); expected one")


def _by_stem(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(p for p in folder.iterdir() if io.is_picture(p)):
        found.setdefault(path.stem, []).append(path)
    return found


def _pictures(folder: Path, limit: int | None) -> list[Path]:
    found = sorted(p for p in folder.iterdir() if io.is_picture(p))
    if not found:
        raise ValueError(f"{folder} holds no pictures; expected files ending in {', '.join(sorted(io.SUPPORTED))}")
    return found[:limit]


def _read(path: Path) -> Pixels:
    """A picture as float32 for a range of 1, without alpha."""
    picture = io.read(path)
    if picture.has_pages:
        raise ValueError(f"{path} has {picture.pages} pages; expected one picture")
    values = picture.pixels[..., :-1] if picture.has_alpha else picture.pixels
    if values.ndim == 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.dtype in (np.uint8, np.uint16):
        return (values / np.float32(np.iinfo(values.dtype).max)).astype(np.float32)
    low, high = FLOATS
    if values.dtype.kind != "f" or not np.isfinite(values).all() or values.min() < low or values.max() > high:
        raise ValueError(
            f"{path} has {values.dtype} values from {values.min()} to {values.max()}; "
            f"expected uint8, uint16, or floating point for a range of 1 (from {low} to {high}, as noise and filters "
            "reach beyond 0 and 1), without NaN"
        )
    return values.astype(np.float32)


def _read_mask(path: Path, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Where a picture of a mask is brighter than the middle of its range."""
    mask = _read(path)
    if mask.shape[:2] != shape:
        raise ValueError(f"{path} has shape {mask.shape[:2]}; expected {shape}")
    return (mask.mean(axis=-1) if mask.ndim == 3 else mask) > 0.5
