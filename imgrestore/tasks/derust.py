"""Taking rust and stains off: y = x exp(-density), or hidden by a crust."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from imgrestore.classical.estimate import Estimate
from imgrestore.classical.rust import forward, separate_stains, untouched
from imgrestore.pixels import ChannelAxis
from imgrestore.tasks.device import chosen
from imgrestore.tasks.separation import classical_only, own_separator
from imgrestore.tasks.separation import refine as with_net
from imgrestore.tasks.task import Task, check_choice

__all__ = ["Method", "derust"]

Method = Literal["auto", "classical"]

TASK = Task("derust", untouched, forward, factors=frozenset({"density"}))


def derust(
    image: Any,
    *,
    method: Method = "auto",
    mask: Any = None,
    stain: str | Sequence[float] = "auto",
    details: bool = False,
    refine: bool = True,
    weights: str | os.PathLike[str] | None = None,
    channel_axis: ChannelAxis = "auto",
    device: str | torch.device | None = None,
) -> Any:
    """Take rust, foxing and stains of tea and coffee off a picture.

    Stains are looked for as brown patches on a surface of another colour which goes on around them and, where they are
    dyes, through them. All clues have to agree; a picture that is brown by itself (wood, skin, brick, a sunset) comes
    back as it was, and so does one that is rust all over. Dyes are divided out, crusts are filled from around them.

    Parameters
    ----------
    image : ndarray or torch.Tensor
        NumPy: (H, W), or (H, W, C) with C up to 4, where the 2nd of 2 and the 4th of 4 channels is alpha and is kept as
        it is. Torch: (H, W), (C, H, W), (N, C, H, W). uint8, uint16, or floating point in any range; display-coded
        values, as files hold them. Each picture of a batch is judged alone. Without colour, stains are found only with
        a mask.
    method : {"auto", "classical"}
        "classical" is what this page describes. "auto": in other pictures in colour than single surfaces a net is
        asked, below a mask or where it is very sure of stains, unless `stain` is given.
    mask : array of bool, shape (H, W) or that of `image`, optional
        True where stains are. Nothing is looked for elsewhere, the clues need not agree, and other scenes than a single
        surface can be helped.
    stain : "auto" or 3 numbers
        Optical density of the stain in red, green and blue, of which only the ratios count: (0.25, 0.55, 1) for rust.
        By default brown stains are looked for, and their density is measured.
    details : bool
        Return a `Restoration` instead of the picture.
    refine : bool
        False: "auto" is the classical estimate, too.
    weights : str or path-like, optional
        A file of weights that ``imgrestore train derust`` wrote, for the net to use; by default those that ship with
        this version.
    channel_axis : int, None or "auto"
        As in scikit-image: the axis of the channels, or None where there are none and leading axes are a batch.
    device : str or torch.device, optional
        Where the net computes: "cpu", "cuda", "cuda:1". By default where `image` is, for NumPy arrays the CPU. The
        classical estimate is made by the CPU. The result is where `image` is.

    Returns
    -------
    array or Restoration
        Type, shape, dtype and range of `image`. Its `Restoration` has the layers "scene", "density" (without unit) and
        "opaque", with ``scene * exp(-density) + opaque`` the input; `mask`, True where stains are;
        `confidence`, where the net took part a map in float32 of the shape of `image` without its channels; and in
        `notes` the area of the stains and their mean density, or the clue that spoke against stains.

    Raises
    ------
    TypeError
        Where `image` is no array, or has a dtype other than those above, or `weights` is no path.
    ValueError
        Where the picture is empty or has no finite pixel, its layout cannot be told, an option is none of those above,
        `weights` is no sound file of a net for stains, or is given where no net is asked for, or `device` is none that
        is there.

    References
    ----------
    Ruifrok & Johnston, "Quantification of histochemical staining by color deconvolution" (2001); Macenko et al., "A
    method for normalizing histology slides for quantitative analysis" (2009).

    Examples
    --------
    >>> import torch
    >>> from skimage import data
    >>> from imgrestore import derust
    >>> from imgrestore.degrade import rust
    >>> page = torch.from_numpy(data.page() / 255).float().expand(3, -1, -1)
    >>> tea = rust.Stain("ring", rust.DIRECTIONS["tea"], density=0.8, size=0.3)
    >>> stained = rust.apply(page, rust.RustParams((tea,)))
    >>> clean = derust(stained)
    >>> bool((clean - page).abs().mean() < 0.1 * (stained - page).abs().mean())
    True
    """
    check_choice(method, get_args(Method), "method")
    where = chosen(device, image)
    direction = _direction(stain)
    net = own_separator("derust", weights, method, refine)

    def estimator(picture: Tensor, area: Tensor | None, good: Tensor) -> Estimate:
        found = separate_stains(picture, area, good, stain=direction)
        if method == "classical" or not refine:
            return found
        if direction is not None:
            return classical_only(found, "the net does not know the colour of the stain")
        if area is not None and not found.strength:
            return classical_only(found, "they lie on a single surface")
        return with_net("derust", picture, area, found, net, where)

    return TASK.run(image, estimator, mask=mask, details=details, channel_axis=channel_axis)


def _direction(stain: str | Sequence[float]) -> tuple[float, ...] | None:
    if isinstance(stain, str):
        check_choice(stain, ("auto",), "stain")
        return None
    values = np.asarray(stain, np.float64)
    if values.shape != (3,) or not np.isfinite(values).all() or values.min() < 0 or values.max() <= 0:
        raise ValueError(f"stain is {stain!r}; expected 'auto' or three densities, none negative and one positive")
    return tuple(float(value) for value in values / values.max())
