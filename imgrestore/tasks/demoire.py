"""Demoiré: y = tone(x + patterns that repeat)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from imgrestore.classical.estimate import Estimate, layers_without
from imgrestore.classical.moire import estimate, untouched
from imgrestore.pixels import ChannelAxis
from imgrestore.tasks.demoire_net import LAYER, own_refiner
from imgrestore.tasks.demoire_net import refine as with_net
from imgrestore.tasks.device import chosen
from imgrestore.tasks.task import Task, check_choice

__all__ = ["Method", "demoire"]

Method = Literal["auto", "classical"]

CLASSICAL = Task("demoire", untouched)


def _added(image: Any, layers: Mapping[str, Any]) -> Any:
    """The input again: what the net changed is a part of the scene already."""
    return layers["scene"] + layers["moire"] + layers["tone"]


REFINED = Task("demoire", layers_without("scene", zeros=("moire", "tone", LAYER)), forward=_added)


def demoire(
    image: Any,
    *,
    method: Method = "auto",
    mask: Any = None,
    details: bool = False,
    refine: bool = True,
    weights: str | os.PathLike[str] | None = None,
    channel_axis: ChannelAxis = "auto",
    device: str | torch.device | None = None,
) -> Any:
    """Take moiré, scan lines and half-tone screens off a picture.

    Waves that repeat over the whole frame are taken out of its spectrum, patterns that bend, and
    bands and rings of colour, window by window. A net judges whether a picture is the photograph of a screen; one
    that is is freed of the grid, and its tones and colours are brought nearer to those of the screen; the net then
    corrects tones, colours and what is left of the pattern, and is held back where it changes more than moiré could
    have. Where nothing of all that is found, the picture comes back as it was.

    Parameters
    ----------
    image : ndarray or torch.Tensor
        NumPy: (H, W); (H, W, C) with C up to 4, where the 2nd of 2 and the 4th of 4 channels is alpha and is kept as
        it is. Torch: (H, W), (C, H, W), (N, C, H, W). uint8, uint16, or floating point in any range.
    method : {"auto", "classical"}
        "auto" lets the net tell photographs of screens, and refine their classical estimate; "classical" tells them by
        their statistics.
    mask : array of bool, shape (H, W) or that of `image`, optional
        True where the moiré is. Only there, and a few pixels around it, the picture is changed, and its tones are kept.
        By default the pattern is looked for.
    details : bool
        Return a `Restoration` instead of the picture.
    refine : bool
        False: "auto" is the classical estimate, too.
    weights : str or path-like, optional
        A file of weights that ``imgrestore train demoire`` wrote, for the net to use; by default those that ship with
        this version.
    channel_axis : int, None or "auto"
        As in `imgrestore.deblur`.
    device : str or torch.device, optional
        Where the net computes: "cpu", "cuda", "cuda:1". By default where `image` is, for NumPy arrays the CPU. The
        classical estimate is made by the CPU. The result is where `image` is.

    Returns
    -------
    array or Restoration
        Type, shape, dtype and range of `image`. Its `Restoration` has the layers "scene" (the result), "moire" (what
        was taken off) and "tone" (the change of tones that was undone), whose sum is the input, and "refinement" (what
        of the scene the net added, where it was asked); `mask`, True where the pattern can be seen; and `confidence`,
        where the net took part a map in float32 of the shape of `image` without its channels.

    Raises
    ------
    TypeError
        Where `image` is no array, or has a dtype other than those above, or `weights` is no path.
    ValueError
        Where it is empty, has no finite pixel or a layout that cannot be told, an option is none of those above,
        `weights` is no sound file of a net for demoiré, or is given where no net is asked for, or `device` is none that
        is there.

    See Also
    --------
    imgrestore.classical.find_peaks, imgrestore.classical.notch_filter : the same by hand.

    References
    ----------
    Moisan, "Periodic plus smooth image decomposition" (2011). Sidorov & Kokaram, "Suppression of moire patterns via
    spectral analysis" (2002). Sur & Grédiac, "Automated removal of quasiperiodic noise using frequency domain
    statistics" (2015). Chen et al., "Simple baselines for image restoration" (2022).

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore import demoire
    >>> rng = np.random.default_rng(0)
    >>> scene = 0.5 + 0.02 * rng.standard_normal((128, 128))
    >>> striped = scene + 0.1 * np.sin(2 * np.pi * 0.25 * np.arange(128))
    >>> bool(np.std(demoire(striped) - scene) < 0.01)
    True
    """
    check_choice(method, get_args(Method), "method")
    where = chosen(device, image)
    net = own_refiner(weights, method, refine)
    if method == "classical" or not refine:
        return CLASSICAL.run(image, estimate, mask=mask, details=details, channel_axis=channel_axis)

    def refined(picture: Tensor, area: Tensor | None, good: Tensor) -> Estimate:
        return with_net(picture, area, good, net, where)

    return REFINED.run(image, refined, mask=mask, details=details, channel_axis=channel_axis)
