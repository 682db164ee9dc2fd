"""`Psf`: a point spread function that knows its centre and its energy."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

__all__ = ["Psf", "read_numbers"]

SUPERSAMPLING = 16


def _checked(array: Any) -> NDArray[np.float64]:
    """The values of a PSF as float64, or an error that says what is wrong with them."""
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError("psf is a masked array; pass psf.filled(0) instead")
    if hasattr(array, "detach"):
        array = array.detach().cpu()
        array = (array.float() if str(array.dtype) == "torch.bfloat16" else array).numpy()
    try:
        values = np.asarray(array)
    except ValueError as error:
        raise ValueError(f"psf is no array: {error}") from error
    if values.dtype.kind not in "fiub":
        raise TypeError(f"psf has dtype {values.dtype}; expected real numbers")
    if values.ndim not in (2, 3):
        raise ValueError(f"psf has shape {values.shape}; expected 2 axes (or 3 for a stack of depths)")
    if values.size == 0:
        raise ValueError(f"psf is empty (shape {values.shape}); expected at least one value")
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("psf has NaN or infinite values; expected finite numbers")
    if values.min() < 0:
        raise ValueError(
            f"psf has negative values (down to {values.min():.3g}); expected none: take its background off, clip at 0"
        )
    if values.max() <= 0:
        raise ValueError("psf is zero everywhere; expected a positive sum")
    if values.max() > np.finfo(np.float64).max / values.size:
        raise ValueError(f"psf has values up to {values.max():.3g}, whose sum is infinite; expected a finite sum")
    return values


@dataclass(frozen=True, eq=False)
class Psf:
    """A point spread function: how one point of the scene is spread over the picture.

    The picture is the true convolution ``y[i] = sum_j array[j] * x[i + centre - j]``. Values sum to 1, so that a
    restored picture keeps the brightness of its input; what they summed to before stands in `energy`.

    Parameters
    ----------
    array : array_like, shape (h, w) or (d, h, w)
        Real, finite, not negative, with a positive sum.
    centre : sequence of int, optional
        Index of the point that maps onto itself; ``size // 2`` on each axis by default, for odd and even sizes.

    Attributes
    ----------
    array : ndarray of float64, read-only
        The values, sum 1.
    centre : tuple of int
    energy : float
        The sum of the values that were given.

    Raises
    ------
    TypeError
        Where the values are complex, text or objects.
    ValueError
        Where they are NaN, infinite, negative, all zero, or not 2-D or 3-D, or the centre lies outside.

    Examples
    --------
    >>> psf = Psf.gaussian(1.5)
    >>> psf.shape, psf.centre
    ((13, 13), (6, 6))
    >>> Psf([[0, 2, 2]]).array.tolist()
    [[0.0, 0.5, 0.5]]
    """

    array: NDArray[np.float64]
    centre: tuple[int, ...]
    energy: float

    def __init__(self, array: Any, centre: Sequence[int] | None = None) -> None:
        values = _checked(array)
        energy = float(values.sum())
        values = values / energy
        values.setflags(write=False)
        where = tuple(size // 2 for size in values.shape) if centre is None else tuple(np.ravel(centre).tolist())
        whole = len(where) == values.ndim and all(c == int(c) for c in where)
        if not whole or any(not 0 <= c < size for c, size in zip(where, values.shape, strict=True)):
            raise ValueError(f"centre is {centre}; expected an index inside the shape {values.shape}")
        object.__setattr__(self, "array", values)
        object.__setattr__(self, "centre", tuple(int(c) for c in where))
        object.__setattr__(self, "energy", energy)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.array.setflags(write=False)  # pickling forgets it

    @property
    def shape(self) -> tuple[int, ...]:
        """Size on each axis."""
        return self.array.shape

    @property
    def ndim(self) -> int:
        """2 for pictures, 3 for stacks."""
        return self.array.ndim

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.array, dtype=dtype, copy=True if copy is None else copy)

    def __repr__(self) -> str:
        return f"Psf(shape={self.shape}, centre={self.centre}, energy={self.energy:.6g})"

    @classmethod
    def gaussian(cls, sigma: float | Sequence[float], *, angle: float = 0.0, ndim: int = 2) -> Psf:
        """A Gaussian, averaged over each pixel.

        Parameters
        ----------
        sigma : float or sequence of float
            Standard deviation in pixels, above 0; one for each axis in the order of the array's axes.
        angle : float
            Degrees counter-clockwise by which a 2-D Gaussian is turned.
        ndim : int
            2 or 3, where `sigma` is one number.

        Returns
        -------
        Psf
            Cut off at 4 sigma.
        """
        sigmas = np.atleast_1d(np.asarray(sigma, dtype=np.float64)).tolist() * (ndim if np.ndim(sigma) == 0 else 1)
        if len(sigmas) not in (2, 3) or any(not (math.isfinite(s) and s > 0) for s in sigmas):
            raise ValueError(f"sigma is {sigma}; expected 2 or 3 positive numbers of pixels (or one for all axes)")
        if angle and len(sigmas) != 2:
            raise ValueError(f"angle is {angle}; expected 0 for a Gaussian of {len(sigmas)} axes")
        if angle:
            radius = max(1, math.ceil(4 * max(sigmas)))
            y, x = _subpixel_grid(radius)
            turn = math.radians(angle)
            along, across = x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)
            return _made(_averaged(np.exp(-0.5 * ((across / sigmas[0]) ** 2 + (along / sigmas[1]) ** 2))))
        values = np.ones(())
        for s in sigmas:
            edges = np.arange(-max(1, math.ceil(4 * s)), max(1, math.ceil(4 * s)) + 2) - 0.5
            cumulated = np.array([math.erf(e / (s * math.sqrt(2))) for e in edges])
            values = np.multiply.outer(values, 0.5 * np.diff(cumulated))
        return _made(values)

    @classmethod
    def disk(cls, radius: float) -> Psf:
        """A uniform disk with smooth rim: the blur of a lens out of focus.

        Parameters
        ----------
        radius : float
            In pixels, above 0.

        Returns
        -------
        Psf
        """
        if not (math.isfinite(radius) and radius > 0):
            raise ValueError(f"radius is {radius}; expected a positive number of pixels")
        y, x = _subpixel_grid(math.ceil(radius + 0.5))
        return _made(_averaged((x * x + y * y <= max(radius, 0.5) ** 2).astype(np.float64)))

    @classmethod
    def motion(cls, length: float, angle: float = 0.0) -> Psf:
        """A straight, even motion of the camera or the scene.

        Parameters
        ----------
        length : float
            In pixels, above 0: the distance between the two ends of the path.
        angle : float
            Degrees counter-clockwise from the rows' direction (0: sideways, 90: up and down).

        Returns
        -------
        Psf
        """
        if not (math.isfinite(length) and length > 0 and math.isfinite(angle)):
            raise ValueError(f"motion has length {length} and angle {angle}; expected a positive length in pixels")
        turn = math.radians(angle)
        radius = math.ceil(length / 2 + 1)
        count = max(2, math.ceil(length * SUPERSAMPLING))
        steps = ((np.arange(count) + 0.5) / count - 0.5) * length
        values = np.zeros((2 * radius + 1, 2 * radius + 1))
        for along in steps:
            _splat(values, radius - along * math.sin(turn), radius + along * math.cos(turn))
        return _made(values)

    @classmethod
    def parse(cls, text: str) -> Psf:
        """Read a PSF from words: ``gaussian:SIGMA``, ``disk:RADIUS``, ``motion:LENGTH:ANGLE`` or a file's path.

        Parameters
        ----------
        text : str

        Returns
        -------
        Psf

        Examples
        --------
        >>> Psf.parse("disk:2").shape
        (5, 5)
        """
        kind, *numbers = text.split(":")
        makers: dict[str, tuple[Callable[..., Psf], tuple[int, ...]]] = {
            "gaussian": (cls.gaussian, (1,)),
            "disk": (cls.disk, (1,)),
            "motion": (cls.motion, (1, 2)),
        }
        expected = "expected gaussian:SIGMA, disk:RADIUS, motion:LENGTH:ANGLE or a file"
        if not text:
            raise ValueError(f"psf is empty; {expected}")
        if kind.lower() not in makers:
            if not Path(text).exists():
                raise FileNotFoundError(f"psf {text!r}: no such file; {expected}")
            return cls.from_file(text)
        maker, counts = makers[kind.lower()]
        try:
            values = [float(number) for number in numbers]
        except ValueError:
            values = []
        if len(values) not in counts:
            raise ValueError(f"psf {text!r}: {expected}")
        return maker(*values)

    @classmethod
    def from_file(cls, path: str | Path) -> Psf:
        """Read a PSF from a NumPy, picture or FITS file.

        Parameters
        ----------
        path : str or Path
            ``.npy``, ``.npz`` with one array, or any format that `imgrestore.io` reads; colours are averaged.

        Returns
        -------
        Psf

        Raises
        ------
        FileNotFoundError
            Where there is no such file.
        ValueError
            Where the file holds no PSF.
        """
        from imgrestore import io

        path = Path(path)
        if path.suffix.lower() not in (".npy", ".npz"):
            picture = io.read(path)
            values = picture.pixels
            if values.ndim >= 3 and not picture.has_pages:
                values = values[..., : 3 if values.shape[-1] >= 3 else 1].mean(axis=-1)
            return cls(values)
        return cls(read_numbers(path))

    def flip(self) -> Psf:
        """Mirror through the centre on every axis: the PSF of the adjoint."""
        centre = [size - 1 - c for size, c in zip(self.shape, self.centre, strict=True)]
        return self._like(np.flip(self.array), centre)

    def shift(self, offset: Sequence[float]) -> Psf:
        """Move the spread by a number of pixels that need not be whole.

        Parameters
        ----------
        offset : sequence of float
            Pixels on each axis; a picture blurred with the shifted PSF is moved by as much.

        Returns
        -------
        Psf
            Grown where it needs room. Parts of a pixel are interpolated by cubic splines, negative lobes cut.
        """
        if len(offset) != self.ndim or not np.isfinite(offset).all():
            raise ValueError(f"offset is {offset}; expected {self.ndim} finite numbers of pixels")
        from scipy import ndimage

        whole = all(o == round(o) for o in offset)
        room = [math.ceil(abs(o)) + (0 if whole else 3) for o in offset]
        padded = np.pad(self.array, [(r, r) for r in room])
        centre = [c + r for c, r in zip(self.centre, room, strict=True)]
        if whole:
            return self._like(ndimage.shift(padded, offset, order=0, mode="constant"), centre).trimmed()
        aim = np.array(offset, dtype=np.float64)
        for _ in range(8):
            moved = np.clip(ndimage.shift(padded, aim, order=3, mode="constant"), 0, None)
            # Cutting the lobes moves the centre of mass a little: aim so much further.
            aim += _mass(padded) + offset - _mass(moved)
        return self._like(moved / moved.sum(), centre).trimmed()

    def recentred(self) -> Psf:
        """Put the centre at the pixel nearest to the centre of mass, so that the result is not moved."""
        return self._like(self.array, [round(m) for m in _mass(self.array)])

    def trimmed(self, part: float = 0.0) -> Psf:
        """Cut empty rows and columns off the rim, the centre kept inside.

        Parameters
        ----------
        part : float
            Values up to this part of the largest count as empty; from 0 to below 1.

        Returns
        -------
        Psf
        """
        if not 0 <= part < 1:
            raise ValueError(f"part is {part}; expected a number from 0 to below 1")
        box = []
        for axis, c in enumerate(self.centre):
            others = tuple(a for a in range(self.ndim) if a != axis)
            used = np.flatnonzero(self.array.max(axis=others) > part * self.array.max())
            box.append(slice(min(used[0], c), max(used[-1], c) + 1))
        return self._like(self.array[tuple(box)], [c - b.start for c, b in zip(self.centre, box, strict=True)])

    def _like(self, values: NDArray[np.float64], centre: Sequence[int]) -> Psf:
        """Other values, of the same energy where they sum to 1."""
        return Psf(values * self.energy, centre)


def read_numbers(path: Path) -> NDArray[Any]:
    """The one array of a NumPy file (``.npy``, or ``.npz`` with one array), or an error that says what is wrong."""
    try:
        stored = np.load(path, allow_pickle=False)
        if isinstance(stored, np.lib.npyio.NpzFile):
            with stored:
                stored = {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file") from None
    except (ValueError, EOFError, OSError, BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: not a readable NumPy file ({error})") from error
    if isinstance(stored, dict):
        if len(stored) != 1:
            raise ValueError(f"{path}: holds the arrays {list(stored)}; expected one PSF")
        (stored,) = stored.values()
    return np.asarray(stored)


def _made(values: NDArray[np.float64]) -> Psf:
    """A PSF of energy 1 without the rims that are empty but for rounding."""
    return Psf(values / values.sum()).trimmed(1e-9)


def _mass(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The centre of mass, as an index on each axis."""
    return np.array([(values * i).sum() for i in np.indices(values.shape)]) / values.sum()


def _subpixel_grid(radius: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates of sub-pixel centres on a square of pixels -radius..radius: (y, x)."""
    n = (2 * radius + 1) * SUPERSAMPLING
    line = (np.arange(n) + 0.5) / SUPERSAMPLING - radius - 0.5
    return line[:, None], line[None, :]


def _averaged(fine: NDArray[np.float64]) -> NDArray[np.float64]:
    n = fine.shape[0] // SUPERSAMPLING
    return fine.reshape(n, SUPERSAMPLING, n, SUPERSAMPLING).mean(axis=(1, 3))


def _splat(values: NDArray[np.float64], y: float, x: float) -> None:
    """Add one point by bilinear weights."""
    top, left = math.floor(y), math.floor(x)
    dy, dx = y - top, x - left
    values[top : top + 2, left : left + 2] += np.outer((1 - dy, dy), (1 - dx, dx))
