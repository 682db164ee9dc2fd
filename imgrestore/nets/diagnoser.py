"""The diagnoser: a small net that tells what is wrong with a picture, or of which of a user's classes it is.

It looks twice. The whole picture, reduced to a hundred pixels across, shows what lies over large parts of it: shadows,
reflections, highlights, stains. Windows of 128 pixels at full resolution, spread over the picture, show what is small:
blur and moiré. Both are seen as they are and *levelled* (each pixel less the mean of its surroundings, over their
contrast) and go through convolutions. Places say what they see, which classes they claim, and how much that is worth;
attention pools it over all places, and fully connected layers make the answer of what both looks have said.
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
# Logarithm of the odds of a class before anything is learned: of a picture, and of a place.
SELDOM, RARELY = -1.5, -2.5
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

    Each place *claims* classes, by logits of its own; training can tell it where a damage is. That is learned far
    sooner than what is said of a picture as a whole, and what is said of the whole is made of it.

    Parameters
    ----------
    widths : sequence of int
        Channels of each level; each halves the size.
    classes : int
        Number of classes.

    Notes
    -----
    There is no normalisation of batches: what a picture is taken for must not depend on its neighbours, and weights
    are kept in float16.
    """

    def __init__(self, widths: tuple[int, ...], classes: int) -> None:
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
        self.claim = nn.Conv2d(inputs, classes, 1)
        self.classes = classes
        self.outputs = (GLANCES + 1) * inputs + 2 * classes
        for layer in self.see:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.constant_(self.claim.bias, RARELY)  # type: ignore[arg-type]

    def places(self, planes: Tensor) -> Tensor:
        """What each place of parts (M, 3, H, W) says: its weights, its claims and its features, (M, channels, h, w)."""
        seen = self.see(torch.cat([levelled(planes, self.box), 2 * planes - 1], dim=1))
        return torch.cat([self.weigh(seen), self.claim(seen), seen], dim=1).float()

    def claims(self, places: Tensor) -> Tensor:
        """The claims among what `places` gives, (M, classes, h, w)."""
        return places[:, GLANCES : GLANCES + self.classes]

    def pooled(self, places: Tensor) -> Tensor:
        """What the places of pictures tell of the whole.

        Parameters
        ----------
        places : Tensor of float32, shape (N, K, channels, h, w)
            What `places` gives of the K parts of each picture.

        Returns
        -------
        Tensor, shape (N, outputs)
            Means of the features over all places, weighed in several ways and not at all; and of each class the claims'
            mean, and the mean weighed by the claims themselves, which is about that of the loudest.
        """
        flat = places.transpose(1, 2).flatten(2)
        weights, claims, features = flat.split([GLANCES, self.classes, flat.shape[1] - GLANCES - self.classes], dim=1)
        means = torch.softmax(weights, dim=2) @ features.transpose(1, 2)
        loudest = (torch.softmax(claims, dim=2) * claims).sum(2)
        return torch.cat([means.flatten(1), features.mean(2), claims.mean(2), loudest], dim=1)


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
        number, w = len(c.classes), c.width
        self.whole = Look((w, 3 * w // 2, 2 * w, 3 * w)[: 3 if c.view < LARGE_VIEW else 4], number)
        self.near = Look((c.detail, 2 * c.detail, 3 * c.detail), number) if c.detail else None
        told = self.whole.outputs + (self.near.outputs if self.near is not None else 0)
        self.think = nn.Sequential(nn.Linear(told, THOUGHTS), nn.GELU(), nn.Dropout(FORGOTTEN))
        self.say = nn.Linear(THOUGHTS, number)
        self.measure = nn.Linear(THOUGHTS, number) if c.several else None
        if c.several:
            # Most pictures are of none of them: to learn that first would only take time.
            nn.init.constant_(self.say.bias, SELDOM)

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
        return self.concluded([look.pooled(places) for look, places in self.looks(view, windows)])

    def looks(self, view: Tensor, windows: Tensor) -> list[tuple[Look, Tensor]]:
        """Both looks, or the only one, and what the places of all parts say to each: (N, K, channels, h, w)."""
        seen = [(self.whole, self.whole.places(view)[:, None])]
        if self.near is not None:
            seen.append((self.near, self.near.places(windows.flatten(0, 1)).unflatten(0, windows.shape[:2])))
        return seen

    def concluded(self, told: list[Tensor]) -> Diagnosis:
        """The diagnosis that follows from what the looks have told: of each (N, outputs)."""
        # bfloat16 keeps 8 bits: the last word stays in float32.
        with torch.autocast(told[0].device.type, enabled=False):
            thought = self.think(torch.cat(told, dim=1).float())
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
