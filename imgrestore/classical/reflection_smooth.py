"""Relative smoothness: of two layers that add up, one has few strong edges and the other one changes gently."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import dctn, idctn

from imgrestore.pixels import ChannelAxis, not_negative, to_planes

__all__ = ["separate_smooth", "smooth_light"]

Floats = NDArray[Any]

SMOOTHNESS = 200.0
# The weight of the tie between the scene's gradients and the kept ones rises by a factor from the first to the last.
FIRST_TIE, LAST_TIE, FACTOR = 20.0, 2000.0, 4.0
# The quantile of the smooth layer that is taken for black.
BLACK = 0.01
THREADS = 2


def separate_smooth(
    image: Any, smoothness: float = SMOOTHNESS, *, channel_axis: ChannelAxis = "auto"
) -> tuple[Any, Any]:
    """Take a picture apart into a layer of few edges and one that is smooth.

    Minimises ``#(grad T != 0) + smoothness * |lap (y - T)|^2``, where gradients of all channels count as one, by
    half-quadratic splitting: weak gradients are set to 0, and T follows by one cosine transform each way. Each layer's
    mean is free in this; the darkest parts of the smooth one are taken for black, and then both are held between 0 and
    the picture.

    Every picture has a smooth layer, with or without a pane of glass: shading, sky and soft shadows are part of it. It
    is meant for pictures that are known to have a reflection out of focus.

    Parameters
    ----------
    image : ndarray or torch.Tensor
        As `imgrestore.dereflect` takes it.
    smoothness : float
        Above 0. The more, the smoother is the second layer, and the less of the picture it holds.
    channel_axis : int, None or "auto"
        As in scikit-image.

    Returns
    -------
    tuple of two arrays
        The sparse layer and the smooth one, in the layout of `image` without alpha, in its range; floating point, as
        the layers' sum would be spoilt by rounding. Where the picture is not negative both are between 0 and it; where
        it is, the smooth layer is 0.

    Raises
    ------
    ValueError
        Where `smoothness` is not above 0.

    References
    ----------
    Li & Brown, "Single image layer separation using relative smoothness" (2014).

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore.classical import separate_smooth
    >>> scene = np.zeros((64, 64))
    >>> scene[20:40, 20:40] = 0.5
    >>> light = 0.1 + 0.1 * np.cos(np.arange(64) / 10)
    >>> sparse, smooth = separate_smooth(scene + light)
    >>> bool(np.abs(sparse - scene).max() < 0.02), bool(np.allclose(sparse + smooth, scene + light))
    (True, True)
    """
    if not_negative(smoothness, "smoothness") == 0:
        raise ValueError("smoothness is 0; expected a number above 0")
    planes = to_planes(image, channel_axis=channel_axis)
    data = planes.data.detach().cpu()
    pictures = (np.ascontiguousarray(one.numpy()) for one in data)
    smooth = torch.stack([torch.from_numpy(smooth_light(picture, smoothness)) for picture in pictures])
    sparse, smooth = (planes.back(layer.to(planes.data), as_float=True) for layer in (data - smooth, smooth))
    return sparse, smooth


def smooth_light(picture: Floats, smoothness: float = SMOOTHNESS) -> Floats:
    """The smooth one of a picture's two layers.

    Parameters
    ----------
    picture : ndarray of floating point, shape (C, H, W)
    smoothness : float
        Above 0.

    Returns
    -------
    ndarray, shape and dtype of `picture`
    """
    # Of minus the Laplacian with a mirrored rim.
    rows, columns = (2 - 2 * np.cos(np.pi * np.arange(n) / n) for n in picture.shape[1:])
    laplacian = (rows[:, None] + columns).astype(picture.dtype)
    held = smoothness * laplacian**2
    observed = held * _cosines(picture)
    sparse = picture
    tie = FIRST_TIE
    while tie <= LAST_TIE:
        down, right = (np.diff(sparse, axis=axis, append=sparse.take([-1], axis=axis)) for axis in (1, 2))
        kept = np.einsum("cij,cij->ij", down, down) + np.einsum("cij,cij->ij", right, right) >= 1 / tie
        down *= kept
        right *= kept
        # Minus the divergence, with nothing flowing in over the rim.
        none = down.dtype.type(0)
        source = -np.diff(down, axis=1, prepend=none) - np.diff(right, axis=2, prepend=none)
        below = held + tie * laplacian
        # At the mean both sides are 0.
        below[0, 0] = 1
        spectrum = (observed + tie * _cosines(source)) / below
        sparse = idctn(spectrum, axes=(1, 2), workers=THREADS, overwrite_x=True)
        tie *= FACTOR
    smooth = picture - sparse
    smooth -= np.quantile(smooth[:, ::2, ::2], BLACK, axis=(1, 2), keepdims=True).astype(picture.dtype)
    return np.asarray(np.clip(smooth, 0, np.maximum(picture, 0)))


def _cosines(planes: Floats) -> Floats:
    return np.asarray(dctn(planes, axes=(1, 2), workers=THREADS))
