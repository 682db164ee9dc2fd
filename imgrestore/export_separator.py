"""How a net that takes pictures apart becomes one that any runtime can take: its inputs, outputs and an example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from imgrestore.nets.refiner import view_of
from imgrestore.nets.separator import LAYERS, Separator

__all__ = ["SeparatorTuple", "axes_of", "example_of", "inputs_of", "outputs_of", "presence_of"]

MEANINGS = {
    "factor": "the logarithm of the factor that light or values are multiplied by, 0 or less",
    "added": "the light that was added, 0 or more",
    "covered": "the optical density of red, green and blue, 0 or more, and how far the scene is hidden, 0 to 1",
}


class SeparatorTuple(nn.Module):
    """A `Separator` whose result is a plain tuple, with what its judge says, if it has one.

    Parameters
    ----------
    net : Separator
    """

    def __init__(self, net: Separator) -> None:
        super().__init__()
        self.net = net

    def forward(
        self, picture: Tensor, estimate: Tensor, layer: Tensor, found: Tensor, given: Tensor, view: Tensor
    ) -> tuple[Tensor, ...]:
        """Scene, layer, the odds that a pixel is damaged, and those that there is damage at all."""
        net = self.net
        seen, skips = net.unet.encoded(net.stacked(picture, estimate, layer, found, given, view))
        planes, _ = net.unet.decoded(seen, skips)
        parts = net.separated(planes, picture, estimate, layer, given)
        told = (parts.scene, parts.layer, parts.odds)
        return told if net.judge is None else (*told, net.judged(seen))


def example_of(net: Separator, batch: int, height: int, width: int, seed: int) -> tuple[Tensor, ...]:
    """Random inputs.

    Parameters
    ----------
    net : Separator
    batch, height, width, seed : int

    Returns
    -------
    tuple of Tensor
    """
    generator = torch.Generator().manual_seed(seed)

    def planes(count: int) -> Tensor:
        return torch.rand(batch, count, height, width, generator=generator)

    picture, estimate = planes(3), planes(3)
    layer = 0.1 * planes(LAYERS[net.config.form])
    if net.config.form == "factor":
        layer = -layer
    given = torch.cat([planes(1), torch.ones(batch, 1, height, width)], dim=1)
    # Of two pictures the second has no mask of a user's.
    given[1::2] = 0
    return picture, estimate, layer, planes(1), given, view_of(picture, estimate, net.config.view)


def presence_of(net: Separator, inputs: Sequence[Tensor]) -> Tensor:
    """What the judge says of such inputs, (N,): as `Separator.presence`, but that it sees a user's mask, too."""
    seen, _ = net.unet.encoded(net.stacked(*inputs))
    return net.judged(seen)


def axes_of(planes: dict[int, Any], batch: Any) -> tuple[dict[int, Any], ...]:
    """The axes of any length of all inputs.

    Parameters
    ----------
    planes : dict
        Those of planes.
    batch : object
        That of the batch.

    Returns
    -------
    tuple of dict
    """
    return planes, planes, planes, planes, planes, {0: batch}


def inputs_of(net: Separator, stride: int) -> dict[str, str]:
    """What each input is.

    Parameters
    ----------
    net : Separator
    stride : int
        Height and width are multiples of it.

    Returns
    -------
    dict of str to str
    """
    layers, view = LAYERS[net.config.form], net.config.view
    return {
        "picture": f"float32 (N, 3, H, W): the observed picture, range about 0 to 1; H and W are multiples of {stride}",
        "estimate": "float32 (N, 3, H, W): the classical estimate of the scene",
        "layer": f"float32 (N, {layers}, H, W): the classical estimate of the damage: {MEANINGS[net.config.form]}",
        "found": "float32 (N, 1, H, W): 1 where the classical method found damage, else 0",
        "given": "float32 (N, 2, H, W): 1 where a user says that damage is, else 0; and 1 everywhere where a user says "
        "anything, else 0",
        "view": f"float32 (N, 6, {view}, {view}): the whole picture and the whole estimate, each reduced to the means "
        f"of {view} x {view} areas; area i of a side of n pixels goes from floor(i n / {view}) up to ceil((i + 1) n / "
        f"{view})",
    }


def outputs_of(net: Separator) -> dict[str, str]:
    """What each output is.

    Parameters
    ----------
    net : Separator

    Returns
    -------
    dict of str to str
    """
    form = net.config.form
    outputs = {
        "scene": "float32 (N, 3, H, W): the picture without the damage",
        "damage": f"float32 (N, {LAYERS[form]}, H, W): {MEANINGS[form]}",
        "odds": "float32 (N, 1, H, W): logarithm of the odds that a pixel is damaged",
    }
    if net.judge is not None:
        outputs["presence"] = (
            "float32 (N): logarithm of the odds that there is damage in the picture at all; it means nothing where a "
            "user says where damage is"
        )
    return outputs
