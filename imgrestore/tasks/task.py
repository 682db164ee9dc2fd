"""What the tasks that take a picture apart have in common: from any array to single pictures, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from imgrestore.classical.estimate import Estimate
from imgrestore.light import white_level
from imgrestore.pixels import ChannelAxis, Planes, to_mask, to_planes
from imgrestore.types import Forward, Restoration

__all__ = ["Estimator", "Task", "check_choice"]

Estimator = Callable[[Tensor, Tensor | None, Tensor], Estimate]

# Fewer pixels than this along a side show neither a pattern nor a surface that a damage could lie on.
LEAST_SIDE = 16


@dataclass(frozen=True)
class Task:
    """A kind of damage, and how a picture is taken apart into what lies below it and the damage itself.

    Attributes
    ----------
    name : str
        The name of its public function.
    untouched : callable
        ``untouched(picture)`` gives the layers of a picture (C, H, W) without damage.
    forward : callable, optional
        As in `Restoration`.
    factors : frozenset of str
        Layers that multiply, and so have no unit. All others are in the range of the picture.
    """

    name: str
    untouched: Callable[[Tensor], Mapping[str, Tensor]]
    forward: Forward | None = None
    factors: frozenset[str] = field(default=frozenset())

    @torch.no_grad()
    def run(
        self, image: Any, estimator: Estimator, *, mask: Any = None, details: bool = False, channel_axis: ChannelAxis
    ) -> Any:
        """Take every picture of an array apart.

        Parameters
        ----------
        image : ndarray or torch.Tensor
            As the tasks take it.
        estimator : callable
            ``estimator(picture, mask, good)`` takes one picture (C, H, W), C being 1 or 3, float32 on the CPU; a mask
            (1, H, W) of the damage or None; and (1, H, W) that is False where a channel was NaN or infinite, and is
            filled from its neighbours. It gives an `Estimate`.
        mask : array of bool, optional
            True where the damage is.
        details : bool
        channel_axis : int, None or "auto"

        Returns
        -------
        array or Restoration
        """
        planes = to_planes(image, channel_axis=channel_axis)
        areas = None if mask is None else to_mask(mask, planes).any(dim=1, keepdim=True).cpu()
        data = planes.data.detach().cpu()
        known = planes.good.cpu()
        whites = [1.0 if planes.is_integer else white_level(one) for one in data]
        estimates = [
            self._one(data[i], known[i], None if areas is None else areas[i], whites[i], estimator)
            for i in range(len(data))
        ]
        # What was left alone keeps every digit, which float32 would not.
        changes = [
            (one.image.to(old) - (old / white).float().to(old)) * white
            for one, old, white in zip(estimates, data, whites, strict=True)
        ]
        untouched = not any(bool(change.any()) for change in changes)
        result = planes.data.detach() + torch.stack(changes).to(planes.data)
        picture = _copy(image) if untouched else planes.back(result)
        if not details:
            return picture
        return self._restoration(picture, planes, estimates, whites)

    def _one(self, data: Tensor, known: Tensor, area: Tensor | None, white: float, estimator: Estimator) -> Estimate:
        """One picture, all channels together where they are colours, each by itself where they are not."""
        picture = (data / white).float()
        good = known.all(dim=0, keepdim=True)
        reason = _too_little(picture, good)
        if area is not None and not bool(area.any()):
            reason = "the mask given is empty"
        if reason:
            return Estimate(picture, self.untouched(picture), notes=(f"left as it is: {reason}",))
        if not bool(good.all()):
            # What is filled in tells nothing of the surroundings of a mask, nor does what is filled in from the mask.
            if area is not None:
                area = area | ~good
            outside = good if area is None or bool(area.all()) else ~area
            picture = torch.where(known, picture, _nearest(picture, outside))
        if len(picture) in (1, 3):
            return estimator(picture, area, good)
        parts = [estimator(plane[None], area, good) for plane in picture]
        masks = [part.mask for part in parts if part.mask is not None]
        return Estimate(
            torch.cat([part.image for part in parts]),
            {name: torch.cat([part.layers[name] for part in parts]) for name in parts[0].layers},
            torch.stack(masks).any(dim=0) if masks else None,
            (f"{len(picture)} channels, each judged by itself", *dict.fromkeys(n for p in parts for n in p.notes)),
            _least([part.confidence for part in parts]),
        )

    def _restoration(self, picture: Any, planes: Planes, estimates: list[Estimate], whites: list[float]) -> Restoration:
        data = planes.data
        layers = {}
        scale = data.new_tensor(whites).reshape(-1, 1, 1, 1)
        for name in estimates[0].layers:
            stack = torch.stack([one.layers[name].expand(data.shape[1:]) for one in estimates]).to(data)
            stack = stack / planes.peak if name in self.factors else stack * scale
            layers[name] = planes.back(stack, as_float=True, keep_bad=name not in self.factors)
        nowhere = torch.zeros((1, *data.shape[2:]), dtype=torch.bool)
        found = torch.stack([nowhere if one.mask is None else one.mask for one in estimates])
        notes = []
        for i, (one, white) in enumerate(zip(estimates, whites, strict=True)):
            which = f"picture {i + 1}: " if len(estimates) > 1 else ""
            level = white * planes.peak
            if not planes.is_integer and level != 1.0:
                notes.append(f"{which}white taken to be {level:.4g}")
            notes += [which + note for note in one.notes]
        return Restoration(
            picture,
            layers,
            mask=planes.back_area(found.to(data.device)),
            confidence=self._confidence(planes, estimates),
            notes=tuple(notes),
            forward=self.forward,
        )

    @staticmethod
    def _confidence(planes: Planes, estimates: list[Estimate]) -> Any:
        """A map for each picture where any has one, else the least number."""
        known = [one.confidence for one in estimates]
        if not any(isinstance(one, Tensor) for one in known):
            return _least(known)
        size = (1, *planes.data.shape[2:])
        maps = [one if isinstance(one, Tensor) else torch.full(size, one) for one in known]
        return planes.back_area(torch.stack(maps).to(planes.data.device, torch.float32))


def check_choice(value: Any, choices: tuple[str, ...], name: str) -> None:
    """Raise ValueError where a setting is none of the words it can be.

    Parameters
    ----------
    value : str
    choices : tuple of str
    name : str
        What the error calls it.
    """
    if value not in choices:
        raise ValueError(f"{name} is {value!r}; expected one of {', '.join(choices)}")


def _least(known: list[float | Tensor]) -> float | Tensor:
    """The least of several confidences, pixel by pixel where one is a map."""
    least = known[0]
    for one in known[1:]:
        if isinstance(least, Tensor) or isinstance(one, Tensor):
            least = torch.minimum(torch.as_tensor(least), torch.as_tensor(one))
        else:
            least = min(least, one)
    return least


def _too_little(picture: Tensor, good: Tensor) -> str | None:
    height, width = picture.shape[1:]
    if min(height, width) < LEAST_SIDE:
        return f"{height} x {width} pixels are too few to judge by"
    values = picture.flatten(1) if bool(good.all()) else picture[:, good[0]]
    if values.shape[1] == 0:
        return "it has no pixel that is finite in all channels"
    if bool((values.amax(dim=1) == values.amin(dim=1)).all()):
        return "it is constant"
    return None


def _nearest(picture: Tensor, good: Tensor) -> Tensor:
    """Every pixel as the nearest good one."""
    from scipy.ndimage import distance_transform_edt

    rows, columns = distance_transform_edt(~good[0].numpy(), return_distances=False, return_indices=True)
    return picture[:, torch.from_numpy(rows).long(), torch.from_numpy(columns).long()]


def _copy(image: Any) -> Any:
    return np.array(image) if isinstance(image, np.ndarray) else image.detach().clone()
