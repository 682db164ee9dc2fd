"""Arrays of any layout and type to planes that the methods work on, and back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    import torch

__all__ = ["ChannelAxis", "Planes", "has_eight_bits", "not_negative", "saturated_pixels", "to_mask", "to_planes"]

ChannelAxis = int | None | Literal["auto"]

INTEGER_PEAKS = {"uint8": 255.0, "uint16": 65535.0}
EIGHT_BIT = 255.0
FLOATS = ("float16", "float32", "float64", "bfloat16")
# A run of equal largest values this large is a clipped highlight, not chance.
SATURATED_PART = 2e-4
SATURATED_LEAST = 12
SMALLEST, LARGEST = 1e-9, 1e9


@dataclass(frozen=True)
class Planes:
    """A picture as planes of shape (batch, channel, *space), and the way back.

    Attributes
    ----------
    data : torch.Tensor
        float32 or float64; integers are divided by their largest value, floats are as given; NaN and infinite
        pixels are replaced by 0.
    good : torch.Tensor of bool
        False where a pixel was NaN or infinite. Shape of `data`.
    finite : bool
        Whether all of `good` is True.
    alpha : array or None
        The alpha channel, which no method touches.
    peak : float
        What 1 in `data` stands for in the picture: 255 or 65535 for integers; for floating point 1, but where squares
        of the values would leave float32's range, a power of two near the largest.
    """

    data: torch.Tensor
    good: torch.Tensor
    finite: bool
    alpha: Any
    peak: float
    _original: Any
    _axis: int | None
    _space: int

    def back(self, planes: torch.Tensor, *, as_float: bool = False, keep_bad: bool = True) -> Any:
        """Planes to the picture's own type, layout and dtype.

        Parameters
        ----------
        planes : torch.Tensor, shape of `data`
        as_float : bool
            Keep floating point (in the picture's range, at least float32), and leave alpha off: for layers.
        keep_bad : bool
            Put NaN and infinite pixels back to where they were.

        Returns
        -------
        array
            Integers are rounded and held inside their range.
        """
        import torch

        original = self._original
        # float64 holds units that float32 does not.
        values = planes.double() if _dtype_name(original) == "float64" else planes
        values = values * self.peak if self.peak != 1.0 else values
        if keep_bad and not self.finite:
            source = _to_canonical(_as_tensor(original), self._axis, self._space, self.alpha is not None)
            values = torch.where(self.good, values, source.to(values))
        values = _from_canonical(values, original, self._axis, self.alpha is not None)
        name = _dtype_name(original)
        if isinstance(original, torch.Tensor):
            values = values.to(original.device)
        if as_float and name not in ("float32", "float64"):
            return values if isinstance(original, torch.Tensor) else values.detach().cpu().numpy()
        if name in INTEGER_PEAKS:
            values = values.round().clamp(0, INTEGER_PEAKS[name])
        if isinstance(original, torch.Tensor):
            return values.to(original.dtype)
        array = values.detach().cpu().numpy().astype(original.dtype, copy=False)
        if self.alpha is None or as_float:
            return array
        return np.concatenate([array, self.alpha], axis=-1, dtype=original.dtype)

    def back_mask(self, mask: torch.Tensor) -> Any:
        """Booleans of the planes' shape in the picture's layout, without alpha."""
        values = _from_canonical(mask.expand(self.data.shape), self._original, self._axis, self.alpha is not None)
        return self._beside_original(values)

    def back_area(self, area: torch.Tensor) -> Any:
        """Booleans (batch, 1, *space) in the picture's layout without its channels."""
        values = area.reshape(_without(tuple(self._original.shape), self._axis))
        return self._beside_original(values)

    def _beside_original(self, values: torch.Tensor) -> Any:
        """A tensor on the picture's device, or an array where the picture is one."""
        import torch

        original = self._original
        return values.to(original.device) if isinstance(original, torch.Tensor) else values.cpu().numpy()

    @property
    def is_integer(self) -> bool:
        """Whether the picture's type is uint8 or uint16."""
        return _dtype_name(self._original) in INTEGER_PEAKS


def to_planes(
    image: Any,
    space: int = 2,
    channel_axis: ChannelAxis = "auto",
    *,
    dtype: Any = None,
    device: Any = None,
    name: str = "image",
    unit: float | None = None,
) -> Planes:
    """Check a picture and bring it into planes.

    Parameters
    ----------
    image : ndarray or torch.Tensor
        uint8, uint16 or real floating point.
    space : int
        How many axes are space: 2 for pictures, 3 for stacks.
    channel_axis : int, None or "auto"
        As in scikit-image: the axis of the channels, or None where there are none. "auto": arrays (H, W), or
        (H, W, C) with C up to 4, of which the 2nd of 2 and the 4th of 4 is alpha; tensors (C, H, W) and
        (N, C, H, W). Axes left over are a batch.
    dtype : torch.dtype, optional
        Of the planes; by default float64 for float64 pictures, else float32.
    device : torch.device or str, optional
        Of the planes; by default the picture's, for NumPy arrays the CPU.
    name : str
        What errors call the picture.
    unit : float, optional
        What 1 in the planes of a picture in floating point is to stand for: `Planes.peak` of a picture that this one is
        a part of. Such a part may have no finite pixel. By default found from the picture's own range.

    Returns
    -------
    Planes

    Raises
    ------
    TypeError
        Where the picture is not an array, or its dtype is none of the above.
    ValueError
        Where it is empty, has no finite pixel, or a layout that cannot be told.
    """
    import torch

    if isinstance(image, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array; pass its data and mask=~{name}.mask instead")
    if not isinstance(image, (np.ndarray, torch.Tensor)):
        raise TypeError(f"{name} is a {type(image).__name__}; expected a NumPy array or a torch tensor")
    kind = _dtype_name(image)
    if kind not in INTEGER_PEAKS and kind not in FLOATS:
        raise TypeError(
            f"{name} has dtype {kind}; expected uint8, uint16 or real floating point (counts: {name}.astype('float32'))"
        )
    shape = tuple(image.shape)
    if 0 in shape:
        raise ValueError(f"{name} is empty (shape {shape}); expected at least one pixel")
    axis, has_alpha = _channel_axis(image, space, channel_axis, name)
    tensor, alpha = _as_tensor(image), None
    if has_alpha:
        alpha = np.asarray(image)[..., -1:].copy()
    tensor = tensor if device is None else tensor.to(device)
    planes = _to_canonical(tensor, axis, space, has_alpha)
    # Both ends of the range are NaN where any value is, so this is one pass, in the order in which the values lie.
    ends = (0.0, 1.0) if kind in INTEGER_PEAKS else _ends(planes if has_alpha else tensor)
    finite = all(math.isfinite(end) for end in ends)
    good = planes.new_ones((), dtype=torch.bool).expand(planes.shape) if finite else torch.isfinite(planes.detach())
    if not finite and unit is None:
        if not bool(good.any()):
            raise ValueError(f"{name} has no finite pixel; expected a picture that is not all NaN or infinite")
        ends = _ends(torch.where(good, planes, 0.0))
    unit = INTEGER_PEAKS.get(kind) or unit or _unit(*ends)
    # Divided before it is narrowed: float64 holds numbers that float32 does not.
    if kind in FLOATS and unit != 1.0:
        planes = planes / unit
    planes = planes.to(dtype or (torch.float64 if planes.dtype == torch.float64 else torch.float32))
    if kind in INTEGER_PEAKS:
        planes = planes / unit
    if not finite:
        planes = torch.where(good, planes, torch.zeros_like(planes))
    return Planes(planes, good, finite, alpha, unit, image, axis, space)


def saturated_pixels(planes: Planes, valid: torch.Tensor | None = None) -> torch.Tensor:
    """Where the sensor was at its limit, so that the true value is this or more.

    Parameters
    ----------
    planes : Planes
    valid : torch.Tensor of bool, shape of ``planes.data``, optional
        Pixels to consider; by default all that are finite.

    Returns
    -------
    torch.Tensor of bool, shape of ``planes.data``
        Integers: the largest value of the type. Floating point: a plane's largest value, where values pile up there:
        at least 12 pixels and 0.02 % of the plane, and more than at the next lower value.
    """
    import torch

    data = planes.data.detach()
    valid = planes.good if valid is None else valid & planes.good
    if planes.is_integer:
        return (data >= 1.0) & valid
    space = tuple(range(2, data.ndim))
    values = torch.where(valid, data, -torch.inf)
    top = values.amax(dim=space, keepdim=True)
    at_top = (values == top) & torch.isfinite(values)
    below = torch.where(at_top, -torch.inf, values)
    second = below.amax(dim=space, keepdim=True)
    pile, rest = (mask.sum(dim=space, keepdim=True) for mask in (at_top, (below == second) & torch.isfinite(below)))
    return at_top & (pile >= max(SATURATED_LEAST, SATURATED_PART * data[0, 0].numel())) & (rest > 0) & (pile > rest)


def has_eight_bits(data: torch.Tensor) -> bool:
    """Whether values from 0 to 1 come from a file of 8 bits, as most files of cameras and all JPEG files are.

    Parameters
    ----------
    data : torch.Tensor
        Of which some values are looked at, and the ends of their range.

    Returns
    -------
    bool
    """
    import torch

    values = data.detach().flatten()
    # A few lights on a black ground show in the largest value only.
    some = EIGHT_BIT * torch.cat([values[:: max(1, len(values) // 10_000)], torch.stack(values.aminmax())])
    return bool((some >= 0).all() and (some <= EIGHT_BIT).all() and (some - some.round()).abs().max() < 1e-3)


def to_mask(mask: Any, planes: Planes, *, name: str = "mask") -> torch.Tensor:
    """A user's mask as booleans that broadcast over ``planes.data``.

    Parameters
    ----------
    mask : array of bool
        Shape of the picture, with or without its channels, or of its space alone.
    planes : Planes
    name : str
        What errors call it.

    Returns
    -------
    torch.Tensor of bool, shape of ``planes.data``
    """
    import torch

    if not isinstance(mask, (np.ndarray, torch.Tensor)):
        mask = np.asarray(mask)
    if _dtype_name(mask) != "bool":
        raise TypeError(f"{name} has dtype {_dtype_name(mask)}; expected bool")
    data = planes.data
    tensor = _as_tensor(mask).to(data.device)
    if tuple(tensor.shape) == tuple(data.shape[2:]):
        return tensor.expand(data.shape)
    original = tuple(planes._original.shape)
    has_alpha = planes.alpha is not None
    if has_alpha and tuple(tensor.shape) == (*original[:-1], original[-1] - 1):
        return _to_canonical(tensor, planes._axis, planes._space, False)
    if tuple(tensor.shape) == _without(original, planes._axis):
        return tensor.reshape(-1, 1, *data.shape[2:]).expand(data.shape)
    if tuple(tensor.shape) != original:
        expected = " or ".join(str(shape) for shape in dict.fromkeys((tuple(data.shape[2:]), original)))
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}; expected {expected}")
    return _to_canonical(tensor, planes._axis, planes._space, has_alpha)


def not_negative(value: Any, name: str, *, below: float = math.inf, note: str = "") -> float:
    """A setting as a float, or an error that names it.

    Parameters
    ----------
    value : number
    name : str
        What the error calls it.
    below : float
        The number it has to stay below.
    note : str
        Said after what was expected.

    Returns
    -------
    float
    """
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 <= float(value) < below:
        expected = "that is 0 or more" if below == math.inf else f"from 0 to below {below:g}"
        raise ValueError(f"{name} is {value!r}; expected a number {expected}{note}")
    return float(value)


def _without(shape: tuple[int, ...], axis: int | None) -> tuple[int, ...]:
    return shape if axis is None else shape[:axis] + shape[axis + 1 :]


def _ends(values: torch.Tensor) -> tuple[float, float]:
    least, most = values.detach().aminmax()
    return float(least), float(most)


def _unit(least: float, most: float) -> float:
    """1, or for very large and very small values the power of two below the largest."""
    largest = max(-least, most)
    if largest == 0 or SMALLEST < largest < LARGEST:
        return 1.0
    return float(2.0 ** math.floor(math.log2(largest)))


def _dtype_name(array: Any) -> str:
    return array.dtype.name if isinstance(array, np.ndarray) else str(array.dtype).removeprefix("torch.")


def _as_tensor(array: Any) -> torch.Tensor:
    import torch

    if isinstance(array, torch.Tensor):
        return array
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype == np.uint16:
        return torch.from_numpy(array.astype(np.int32))
    if not array.flags.writeable or any(s < 0 or s % array.itemsize for s in array.strides):
        return torch.from_numpy(array.copy())
    return torch.from_numpy(array)


def _channel_axis(image: Any, space: int, channel_axis: ChannelAxis, name: str) -> tuple[int | None, bool]:
    """The channel axis (or None) and whether the last channel is alpha."""
    shape, ndim = tuple(image.shape), image.ndim
    if channel_axis is not None and channel_axis != "auto":
        if not isinstance(channel_axis, (int, np.integer)) or not -ndim <= channel_axis < ndim or ndim < space + 1:
            raise ValueError(f"channel_axis is {channel_axis!r}; expected an axis of {name}, whose shape is {shape}")
        return int(channel_axis) % ndim, False
    if ndim < space:
        raise ValueError(f"{name} has shape {shape}; expected at least {space} axes")
    if channel_axis is None or ndim == space:
        return None, False
    if not isinstance(image, np.ndarray):
        return ndim - space - 1, False
    if ndim == space + 1 and shape[-1] <= 4:
        return ndim - 1, shape[-1] in (2, 4)
    raise ValueError(
        f"{name} has shape {shape}, which can be read in several ways: say channel_axis (-1, for example), "
        f"or channel_axis=None for a stack of separate pictures"
    )


def _to_canonical(tensor: torch.Tensor, axis: int | None, space: int, has_alpha: bool) -> torch.Tensor:
    """(batch, channel, *space) of any layout, alpha left off."""
    if axis is not None:
        tensor = tensor.movedim(axis, -space - 1)
        if has_alpha:
            tensor = tensor[:-1]
    else:
        tensor = tensor.unsqueeze(-space - 1)
    return tensor.reshape(-1, *tensor.shape[-space - 1 :])


def _from_canonical(planes: torch.Tensor, original: Any, axis: int | None, has_alpha: bool) -> torch.Tensor:
    shape = list(original.shape)
    if axis is None:
        return planes.reshape(shape)
    if has_alpha:
        shape[axis] -= 1
    channels = shape.pop(axis)
    space = planes.ndim - 2
    shape.insert(len(shape) - space, channels)
    return planes.reshape(shape).movedim(-space - 1, axis)
