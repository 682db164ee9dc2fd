"""Highlights off glossy bodies: y = diffuse + m * light colour."""

from __future__ import annotations

import os
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from imgrestore.classical.estimate import Estimate
from imgrestore.classical.specular import Transfer, estimate_highlights, lamp_colour, untouched
from imgrestore.pixels import ChannelAxis
from imgrestore.tasks.device import chosen
from imgrestore.tasks.separation import classical_only, own_separator
from imgrestore.tasks.separation import refine as with_net
from imgrestore.tasks.task import Task, check_choice

__all__ = ["Method", "despecular"]

Method = Literal["auto", "classical"]

TASK = Task("despecular", untouched)


def despecular(
    image: Any,
    *,
    method: Method = "auto",
    mask: Any = None,
    illuminant: Any = "auto",
    transfer: Transfer = "auto",
    details: bool = False,
    refine: bool = True,
    weights: str | os.PathLike[str] | None = None,
    channel_axis: ChannelAxis = "auto",
    device: str | torch.device | None = None,
) -> Any:
    """Take specular highlights off glossy, coloured bodies.

    A highlight adds the colour of the lamp to that of the body below it. Where a bright spot agrees with that, the
    added light is taken off, and clipped cores are filled from the body around them. In linear values, faint light
    beside strong highlights goes with them. White, gray and neutral things are left alone, and so is a picture in
    which nothing is surely a highlight.

    Parameters
    ----------
    image : ndarray or torch.Tensor
        NumPy: (H, W), or (H, W, C) with C up to 4, where the 2nd of 2 and the 4th of 4 channels is alpha and is kept
        as it is. Torch: (H, W), (C, H, W), (N, C, H, W). uint8, uint16, or floating point in any range. Only RGB
        pictures show highlights by their colour; others are left as they are, unless there is a mask.
    method : {"auto", "classical"}
        "classical": the dichromatic model as above. "auto": in pictures in colour a net corrects the light that was
        taken off. Where none was, it is heard only if it is very sure, and where the lamp's colour is given, never.
    mask : array of bool, shape (H, W) or that of `image`, optional
        True where the highlights are: all of it is taken off, and nothing else is looked at.
    illuminant : "auto" or (r, g, b)
        Colour of the lamp in linear values, of which only the ratios count; white by default.
    transfer : {"auto", "srgb", "linear"}
        How values are coded: as of a photograph, or linear in light. By default whichever the highlights agree with,
        linear only for dark pictures.
    details : bool
        Return a `Restoration` instead of the picture.
    refine : bool
        False: "auto" is the classical estimate, too.
    weights : str or path-like, optional
        A file of weights that ``imgrestore train despecular`` wrote, for the net to use; by default those that ship
        with this version.
    channel_axis : int, None or "auto"
        As in scikit-image: the axis of the channels, or None where there are none.
    device : str or torch.device, optional
        Where the net computes: "cpu", "cuda", "cuda:1". By default where `image` is, for NumPy arrays the CPU. The
        classical estimate is made by the CPU. The result is where `image` is.

    Returns
    -------
    array or Restoration
        Type, shape, dtype and range of `image`. Its `Restoration` has the layers "diffuse" and "specular", whose sum
        is the input, `mask` (True where a highlight was taken off), and `confidence`, where the net took part a map in
        float32 of the shape of `image` without its channels.

    Raises
    ------
    TypeError
        Where `image` is no array, or has a dtype other than those above, or `weights` is no path.
    ValueError
        Where the picture is empty or has no finite pixel, its layout cannot be told, an option is none of those above,
        `weights` is no sound file of a net for highlights, or is given where no net is asked for, or `device` is none
        that is there.

    See Also
    --------
    imgrestore.classical.separate_highlights : the two layers, without the task around it.

    References
    ----------
    Shafer, "Using color to separate reflection components" (1985): the dichromatic model. Shen & Zheng, "Real-time
    highlight removal using intensity ratio" (2013), and Yang, Wang & Ahuja, "Real-time specular highlight removal
    using bilateral filtering" (2010): the body's colour from the differences of the channels and from what is around.

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore import despecular
    >>> y, x = np.mgrid[:96, :96]
    >>> body = np.full((96, 96, 3), (0.55, 0.2, 0.1), np.float32)
    >>> shine = 0.3 * np.exp(-((y - 48) ** 2 + (x - 48) ** 2) / 60)[..., None].astype(np.float32)
    >>> result = despecular(body + shine, transfer="linear")
    >>> bool(abs(result - body).max() < 0.05)
    True
    """
    check_choice(method, get_args(Method), "method")
    where = chosen(device, image)
    check_choice(transfer, get_args(Transfer), "transfer")
    lamp_colour(illuminant)
    net = own_separator("despecular", weights, method, refine)

    def estimator(picture: Tensor, area: Tensor | None, good: Tensor) -> Estimate:
        found = estimate_highlights(picture, area, good, illuminant=illuminant, transfer=transfer)
        if method == "classical" or not refine:
            return found
        if not isinstance(illuminant, str):
            return classical_only(found, "the net does not know the colour of the lamp")
        return with_net("despecular", picture, area, found, net, where)

    return TASK.run(image, estimator, mask=mask, details=details, channel_axis=channel_axis)
