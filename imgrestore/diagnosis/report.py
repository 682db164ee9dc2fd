"""What a diagnosis says: a ranked table, masks, and a sheet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["NOTHING", "Finding", "Report"]

NOTHING = "none"
NAME_WIDTH = 11


@dataclass(frozen=True, eq=False)
class Finding:
    """One of the six damages, as it stands with one picture.

    Attributes
    ----------
    damage : str
        "blur", "moire", "shadow", "reflection", "specular" or "rust".
    task : str
        The function of the library that removes it.
    probability : float
        How sure it is that the picture shows this damage, from 0 to 1.
    strength : float
        How much it changes the picture if it is there: from 0, which nobody sees, to 1, as strong as it gets.
    mask : ndarray of bool, shape (H, W)
        Where it lies. All False where it is not believed.
    evidence : str
        What speaks for it or against it, in words.
    """

    damage: str
    task: str
    probability: float
    strength: float
    mask: NDArray[np.bool_] = field(repr=False)
    evidence: str = ""


@dataclass(frozen=True, eq=False)
class Report:
    """The diagnosis of one picture.

    Iterating over it gives the findings that are believed, the likeliest first; ``print`` shows all of them as a table.

    Parameters
    ----------
    findings : tuple of Finding
        All six, the likeliest first.
    sound : float
        The probability that there is nothing to mend, from 0 to 1.
    first : str
        The answer in a word: the likeliest damage, or "none" for nothing to mend.
    believed : tuple of str
        The damages that are there as far as can be told, the likeliest first; empty for nothing to mend.
    noise : float
        Standard deviation of the noise, in the picture's units.
    jpeg : int or None
        About the quality at which the picture was stored as a JPEG file, 1 to 100; None where nothing shows that it was
        or the quality was too high to tell.
    picture : ndarray of uint8, shape (h, w, 3)
        What was looked at, reduced.
    notes : tuple of str
        What a user should know, such as how far a large picture was reduced.

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore import diagnose
    >>> report = diagnose(np.full((64, 64, 3), 128, np.uint8))
    >>> report.first, len(report.findings), list(report)
    ('none', 6, [])
    """

    findings: tuple[Finding, ...]
    sound: float
    first: str
    believed: tuple[str, ...]
    noise: float
    jpeg: int | None
    picture: NDArray[np.uint8] = field(repr=False)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "findings", tuple(self.findings))
        object.__setattr__(self, "believed", tuple(self.believed))
        object.__setattr__(self, "notes", tuple(self.notes))

    @property
    def probabilities(self) -> Mapping[str, float]:
        """The probability of each damage, by its name, and that of nothing to mend as "none"."""
        return MappingProxyType({one.damage: one.probability for one in self.findings} | {NOTHING: self.sound})

    def __iter__(self) -> Iterator[Finding]:
        return (one for one in self.findings if one.damage in self.believed)

    def __getitem__(self, damage: str) -> Finding:
        for one in self.findings:
            if one.damage == damage:
                return one
        known = ", ".join(one.damage for one in self.findings)
        raise KeyError(f"the damage is {damage!r}; expected one of {known}")

    def __str__(self) -> str:
        lines = [f"{'damage':<{NAME_WIDTH}} {'sure':>5} {'strong':>7} {'where':>6}  evidence"]
        lines += [self._line(one) for one in self.findings]
        answer = ", ".join(self.believed) or "nothing to mend"
        stored = "no sign of JPEG" if self.jpeg is None else f"JPEG quality about {self.jpeg}"
        lines.append(f"{answer} · nothing to mend: {self.sound:.2f} · noise {self.noise:.3g} · {stored}")
        return "\n".join([*lines, *self.notes])

    def to_dict(self) -> dict[str, Any]:
        """Everything but masks and picture, as plain values for JSON.

        Returns
        -------
        dict
        """
        findings = [
            {
                "damage": one.damage,
                "task": one.task,
                "probability": round(one.probability, 4),
                "strength": round(one.strength, 4),
                "part": round(float(one.mask.mean()), 4),
                "evidence": one.evidence,
            }
            for one in self.findings
        ]
        return {
            "first": self.first,
            "believed": list(self.believed),
            "sound": round(self.sound, 4),
            "noise": self.noise,
            "jpeg": self.jpeg,
            "findings": findings,
            "notes": list(self.notes),
        }

    def plot(self, title: str | None = None) -> Image:
        """Draw the picture and the masks of what was found on one sheet.

        Parameters
        ----------
        title : str, optional
            Stands above the answer.

        Returns
        -------
        PIL.Image.Image
            An RGB picture: the picture, and a panel for each damage that is believed, or for the likeliest one.
        """
        from imgrestore.diagnosis.sheet import draw

        return draw(self, title)

    def _line(self, one: Finding) -> str:
        believed = one.damage in self.believed
        part = f"{one.mask.mean():.0%}" if believed else ""
        strong = f"{one.strength:.2f}" if believed else ""
        return f"{one.damage:<{NAME_WIDTH}} {one.probability:5.2f} {strong:>7} {part:>6}  {one.evidence}"
