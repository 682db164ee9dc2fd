"""The nouns every module shares: a point spread function, a field of them, and a restoration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from imgrestore.psf import Psf
from imgrestore.psf_field import PsfField

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Psf", "PsfField", "Restoration"]

Forward = Callable[[Any, Mapping[str, Any]], Any]


@dataclass(frozen=True, eq=False)
class Restoration:
    """A restored picture together with the damage that was taken off it.

    Parameters
    ----------
    image : array
        The restored picture: type, shape, dtype and range of the input.
    layers : mapping of str to array
        The parts of the damage, as floating point planes in the range of the input.
    mask : array of bool, optional
        Where the method worked, or for `deblur` the pixels that were left out of the fit (True: left out).
    psf : Psf or PsfField, optional
        The point spread function that was used, or the field of them; a tuple of a batch whose pictures have different
        ones.
    confidence : float or array, optional
        How much the result is to be trusted, from 0 to 1.
    notes : tuple of str
        What a user should know: why nothing was done, what was estimated, what fell back.
    forward : callable, optional
        ``forward(image, layers)`` gives the input back; `recompose` calls it. None where the layers simply add up.

    Examples
    --------
    >>> import numpy as np
    >>> r = Restoration(np.ones((2, 2)), {"reblurred": np.ones((2, 2)), "residual": np.zeros((2, 2))})
    >>> r.recompose().sum()
    np.float64(4.0)
    """

    image: Any
    layers: Mapping[str, Any] = field(default_factory=dict)
    mask: Any = None
    psf: Psf | PsfField | tuple[Psf | PsfField, ...] | None = None
    confidence: Any = None
    notes: tuple[str, ...] = ()
    forward: Forward | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", MappingProxyType(dict(self.layers)))
        object.__setattr__(self, "notes", tuple(self.notes))

    def __reduce__(self) -> tuple[Any, ...]:
        parts = (self.image, dict(self.layers), self.mask, self.psf, self.confidence, self.notes, self.forward)
        return Restoration, parts

    def recompose(self) -> Any:
        """Put the layers together again: the input, within float error.

        Returns
        -------
        array
            Floating point, shape of the input.

        Raises
        ------
        ValueError
            Where there are no layers to put together.
        """
        if not self.layers:
            raise ValueError("this restoration has no layers to recompose")
        if self.forward is not None:
            return self.forward(self.image, self.layers)
        first, *others = self.layers.values()
        return sum(others, start=first)

    def plot(self, truth: Any = None) -> Image:
        """Draw input, result, layers and PSF on one sheet.

        Parameters
        ----------
        truth : array, optional
            The undamaged picture, where it is known: one more panel.

        Returns
        -------
        PIL.Image.Image
            An RGB picture; a notebook shows it, ``.save("sheet.png")`` keeps it.
        """
        from imgrestore.sheet import draw

        return draw(self, truth=truth)
