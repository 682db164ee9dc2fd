"""How each net becomes one that any runtime can take: on real numbers alone, its inputs named and described."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from imgrestore import export_separator, ops
from imgrestore.degrade import blur
from imgrestore.export_wiener import RealWiener
from imgrestore.nets.blocks import UNet
from imgrestore.nets.deep_wiener import DeepWiener
from imgrestore.nets.diagnoser import Diagnoser
from imgrestore.nets.judge import ALONG, WINDOW
from imgrestore.nets.look import Close
from imgrestore.nets.refiner import Refiner
from imgrestore.nets.registry import NETS
from imgrestore.nets.separator import Separator

__all__ = ["LEAST_SIDE", "MOST_SIDE", "Recipe", "free_axes", "recipe_of"]

# Sides that are exported: less says nothing of pictures, and the phases of more are not exact in float32.
LEAST_SIDE = 16
MOST_SIDE = 4096


@dataclass(frozen=True)
class Recipe:
    """What the export has to know of a net.

    Attributes
    ----------
    module : Module
        What is exported: takes tensors of float32, and gives a tuple of them.
    reference : callable
        The net itself on the same inputs, in float32 throughout.
    inputs, outputs : mapping of str to str
        What each of them is, by its name, in their order.
    stride : int
        Height and width are multiples of it.
    example : callable
        ``example(batch, height, width, seed)`` gives random inputs.
    shapes : callable
        ``shapes(rows, columns, batch)`` gives the axes of every input that may have any length, with `rows` and
        `columns` the height and width divided by the stride; None for those that are fixed.
    free : bool
        Whether there are inputs of any height and width.
    """

    module: nn.Module
    reference: Callable[..., tuple[Tensor, ...]]
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    stride: int
    example: Callable[[int, int, int, int], tuple[Tensor, ...]]
    shapes: Callable[[Any, Any, Any], tuple[dict[int, Any], ...]]
    free: bool = True


def recipe_of(net: nn.Module) -> Recipe:
    """The recipe of a net.

    Parameters
    ----------
    net : Module
        One of those in `imgrestore.nets.registry`; it is left as it is.

    Returns
    -------
    Recipe

    Raises
    ------
    TypeError
        For other nets.
    """
    own = copy.deepcopy(net).eval().requires_grad_(False)
    for part in own.modules():
        if isinstance(part, UNet):
            part.narrow = False
        if isinstance(part, Close):
            part.box = ops.box_reference
    if isinstance(own, DeepWiener):
        return _deep_wiener(own)
    if isinstance(own, Refiner):
        return _refiner(own)
    if isinstance(own, Separator):
        return _separator(own)
    if isinstance(own, Diagnoser):
        return _diagnoser(own)
    raise TypeError(f"net is a {type(net).__name__}; expected one of {', '.join(NETS)}")


def free_axes(stride: int) -> tuple[Any, Any, Any]:
    """Height and width in units of the stride, and the batch, as axes of any length."""
    least, most = -(-LEAST_SIDE // stride), MOST_SIDE // stride
    return Dim("rows", min=least, max=most), Dim("columns", min=least, max=most), Dim("batch", max=256)


def _deep_wiener(net: DeepWiener) -> Recipe:
    stride = net.unets[0].stride
    assert isinstance(stride, int)

    def example(batch: int, height: int, width: int, seed: int) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(seed)
        y, x0 = (torch.rand(batch, 3, height, width, generator=generator) for _ in range(2))
        psf = torch.from_numpy(blur.gaussian_psf(1.5, 0.8, angle=0.3 + seed))
        otf = torch.view_as_real(blur.otf(psf, (height, width))).expand(batch, 1, -1, -1, -1).contiguous()
        sigma = torch.linspace(0.005, 0.03, batch)
        mask = torch.zeros(batch, 1, height, width)
        mask[..., 3:-3, 4:-4] = 1
        return y, x0, otf, sigma, mask

    def reference(y: Tensor, x0: Tensor, otf: Tensor, sigma: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        return (net(y, x0, torch.view_as_complex(otf), sigma, mask),)

    def shapes(rows: Any, columns: Any, batch: Any) -> tuple[dict[int, Any], ...]:
        planes = _axes(rows, columns, batch, stride)
        otf = {axis: size for axis, size in planes.items() if axis != 3}
        if columns is not None:
            otf[3] = stride // 2 * columns + 1
        return planes, planes, otf, {0: batch}, planes

    inputs = {
        "y": "float32 (N, 3, H, W): the observed picture in its frame, outside it the blur of x0; range about 0 to 1, "
        "on a periodic domain larger than the frame by the PSF's size less one or more; H and W are multiples of "
        f"{stride}",
        "x0": "float32 (N, 3, H, W): the classical estimate on that domain",
        "otf": "float32 (N, 1, H, W / 2 + 1, 2): real and imaginary part of the PSF's transfer function, "
        "numpy.fft.rfft2 of the PSF in an array (H, W), its centre at index (0, 0)",
        "sigma": "float32 (N): standard deviation of the noise, for a range of 1",
        "mask": "float32 (N, 1, H, W): 1 where y was observed, 0 where it was filled in",
    }
    outputs = {"sharp": "float32 (N, 3, H, W): the sharp picture on that domain"}
    return Recipe(RealWiener(net), reference, inputs, outputs, stride, example, shapes)


def _refiner(net: Refiner) -> Recipe:
    stride, view, maps = net.unet.stride, net.config.view, net.config.maps

    def example(batch: int, height: int, width: int, seed: int) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(seed)
        picture, estimate = (torch.rand(batch, 3, height, width, generator=generator) for _ in range(2))
        marks = 0.1 * torch.randn(batch, maps, height, width, generator=generator)
        return picture, estimate, marks, torch.linspace(0.4, 1, batch), net.view_of(picture, estimate)

    def reference(*inputs: Tensor) -> tuple[Tensor, ...]:
        refined = net(*inputs)
        return refined.tone, refined.correction

    def shapes(rows: Any, columns: Any, batch: Any) -> tuple[dict[int, Any], ...]:
        planes = _axes(rows, columns, batch, stride)
        return planes, planes, planes, {0: batch}, {0: batch}

    inputs = {
        "picture": f"float32 (N, 3, H, W): the observed picture or a part of it, range about 0 to 1; H and W are "
        f"multiples of {stride}",
        "estimate": "float32 (N, 3, H, W): the classical estimate",
        "maps": f"float32 (N, {maps}, H, W): what the classical method took off, or found",
        "strength": "float32 (N): by how much tones may change, 0 to 1",
        "view": f"float32 (N, 6, {view}, {view}): the whole picture and the whole estimate, each reduced to the means "
        f"of {view} x {view} areas; area i of a side of n pixels goes from floor(i n / {view}) up to ceil((i + 1) n / "
        f"{view})",
    }
    outputs = {
        "tone": "float32 (N, 3, H, W): the change of tones, to be added to the estimate",
        "correction": f"float32 (N, {net.config.outputs}, H, W): what is to be added after that",
    }
    return Recipe(_Tuple(net), reference, inputs, outputs, stride, example, shapes)


def _separator(net: Separator) -> Recipe:
    stride = net.unet.stride

    def example(batch: int, height: int, width: int, seed: int) -> tuple[Tensor, ...]:
        return export_separator.example_of(net, batch, height, width, seed)

    def reference(*inputs: Tensor) -> tuple[Tensor, ...]:
        found = net(*inputs)
        told = (found.scene, found.layer, found.odds)
        return told if net.judge is None else (*told, export_separator.presence_of(net, inputs))

    def shapes(rows: Any, columns: Any, batch: Any) -> tuple[dict[int, Any], ...]:
        return export_separator.axes_of(_axes(rows, columns, batch, stride), batch)

    inputs, outputs = export_separator.inputs_of(net, stride), export_separator.outputs_of(net)
    return Recipe(export_separator.SeparatorTuple(net), reference, inputs, outputs, stride, example, shapes)


def _diagnoser(net: Diagnoser) -> Recipe:
    view, several, module = net.config.view, net.config.several, _Diagnosed(net)

    def example(batch: int, height: int, width: int, seed: int) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(seed)
        whole = torch.rand(batch, 3, view, view, generator=generator)
        if net.near is None:
            return (whole,)
        # As many windows as pictures of this size have.
        count = len(net.windows_of(torch.zeros(3, 8 * height, 8 * width)))
        return whole, torch.rand(batch, count, 3, WINDOW, WINDOW, generator=generator)

    def shapes(rows: Any, columns: Any, batch: Any) -> tuple[dict[int, Any], ...]:
        return ({0: batch}, {0: batch, 1: Dim("windows", min=1, max=256)})[: 1 if net.near is None else 2]

    inputs = {
        "view": f"float32 (N, 3, {view}, {view}): the whole picture, range 0 to 1, reduced to the means of {view} x "
        f"{view} areas; area i of a side of n pixels goes from floor(i n / {view}) up to ceil((i + 1) n / {view}); "
        f"a picture with a side below {view} is resized bilinearly instead, its pixels being areas",
        "windows": f"float32 (N, K, 3, {WINDOW}, {WINDOW}): windows of it as they are, row by row; along a side of n "
        f"pixels min({ALONG}, 1 + ceil((n - {WINDOW}) / {WINDOW})) of them begin at evenly spaced places from 0 to "
        f"n - {WINDOW}, rounded; where the shorter side is below {WINDOW}, windows of that side are enlarged by "
        "antialiased bicubic interpolation",
    }
    classes = ", ".join(net.config.classes)
    kind = "of the odds of each class" if several else "of the probability of each class, but for a constant"
    outputs = {
        "logits": f"float32 (N, {len(net.config.classes)}): the logarithm {kind}: {classes}",
        "strength": "float32, the same shape: from 0 (none) to 1 (strong)",
    }
    inputs = {name: text for name, text in inputs.items() if name == "view" or net.near is not None}
    outputs = {name: text for name, text in outputs.items() if name == "logits" or several}
    return Recipe(module, module, inputs, outputs, 1, example, shapes, free=False)


class _Tuple(nn.Module):
    """A `Refiner` whose result is a plain tuple."""

    def __init__(self, net: Refiner) -> None:
        super().__init__()
        self.net = net

    def forward(
        self, picture: Tensor, estimate: Tensor, maps: Tensor, strength: Tensor, view: Tensor
    ) -> tuple[Tensor, Tensor]:
        refined = self.net(picture, estimate, maps, strength, view)
        return refined.tone, refined.correction


class _Diagnosed(nn.Module):
    """A `Diagnoser` whose result is a plain tuple, and which takes windows only where it has a use for them."""

    def __init__(self, net: Diagnoser) -> None:
        super().__init__()
        self.net = net

    def forward(self, view: Tensor, windows: Tensor | None = None) -> tuple[Tensor, ...]:
        found = self.net(view, view[:, None] if windows is None else windows)
        return (found.logits, found.strength) if self.net.config.several else (found.logits,)


def _axes(rows: Any, columns: Any, batch: Any, stride: int) -> dict[int, Any]:
    """The axes of planes that may have any length: the batch, and sides that are multiples of the stride."""
    sides = {2: rows, 3: columns}
    return {0: batch, **{axis: stride * part for axis, part in sides.items() if part is not None}}
