"""`PsfField`: point spread functions that change over the picture, known at the points of a grid."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrestore.psf import Psf, read_numbers

__all__ = ["PsfField", "share_of_windows"]


@dataclass(frozen=True, eq=False)
class PsfField:
    """A grid of point spread functions, and between its points their bilinear mixtures.

    A frame of H x W pixels is cut into rows x columns equal windows. The PSF in row i and column j of the grid is that
    of the middle of its window: pixel ``((i + 0.5) * H / rows - 0.5, (j + 0.5) * W / columns - 0.5)``, counted from 0,
    and not always whole. Between four such points PSFs are mixed in proportion to how near they are; from the
    outermost points to the rim of the frame they stay as they are.

    All are brought to one odd shape, their centres in its middle.

    Parameters
    ----------
    psfs : array_like of shape (rows, columns, h, w), or nested sequences of Psf, str or array_like
        Rows of PSFs from the top down, each row from left to right. Centres are ``size // 2``, but for a `Psf`, which
        knows its own; words are as in `Psf.parse`. Each is scaled to sum 1.

    Attributes
    ----------
    array : ndarray of float64, read-only, shape (rows, columns, h, w)
        The values; each PSF sums to 1, h and w are odd.

    Raises
    ------
    TypeError
        Where values are complex, text or objects, or `psfs` is no grid.
    ValueError
        Where the grid is empty or its rows are not equally long, or a PSF is none; the message names which.

    Examples
    --------
    >>> field = PsfField([["disk:1", "disk:3"]])
    >>> field.grid, field.array.shape
    ((1, 2), (1, 2, 7, 7))
    >>> field.centres((100, 200))
    (array([49.5]), array([ 49.5, 149.5]))
    >>> middle = field.at(49.5, 99.5, (100, 200)).array
    >>> np.allclose(middle, field.array.mean(axis=(0, 1)))
    True
    """

    array: NDArray[np.float64]

    def __init__(self, psfs: Any) -> None:
        rows = [_row(row, i) for i, row in enumerate(_rows(psfs))]
        counts = sorted({len(row) for row in rows})
        if len(counts) != 1 or counts[0] == 0:
            raise ValueError(f"the rows of the field hold {counts or 'no'} PSFs; expected as many in each, 1 or more")
        every = [psf for row in rows for psf in row]
        reach = [max(max(psf.centre[axis], psf.shape[axis] - 1 - psf.centre[axis]) for psf in every) for axis in (0, 1)]
        values = np.stack([np.stack([_centred(psf, reach) for psf in row]) for row in rows])
        values.setflags(write=False)
        object.__setattr__(self, "array", values)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.array.setflags(write=False)  # pickling forgets it

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of PSFs."""
        return self.array.shape[0], self.array.shape[1]

    @property
    def shape(self) -> tuple[int, int]:
        """Size of each PSF on each axis."""
        return self.array.shape[2], self.array.shape[3]

    @property
    def centre(self) -> tuple[int, int]:
        """Index of the point that maps onto itself, in each PSF."""
        return self.shape[0] // 2, self.shape[1] // 2

    @property
    def ndim(self) -> int:
        """2, the axes of the pictures that it blurs."""
        return 2

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.array, dtype=dtype, copy=True if copy is None else copy)

    def __getitem__(self, place: tuple[int, int]) -> Psf:
        try:
            row, column = (operator.index(number) for number in place)
        except TypeError:
            raise TypeError(f"place is {place!r}; expected two whole numbers, row and column") from None
        except ValueError:
            raise ValueError(f"place is {place!r}; expected two whole numbers, row and column") from None
        return Psf(self.array[row, column])

    def __repr__(self) -> str:
        return f"PsfField(grid={self.grid}, shape={self.shape})"

    def centres(self, frame: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where in a frame the PSFs are those of the grid.

        Parameters
        ----------
        frame : sequence of int
            Height and width in pixels.

        Returns
        -------
        tuple of ndarray
            The pixels' rows, and the pixels' columns; not always whole.
        """
        rows, columns = (
            (np.arange(count) + 0.5) * size / count - 0.5 for count, size in zip(self.grid, frame, strict=True)
        )
        return rows, columns

    def at(self, row: float, column: float, frame: Sequence[int]) -> Psf:
        """The PSF of one pixel.

        Parameters
        ----------
        row, column : float
            The pixel, counted from 0.
        frame : sequence of int
            Height and width of the picture.

        Returns
        -------
        Psf
        """
        if not (math.isfinite(row) and math.isfinite(column)):
            raise ValueError(f"pixel is ({row}, {column}); expected finite numbers")
        down, right = (
            share_of_windows(count, (np.array([place]) + 0.5) / size)[:, 0]
            for count, place, size in zip(self.grid, (row, column), frame, strict=True)
        )
        return Psf(np.einsum("i,j,ijhw->hw", down, right, self.array))

    def resampled(self, rows: int, columns: int) -> PsfField:
        """The same field on another grid, its PSFs mixed as at those points.

        Parameters
        ----------
        rows, columns : int

        Returns
        -------
        PsfField
        """
        down, right = (
            share_of_windows(count, (np.arange(wanted) + 0.5) / wanted)
            for count, wanted in zip(self.grid, (rows, columns), strict=True)
        )
        return PsfField(np.einsum("ia,jb,ijhw->abhw", down, right, self.array))

    def mean(self) -> Psf:
        """The mean of all PSFs: what blurs the picture on the whole.

        Returns
        -------
        Psf
        """
        return Psf(self.array.mean(axis=(0, 1)))

    def save(self, path: str | Path) -> None:
        """Write the field to a file.

        Parameters
        ----------
        path : str or Path
            ``.npz``, which will hold one array "psfs" of shape (rows, columns, h, w), or ``.npy``.

        Raises
        ------
        ValueError
            For any other name.
        """
        path = Path(path)
        if path.suffix.lower() == ".npy":
            np.save(path, self.array)
        elif path.suffix.lower() == ".npz":
            np.savez_compressed(path, psfs=self.array)
        else:
            raise ValueError(f"{path}: a field of PSFs is written to .npy or .npz")

    @classmethod
    def from_file(cls, path: str | Path) -> PsfField:
        """Read a field from a file.

        Parameters
        ----------
        path : str or Path
            ``.npz`` with one array of shape (rows, columns, h, w), or ``.npy``.

        Returns
        -------
        PsfField

        Raises
        ------
        FileNotFoundError
            Where there is no such file.
        ValueError
            Where the file holds no field.
        """
        values = read_numbers(Path(path))
        if values.ndim != 4:
            raise ValueError(f"{path}: holds an array of shape {values.shape}; expected (rows, columns, h, w)")
        return cls(values)


def share_of_windows(count: int, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much of each of `count` windows along an axis there is at some places.

    Parameters
    ----------
    count : int
    places : ndarray
        0 at one end of the frame, 1 at the other; what lies outside is as at the rim.

    Returns
    -------
    ndarray, shape (count, len(places))
        1 in the middle of the window, falling evenly to 0 in the middle of the next; sums to 1 at each place.
    """
    from_first = np.clip(places * count - 0.5, 0, count - 1)
    return np.clip(1 - np.abs(from_first - np.arange(count)[:, None]), 0, None)


def _rows(psfs: Any) -> Any:
    """The rows of a grid, whatever it was given as."""
    if isinstance(psfs, PsfField):
        return psfs.array
    if hasattr(psfs, "detach"):
        psfs = psfs.detach().cpu()
        psfs = (psfs.float() if str(psfs.dtype) == "torch.bfloat16" else psfs).numpy()
    if isinstance(psfs, np.ndarray) and psfs.dtype != object and psfs.ndim != 4:
        raise ValueError(f"the field has shape {psfs.shape}; expected (rows, columns, h, w)")
    if isinstance(psfs, (str, Psf)) or not isinstance(psfs, (Sequence, np.ndarray)):
        raise TypeError(f"the field is a {type(psfs).__name__}; expected rows of PSFs")
    return psfs


def _row(row: Any, number: int) -> list[Psf]:
    if isinstance(row, (str, Psf)) or not isinstance(row, (Sequence, np.ndarray)):
        raise TypeError(f"row {number} of the field is a {type(row).__name__}; expected a row of PSFs")
    return [_one(psf, number, j) for j, psf in enumerate(row)]


def _one(psf: Any, row: int, column: int) -> Psf:
    try:
        one = psf if isinstance(psf, Psf) else Psf.parse(psf) if isinstance(psf, str) else Psf(psf)
        if one.ndim != 2:
            raise ValueError(f"psf has shape {one.shape}; expected 2 axes")
    except (TypeError, ValueError) as error:
        raise type(error)(f"row {row}, column {column} of the field: {error}") from error
    return one


def _centred(psf: Psf, reach: list[int]) -> NDArray[np.float64]:
    """The values of a PSF with so many pixels on each side of its centre."""
    sides = [(r - c, r - (n - 1 - c)) for r, c, n in zip(reach, psf.centre, psf.shape, strict=True)]
    return np.pad(psf.array, sides)
