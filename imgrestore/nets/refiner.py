"""The general refiner: a classical estimate in, a better one out, the tones of the whole and the detail of each place.

Two parts. A *tone head* looks at the whole picture, reduced to a few dozen pixels across, and gives a change of tones
and colours: one polynomial of the three channels for the whole picture. An encoder-decoder of gated blocks (NAFNet's
kind: Chen et al., "Simple baselines for image restoration", 2022) then looks at the picture, at the estimate with its
tones changed and at the maps that the classical method has made, and corrects the estimate pixel by pixel. Both parts
start at zero: a new net gives back the classical estimate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from imgrestore.nets.blocks import UNet
from imgrestore.nets.judge import Judge, windows_of
from imgrestore.nets.tiling import in_tiles

__all__ = ["Glance", "Refined", "Refiner", "RefinerConfig", "ToneHead", "view_of"]

# Side of the tiles that larger pictures are cut into: the surroundings of 1024 pixels are a third of the work.
TILE = 1024
# Below, the last convolution of the tone head would see a single pixel, which has no deviation.
LEAST_VIEW = 9
# Numbers that a look at the whole picture ends in.
THOUGHT = 48
# 1, r, g, b, rr, gg, bb, rg, rb, gb
TERMS = 10
# Shares of a channel's sorted values that the tone head is told.
LEVELS = (0.02, 0.15, 0.3, 0.5, 0.7, 0.85, 0.98)
# Where it is told how much of the picture is brighter: of its mean, of its least and of its largest channel.
BRIGHTER = ((0.05, 0.2, 0.6, 0.8, 0.9, 0.97), (0.5, 0.7, 0.9), (0.5, 0.9, 0.99))


@dataclass(frozen=True)
class RefinerConfig:
    """Size of a `Refiner` net.

    Attributes
    ----------
    maps : int
        Planes that the classical method gives beside its estimate.
    outputs : int
        Planes of the correction.
    width : int
        Channels of the encoder-decoder at half resolution; they double with every level.
    blocks : tuple of int
        Blocks of each level, one side; the last number is the bottom's.
    tone : int
        Channels of the tone head's first convolution.
    view : int
        Pixels across the reduced picture that the tone head sees.
    code : int
        Numbers that the tone head tells the encoder-decoder about the whole picture.
    judge : int
        Channels of the first convolution of what judges whether a picture is damaged at all.
    """

    maps: int = 3
    outputs: int = 3
    width: int = 24
    blocks: tuple[int, ...] = (2, 2, 2, 4)
    tone: int = 24
    view: int = 32
    code: int = 4
    judge: int = 16

    def __post_init__(self) -> None:
        counts = (self.outputs, self.width, self.tone, self.judge, len(self.blocks), *self.blocks)
        if min(counts) < 1 or min(self.maps, self.code) < 0:
            raise ValueError(f"{self}: expected numbers of at least 1 (maps and code: 0)")
        if self.view < LEAST_VIEW:
            raise ValueError(f"view is {self.view}; expected at least {LEAST_VIEW}")

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> RefinerConfig:
        """The inverse of `to_dict`."""
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
        return cls(**values)


@dataclass(frozen=True)
class Refined:
    """What a `Refiner` gives.

    Attributes
    ----------
    tone : Tensor, shape (N, 3, H, W)
        The change of tones, to be added to the estimate.
    correction : Tensor, shape (N, outputs, H, W)
        What is to be added after that, pixel by pixel.
    """

    tone: torch.Tensor
    correction: torch.Tensor


class Glance(nn.Module):
    """A look at the whole picture, reduced, that ends in a few numbers.

    Parameters
    ----------
    width : int
        Channels of the first convolution.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i, (inputs, outputs) in enumerate(((6, width), (width, 2 * width), (2 * width, 2 * width))):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.GELU()]
            if i < 2:
                layers += [nn.Conv2d(outputs, outputs, 3, padding=1), nn.GELU()]
        self.look = nn.Sequential(*layers)
        told = 8 * width + 2 * (3 + 3 + 3 * len(LEVELS) + sum(map(len, BRIGHTER)))
        self.think = nn.Sequential(nn.Linear(told, 96), nn.GELU(), nn.Dropout(0.2), nn.Linear(96, THOUGHT), nn.GELU())

    def thought(self, view: torch.Tensor) -> torch.Tensor:
        """What pictures and their estimates (N, 6, view, view) come down to: (N, 48)."""
        f = self.look(view - 0.5)
        told = [f.mean((2, 3)), f.std((2, 3)), f.amax((2, 3)), f.amin((2, 3))]
        for part in view.split(3, dim=1):
            told += _statistics(part)
        thought: torch.Tensor = self.think(torch.cat(told, dim=1))
        return thought


class ToneHead(Glance):
    """What the whole picture says of its tones.

    Parameters
    ----------
    width : int
        Channels of the first convolution.
    view : int
        Pixels across what it sees.
    code : int
        Further numbers that it gives.
    """

    def __init__(self, width: int, view: int, code: int) -> None:
        super().__init__(width)
        self.view = view
        self.curve = nn.Linear(THOUGHT, 3 * TERMS)
        self.code = nn.Linear(THOUGHT, code)
        nn.init.zeros_(self.curve.weight)
        nn.init.zeros_(self.curve.bias)

    def forward(self, view: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Look at pictures and their estimates.

        Parameters
        ----------
        view : Tensor of float32, shape (N, 6, view, view)
            The picture and the estimate, reduced.

        Returns
        -------
        curve : Tensor, shape (N, 3, 10)
            Factors of the terms of the three channels.
        code : Tensor, shape (N, code)
        """
        thought = self.thought(view)
        # What the encoder-decoder wants to be told must not bend what is learned of tones.
        return self.curve(thought).unflatten(1, (3, TERMS)), self.code(thought.detach())


class Refiner(nn.Module):
    """The general refiner: see the module's text.

    Parameters
    ----------
    config : RefinerConfig, optional
        Its size.

    Notes
    -----
    At initialisation both the change of tones and the correction are zero.
    """

    def __init__(self, config: RefinerConfig | None = None) -> None:
        super().__init__()
        self.config = config or RefinerConfig()
        c = self.config
        self.head = ToneHead(c.tone, c.view, c.code)
        self.judge = Judge(c.judge)
        # The picture 3, the estimate with its tones changed 3, that change 3.
        self.unet = UNet(9 + c.maps + c.code, c.outputs, c.width, c.blocks)

    @property
    def halo(self) -> int:
        """How far a pixel's result depends on its surroundings: the radius of what the encoder-decoder sees."""
        *sides, bottom = self.config.blocks
        levels = sum((2 * count + 3) * 2 ** (i + 1) for i, count in enumerate(sides))
        return levels + (bottom + 1) * self.unet.stride + 4

    def evidence(self, picture: torch.Tensor) -> float:
        """The logarithm of the odds that a picture (3, H, W) is damaged in the way that the net was trained for."""
        return float(self.judge(windows_of(picture)[None]))

    def view_of(self, picture: torch.Tensor, estimate: torch.Tensor) -> torch.Tensor:
        """What the tone head sees of pictures and estimates (N, 3, H, W): (N, 6, view, view)."""
        return view_of(picture, estimate, self.config.view)

    def forward(
        self,
        picture: torch.Tensor,
        estimate: torch.Tensor,
        maps: torch.Tensor,
        strength: torch.Tensor,
        view: torch.Tensor | None = None,
    ) -> Refined:
        """Refine classical estimates.

        Parameters
        ----------
        picture : Tensor of float32, shape (N, 3, H, W)
            What was observed, range about [0, 1].
        estimate : Tensor of float32, shape (N, 3, H, W)
            The classical estimate.
        maps : Tensor of float32, shape (N, maps, H, W)
            What the classical method took off, or found.
        strength : Tensor of float32, shape (N,)
            By how much tones may change: 0 to 1.
        view : Tensor of float32, shape (N, 6, view, view), optional
            What the tone head is to see, where `picture` is only a part of it; see `view_of`.

        Returns
        -------
        Refined
        """
        curve, code = self.head(self.view_of(picture, estimate) if view is None else view)
        tone = self.tone_of(estimate, curve * strength[:, None, None])
        return Refined(tone, self.correction_of(picture, estimate, maps, tone, code))

    def correction_of(
        self, picture: torch.Tensor, estimate: torch.Tensor, maps: torch.Tensor, tone: torch.Tensor, code: torch.Tensor
    ) -> torch.Tensor:
        """What is to be added to estimates whose tones are changed; `code` (N, code) is what the tone head tells.

        Large pictures are gone through in tiles where no gradient is asked for.
        """
        told = code[:, :, None, None].expand(-1, -1, *picture.shape[-2:])
        # Changes are some hundredths high; the net's stem expects inputs of order one.
        stacked = torch.cat([picture - 0.5, estimate + tone - 0.5, 5 * tone, 5 * maps, told], dim=1)
        if torch.is_grad_enabled():
            return self._corrected(stacked)
        return in_tiles(self._corrected, stacked, tile=TILE, halo=self.halo, stride=self.unet.stride)

    def _corrected(self, stacked: torch.Tensor) -> torch.Tensor:
        height, width = stacked.shape[-2:]
        bottom, right = -height % self.unet.stride, -width % self.unet.stride
        if bottom or right:
            stacked = F.pad(stacked, (0, right, 0, bottom), mode="replicate")
        correction, _ = self.unet(stacked.contiguous())
        return correction[..., :height, :width]

    @staticmethod
    def tone_of(estimate: torch.Tensor, curve: torch.Tensor) -> torch.Tensor:
        """The change of tones that a curve (N, 3, 10) makes of estimates (N, 3, H, W).

        Values beyond 0 to 1 change as the nearest ones within.
        """
        red, green, blue = estimate.clamp(0, 1).unbind(1)
        terms = (torch.ones_like(red), red, green, blue, red * red, green * green, blue * blue, red * green, red * blue)
        return torch.einsum("nok,nkhw->nohw", curve, torch.stack([*terms, green * blue], dim=1))


def view_of(picture: torch.Tensor, estimate: torch.Tensor, side: int) -> torch.Tensor:
    """Whole pictures and estimates (N, 3, H, W), reduced for a `Glance`: (N, 6, side, side)."""
    return F.interpolate(torch.cat([picture, estimate], dim=1), size=(side, side), mode="area")


def _statistics(view: torch.Tensor) -> list[torch.Tensor]:
    """Means, deviations, levels of the sorted values, and how much is bright: each (N, ...)."""
    values = view.flatten(2)
    ranks = [min(values.shape[2] - 1, int(level * values.shape[2])) for level in LEVELS]
    levels = values.sort(dim=2).values[:, :, ranks].flatten(1) - 0.5
    bright = [
        (plane[:, None] > plane.new_tensor(limits)[:, None]).to(view.dtype).mean(2)
        for plane, limits in zip((values.mean(1), values.amin(1), values.amax(1)), BRIGHTER, strict=True)
    ]
    return [values.mean(2), values.std(2), levels, *bright]
