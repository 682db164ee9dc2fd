"""The diagnoser: a small net that tells what is wrong with a picture, or of which of a user's classes it is.

It looks twice. The whole picture, reduced to 128 pixels across, shows what lies over large parts of it: shadows,
reflections, highlights, stains. It goes through the first half of the net that takes pictures apart, and may begin with
what such a net has learnt. Windows of 128 pixels at full resolution, spread over the picture, show what is small: blur
and moiré. They are seen as they are and *levelled*: each pixel less the mean of its surroundings, over their contrast.
What both see is pooled over all places by attention: places say what they see, and how much it is worth. Each place is
marked with the damages that show there, too. Fully connected layers make the answer of what both have said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imgrestore.nets.judge import WINDOW, windows_of
from imgrestore.nets.look import FINER, Close, Overview
from imgrestore.nets.separator import CHANNELS, Separator

__all__ = ["DAMAGES", "Diagnoser", "DiagnoserConfig", "Diagnosis", "view_of"]

# What the library can take off a picture, by what it is called in a diagnosis.
DAMAGES = ("blur", "moire", "shadow", "reflection", "specular", "rust")
# Numbers that the first fully connected layer gives, and the part of them that training leaves out at random.
THOUGHTS, FORGOTTEN = 128, 0.2
# Blocks of the two levels that see windows.
CLOSE = (2, 3)
# Places of the features across the smallest view.
PLACES = 2


@dataclass(frozen=True)
class DiagnoserConfig:
    """Size of a `Diagnoser` net, and what it tells apart.

    Attributes
    ----------
    classes : tuple of str
        Names of the classes, in the order of the logits.
    several : bool
        Whether a picture may be of several classes or of none, each with a strength; else it is of exactly one.
    width, blocks, glance, code : int, tuple of int, int, int
        Of the look at the whole picture, as in `imgrestore.nets.separator.SeparatorConfig`.
    detail : int
        Channels of the first convolution that sees the windows; 0 for a net that sees the whole picture only.
    view : int
        Pixels across the reduced picture.
    """

    classes: tuple[str, ...] = DAMAGES
    several: bool = True
    width: int = 24
    blocks: tuple[int, ...] = (2, 2, 2, 4)
    glance: int = 16
    code: int = 8
    detail: int = 48
    view: int = 128

    def __post_init__(self) -> None:
        least = 1 if self.several else 2
        if len(self.classes) < least or not all(isinstance(name, str) and name for name in self.classes):
            raise ValueError(f"classes are {self.classes!r}; expected {least} or more names")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes are {', '.join(self.classes)}; expected each name once")
        if min(self.width, self.glance, self.code, len(self.blocks), *self.blocks) < 1 or self.detail < 0:
            raise ValueError(f"{self}: expected numbers of at least 1, and a detail of at least 0")
        stride = 2 ** len(self.blocks)
        if self.view < PLACES * stride or self.view % stride:
            raise ValueError(f"view is {self.view}; expected a multiple of {stride}, from {PLACES * stride} on")

    @property
    def places(self) -> int:
        """Places along a side of the view that are marked."""
        return FINER * self.view // 2 ** len(self.blocks)

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
    where : Tensor, shape (N, classes, places, places)
        Logarithm of the odds that a class shows in a place of the view; no planes where a picture is of one class.
    near : Tensor, shape (N, K, classes, 16, 16), optional
        The same for the places of the windows.
    """

    logits: Tensor
    strength: Tensor
    where: Tensor
    near: Tensor | None = None


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
        marked = len(c.classes) if c.several else 0
        self.whole = Overview(c.width, c.blocks, c.glance, c.code, marked)
        self.near = Close((c.detail, 2 * c.detail), CLOSE, marked) if c.detail else None
        told = self.whole.seen.outputs + (self.near.seen.outputs if self.near is not None else 0)
        self.think = nn.Sequential(nn.Linear(told, THOUGHTS), nn.GELU(), nn.Dropout(FORGOTTEN))
        self.say = nn.Linear(THOUGHTS, len(c.classes))
        self.measure = nn.Linear(THOUGHTS, len(c.classes)) if c.several else None

    @torch.no_grad()
    def borrow(self, separator: Separator) -> None:
        """Begin with what a net that takes pictures apart has learnt to see in whole pictures.

        Parameters
        ----------
        separator : Separator
            Of the same `width`, `blocks`, `glance` and `code`.

        Raises
        ------
        ValueError
            Where it has others.
        """
        for name in ("width", "blocks", "glance", "code"):
            theirs, own = getattr(separator.config, name), getattr(self.config, name)
            if theirs != own:
                raise ValueError(f"separator has a {name} of {theirs}; expected {own}")
        lent = separator.unet.state_dict()
        stem, code = lent["stem.weight"], self.config.code
        # There is no estimate: the picture stands for it, and says that nothing was found.
        picture = stem[:, :CHANNELS] + stem[:, CHANNELS : 2 * CHANNELS]
        lent["stem.weight"] = torch.cat([picture, stem[:, -code:]], dim=1)
        self.whole.unet.load_state_dict({name: lent[name] for name in self.whole.unet.state_dict()})
        self.whole.glance.load_state_dict(separator.glance.state_dict())
        self.whole.tell.load_state_dict(separator.tell.state_dict())

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
        told, where = self.whole(view)
        if self.near is None:
            return self.concluded(told, where)
        seen = self.near.features(windows.flatten(0, 1)).unflatten(0, windows.shape[:2])
        closely, near = self.near.told(seen)
        return self.concluded(torch.cat([told, closely], dim=1), where, near)

    def concluded(self, told: Tensor, where: Tensor, near: Tensor | None = None) -> Diagnosis:
        """The diagnosis that follows from what both looks have told, (N, outputs of both), and marked."""
        # bfloat16 keeps 8 bits: the last word stays in float32.
        with torch.autocast(told.device.type, enabled=False):
            thought = self.think(told.float())
            logits = self.say(thought)
            strength = torch.ones_like(logits) if self.measure is None else torch.sigmoid(self.measure(thought))
        return Diagnosis(logits, strength, where, near)


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
