"""Looks at pictures: what a diagnoser sees in each place of them, and what that comes down to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imgrestore import ops
from imgrestore.nets.blocks import ChannelNorm, UNet
from imgrestore.nets.judge import levelled
from imgrestore.nets.refiner import THOUGHT, Glance, view_of

__all__ = ["FINER", "Close", "Overview", "Seen"]

# Ways in which the places of a picture are weighed against each other.
GLANCES = 4
# What is told of each feature: its means so weighed, its mean and its deviation; and of each class.
TOLD, MARKED = GLANCES + 2, 2
# Places that are marked along a side of a whole picture, for each of its features.
FINER = 2
# Residual scale that blocks begin with.
START = 0.3
# What a new net takes the odds of a class in one place for, logarithm: it is rare.
RARE = -2.5
# Pixels across the smallest view, for the few numbers about the whole picture.
GLANCED = 32


class Seen(nn.Module):
    """What is told of features: they are weighed and pooled, and classes are marked place by place.

    Parameters
    ----------
    channels : int
        Of the features.
    classes : int
        How many classes are marked; 0 for none.
    finer : int
        Places that are marked along a side, for each place of the features.
    """

    def __init__(self, channels: int, classes: int, finer: int = 1) -> None:
        super().__init__()
        self.weigh = nn.Conv2d(channels, GLANCES, 1)
        self.mark = nn.ConvTranspose2d(channels, classes, finer, stride=finer) if classes else None
        self.outputs = TOLD * channels + MARKED * classes
        if self.mark is not None and self.mark.bias is not None:
            nn.init.constant_(self.mark.bias, RARE)

    def marks(self, features: Tensor) -> Tensor:
        """The logarithm of the odds of each class in each place: (N, classes, H, W)."""
        if self.mark is None:
            return features[:, :0]
        marks: Tensor = self.mark(features)
        return marks

    def forward(self, features: Tensor, marks: Tensor) -> Tensor:
        """Pool the features (N, channels, H, W) and marks of pictures: (N, outputs)."""
        weights, features = self.weigh(features).float().flatten(2), features.float().flatten(2)
        weighed = torch.softmax(weights, dim=2) @ features.transpose(1, 2)
        told = [weighed.flatten(1), features.mean(2), features.std(2)]
        if self.mark is not None:
            # Marks have labels of their own to learn from.
            places = marks.detach().float().flatten(2)
            most = places.amax(2, keepdim=True)
            # The logarithm of their odds' mean.
            told += [places.mean(2), (places - most).exp().mean(2).log() + most[:, :, 0]]
        return torch.cat(told, dim=1)


class Residual(nn.Module):
    """``x + scale * conv(gelu(conv(norm(x))))``, both convolutions 3×3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.first, self.second = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.scale = nn.Parameter(torch.full((channels, 1, 1), START))

    def forward(self, x: Tensor) -> Tensor:
        """Map planes (N, C, H, W) to planes of the same shape."""
        change = self.second(F.gelu(self.first(self.norm(x))))
        return x + self.scale.to(change.dtype) * change


class Close(nn.Module):
    """A look at windows at full resolution, as they are and levelled.

    Parameters
    ----------
    widths, blocks : sequence of int
        Channels and `Residual` blocks of each level; the first has a quarter of the resolution, each other half of the
        one before.
    classes : int
        As in `Seen`.
    """

    def __init__(self, widths: Sequence[int], blocks: Sequence[int], classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs, step = 6, 4
        for width, count in zip(widths, blocks, strict=True):
            layers += [nn.Conv2d(inputs, width, step, stride=step), *(Residual(width) for _ in range(count))]
            inputs, step = width, 2
        # An export, for which there are no native ops, takes the twin.
        self.box: Callable[..., Tensor] = ops.box
        self.see = nn.Sequential(*layers, ChannelNorm(inputs))
        self.seen = Seen(inputs, classes)

    def features(self, windows: Tensor) -> Tensor:
        """What is seen in each place of windows (M, 3, H, W) of the range [0, 1]: (M, channels, H / 8, W / 8)."""
        found: Tensor = self.see(torch.cat([levelled(windows, self.box), 2 * windows - 1], dim=1))
        return found

    def told(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """What pictures come down to by all their windows' features (N, K, channels, h, w).

        Returns
        -------
        told : Tensor, shape (N, outputs)
        marks : Tensor, shape (N, K, classes, h, w)
        """
        marks = self.seen.marks(features.flatten(0, 1)).unflatten(0, features.shape[:2])
        in_rows = (one.transpose(1, 2).flatten(2, 3) for one in (features, marks))
        return self.seen(*in_rows), marks


class Overview(nn.Module):
    """A look at whole pictures, reduced: the first half of the net that takes pictures apart.

    See `imgrestore.nets.separator.Separator`, whose trained weights it can begin with.

    Parameters
    ----------
    width : int
        Channels at half the view's resolution.
    blocks : sequence of int
        Blocks of each level.
    glance, code : int
        As in `imgrestore.nets.separator.SeparatorConfig`.
    classes : int
        As in `Seen`.
    """

    def __init__(self, width: int, blocks: Sequence[int], glance: int, code: int, classes: int) -> None:
        super().__init__()
        self.glance = Glance(glance)
        self.tell = nn.Linear(THOUGHT, code)
        self.unet = UNet(3 + code, 0, width, blocks, start=START)
        channels = width * 2 ** (len(blocks) - 1)
        self.norm = ChannelNorm(channels)
        self.seen = Seen(channels, classes, FINER)

    def forward(self, view: Tensor) -> tuple[Tensor, Tensor]:
        """Look at pictures.

        Parameters
        ----------
        view : Tensor of float32, shape (N, 3, side, side)
            Range about [0, 1].

        Returns
        -------
        told : Tensor, shape (N, outputs)
            What they come down to.
        marks : Tensor, shape (N, classes, h, w)
            The logarithm of the odds of each class in each place.
        """
        code = self.tell(self.glance.thought(view_of(view, view, GLANCED))).float()
        planes = code[:, :, None, None].expand(-1, -1, *view.shape[2:])
        found, _ = self.unet.encoded(torch.cat([view - 0.5, planes], dim=1).contiguous())
        features = self.norm(found.float())
        marks = self.seen.marks(features)
        return self.seen(features, marks), marks
