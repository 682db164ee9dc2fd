"""The diagnoser: a small net that tells what is wrong with a picture, or of which of a user's classes it is.

It looks twice. The whole picture, reduced to a hundred pixels across, shows what lies over large parts of it: shadows,
reflections, highlights, stains. Windows of 128 pixels at full resolution, spread over the picture, show what is small:
blur and moiré. Both are seen as they are and *levelled* (each pixel less the mean of its surroundings, over their
contrast), go through convolutions, and are pooled over all places by attention: places say what they see, and how much
it is worth. Fully connected layers make the answer of what both have said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imgrestore import ops
from imgrestore.nets.judge import WINDOW, levelled, windows_of

__all__ = ["DAMAGES", "Diagnoser", "DiagnoserConfig", "Diagnosis", "view_of"]

# What the library can take off a picture, by what it is called in a diagnosis.
DAMAGES = ("blur", "moire", "shadow", "reflection", "specular", "rust")
# Below, the convolutions would leave less than two places across; from the second on there is one level more.
LEAST_VIEW, LARGE_VIEW = 16, 64
# Numbers that the first fully connected layer gives, and the part of them that training leaves out at random.
THOUGHTS, FORGOTTEN = 96, 0.2
# Ways in which the places of a picture are weighed against each other.
GLANCES = 4


@dataclass(frozen=True)
class DiagnoserConfig:
    """Size of a `Diagnoser` net, and what it tells apart.

    Attributes
    ----------
    classes : tuple of str
        Names of the classes, in the order of the logits.
    several : bool
        Whether a picture may be of several classes or of none, each with a strength; else it is of exactly one.
    width : int
        Channels of the first convolution that sees the whole picture.
    detail : int
        Channels of the first convolution that sees the windows; 0 for a net that sees the whole picture only.
    view : int
        Pixels across the reduced picture.
    """

    classes: tuple[str, ...] = DAMAGES
    several: bool = True
    width: int = 24
    detail: int = 24
    view: int = 112

    def __post_init__(self) -> None:
        least = 1 if self.several else 2
        if len(self.classes) < least or not all(isinstance(name, str) and name for name in self.classes):
            raise ValueError(f"classes are {self.classes!r}; expected {least} or more names")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes are {', '.join(self.classes)}; expected each name once")
        if self.width < 1 or self.detail < 0:
            raise ValueError(f"width is {self.width}, detail {self.detail}; expected at least 1 (detail: 0)")
        if self.view < LEAST_VIEW:
            raise ValueError(f"view is {self.view}; expected at least {LEAST_VIEW}")

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> DiagnoserConfig:
        """The inverse of `to_dict`."""
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
        return cls(**values)


@dataclass(frozen=True)
class Diagnosis:
    """What a `Diagnoser` gives.

    Attributes
    ----------
    logits : Tensor, shape (N, classes)
        Logarithms of the odds of each class where a picture may be of several, else of probabilities, but for a
        constant.
    strength : Tensor, shape (N, classes)
        From 0 (none) to 1 (strong), where a picture may be of several classes; else 1 everywhere.
    """

    logits: Tensor
    strength: Tensor


class Look(nn.Module):
    """Convolutions over planes, and what they say pooled over all places.

    Parameters
    ----------
    widths : sequence of int
        Channels of each level; each halves the size.

    Notes
    -----
    There is no normalisation of batches: what a picture is taken for must not depend on its neighbours, and weights
    are kept in float16.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs, kernel = 6, 5
        for outputs in widths:
            layers += [nn.Conv2d(inputs, outputs, kernel, stride=2, padding=kernel // 2), nn.GELU()]
            layers += [nn.Conv2d(outputs, outputs, 3, padding=1), nn.GELU()]
            inputs, kernel = outputs, 3
        # An export, for which there are no native ops, takes the twin.
        self.box: Callable[..., Tensor] = ops.box
        self.see = nn.Sequential(*layers)
        self.weigh = nn.Conv2d(inputs, GLANCES, 1)
        self.outputs = (GLANCES + 1) * inputs
        for layer in self.see:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, planes: Tensor) -> Tensor:
        """Look at pictures, each of them in several parts of one size.

        Parameters
        ----------
        planes : Tensor of float32, shape (N, K, 3, H, W)
            Range [0, 1].

        Returns
        -------
        Tensor of float32, shape (N, outputs)
        """
        places = self.places(planes.flatten(0, 1)).unflatten(0, planes.shape[:2])
        return self.pooled(places.transpose(1, 2).flatten(2))

    def places(self, planes: Tensor) -> Tensor:
        """What each place of parts (M, 3, H, W) says, and how much that is worth: (M, outputs / 5 + 4, places)."""
        seen = self.see(torch.cat([levelled(planes, self.box), 2 * planes - 1], dim=1))
        return torch.cat([self.weigh(seen), seen], dim=1).float().flatten(2)

    @staticmethod
    def pooled(places: Tensor) -> Tensor:
        """The features' means over all places, weighed in several ways and not at all."""
        weights, features = places[:, :GLANCES], places[:, GLANCES:]
        means = torch.softmax(weights, dim=2) @ features.transpose(1, 2)
        return torch.cat([means.flatten(1), features.mean(2)], dim=1)


class Diagnoser(nn.Module):
    """A small classifier of pictures: see the module's text.

    Parameters
    ----------
    config : DiagnoserConfig, optional
        Its size and classes.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.nets.diagnoser import Diagnoser
    >>> net = Diagnoser().eval()
    >>> diagnosis = net.diagnose(torch.rand(3, 200, 300))
    >>> diagnosis.logits.shape
    torch.Size([1, 6])
    """

    def __init__(self, config: DiagnoserConfig | None = None) -> None:
        super().__init__()
        self.config = config or DiagnoserConfig()
        c = self.config
        self.whole = Look((c.width, 3 * c.width // 2, 2 * c.width, 3 * c.width)[: 3 if c.view < LARGE_VIEW else 4])
        self.near = Look((c.detail, 2 * c.detail, 3 * c.detail)) if c.detail else None
        told = self.whole.outputs + (self.near.outputs if self.near is not None else 0)
        self.think = nn.Sequential(nn.Linear(told, THOUGHTS), nn.GELU(), nn.Dropout(FORGOTTEN))
        self.say = nn.Linear(THOUGHTS, len(c.classes))
        self.measure = nn.Linear(THOUGHTS, len(c.classes)) if c.several else None

    def windows_of(self, picture: Tensor) -> Tensor:
        """The windows of a picture (3, H, W) that the net looks at: (K, 3, 128, 128), K being 0 for a net without."""
        return windows_of(picture) if self.near is not None else picture.new_zeros(0, 3, WINDOW, WINDOW)

    def diagnose(self, picture: Tensor) -> Diagnosis:
        """The diagnosis of one picture (3, H, W) of float32, range about [0, 1], of any size."""
        found: Diagnosis = self(view_of(picture, self.config.view)[None], self.windows_of(picture)[None])
        return found

    def forward(self, view: Tensor, windows: Tensor) -> Diagnosis:
        """Tell what pictures show.

        Parameters
        ----------
        view : Tensor of float32, shape (N, 3, view, view)
            The whole pictures, reduced; see `view_of`.
        windows : Tensor of float32, shape (N, K, 3, 128, 128)
            Windows of them; see `windows_of`.

        Returns
        -------
        Diagnosis
        """
        told = self.whole(view[:, None])
        return self.concluded(told if self.near is None else torch.cat([told, self.near(windows)], dim=1))

    def concluded(self, told: Tensor) -> Diagnosis:
        """The diagnosis that follows from what both looks have told: (N, outputs of both)."""
        # bfloat16 keeps 8 bits: the last word stays in float32.
        with torch.autocast(told.device.type, enabled=False):
            thought = self.think(told.float())
            logits = self.say(thought)
            strength = torch.ones_like(logits) if self.measure is None else torch.sigmoid(self.measure(thought))
        return Diagnosis(logits, strength)


def view_of(picture: Tensor, side: int) -> Tensor:
    """A picture as a whole.

    Parameters
    ----------
    picture : Tensor of float32, shape (3, H, W)
    side : int

    Returns
    -------
    Tensor, shape (3, side, side)
        Means of areas; bilinear where the picture is smaller.
    """
    mode = "area" if min(picture.shape[1:]) >= side else "bilinear"
    return F.interpolate(picture[None], size=(side, side), mode=mode)[0]
