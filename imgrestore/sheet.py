"""A restoration on one sheet: input, result, layers, PSF and mask, and an enlarged detail to judge sharpness by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from imgrestore.psf_field import PsfField
from imgrestore.sheet_page import Panel, compose, panel_scale

if TYPE_CHECKING:
    from PIL.Image import Image

    from imgrestore.psf import Psf
    from imgrestore.types import Restoration

__all__ = ["draw"]

ACCENT = (214, 96, 38)
NOT_A_NUMBER = (150, 178, 214)
# Of the lines between the PSFs of a field.
BETWEEN = (70, 70, 70)
DETAIL = 3
# Layers that hold the result once more, as floating point.
RESULTS = ("scene", "transmission", "diffuse")
# A picture that reaches this part of its type's range is shown as stored, a darker one is stretched.
FILLED = 0.25
PERCENTILES = (0.5, 99.8)
# A change of fewer steps of 255 than this is not worth a closer look.
VISIBLE = 3
# Where the detail is looked for, more pixels than this say nothing more.
ENOUGH = 1_000_000


def draw(restoration: Restoration, truth: Any = None, title: str | None = None) -> Image:
    """Draw a restoration on one sheet.

    Parameters
    ----------
    restoration : Restoration
        Of any picture that the tasks take. Of a batch the first is shown, of a stack the largest values over its depth
        and the slice in the middle, of channels that are not colours the mean.
    truth : array, optional
        The undamaged picture, laid out as the result: one more panel.
    title : str, optional
        Stands above the notes.

    Returns
    -------
    PIL.Image.Image
        RGB. Input, result and truth share one stretch: what was stored for 8 bits and for pictures that fill their
        range, percentiles of the input and the result for others. The detail is the same region of each, where the
        gradients of the result are strongest, each pixel enlarged to 3 x 3.

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore import Restoration
    >>> sheet = draw(Restoration(np.zeros((40, 60), np.uint8)))
    >>> sheet.mode
    'RGB'
    """
    psf = restoration.psf[0] if isinstance(restoration.psf, tuple) else restoration.psf
    space = 3 if psf is not None and psf.ndim == 3 else 2
    if psf is not None and psf.shape == (1, 1):
        # No blur: one pixel, drawn as large as a picture, would say nothing.
        psf, restoration = None, replace(restoration, psf=None)
    result, alpha = _split_alpha(restoration)
    pictures = {"result": _canonical(result, space)}
    if restoration.layers:
        pictures = {"input": _canonical(restoration.recompose(), space), **pictures}
    if truth is not None:
        truth = _numpy(truth)
        has_alpha = alpha is not None and truth.shape == _numpy(restoration.image).shape
        pictures["truth"] = _canonical(truth[..., :-1] if has_alpha else truth, space)
    span = _stretch(pictures, _numpy(restoration.image).dtype)
    opacity = None if alpha is None else _canonical(alpha, space)

    rows: list[list[Panel]] = []
    for note, view in _views(pictures["result"].shape[0]):
        panels = []
        for name, stack in pictures.items():
            flat = _flat(stack, view)
            pixels = _tones(flat, *span)
            if opacity is not None:
                share = _flat(opacity, view) / (_peak(_numpy(restoration.image).dtype) or 1.0)
                pixels = np.rint(pixels * share + 255.0 * (1 - share)).clip(0, 255).astype(np.uint8)
            panels.append(Panel(name + note + _missing(flat), pixels))
        rows.append(panels)

    detail = _detail_row(rows[-1], _ground(rows[-1], list(pictures), restoration))
    others = _layer_panels(restoration, space, span)
    others += _psf_panel(psf) + _mask_panel(restoration, space, span)
    return compose(_title(restoration, title, span), rows, detail, others)


def _numpy(array: Any) -> np.ndarray:
    if hasattr(array, "detach"):
        array = array.detach().cpu()
        return np.asarray(array.double() if str(array.dtype) in ("torch.bfloat16", "torch.float16") else array)
    return np.asarray(array)


def _split_alpha(restoration: Restoration) -> tuple[Any, np.ndarray | None]:
    """The result without its alpha: layers have none, which tells whether the last channel is one."""
    image = restoration.image
    if hasattr(image, "detach") or image.ndim < 3 or image.shape[-1] not in (2, 4):
        return image, None
    colours = (*image.shape[:-1], image.shape[-1] - 1)
    if restoration.layers and all(np.shape(layer) != colours for layer in restoration.layers.values()):
        return image, None
    return image[..., :-1], np.asarray(image[..., -1:])


def _canonical(array: Any, space: int) -> np.ndarray:
    """Any layout as (depth, height, width, 1 or 3) of float32; depth is 1 for a picture."""
    is_tensor = hasattr(array, "detach")
    values = _numpy(array)
    if values.dtype.kind == "c" or values.size == 0 or values.ndim < 2:
        raise ValueError(f"cannot draw an array of shape {values.shape} and dtype {values.dtype}")
    values = values.astype(np.float32)
    if is_tensor and values.ndim > space:
        values = np.moveaxis(values.reshape(-1, *values.shape[-space - 1 :])[0], 0, -1)
    while values.ndim > space + 1:
        values = values[0]
    if values.ndim == space + 1 and not is_tensor and values.shape[-1] > 4:
        # More than 4 channels, or pictures one after another: the shorter axis is not space.
        values = values[0][..., None] if values.shape[0] <= values.shape[-1] else values
    if values.ndim == space:
        values = values[..., None]
    if values.ndim == 3:
        values = values[None]
    if values.shape[-1] not in (1, 3):
        values = values.mean(axis=-1, keepdims=True)
    return values


def _views(depth: int) -> list[tuple[str, str]]:
    if depth == 1:
        return [("", "middle")]
    return [(f", maximum of {depth} slices", "maximum"), (f", slice {depth // 2 + 1} of {depth}", "middle")]


def _flat(stack: np.ndarray, view: str) -> np.ndarray:
    """One (height, width, channels) picture of a stack."""
    if view == "middle":
        return stack[stack.shape[0] // 2]
    gaps = np.isnan(stack).all(axis=0)
    flat = np.max(np.where(np.isnan(stack), -np.inf, stack), axis=0)
    return np.where(gaps, np.nan, flat)


def _peak(dtype: np.dtype) -> float | None:
    return float(np.iinfo(dtype).max) if dtype.kind in "iu" else None


def _finite(arrays: Sequence[np.ndarray]) -> np.ndarray:
    values = np.concatenate([a[np.isfinite(a)].ravel() for a in arrays])
    return values[:: max(1, values.size // ENOUGH)]


def _stretch(pictures: dict[str, np.ndarray], dtype: np.dtype) -> tuple[float, float]:
    peak = _peak(dtype) or 1.0
    values = _finite([pictures[name] for name in ("input", "result") if name in pictures])
    if values.size == 0:
        return 0.0, peak
    low, high = np.percentile(values, PERCENTILES)
    # Overshoots past the range are no reason to darken a photograph.
    fills = FILLED * peak <= high <= 1.5 * peak and low >= -0.5 * peak
    if dtype == np.uint8 or fills:
        return 0.0, peak
    return (float(low), float(high)) if high > low else (float(low) - 0.5 * peak, float(low) + 0.5 * peak)


def _tones(flat: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values as RGB of uint8, NaN in its own colour."""
    missing = np.isnan(flat).any(axis=-1)
    scaled = (np.nan_to_num(flat, nan=low, posinf=high, neginf=low) - low) / (high - low)
    pixels = np.rint(scaled.clip(0, 1) * 255).astype(np.uint8)
    pixels = np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels.copy()
    pixels[missing] = NOT_A_NUMBER
    return pixels


def _missing(flat: np.ndarray) -> str:
    count = int(np.isnan(flat).any(axis=-1).sum())
    return f" ({count} NaN in blue)" if count else ""


def _layer_panels(restoration: Restoration, space: int, span: tuple[float, float]) -> list[Panel]:
    panels = []
    for name, layer in restoration.layers.items():
        stack = _canonical(layer, space)
        if name in RESULTS:
            continue
        flat, values = _flat(stack, "middle"), _finite([stack])
        where = f", slice {stack.shape[0] // 2 + 1}" if stack.shape[0] > 1 else ""
        if values.size == 0:
            continue
        low, high = (float(v) for v in np.percentile(values, PERCENTILES))
        if name == "residual" or min(-low, high) > 0.2 * max(-low, high):
            scale = max(-low, high) or 1.0
            panels.append(Panel(f"{name}{where}: ±{_number(scale)} around gray", _tones(flat, -scale, scale)))
        elif high >= FILLED * span[1] and low >= span[0] - 0.5 * (span[1] - span[0]):
            panels.append(Panel(name + where, _tones(flat, *span)))
        else:
            high = high if high > low else low + 1.0
            panels.append(Panel(f"{name}{where}: {_number(low)} to {_number(high)}", _tones(flat, low, high)))
    return panels


def _psf_panel(psf: Psf | PsfField | None) -> list[Panel]:
    if psf is None:
        return []
    size = " x ".join(str(n) for n in psf.shape)
    if isinstance(psf, PsfField):
        return [Panel(f"PSFs, {psf.grid[0]} x {psf.grid[1]} of {size}", _mosaic(psf), smooth=False, ground=(0, 0, 0))]
    name = "PSF (maximum)" if psf.ndim == 3 else "PSF"
    flat = psf.array.max(axis=0) if psf.ndim == 3 else psf.array
    return [Panel(f"{name}, {size}", _tones(flat[..., None], 0.0, float(flat.max())), smooth=False, ground=(0, 0, 0))]


def _mosaic(field: PsfField) -> np.ndarray:
    """The PSFs in their rows and columns, each with its own stretch, and thin lines between them."""
    values = field.array / field.array.max(axis=(2, 3), keepdims=True)
    apart = np.pad(values, ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=np.nan)
    rows, columns, height, width = apart.shape
    flat = apart.transpose(0, 2, 1, 3).reshape(rows * height, columns * width)[:-1, :-1, None]
    pixels = _tones(flat, 0.0, 1.0)
    pixels[np.isnan(flat[..., 0])] = BETWEEN
    return pixels


def _mask_panel(restoration: Restoration, space: int, span: tuple[float, float]) -> list[Panel]:
    if restoration.mask is None:
        return []
    mask = _numpy(restoration.mask) > 0
    if not mask.any():
        return []
    whole = np.shape(restoration.mask) == np.shape(_split_alpha(restoration)[0])
    # A mask without channels: of a batch the first, whatever the type.
    if not whole:
        mask = mask.reshape(-1, *mask.shape[-space:])[0]
    is_tensor = whole and hasattr(restoration.mask, "detach")
    stack = _canonical(restoration.mask if is_tensor else mask, space)
    marked = _flat(stack, "middle").max(axis=-1) > 0
    picture = _canonical(_split_alpha(restoration)[0], space)
    ground = _tones(_flat(picture, "middle"), *span).mean(axis=-1, keepdims=True)
    pixels = np.repeat(np.rint(170 + ground / 3), 3, axis=-1).astype(np.uint8)
    if marked.shape == pixels.shape[:2]:
        # Through the colour the picture is to be seen, faintly.
        light = 0.6 + 0.4 * ground[marked] / 255
        pixels[marked] = np.rint(light * np.array(ACCENT)).astype(np.uint8)
    return [Panel(f"mask, {100 * float(mask.mean()):.2g} % of the pixels", pixels, smooth=False)]


def _interesting(shown: np.ndarray, height: int, width: int) -> tuple[int, int]:
    """Top left corner of the window with the most gradient, no single edge or hot pixel counting for too much."""
    gray = shown.mean(axis=-1)
    step = max(1, math.ceil(math.sqrt(gray.size / ENOUGH)))
    rows, columns = gray.shape[0] // step, gray.shape[1] // step
    small = gray[: rows * step, : columns * step].reshape(rows, step, columns, step).mean(axis=(1, 3))
    if min(small.shape) < 2:
        return 0, 0
    energy = sum(g**2 for g in np.gradient(small))
    if energy.any():
        energy = np.minimum(energy, np.percentile(energy[energy > 0], 98))
    total = np.pad(energy.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    h, w = min(max(1, height // step), rows), min(max(1, width // step), columns)
    windows = total[h:, w:] - total[:-h, w:] - total[h:, :-w] + total[:-h, :-w]
    # Among equals the window nearest to the middle.
    y, x = np.indices(windows.shape)
    away = np.hypot(y - (windows.shape[0] - 1) / 2, x - (windows.shape[1] - 1) / 2) / math.hypot(*gray.shape)
    top, left = np.unravel_index(int(np.argmax(windows - 1e-3 * away * (windows.max() or 1.0))), windows.shape)
    return min(int(top) * step, shown.shape[0] - height), min(int(left) * step, shown.shape[1] - width)


def _ground(panels: list[Panel], names: list[str], restoration: Restoration) -> np.ndarray:
    """The picture whose structure tells where the detail is: the result, or what was taken off it."""
    result = panels[names.index("result")].pixels
    if restoration.psf is not None or "input" not in names:
        return result
    change = np.abs(panels[names.index("input")].pixels.astype(np.float32) - result)
    return change if change.max() > VISIBLE else result


def _detail_row(panels: list[Panel], result: np.ndarray) -> list[Panel]:
    """The same region of each panel; marks it in the first. Nothing where the whole picture is already that large."""
    height, width = result.shape[:2]
    scale = panel_scale(height, width)
    h = min(height, math.ceil(height * scale / DETAIL))
    w = min(width, math.ceil(width * scale / DETAIL))
    if (h, w) == (height, width):
        return []
    top, left = _interesting(result, h, w)
    row = [
        Panel(
            f"{panel.caption.split(' (')[0].split(',')[0]}, detail x{DETAIL}",
            # Not Lanczos: its own ringing would be taken for the method's.
            panel.pixels[top : top + h, left : left + w].repeat(DETAIL, axis=0).repeat(DETAIL, axis=1),
            smooth=False,
        )
        for panel in panels
    ]
    edge = max(1, math.ceil(1.5 / scale))
    box = panels[0].pixels[top : top + h, left : left + w]
    for side in (box[:edge], box[-edge:], box[:, :edge], box[:, -edge:]):
        side[:] = ACCENT
    return row


def _title(restoration: Restoration, title: str | None, span: tuple[float, float]) -> list[str]:
    image = restoration.image
    facts = [f"{' x '.join(str(n) for n in image.shape)}, {str(image.dtype).removeprefix('torch.')}"]
    if restoration.confidence is not None:
        facts.append(_trust(_numpy(restoration.confidence)))
    if span != (0.0, _peak(_numpy(image).dtype) or 1.0):
        facts.append(f"shown from {_number(span[0])} to {_number(span[1])}")
    head = [title] if title else []
    notes = list(restoration.notes)
    return [" · ".join([*head, *notes[:2]]) or "restoration", " · ".join([*notes[2:], *facts])]


def _trust(confidence: np.ndarray) -> str:
    """In words: one number, or a map's mean and least."""
    if confidence.size == 1:
        return f"confidence {confidence.item():.2f}"
    return f"confidence {confidence.mean():.2f}, {confidence.min():.2f} at the least"


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
