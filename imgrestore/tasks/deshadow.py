"""Shadow removal: y = g x with 0 < g <= 1."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch

from imgrestore.classical.estimate import Estimate
from imgrestore.classical.shadow import Kind, estimate_shadow, untouched
from imgrestore.pixels import ChannelAxis
from imgrestore.tasks.device import chosen
from imgrestore.tasks.separation import classical_only, own_separator
from imgrestore.tasks.separation import refine as with_net
from imgrestore.tasks.task import Task, check_choice

__all__ = ["Method", "deshadow"]

Method = Literal["auto", "classical"]


def deshadow(
    image: Any,
    *,
    method: Method = "auto",
    mask: Any = None,
    kind: Kind = "auto",
    details: bool = False,
    refine: bool = True,
    weights: str | os.PathLike[str] | None = None,
    channel_axis: ChannelAxis = "auto",
    device: str | torch.device | None = None,
) -> Any:
    """Give back the light that a shadow took from a picture.

    Nothing needs to be set: whether there is a shadow, of which kind, where, and how deep is found from the picture. A
    net finds shadows that have an edge and corrects what the classical method says of their light. Only shadows beyond
    doubt are lifted; a picture that shows none comes back as it was, with the reason in the notes.

    Parameters
    ----------
    image : ndarray or torch.Tensor
        NumPy: (H, W), or (H, W, C) with C up to 4, where the 2nd of 2 and the 4th of 4 channels is alpha and is kept as
        it is. Torch: (H, W), (C, H, W) or (N, C, H, W). uint8, uint16, or floating point; display-coded, as photographs
        are. Values outside 0 to 1 are kept. Each picture of a batch is judged alone.
    method : {"auto", "classical"}
        "classical": regions judged in Lab and log-chromaticity, light measured across the shadow's edge. "auto": a net
        refines that in pictures in colour, but for documents, soft shadows, and where light was measured along a mask.
    mask : array of bool, shape (H, W) or that of `image`, optional
        True where the shadow is, its outline half way through the penumbra. Then none is looked for elsewhere, and
        nothing is changed there but for a penumbra.
    kind : {"auto", "cast", "soft", "document"}
        "cast": a shadow with an edge. "document": a page, whose paper tells the light. "soft": light that changes
        slowly over a photograph; never chosen by itself, since shading looks the same.
    details : bool
        Return a `Restoration` instead of the picture.
    refine : bool
        False: "auto" is the classical estimate, too.
    weights : str or path-like, optional
        A file of weights that ``imgrestore train deshadow`` wrote, for the net to use; by default those that ship with
        this version.
    channel_axis : int, None or "auto"
        As in scikit-image: the axis of the channels, or None where there are none. Set it for pictures of more than 4
        channels, and for 4 channels none of which is alpha.
    device : str or torch.device, optional
        Where the net computes: "cpu", "cuda", "cuda:1". By default where `image` is, for NumPy arrays the CPU. The
        classical estimate is made by the CPU. The result is where `image` is.

    Returns
    -------
    array or Restoration
        Type, shape, dtype and range of `image`. Its `Restoration` has the layers "scene" (the result in floating point)
        and "gain" (0 to 1, the factor of the display-coded values), whose product is the input; `mask` (True where the
        picture is shaded); `confidence`, where the net took part a map in float32 of the shape of `image` without its
        channels; and `notes`, which say the kind and the light that is left in the shadow.

    Raises
    ------
    TypeError
        Where `image` is no array, or has a dtype other than those above, `mask` is not boolean, or
        `weights` is no path.
    ValueError
        Where the picture is empty or has no finite pixel, its layout cannot be told, an option is none of those above,
        `weights` is no sound file of a net for shadows, or is given where no net is asked for, or `device` is none that
        is there.

    See Also
    --------
    imgrestore.classical.shadow_mask : only where the shadows are.
    imgrestore.classical.shadow_matte : how much of a shadow lies on each pixel.

    References
    ----------
    Finlayson, Drew & Lu, "Entropy minimization for shadow removal" (2009): the invariant direction. Guo, Dai & Hoiem,
    "Single-image shadow detection and removal using paired regions" (2011).

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore import deshadow
    >>> wall = np.random.default_rng(0).uniform(0.6, 0.7, (64, 64, 3))
    >>> shade = np.zeros((64, 64), bool)
    >>> shade[16:48, 16:48] = True
    >>> shaded = np.where(shade[..., None], 0.5 * wall, wall)
    >>> result = deshadow(shaded, mask=shade, details=True)
    >>> bool(abs(result.image[20:44, 20:44] - wall[20:44, 20:44]).mean() < 0.03)
    True
    >>> bool(np.allclose(result.layers["gain"] * result.layers["scene"], shaded))
    True
    """
    check_choice(method, get_args(Method), "method")
    where = chosen(device, image)
    check_choice(kind, get_args(Kind), "kind")

    net = own_separator("deshadow", weights, method, refine)

    def estimator(picture: torch.Tensor, area: torch.Tensor | None, good: torch.Tensor) -> Estimate:
        found = estimate_shadow(picture, area, good, kind=kind)
        if method == "classical" or not refine:
            return found
        if not found.strength:
            return classical_only(found, "the net knows shadows that have an edge")
        return with_net("deshadow", picture, area, found, net, where)

    return TASK.run(image, estimator, mask=mask, details=details, channel_axis=channel_axis)


def _shaded_again(image: Any, layers: Mapping[str, Any]) -> Any:
    return layers["gain"] * layers["scene"]


TASK = Task("deshadow", untouched, _shaded_again, factors=frozenset({"gain"}))
