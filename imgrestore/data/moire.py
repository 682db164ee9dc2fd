"""Moiré to train on: pictures with their classical estimate, real and simulated, and what is drawn from them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from imgrestore.classical.moire import estimate
from imgrestore.classical.moire_screen import screen_of, tone_change
from imgrestore.data.pairs import Pair
from imgrestore.data.tones import Tones
from imgrestore.degrade import moire, screen
from imgrestore.nets.refiner import Refiner

__all__ = ["MoireBatch", "Scenes", "estimated", "reduced", "simulated", "thumbnails"]

# Side of the part of a picture that is kept or simulated, and of the picture reduced to be looked at as a whole.
KEPT, SMALL = 640, 96
# Values are kept as bytes: the estimate from -0.25 to 1.25, and the pattern from -0.25 to 0.25.
RANGE = {"observed": (0.0, 1.0), "scene": (-0.25, 1.25), "pattern": (-0.25, 0.25), "truth": (0.0, 1.0)}
NAMES = tuple(RANGE)
# Of whole pictures: the part of them with borrowed tones, and of batches whose colours change places.
LENT, MIXED = 0.3, 0.3
JPEG = (60, 96)


@dataclass
class MoireBatch:
    """Crops of pictures with their classical estimates, and whole pictures reduced.

    Attributes
    ----------
    observed, scene, pattern, truth : Tensor of float32, shape (N, 3, S, S)
        The picture, its classical estimate, the moiré that was taken off it, and what it should be.
    view : Tensor of float32, shape (N, 6, V, V)
        The whole pictures and estimates, reduced.
    """

    observed: Tensor
    scene: Tensor
    pattern: Tensor
    truth: Tensor
    view: Tensor

    def to(self, device: torch.device) -> MoireBatch:
        """The same elsewhere."""
        return MoireBatch(*(getattr(self, field.name).to(device) for field in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence[MoireBatch]) -> MoireBatch:
        """Several as one."""
        return cls(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(cls)))


class Scenes:
    """Pictures with their classical estimates, kept as bytes.

    Parameters
    ----------
    items : sequence of dict
        As `estimated` gives them.
    least : int
        Pictures with a shorter side are left out, too.
    """

    def __init__(self, items: Sequence[dict[str, NDArray]], least: int = 1) -> None:
        self.items = [item for item in items if min(item["observed"].shape[:2]) >= least]
        small = [torch.from_numpy(item["small"]).float() for item in self.items]
        self.small = torch.stack(small) if small else torch.zeros(0, 9, SMALL, SMALL)

    def __len__(self) -> int:
        return len(self.items)

    def planes(self, name: str) -> list[NDArray]:
        """What is kept under a name, of every picture."""
        return [item[name] for item in self.items]

    def middle(self, index: int, side: int, view: int) -> MoireBatch:
        """The middle of one picture, at most `side` pixels across, and its view."""
        height, width = self.items[index]["observed"].shape[:2]
        size = min(side, height, width)
        return self._gather([(index, (height - size) // 2, (width - size) // 2)], size, [(False,) * 3], view)

    def crops(self, count: int, size: int, view: int, generator: torch.Generator) -> MoireBatch:
        """Random crops of random pictures, flipped and turned.

        Parameters
        ----------
        count, size : int
            Number and side of the crops, which every picture has to have room for.
        view : int
            Side of the reduced pictures.
        generator : torch.Generator
            On the CPU.

        Returns
        -------
        MoireBatch
        """
        places = []
        for index in torch.randint(len(self), (count,), generator=generator).tolist():
            room = torch.tensor(self.items[index]["observed"].shape[:2]) - size + 1
            top, left = (torch.rand(2, generator=generator) * room).long().tolist()
            places.append((index, top, left))
        turns = [tuple(turn) for turn in (torch.rand(count, 3, generator=generator) < 0.5).tolist()]
        return self._gather(places, size, turns, view)

    def _gather(
        self, places: list[tuple[int, int, int]], size: int, turns: Iterable[tuple[bool, ...]], view: int
    ) -> MoireBatch:
        found: dict[str, list[Tensor]] = {name: [] for name in NAMES}
        for (index, top, left), (down, across, turned) in zip(places, turns, strict=True):
            for name in NAMES:
                crop = torch.from_numpy(self.items[index][name][top : top + size, left : left + size])
                dims = [dim for dim, asked in enumerate((down, across)) if asked]
                crop = crop.flip(dims) if dims else crop
                found[name].append((crop.transpose(0, 1) if turned else crop).permute(2, 0, 1))
        planes = {}
        for name, (low, high) in RANGE.items():
            planes[name] = torch.stack(found[name]).float() / 255 * (high - low) + low
        which = torch.tensor([index for index, _, _ in places])
        views = F.interpolate(self.small[which][:, :6], size=(view, view), mode="area")
        return MoireBatch(**planes, view=views)


def estimated(pair: Pair, seed: int) -> dict[str, NDArray]:
    """The classical estimate of a photographed screen, and a part of both with the truth.

    That it is one is known here, and need not be found out.

    Parameters
    ----------
    pair : (ndarray, ndarray) of uint8, shape (H, W, 3)
        The damaged picture and the truth.
    seed : int
        Of the place of the part.

    Returns
    -------
    dict of ndarray
        "observed", "scene", "pattern", "truth": uint8, at most 640 pixels across, see `RANGE`. "small": float16,
        shape (9, 96, 96), the whole picture, the estimate and the truth reduced.
    """
    observed, truth = (torch.from_numpy(np.array(p)).permute(2, 0, 1).float() / 255 for p in pair)
    with torch.no_grad():
        screen = replace(screen_of(observed), strength=1.0)
        found = estimate(observed, None, torch.ones(1, *observed.shape[1:], dtype=torch.bool), screen)
    planes = {"observed": observed, "scene": found.image, "pattern": found.layers["moire"], "truth": truth}
    small = _small(torch.cat([observed, found.image, truth]))
    rng = np.random.default_rng(seed)
    top, left = (int(rng.integers(max(length - KEPT, 0) + 1)) for length in observed.shape[1:])
    kept: dict[str, NDArray] = {}
    for name, plane in planes.items():
        low, high = RANGE[name]
        part = plane[:, top : top + KEPT, left : left + KEPT]
        kept[name] = ((part - low) / (high - low) * 255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    return {**kept, "small": small.half().numpy()}


def reduced(clean: Iterable[NDArray[np.uint8]]) -> Tensor:
    """Whole pictures (H, W, 3) of uint8, reduced: float32 of shape (N, 3, 96, 96)."""
    found = [_small(torch.from_numpy(np.array(one)).permute(2, 0, 1).float() / 255) for one in clean]
    return torch.stack(found) if found else torch.zeros(0, 3, SMALL, SMALL)


def _small(planes: Tensor) -> Tensor:
    return F.interpolate(planes[None], size=(SMALL, SMALL), mode="area")[0]


def simulated(clean: NDArray[np.uint8], seed: int, curve: NDArray | None = None) -> Pair:
    """A pair from a clean picture: the photograph of a screen that shows it.

    Parameters
    ----------
    clean : ndarray of uint8, shape (H, W, 3)
    seed : int
    curve : ndarray, shape (3, 10), optional
        The change of tones, as `imgrestore.nets.refiner.Refiner.tone_of` takes it; by default one is drawn.

    Returns
    -------
    observed, truth : ndarray of uint8, shape (H, W, 3)
        At most 640 pixels across. The observed one has been a JPEG file.
    """
    rng = np.random.default_rng(seed)
    top, left = (int(rng.integers(max(length - KEPT, 0) + 1)) for length in clean.shape[:2])
    clean = np.ascontiguousarray(clean[top : top + KEPT, left : left + KEPT])
    truth = torch.from_numpy(np.array(clean)).permute(2, 0, 1).float() / 255
    params = screen.sample(truth.shape, rng)
    if curve is None:
        observed = screen.apply(truth, params)
    else:
        observed = screen.apply(truth, replace(params, tone=moire.Tone()))
        observed = observed + Refiner.tone_of(observed[None], torch.from_numpy(curve)[None])[0]
    stream = io.BytesIO()
    pixels = (observed.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(stream, "JPEG", quality=int(rng.integers(*JPEG)), subsampling=int(rng.integers(3)))
    with Image.open(stream) as stored:
        return np.asarray(stored.convert("RGB")), clean


def thumbnails(
    real: Scenes, clean: Tensor, tones: Tones | None, count: int, view: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Whole pictures reduced: real ones, and some clean ones with borrowed tones, cropped at random.

    In some batches the three colours change places: what is true of a red cast is true of a blue one.

    Parameters
    ----------
    real : Scenes
    clean : Tensor of float32, shape (M, 3, 96, 96)
        Clean pictures, reduced.
    tones : Tones or None
        What to borrow; none, where there are no pairs, gives no pictures.
    count, view : int
        How many, and the side of the result.
    generator : torch.Generator

    Returns
    -------
    views : Tensor of float32, shape (N, 6, view, view)
        Picture and classical estimate.
    truth : Tensor of float32, shape (N, 3, view, view)
    """
    lent = round(LENT * count) if len(clean) and tones is not None else 0
    planes = [torch.zeros(0, 9, SMALL, SMALL)]
    if len(real):
        planes.append(real.small[torch.randint(len(real), (count - lent,), generator=generator)])
    if lent and tones is not None:
        truth = clean[torch.randint(len(clean), (lent,), generator=generator)]
        seen = (truth + Refiner.tone_of(truth, tones.borrow(truth, generator))).clamp(0, 1)
        scene = torch.stack([one + tone_change(one) for one in seen])
        planes.append(torch.cat([seen, scene, truth], dim=1))
    whole = torch.cat(planes)
    side = int(torch.randint(SMALL * 55 // 100, SMALL + 1, (1,), generator=generator))
    top, left = torch.randint(SMALL - side + 1, (2,), generator=generator).tolist()
    part = whole[..., top : top + side, left : left + side]
    for dim, asked in enumerate((torch.rand(2, generator=generator) < 0.5).tolist()):
        part = part.flip(dim + 2) if asked else part
    if float(torch.rand(1, generator=generator)) < MIXED:
        part = part.unflatten(1, (3, 3))[:, :, torch.randperm(3, generator=generator)].flatten(1, 2)
    if not len(part):
        return part.new_zeros(0, 6, view, view), part.new_zeros(0, 3, view, view)
    part = F.interpolate(part, size=(view, view), mode="area")
    return part[:, :6], part[:, 6:]
