"""Where a diagnosis comes from: the places of a picture that speak for a damage, or against it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imgrestore import ops
from imgrestore.light import white_level
from imgrestore.nets.diagnoser import Diagnoser, view_of
from imgrestore.nets.judge import WINDOW, window_places
from imgrestore.nets.weights import WeightsError, load
from imgrestore.pixels import ChannelAxis, to_planes
from imgrestore.tasks.own_weights import own_net
from imgrestore.tasks.task import check_choice

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Explanation", "diagnoser", "explain"]

Method = Literal["occlusion", "gradient"]
METHODS = ("occlusion", "gradient")
# Patches along the longer side, and the smallest patch.
PATCHES, LEAST_PATCH = 10, 4
# Gradients are averaged over so many pictures with noise of this standard deviation, for a range of 1.
NOISY, NOISE, SEED = 8, 0.03, 0
# Occluded pictures that are looked at side by side.
TOGETHER = 16
LEAST_SIDE = 16


@dataclass(frozen=True, eq=False)
class Explanation:
    """What speaks for a diagnosis, place by place.

    Parameters
    ----------
    maps : mapping of str to ndarray of float32, shape (H, W)
        By damage: how much of the logarithm of its odds is owed to each place. Positive where the place speaks for it.
    scores : mapping of str to float
        By damage, of all that the net knows: the probability that it is there, from 0 to 1.
    method : str
        "occlusion" or "gradient".
    picture : ndarray of float32, shape (H, W, 3)
        What the net saw, range about [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore.evidence import Explanation
    >>> one = Explanation({"blur": np.ones((40, 60), np.float32)}, {"blur": 0.9}, "occlusion", np.zeros((40, 60, 3)))
    >>> one.plot().mode
    'RGB'
    """

    maps: Mapping[str, NDArray[np.float32]]
    scores: Mapping[str, float]
    method: str
    picture: NDArray[np.float32] = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "maps", MappingProxyType(dict(self.maps)))
        object.__setattr__(self, "scores", MappingProxyType(dict(self.scores)))

    def __reduce__(self) -> tuple[Any, ...]:
        return Explanation, (dict(self.maps), dict(self.scores), self.method, self.picture)

    def plot(self, title: str | None = None) -> Image:
        """Draw the maps over the picture on one sheet.

        Parameters
        ----------
        title : str, optional
            Stands above the scores.

        Returns
        -------
        PIL.Image.Image
            An RGB picture: the picture itself, and a panel for each map. Red places speak for the damage, blue ones
            against it; each map has a scale of its own.
        """
        from imgrestore.evidence_sheet import draw

        return draw(self, title)


def explain(
    image: Any,
    *,
    damage: str | None = None,
    method: Method = "occlusion",
    patch: int | None = None,
    weights: str | os.PathLike[str] | None = None,
    channel_axis: ChannelAxis = "auto",
) -> Explanation:
    """Show which places of a picture speak for a damage, or against it.

    Parameters
    ----------
    image : ndarray or torch.Tensor
        One picture, as the tasks take it: uint8, uint16 or floating point, gray, RGB or RGBA. Alpha is left out; values
        of floating point beyond the usual range are divided by their white level, NaN and infinite ones are replaced by
        the mean.
    damage : str, optional
        Which damage to explain, of those that the net knows: "blur", "moire", "shadow", "reflection", "specular",
        "rust". All of them by default.
    method : {"occlusion", "gradient"}
        Occlusion: patches of the picture are replaced by their blur in turn, and a patch is worth what the logarithm of
        the odds loses by it (Zeiler & Fergus 2014). Gradient: the gradient of the logarithm of the odds, times what
        tells each pixel from its surroundings, averaged over pictures with a little noise (Smilkov et al. 2017): the
        same question, asked of single pixels; faster, and rougher.
    patch : int, optional
        Side of the patches in pixels, for occlusion; a tenth of the picture's longer side by default. For gradient, the
        size of the surroundings.
    weights : path-like, optional
        A file that ``imgrestore train diagnose`` wrote; the weights that ship by default. With a net of one's own
        classes these are explained.
    channel_axis : int, None or "auto"
        As in the tasks.

    Returns
    -------
    Explanation

    Raises
    ------
    TypeError
        Where the picture is no array, or of another type.
    ValueError
        Where it is a batch, has other than 1 or 3 channels of colour, sides of less than 16 pixels, or a setting makes
        no sense (`imgrestore.nets.weights.WeightsError` where there are no weights).

    References
    ----------
    M. Zeiler, R. Fergus, "Visualizing and understanding convolutional networks", ECCV 2014.

    D. Smilkov et al., "SmoothGrad: removing noise by adding noise", arXiv:1706.03825, 2017.
    """
    check_choice(method, METHODS, "method")
    planes = _planes(image, channel_axis)
    net = diagnoser(weights)
    names = net.config.classes
    if damage is not None:
        check_choice(damage, names, "damage")
    longest = max(planes.shape[1:])
    if patch is not None and not 1 <= patch <= longest:
        raise ValueError(f"patch is {patch}; expected 1 to {longest} pixels, the picture's longer side")
    side = patch or max(LEAST_PATCH, round(longest / PATCHES))
    chosen = [names.index(damage)] if damage is not None else list(range(len(names)))
    with torch.no_grad():
        odds = _odds(net, net.diagnose(planes).logits)[0]
    probability = torch.sigmoid(odds)
    blurred = ops.box(planes, side, boundary="shrink")
    found = (_occluded if method == "occlusion" else _sloped)(net, planes, blurred, side, chosen)
    return Explanation(
        {names[i]: values.numpy() for i, values in zip(chosen, found, strict=True)},
        {name: float(value) for name, value in zip(names, probability, strict=True)},
        method,
        np.ascontiguousarray(planes.movedim(0, -1).numpy()),
    )


def diagnoser(weights: Any = None) -> Diagnoser:
    """The net of a file, or the one that ships.

    Parameters
    ----------
    weights : path-like, optional
        As in `explain`.

    Returns
    -------
    Diagnoser

    Raises
    ------
    WeightsError
        Where there is none, or the file does not hold one.
    """
    own = own_net("diagnose", Diagnoser, weights, "auto", True)
    if own is None:
        try:
            own = load("diagnose")
        except WeightsError as error:
            raise WeightsError(f"{error}; `imgrestore train diagnose` makes a file for weights=") from error
    assert isinstance(own, Diagnoser)
    return own


def _planes(image: Any, channel_axis: ChannelAxis) -> Tensor:
    """One picture as the net takes it: float32 (3, H, W)."""
    found = to_planes(image, channel_axis=channel_axis, dtype=torch.float32)
    data, good = found.data.detach().cpu(), found.good.cpu()
    if len(data) != 1:
        raise ValueError(f"image has shape {tuple(image.shape)}, {len(data)} pictures; expected one")
    if data.shape[1] not in (1, 3):
        raise ValueError(f"image has {data.shape[1]} channels; expected gray or RGB")
    if min(data.shape[2:]) < LEAST_SIDE:
        raise ValueError(f"image has {data.shape[2]} x {data.shape[3]} pixels; expected {LEAST_SIDE} or more a side")
    picture, known = data[0], good[0]
    picture = picture if found.is_integer else picture / white_level(picture[known])
    if not bool(known.all()):
        picture = torch.where(known, picture, picture[known].mean())
    return picture.expand(3, -1, -1).contiguous()


def _odds(net: Diagnoser, logits: Tensor) -> Tensor:
    """The logarithm of the odds of each class: against all others, where a picture is of exactly one."""
    if net.config.several:
        return logits
    others = logits[:, None, :].expand(-1, logits.shape[1], -1)
    itself = torch.eye(logits.shape[1], dtype=torch.bool, device=logits.device)
    return logits - others.masked_fill(itself, -math.inf).logsumexp(2)


@torch.no_grad()
def _occluded(net: Diagnoser, planes: Tensor, blurred: Tensor, side: int, chosen: list[int]) -> Tensor:
    """What the odds lose by each patch, (chosen, H, W): the mean over all patches that a pixel is in."""
    height, width = planes.shape[1:]
    corners = [(y, x) for y in _steps(height, side) for x in _steps(width, side)]
    near = None if net.near is None else net.near.features(net.windows_of(planes))
    plain = _odds(net, net.diagnose(planes).logits)[0, chosen]
    total, count = planes.new_zeros(len(chosen), height, width), planes.new_zeros(height, width)
    for start in range(0, len(corners), TOGETHER):
        some = corners[start : start + TOGETHER]
        told = []
        for y, x in some:
            area = (slice(None), slice(y, y + side), slice(x, x + side))
            changed = planes.clone()
            changed[area] = blurred[area]
            seen, where = net.whole(view_of(changed, net.config.view)[None])
            if near is not None:
                seen = torch.cat([seen, _looked_again(net, changed, near, (y, x), side)], dim=1)
            told.append((seen, where))
        all_told, all_where = (torch.cat(parts) for parts in zip(*told, strict=True))
        lost = plain - _odds(net, net.concluded(all_told, all_where).logits)[:, chosen]
        for (y, x), drop in zip(some, lost, strict=True):
            total[:, y : y + side, x : x + side] += drop[:, None, None]
            count[y : y + side, x : x + side] += 1
    return total / count


def _looked_again(net: Diagnoser, changed: Tensor, near: Tensor, corner: tuple[int, int], side: int) -> Tensor:
    """What the windows tell of a picture that has changed in one patch: only those that show it are looked at anew."""
    assert net.near is not None
    wide = min(WINDOW, *changed.shape[1:])
    touched = [
        i
        for i, place in enumerate(window_places(changed.shape[1:]))
        if all(a < b + side and b < a + wide for a, b in zip(place, corner, strict=True))
    ]
    features = near
    if touched:
        features = near.clone()
        features[touched] = net.near.features(net.windows_of(changed)[touched])
    return net.near.told(features[None])[0]


def _steps(length: int, side: int) -> list[int]:
    """Where patches begin that overlap by half and cover a side."""
    room = max(0, length - side)
    count = 1 + math.ceil(room / max(1, side // 2))
    return sorted({round(room * i / max(1, count - 1)) for i in range(count)})


@torch.enable_grad()
def _sloped(net: Diagnoser, planes: Tensor, blurred: Tensor, side: int, chosen: list[int]) -> Tensor:
    """The gradient of the odds times what tells each pixel from its surroundings: (chosen, H, W)."""
    generator = torch.Generator().manual_seed(SEED)
    total = planes.new_zeros(len(chosen), *planes.shape[1:])
    for _ in range(NOISY):
        noisy = planes + NOISE * torch.randn(planes.shape, generator=generator)
        noisy.requires_grad_(True)
        odds = _odds(net, net.diagnose(noisy).logits)[0, chosen]
        for number in range(len(chosen)):
            last = number + 1 == len(chosen)
            (slope,) = torch.autograd.grad(odds[number], noisy, retain_graph=not last)
            total[number] += (slope * (planes - blurred)).sum(0)
    return total / NOISY
