"""Deblurring with a known PSF: Wiener, Richardson-Lucy, total variation and hyper-Laplacian."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from imgrestore import ops
from imgrestore.classical.admm import Prior, sparse_planes
from imgrestore.classical.case import prepare
from imgrestore.classical.noise import estimate_noise
from imgrestore.classical.quadratic import quadratic
from imgrestore.classical.spectrum import estimate_balance
from imgrestore.ops.blur_operator import Boundary
from imgrestore.pixels import ChannelAxis, not_negative

__all__ = ["estimate_noise", "hyper_laplacian", "richardson_lucy", "total_variation", "wiener"]


def wiener(
    image: Any,
    psf: Any,
    balance: float | None = None,
    *,
    boundary: Boundary = "unknown",
    noise: float | None = None,
    mask: Any = None,
    channel_axis: ChannelAxis = "auto",
) -> Any:
    """Deblur by Wiener's filter: least squares with a penalty on the squared gradient.

    Minimises ``||H x - y||^2 + balance * ||grad x||^2`` over the observed pixels. With a periodic boundary this is
    one filter; with the others a few steps make the same minimum free of wrap-around.

    Parameters
    ----------
    image : ndarray or torch.Tensor, shape (H, W), (H, W, C), (C, H, W), (N, C, H, W), or with a depth before H
        uint8, uint16 or floating point in any range.
    psf : Psf, array or str
        2-D, or 3-D for stacks. A torch tensor keeps its gradient.
    balance : float, optional
        0 or more. By default it is estimated: the value under which the picture's spectrum is most likely.
    boundary : {"unknown", "zero", "reflect", "periodic"}
        What the scene does beyond the frame.
    noise : float, optional
        Standard deviation of the noise in the picture's units, where `balance` is estimated; estimated too by default.
    mask : array of bool, optional
        True where a pixel counts; NaN pixels never do.
    channel_axis : int, None or "auto"
        As in scikit-image; see `imgrestore.deblur`.

    Returns
    -------
    array
        Type, shape, dtype and range of `image`.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as described; the message names it.

    References
    ----------
    Hunt, "The application of constrained least squares estimation to image restoration by digital computer" (1973);
    Orieux, Giovannelli & Rodet, "Bayesian estimation of regularization and point spread function parameters for
    Wiener-Hunt deconvolution" (2010).

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore.classical import wiener
    >>> wiener(np.eye(16), "gaussian:1", 0.01).shape
    (16, 16)
    """
    case = prepare(image, psf, boundary, mask, channel_axis)
    if balance is None:
        weight = estimate_balance(case.planes.data, case.blur, case.sigma(noise), case.valid)
    else:
        weight = torch.as_tensor(not_negative(balance, "balance"), dtype=case.planes.data.dtype)
    return case.back(quadratic(case.planes.data, case.blur, weight, valid=case.valid))


def richardson_lucy(
    image: Any,
    psf: Any,
    num_iter: int = 50,
    *,
    boundary: Boundary = "unknown",
    accelerate: bool = True,
    background: float = 0.0,
    tv_weight: float = 0.0,
    stop: float | str | None = None,
    mask: Any = None,
    channel_axis: ChannelAxis = "auto",
    progress: Callable[[float], None] | None = None,
) -> Any:
    """Deblur by Richardson and Lucy's iteration: positive, and keeping the light that was observed.

    Each step multiplies the scene by ``H^T(y / (H x + background)) / H^T(1)``. With ``boundary="zero",
    accelerate=False`` it gives what `skimage.restoration.richardson_lucy` gives without its clipping: what lies
    outside is known to be dark there, so that the divisor is 1.

    Parameters
    ----------
    image : ndarray or torch.Tensor
        As in `wiener`. Values below 0 are taken for 0.
    psf : Psf, array or str
        2-D, or 3-D for stacks. A torch tensor keeps its gradient.
    num_iter : int
        Number of steps, or the most where `stop` is given.
    boundary : {"unknown", "zero", "reflect", "periodic"}
        What the scene does beyond the frame.
    accelerate : bool
        Extrapolate from step to step (Biggs & Andrews 1997): as far in 20 steps as else in 100.
    background : float
        Even light in the picture's units that was added after the blur; it is taken off the result.
    tv_weight : float
        Weight of total variation (Dey 2006), from 0 to about 0.05; 0.001 to 0.02 is usual.
    stop : float or "discrepancy", optional
        Stop where the residual's standard deviation, under a Hann window over the frame, has come down to this noise
        level in the picture's units, or to the estimated one.
    mask : array of bool, optional
        True where a pixel counts; NaN pixels never do.
    channel_axis : int, None or "auto"
        As in scikit-image; see `imgrestore.deblur`.
    progress : callable, optional
        Called now and then with the part of the steps that is done, from 0 to 1. What it raises ends the call.

    Returns
    -------
    array
        Type, shape, dtype and range of `image`.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as described; the message names it.

    References
    ----------
    Richardson, "Bayesian-based iterative method of image restoration" (1972). Lucy, "An iterative technique for the
    rectification of observed distributions" (1974). Bertero & Boccacci, "A simple method for the reduction of boundary
    effects in the Richardson-Lucy approach to image deconvolution" (2005). Biggs & Andrews, "Acceleration of iterative
    image restoration algorithms" (1997). Dey et al., "Richardson-Lucy algorithm with total variation regularization
    for 3D confocal microscope deconvolution" (2006).

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore.classical import richardson_lucy
    >>> richardson_lucy(np.full((16, 16), 300.0), "gaussian:1", 5).round().max()
    np.float64(300.0)
    """
    if not isinstance(num_iter, (int, np.integer)) or num_iter < 0:
        raise ValueError(f"num_iter is {num_iter!r}; expected a whole number that is 0 or more")
    not_negative(tv_weight, "tv_weight", below=1)
    not_negative(background, "background")
    if isinstance(stop, str) and stop != "discrepancy":
        raise ValueError(f"stop is {stop!r}; expected 'discrepancy', a noise level or None")
    case = prepare(image, psf, boundary, mask, channel_axis)
    sigma = None if stop is None else case.sigma(None if isinstance(stop, str) else stop, "stop")
    scene, _ = ops.richardson_lucy(
        case.planes.data,
        case.blur,
        int(num_iter),
        accelerate=accelerate,
        background=background / case.planes.peak,
        tv_weight=tv_weight,
        sigma=sigma,
        valid=case.valid,
        progress=progress,
    )
    return case.back(scene)


def total_variation(
    image: Any,
    psf: Any,
    weight: float | None = None,
    *,
    boundary: Boundary = "unknown",
    noise: float | None = None,
    num_iter: int = 30,
    mask: Any = None,
    channel_axis: ChannelAxis = "auto",
    progress: Callable[[float], None] | None = None,
) -> Any:
    """Deblur with the smallest total variation: sharp edges, even surfaces.

    Parameters
    ----------
    image : ndarray or torch.Tensor
        As in `wiener`. Three channels are taken for RGB, and their edges for edges of one scene.
    psf : Psf, array or str
        2-D, or 3-D for stacks. A torch tensor keeps its gradient.
    weight : float, optional
        Of total variation against half the squared residual, in the picture's units; by default from the noise.
    boundary : {"unknown", "zero", "reflect", "periodic"}
        What the scene does beyond the frame.
    noise : float, optional
        Standard deviation of the noise in the picture's units; estimated by default.
    num_iter : int
        Steps of the alternating direction method.
    mask : array of bool, optional
        True where a pixel counts; NaN pixels never do.
    channel_axis : int, None or "auto"
        As in scikit-image; see `imgrestore.deblur`.
    progress : callable, optional
        Called now and then with the part of the steps that is done, up to 1.

    Returns
    -------
    array
        Type, shape, dtype and range of `image`.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as described; the message names it.

    References
    ----------
    Almeida & Figueiredo, "Deconvolving images with unknown boundaries using the alternating direction method of
    multipliers" (2013); Blomgren & Chan, "Color TV" (1998).

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore.classical import total_variation
    >>> total_variation(np.eye(16, dtype=np.float32), "gaussian:1").dtype
    dtype('float32')
    """
    return _sparse(image, psf, weight, boundary, noise, num_iter, mask, channel_axis, "tv", progress)


def hyper_laplacian(
    image: Any,
    psf: Any,
    weight: float | None = None,
    *,
    boundary: Boundary = "unknown",
    noise: float | None = None,
    num_iter: int = 40,
    mask: Any = None,
    channel_axis: ChannelAxis = "auto",
    progress: Callable[[float], None] | None = None,
) -> Any:
    """Deblur with gradients as sparse as those of photographs: their lengths to the power of 2/3.

    Parameters
    ----------
    image, psf, weight, boundary, noise, num_iter, mask, channel_axis, progress
        As in `total_variation`; `weight` is that of the sum of powers for a picture whose range is 1.

    Returns
    -------
    array
        Type, shape, dtype and range of `image`.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as described; the message names it.

    References
    ----------
    Krishnan & Fergus, "Fast image deconvolution using hyper-Laplacian priors" (2009), here with the mask form of the
    unknown boundary (Almeida & Figueiredo 2013).

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore.classical import hyper_laplacian
    >>> hyper_laplacian(np.eye(16), "gaussian:1").shape
    (16, 16)
    """
    return _sparse(image, psf, weight, boundary, noise, num_iter, mask, channel_axis, "hyper_laplacian", progress)


def _sparse(
    image: Any,
    psf: Any,
    weight: float | None,
    boundary: Boundary,
    noise: float | None,
    num_iter: int,
    mask: Any,
    channel_axis: ChannelAxis,
    prior: Prior,
    progress: Callable[[float], None] | None,
) -> Any:
    if weight is not None:
        not_negative(weight, "weight")
    if not isinstance(num_iter, (int, np.integer)) or num_iter < 1:
        raise ValueError(f"num_iter is {num_iter!r}; expected a whole number above 0")
    case = prepare(image, psf, boundary, mask, channel_axis)
    return case.back(
        sparse_planes(
            case.planes.data,
            case.blur,
            case.sigma(noise),
            prior=prior,
            weight=weight / case.planes.peak if weight is not None and prior == "tv" else weight,
            num_iter=num_iter,
            valid=case.valid,
            progress=progress,
        ).scene
    )
