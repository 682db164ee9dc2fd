"""Is a picture damaged in the way that a net was trained for? A small net that looks at windows spread over it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imgrestore import ops

__all__ = ["ALONG", "WINDOW", "Judge", "levelled", "window_places", "windows_of"]

# Pixels across a window, and at most so many of them along a side of a picture.
WINDOW, ALONG = 128, 5
# Radius of the surroundings that a pixel is compared with, and contrast that is as good as none.
NEAR, QUIET = 8, 0.01


class Judge(nn.Module):
    """The evidence that pictures are damaged, as logarithm of the odds.

    Windows are levelled first: each pixel less the mean of its surroundings, over their contrast. So a weak pattern in
    a quiet place is seen as well as a strong one. What the places of all windows say is weighed by how much there is
    to be seen in each.

    Parameters
    ----------
    width : int
        Channels of the first convolution.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for outputs in (width, 2 * width, 3 * width):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.GELU()]
            layers += [nn.Conv2d(outputs, outputs, 3, stride=2, padding=1), nn.GELU()]
            inputs = outputs
        layers += [nn.Conv2d(inputs, 4 * width, 3, padding=1), nn.GELU(), nn.Dropout2d(0.1)]
        self.look = nn.Sequential(*layers)
        self.say = nn.Conv2d(4 * width, 2, 1)
        for layer in self.look:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, windows: Tensor) -> Tensor:
        """Judge pictures by their windows.

        Parameters
        ----------
        windows : Tensor of float32, shape (N, K, 3, 128, 128)

        Returns
        -------
        Tensor of float32, shape (N,)
        """
        said = self.say(self.look(levelled(windows.flatten(0, 1).float()))).float()
        evidence, weight = said.unflatten(0, windows.shape[:2]).transpose(1, 2).flatten(2).unbind(1)
        return (evidence * torch.softmax(weight, dim=1)).sum(1)


def windows_of(picture: Tensor) -> Tensor:
    """Windows spread evenly over a picture.

    Parameters
    ----------
    picture : Tensor of float32, shape (3, H, W)
        A picture with a side of less than 128 pixels is enlarged.

    Returns
    -------
    Tensor, shape (K, 3, 128, 128)
    """
    places = window_places(picture.shape[1:])
    side = min(WINDOW, *picture.shape[1:])
    windows = torch.stack([picture[:, y : y + side, x : x + side] for y, x in places])
    if side < WINDOW:
        windows = F.interpolate(windows, size=(WINDOW, WINDOW), mode="bicubic", antialias=True)
    return windows


def window_places(size: Sequence[int]) -> list[tuple[int, int]]:
    """The upper left corners of the windows of a picture.

    Parameters
    ----------
    size : (int, int)
        Height and width.

    Returns
    -------
    list of (int, int)
        In the order of `windows_of`. Each window is 128 pixels wide, or as the shorter side where that is less.
    """
    side = min(WINDOW, *size)
    tops, lefts = (_spread(length - side, side) for length in size)
    return [(y, x) for y in tops for x in lefts]


def levelled(planes: Tensor, box: Callable[..., Tensor] = ops.box) -> Tensor:
    """Each pixel less the mean of its surroundings, over their contrast.

    Parameters
    ----------
    planes : Tensor of float32, shape (N, 3, H, W)
        Range [0, 1].
    box : callable
        `imgrestore.ops.box`, or its twin.

    Returns
    -------
    Tensor, same shape
        Contrast is that of all channels together, and none is made of less than a hundredth of the range.
    """
    detail = planes - box(planes, NEAR, boundary="shrink")
    power = box(detail.square().mean(1, keepdim=True), NEAR, boundary="shrink")
    return detail / (power.clamp_min(0).sqrt() + QUIET)


def _spread(room: int, side: int) -> list[int]:
    count = min(ALONG, 1 + -(-room // side))
    places: list[int] = torch.linspace(0, room, count).round().long().tolist()
    return places
