"""Taking reflections off: y = T + R, a scene behind glass and the light that the glass throws back."""

from __future__ import annotations

import os
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from imgrestore.classical.estimate import Estimate
from imgrestore.classical.reflection import estimate_reflection, flash_estimate, polarized_estimate, untouched
from imgrestore.pixels import ChannelAxis, to_planes
from imgrestore.tasks.device import chosen
from imgrestore.tasks.separation import own_separator
from imgrestore.tasks.separation import refine as with_net
from imgrestore.tasks.task import Estimator, Task, check_choice

__all__ = ["TASK", "Method", "dereflect"]

Method = Literal["auto", "classical"]

TASK = Task("dereflect", untouched)


def dereflect(
    image: Any,
    *,
    method: Method = "auto",
    mask: Any = None,
    flash: Any = None,
    polarized: Any = None,
    details: bool = False,
    refine: bool = True,
    weights: str | os.PathLike[str] | None = None,
    channel_axis: ChannelAxis = "auto",
    device: str | torch.device | None = None,
) -> Any:
    """Take the reflection in a pane of glass off a photograph.

    From one picture, a reflection is told from the scene where it is doubled by the two faces of the pane, where it
    lies over the picture as a bright veil, and where a net sees two scenes in one; a picture in which nothing of this
    is found comes back as it was. A second picture, with a flash or at another angle of a polariser, tells much more,
    and no net is asked then.

    Parameters
    ----------
    image : ndarray or torch.Tensor
        NumPy: (H, W), or (H, W, C) with C up to 4, where the 2nd of 2 and the 4th of 4 channels is alpha and is kept as
        it is. Torch: (H, W), (C, H, W) or (N, C, H, W). uint8, uint16, or floating point in any range. Each picture of
        a batch is judged alone.
    method : {"auto", "classical"}
        "classical": the doubled reflection, or the veil. "auto": a net refines that in pictures in colour.
    mask : array of bool, shape (H, W) or that of `image`, optional
        True where there is a reflection, everywhere if need be: it need not be found then. Nothing else is changed, but
        for a narrow soft rim.
    flash : array, shape and dtype of `image`, optional
        The same view in the same exposure with a flash behind which the scene lights up, and the reflection does not.
        For one picture at a time.
    polarized : array, shape and dtype of `image`, optional
        The same view through a polariser at another angle. For one picture at a time.
    details : bool
        Return a `Restoration` instead of the picture.
    refine : bool
        False: "auto" is the classical estimate, too.
    weights : str or path-like, optional
        A file of weights that ``imgrestore train dereflect`` wrote, for the net to use; by default those that ship with
        this version.
    channel_axis : int, None or "auto"
        As in scikit-image: the axis of the channels, or None where there are none and leading axes are a batch.
    device : str or torch.device, optional
        Where the net computes: "cpu", "cuda", "cuda:1". By default where `image` is, for NumPy arrays the CPU. The
        classical estimate is made by the CPU. The result is where `image` is.

    Returns
    -------
    array or Restoration
        Type, shape, dtype and range of `image`. Its `Restoration` has the layers "transmission" and "reflection", whose
        sum is the input; `mask` (True where a reflection was found), `notes`, and `confidence`, where the net took part
        a map in float32 of the shape of `image` without its channels.

    Raises
    ------
    TypeError
        Where `image`, `flash` or `polarized` is no array, or has a dtype other than those above, or `weights` is no
        path.
    ValueError
        Where the picture is empty or has no finite pixel, its layout cannot be told, a second picture is of another
        shape or dtype or both are given, an option is none of those above, `weights` is no sound file of a net for
        reflections, or is given where no net is asked for, or `device` is none that is there.

    See Also
    --------
    imgrestore.classical.suppress_reflection : gradient-domain suppression, which takes fine texture off as well.
    imgrestore.classical.separate_smooth : a smooth layer of any picture, whether it is a reflection or not.

    References
    ----------
    The methods' papers stand with the functions that they are in; see also the guide on reflections.

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore import dereflect
    >>> picture = np.zeros((64, 64, 3), np.uint8)
    >>> picture[20:40, 10:50] = 180
    >>> found = dereflect(picture, details=True)
    >>> bool((found.image == picture).all()), sorted(found.layers)
    (True, ['reflection', 'transmission'])
    """
    check_choice(method, get_args(Method), "method")
    where = chosen(device, image)
    if flash is not None and polarized is not None:
        raise ValueError("flash and polarized are both given; expected one second picture")
    net = own_separator("dereflect", weights, method, refine)
    if net is not None and (flash is not None or polarized is not None):
        raise ValueError("weights and a second picture are both given; expected one of them, as no net takes part then")
    estimator: Estimator = estimate_reflection
    if flash is not None:
        estimator = _with_second(image, flash, "flash", flash_estimate, channel_axis)
    elif polarized is not None:
        estimator = _with_second(image, polarized, "polarized", polarized_estimate, channel_axis)
    elif method == "auto" and refine:

        def estimator(picture: Tensor, area: Tensor | None, good: Tensor) -> Estimate:
            return with_net("dereflect", picture, area, estimate_reflection(picture, area, good), net, where)

    return TASK.run(image, estimator, mask=mask, details=details, channel_axis=channel_axis)


def _with_second(image: Any, second: Any, name: str, estimate: Any, channel_axis: ChannelAxis) -> Estimator:
    """An estimator that is handed the second picture's planes beside the first one's."""
    planes = to_planes(image, channel_axis=channel_axis)
    others = to_planes(second, channel_axis=channel_axis, name=name)
    if tuple(second.shape) != tuple(image.shape):
        raise ValueError(f"{name} has shape {tuple(second.shape)}; expected that of image, {tuple(image.shape)}")
    if str(second.dtype) != str(image.dtype):
        raise ValueError(f"{name} has dtype {second.dtype}; expected that of image, {image.dtype}")
    if len(planes.data) != 1:
        raise ValueError(f"{name} goes with one picture; image is a batch of {len(planes.data)}")
    first, other = planes.data[0].detach().cpu(), others.data[0].detach().cpu() * (others.peak / planes.peak)
    both = (planes.good & others.good)[0].all(dim=0, keepdim=True).cpu()
    # Channels that are not colours come one by one, in their order.
    turns = iter(zip(first.split(1), other.split(1), strict=True))

    def estimator(picture: Tensor, mask: Tensor | None, good: Tensor) -> Estimate:
        own, seen = (first, other) if len(picture) == len(first) else next(turns)
        # The frame may have scaled the picture: the second one goes with it.
        largest = own[:, both[0]].abs().max() if bool(both.any()) else own.new_zeros(())
        scale = picture[:, both[0]].abs().max() / largest if float(largest) else torch.ones(())
        seen = torch.where(both, (seen * scale).float(), picture)
        return estimate(picture, seen, mask, good & both)

    return estimator
