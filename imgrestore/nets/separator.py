"""The refiner of pictures that are to be taken apart: a scene, and the layer that a damage has laid over it.

It looks at the picture, at what a classical method made of it, and at the mask that a user may have given, and
corrects the *layer*: the factor of a shadow, the light of a reflection or a highlight, the density of a stain and how
far a crust hides the scene. The scene follows from the layer by the damage's own model, so that both always recompose
the picture, but for what a crust hides, which the net fills in. Beside the layer it tells where the damage is. Nothing
is changed where it is not: the layer's correction is multiplied by the mask, the user's where there is one.

Beside that it judges whether a picture shows the damage at all, by what the middle of the net has seen.

A look at the whole picture, reduced, tells an encoder-decoder of gated blocks (NAFNet's kind: Chen et al., "Simple
baselines for image restoration", 2022) a few numbers about it. A new net gives back the classical estimate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imgrestore.nets.blocks import UNet
from imgrestore.nets.refiner import LEAST_VIEW, THOUGHT, Glance, view_of

__all__ = [
    "LAYERS",
    "Form",
    "Separated",
    "Separator",
    "SeparatorConfig",
    "added_layer",
    "covered_layer",
    "factor_layer",
]

# How a damage meets the scene: a factor (shadows), light that adds (reflections, highlights), or dyes and crusts that
# let a part of it through (stains).
Form = Literal["factor", "added", "covered"]
CHANNELS = 3
# Planes of the layer, for each form, and those of what is filled in.
LAYERS: dict[Form, int] = {"factor": CHANNELS, "added": CHANNELS, "covered": CHANNELS + 1}
FILLED: dict[Form, int] = {"factor": 0, "added": 0, "covered": CHANNELS}
# The classical mask, the user's mask, and whether there is one.
MASKS = 3
# Residual scale that blocks begin with: at 0 a shadow's net was half as far after 500 steps.
START = 0.3
# What is told of each feature in the middle, mean, deviation and maximum, and the part of it that training leaves out.
STATISTICS, FORGOTTEN = 3, 0.3
# The least factor, and the largest density, that is believed: logarithms.
DEEPEST, DENSEST = -3.5, 3.5


@dataclass(frozen=True)
class SeparatorConfig:
    """Size of a `Separator` net.

    Attributes
    ----------
    form : {"factor", "added", "covered"}
        How the damage meets the scene.
    width : int
        Channels of the encoder-decoder at half resolution; they double with every level.
    blocks : tuple of int
        Blocks of each level, one side; the last number is the bottom's.
    glance : int
        Channels of the first convolution of the look at the whole picture.
    view : int
        Pixels across the reduced picture.
    code : int
        Numbers about the whole picture that the encoder-decoder is told.
    judge : int
        Numbers of the first layer that judges whether there is damage; 0 for a net that does not.
    """

    form: Form = "added"
    width: int = 24
    blocks: tuple[int, ...] = (2, 2, 2, 4)
    glance: int = 16
    view: int = 32
    code: int = 8
    judge: int = 64

    def __post_init__(self) -> None:
        if self.form not in get_args(Form):
            raise ValueError(f"form is {self.form!r}; expected one of {', '.join(get_args(Form))}")
        if min(self.width, self.glance, self.code, len(self.blocks), *self.blocks) < 1:
            raise ValueError(f"{self}: expected numbers of at least 1")
        if self.view < LEAST_VIEW:
            raise ValueError(f"view is {self.view}; expected at least {LEAST_VIEW}")
        if self.judge < 0:
            raise ValueError(f"judge is {self.judge}; expected at least 0")

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> SeparatorConfig:
        """The inverse of `to_dict`."""
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
        # Older nets did not judge.
        return cls(**{"judge": 0, **values})


@dataclass(frozen=True)
class Separated:
    """What a `Separator` gives.

    Attributes
    ----------
    scene : Tensor, shape (N, 3, H, W)
        The picture without the damage.
    layer : Tensor, shape (N, L, H, W)
        The damage. "factor": its logarithm, 0 or less. "added": the light, 0 or more. "covered": the density of three
        colours, 0 or more, and how far the scene is hidden, 0 to 1.
    odds : Tensor, shape (N, 1, H, W)
        Logarithm of the odds that a pixel is damaged.
    filling : Tensor, shape (N, 3, H, W), optional
        "covered": what the scene is taken for where it is hidden.
    """

    scene: Tensor
    layer: Tensor
    odds: Tensor
    filling: Tensor | None = None


class Separator(nn.Module):
    """The refiner of pictures that are to be taken apart: see the module's text.

    Parameters
    ----------
    config : SeparatorConfig, optional
        Its size.
    """

    def __init__(self, config: SeparatorConfig | None = None) -> None:
        super().__init__()
        self.config = config or SeparatorConfig()
        c = self.config
        self.glance = Glance(c.glance)
        self.tell = nn.Linear(THOUGHT, c.code)
        layers = LAYERS[c.form]
        inputs, outputs = 2 * CHANNELS + layers + MASKS + c.code, layers + FILLED[c.form] + 1
        self.unet = UNet(inputs, outputs, c.width, c.blocks, start=START)
        told = STATISTICS * c.width * 2 ** (len(c.blocks) - 1)
        self.judge = (
            nn.Sequential(
                nn.LayerNorm(told),
                nn.Dropout(FORGOTTEN),
                nn.Linear(told, c.judge),
                nn.GELU(),
                nn.Dropout(FORGOTTEN),
                nn.Linear(c.judge, 1),
            )
            if c.judge
            else None
        )

    def forward(
        self,
        picture: Tensor,
        estimate: Tensor,
        layer: Tensor,
        found: Tensor,
        given: Tensor | None = None,
        view: Tensor | None = None,
    ) -> Separated:
        """Take pictures apart.

        Parameters
        ----------
        picture, estimate : Tensor of float32, shape (N, 3, H, W)
            What was observed, range about [0, 1], and the classical estimate of the scene.
        layer : Tensor of float32, shape (N, L, H, W)
            The classical estimate of the damage, as in `Separated`.
        found : Tensor of float32, shape (N, 1, H, W)
            Where the classical method found damage: 0 to 1.
        given : Tensor of float32, shape (N, 2, H, W), optional
            Where the user says that damage is, 0 to 1; and 1 everywhere in pictures where a user says so, else 0. By
            default nobody says anything.
        view : Tensor of float32, shape (N, 6, view, view), optional
            The whole picture and estimate, reduced, where `picture` is a part of it; see `view_of`.

        Returns
        -------
        Separated
        """
        given = _unsaid(picture) if given is None else given
        height, width = picture.shape[-2:]
        stacked = _padded(self.stacked(picture, estimate, layer, found, given, view), self.unet.stride)
        planes, _ = self.unet(stacked.contiguous())
        return self.separated(planes[..., :height, :width], picture, estimate, layer, given)

    def separated(self, planes: Tensor, picture: Tensor, estimate: Tensor, layer: Tensor, given: Tensor) -> Separated:
        """What follows from the planes (N, C, H, W) that the encoder-decoder gives; all else as in `forward`."""
        form: Form = self.config.form
        change, filling, odds = planes.split([LAYERS[form], FILLED[form], 1], dim=1)
        changed = layer + (given[:, :1] + (1 - given[:, 1:]) * torch.sigmoid(odds)) * change
        if form == "covered":
            filling = estimate + filling
            scene, changed = covered_layer(picture, changed, filling)
            return Separated(scene, changed, odds, filling)
        scene, changed = (factor_layer if form == "factor" else added_layer)(picture, changed)
        return Separated(scene, changed, odds)

    def presence(
        self, picture: Tensor, estimate: Tensor, layer: Tensor, found: Tensor, view: Tensor | None = None
    ) -> Tensor:
        """Judge whether pictures show the damage at all.

        Parameters
        ----------
        picture, estimate, layer, found, view : Tensor
            As in `forward`; nobody says where damage is.

        Returns
        -------
        Tensor of float32, shape (N,)
            Logarithm of the odds. Gradients run to the judge alone, not to what it judges by.

        Raises
        ------
        ValueError
            Where the net has no judge.
        """
        if self.judge is None:
            raise ValueError("this net has no judge; expected one with config.judge above 0")
        with torch.no_grad():
            stacked = _padded(self.stacked(picture, estimate, layer, found, _unsaid(picture), view), self.unet.stride)
            seen, _ = self.unet.encoded(stacked.contiguous())
        return self.judged(seen)

    def judged(self, seen: Tensor) -> Tensor:
        """What the judge makes of the features (N, C, h, w) in the middle of the encoder-decoder; see `presence`."""
        assert self.judge is not None
        with torch.autocast(seen.device.type, enabled=False):
            seen = seen.float().flatten(2)
            told = torch.cat([seen.mean(2), seen.std(2, correction=0), seen.amax(2)], dim=1)
            odds: Tensor = self.judge(told)
        return odds[:, 0]

    def stacked(
        self,
        picture: Tensor,
        estimate: Tensor,
        layer: Tensor,
        found: Tensor,
        given: Tensor,
        view: Tensor | None,
    ) -> Tensor:
        """All that the encoder-decoder sees."""
        if view is None:
            view = view_of(picture, estimate, self.config.view)
        # Means over a whole picture are to be told finer than bfloat16 can.
        with torch.autocast(picture.device.type, enabled=False):
            code = self.tell(self.glance.thought(view))
        code = code[:, :, None, None].expand(-1, -1, *picture.shape[-2:])
        return torch.cat([picture - 0.5, estimate - 0.5, layer, found, given, code], dim=1)


def _unsaid(picture: Tensor) -> Tensor:
    """The user's mask of pictures of which nobody says anything."""
    return picture.new_zeros(len(picture), 2, *picture.shape[-2:])


def _padded(stacked: Tensor, stride: int) -> Tensor:
    """Planes whose sides are multiples of the stride, continued by their last rows and columns."""
    bottom, right = -stacked.shape[-2] % stride, -stacked.shape[-1] % stride
    return F.pad(stacked, (0, right, 0, bottom), mode="replicate") if bottom or right else stacked


def factor_layer(picture: Tensor, layer: Tensor) -> tuple[Tensor, Tensor]:
    """The scene below a factor.

    Parameters
    ----------
    picture : Tensor, shape (N, 3, H, W)
    layer : Tensor of that shape
        Logarithm of the factor; what is above 0 counts as 0, and has a gradient all the same.

    Returns
    -------
    scene, layer : Tensor
        With ``scene * exp(layer)`` the picture.
    """
    layer = _held(layer, layer.clamp_min(DEEPEST).clamp_max(0.0))
    return picture * torch.exp(-layer), layer


def added_layer(picture: Tensor, layer: Tensor) -> tuple[Tensor, Tensor]:
    """The scene below added light.

    Parameters
    ----------
    picture : Tensor, shape (N, 3, H, W)
    layer : Tensor of that shape
        The light; what is below 0, and what is more than the picture has, is cut off, and has a gradient all the same.

    Returns
    -------
    scene, layer : Tensor
        With ``scene + layer`` the picture.
    """
    layer = _held(layer, torch.minimum(layer.clamp_min(0), picture.clamp_min(0)))
    return picture - layer, layer


def covered_layer(picture: Tensor, layer: Tensor, filling: Tensor) -> tuple[Tensor, Tensor]:
    """The scene below dyes and crusts.

    Parameters
    ----------
    picture : Tensor, shape (N, 3, H, W)
    layer : Tensor, shape (N, 4, H, W)
        Density of the three colours, and how far the scene is hidden; what is beyond their ranges is cut off, and has a
        gradient all the same.
    filling : Tensor, shape (N, 3, H, W)
        What the scene is taken for where it is hidden.

    Returns
    -------
    scene, layer : Tensor
    """
    density = _held(layer[:, :CHANNELS], layer[:, :CHANNELS].clamp_min(0.0).clamp_max(DENSEST))
    cover = _held(layer[:, CHANNELS:], layer[:, CHANNELS:].clamp_min(0.0).clamp_max(1.0))
    below = picture * torch.exp(density)
    return below + cover * (filling - below), torch.cat([density, cover], dim=1)


def _held(free: Tensor, held: Tensor) -> Tensor:
    """`held` in value, `free` in gradient."""
    return free + (held - free).detach() if torch.is_grad_enabled() else held
