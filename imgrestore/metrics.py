"""How near a picture is to the truth: PSNR, SSIM, and PSNR after the best change of exposure and colour; and a mask.

Pictures are NumPy arrays (H, W) or (H, W, C), the result and the truth of one shape and one range. Results are clipped
to the range before they are compared, as a display or a file would clip them. Masks are arrays of bool.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_DB", "balanced_error", "colour_fitted", "intersection_over_union", "psnr", "psnr_fitted", "ssim"]

MOST_DB = 120.0
"""The PSNR of pictures that are equal, or that differ by less than a millionth of the range."""

# The side of the window that scikit-image compares.
WINDOW = 7

Values = NDArray[np.float64]


def psnr(result: Any, truth: Any, *, data_range: float = 1.0, where: Any = None) -> float:
    """Peak signal-to-noise ratio.

    Parameters
    ----------
    result, truth : array_like, shape (H, W) or (H, W, C)
        Any real dtype, values from 0 to `data_range`; the result is clipped to that.
    data_range : float
        The largest value: 1, or 255 for uint8.
    where : array of bool, shape (H, W), optional
        True at the pixels that count; all by default.

    Returns
    -------
    float
        In dB, at most `MOST_DB`.

    Raises
    ------
    ValueError
        Where the shapes differ or are none of those above, a value is not finite, `data_range` is not positive, or no
        pixel counts.

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore.metrics import psnr
    >>> truth = np.full((8, 8), 0.5)
    >>> round(psnr(truth + 0.1, truth), 6)
    20.0
    """
    from skimage.metrics import mean_squared_error

    result, truth = _pair(result, truth, data_range)
    result = np.clip(result, 0, data_range)
    if where is not None:
        chosen = _chosen(where, truth.shape)
        result, truth = result[chosen], truth[chosen]
    error = mean_squared_error(truth, result) / data_range**2
    return float(-10 * np.log10(max(error, 10 ** (-MOST_DB / 10))))


def ssim(result: Any, truth: Any, *, data_range: float = 1.0) -> float:
    """Structural similarity, the mean over pixels and channels.

    Parameters
    ----------
    result, truth : array_like, shape (H, W) or (H, W, C)
        As in `psnr`; sides of at least 7 pixels.
    data_range : float
        The largest value.

    Returns
    -------
    float
        1 for equal pictures.

    Raises
    ------
    ValueError
        As in `psnr`, and where a side is too short.

    References
    ----------
    Wang, Bovik, Sheikh & Simoncelli, "Image quality assessment: from error visibility to structural similarity"
    (2004); with scikit-image's windows of 7 × 7 equal weights.

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore.metrics import ssim
    >>> truth = np.eye(16)
    >>> ssim(truth, truth)
    1.0
    """
    from skimage.metrics import structural_similarity

    result, truth = _pair(result, truth, data_range)
    if min(truth.shape[:2]) < WINDOW:
        raise ValueError(f"pictures have shape {truth.shape}; expected sides of at least {WINDOW} pixels for SSIM")
    axis = -1 if truth.ndim == 3 else None
    clipped = np.clip(result, 0, data_range)
    return float(structural_similarity(clipped, truth, data_range=data_range, channel_axis=axis))


def colour_fitted(result: Any, truth: Any) -> Values:
    """A result after the change of exposure and colour that brings it nearest to the truth.

    Each channel is multiplied by a factor and added to, by least squares over all pixels. What is left is what no
    global correction can help.

    Parameters
    ----------
    result, truth : array_like, shape (H, W) or (H, W, C)
        Of one range, whatever it is.

    Returns
    -------
    ndarray of float64, shape of `result`
        Not clipped.

    Raises
    ------
    ValueError
        Where the shapes differ or are none of those above, or a value is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore.metrics import colour_fitted
    >>> truth = np.eye(3)
    >>> bool(np.allclose(colour_fitted(0.5 * truth + 0.1, truth), truth))
    True
    """
    result, truth = _pair(result, truth)
    level, target = result.mean(axis=(0, 1)), truth.mean(axis=(0, 1))
    spread = ((result - level) ** 2).mean(axis=(0, 1))
    together = ((result - level) * (truth - target)).mean(axis=(0, 1))
    # An even channel has no factor: it becomes the mean of the truth.
    gain = np.where(spread > 0, together / np.where(spread > 0, spread, 1), 0)
    return np.asarray(gain * (result - level) + target, np.float64)


def psnr_fitted(result: Any, truth: Any, *, data_range: float = 1.0, where: Any = None) -> float:
    """PSNR after `colour_fitted`: exposure and colour cast are left out of the score.

    Parameters
    ----------
    result, truth : array_like, shape (H, W) or (H, W, C)
        As in `psnr`.
    data_range : float
        The largest value.
    where : array of bool, shape (H, W), optional
        True at the pixels that count; the fit is over all.

    Returns
    -------
    float
        In dB, at most `MOST_DB`.

    Raises
    ------
    ValueError
        As in `psnr`.

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore.metrics import psnr, psnr_fitted
    >>> truth = np.linspace(0, 1, 64).reshape(8, 8)
    >>> psnr(truth / 2, truth) < 12, psnr_fitted(truth / 2, truth) > 100
    (True, True)
    """
    return psnr(colour_fitted(result, truth), truth, data_range=data_range, where=where)


def intersection_over_union(found: Any, truth: Any) -> float:
    """What two masks share, over what either has (the Jaccard index).

    Parameters
    ----------
    found, truth : array of bool, any shape
        The same shape.

    Returns
    -------
    float
        From 0 to 1; 1 for two empty masks.

    Raises
    ------
    TypeError
        Where an array is not boolean.
    ValueError
        Where the shapes differ, or are empty.

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore.metrics import intersection_over_union
    >>> intersection_over_union(np.array([True, True, False]), np.array([False, True, True])) == 1 / 3
    True
    """
    found, truth = _masks(found, truth)
    either = int((found | truth).sum())
    return int((found & truth).sum()) / either if either else 1.0


def balanced_error(found: Any, truth: Any) -> float:
    """The balanced error rate of a mask: the mean of what it misses and of what it takes for too much.

    Parameters
    ----------
    found, truth : array of bool, any shape
        The same shape.

    Returns
    -------
    float
        From 0 to 1: the mean of the shares of `truth`, and of all else, on which `found` is wrong. A share of nothing
        is left out.

    Raises
    ------
    TypeError, ValueError
        As `intersection_over_union`.

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore.metrics import balanced_error
    >>> balanced_error(np.array([True, False, False, False]), np.array([True, True, False, False]))
    0.25
    """
    found, truth = _masks(found, truth)
    wrong = found != truth
    return float(np.mean([wrong[part].mean() for part in (truth, ~truth) if part.any()]))


def _masks(found: Any, truth: Any) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    masks = {name: np.asarray(mask) for name, mask in (("found", found), ("truth", truth))}
    for name, mask in masks.items():
        if mask.dtype != bool:
            raise TypeError(f"{name} has dtype {mask.dtype}; expected bool")
    found, truth = masks.values()
    if found.shape != truth.shape or not found.size:
        raise ValueError(f"found has shape {found.shape}, truth {truth.shape}; expected the same, and not empty")
    return found, truth


def _pair(result: Any, truth: Any, data_range: float = 1.0) -> tuple[Values, Values]:
    """Both pictures as float64, or an error that says what does not fit."""
    pair = np.asarray(result), np.asarray(truth)
    for name, values in zip(("result", "truth"), pair, strict=True):
        if values.ndim not in (2, 3) or values.size == 0:
            raise ValueError(f"{name} has shape {values.shape}; expected (H, W) or (H, W, C)")
        if values.dtype.kind not in "fiub":
            raise ValueError(f"{name} has dtype {values.dtype}; expected real numbers")
        if not np.isfinite(values).all():
            raise ValueError(f"{name} has NaN or infinite values; expected finite numbers")
    if pair[0].shape != pair[1].shape:
        raise ValueError(f"result has shape {pair[0].shape}, truth {pair[1].shape}; expected the same")
    if not (data_range > 0 and np.isfinite(data_range)):
        raise ValueError(f"data_range is {data_range}; expected a positive number")
    return pair[0].astype(np.float64), pair[1].astype(np.float64)


def _chosen(where: Any, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    chosen = np.asarray(where)
    if chosen.dtype != np.bool_ or chosen.shape != shape[:2]:
        raise ValueError(f"where has dtype {chosen.dtype}, shape {chosen.shape}; expected bool, shape {shape[:2]}")
    if not chosen.any():
        raise ValueError("where is False everywhere; expected at least one pixel that counts")
    return chosen
