"""A restoration on one sheet: input, result, layers, PSF and mask, and an enlarged detail to judge sharpness by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

    from imgrestore.types import Restoration

__all__ = ["draw"]

PAPER, INK, SOFT = (255, 255, 255), (26, 26, 26), (110, 110, 110)
ACCENT = (214, 96, 38)
NOT_A_NUMBER = (150, 178, 214)
LARGEST, SMALLEST, LOWEST = 640, 320, 96
MARGIN, GUTTER = 32, 16
TITLE, CAPTION = 19, 14
DETAIL = 3
# A picture that reaches this part of its type's range is shown as stored, a darker one is stretched.
FILLED = 0.25
PERCENTILES = (0.5, 99.8)
# Where the detail is looked for, more pixels than this say nothing more.
ENOUGH = 1_000_000


@dataclass
class _Panel:
    caption: str
    pixels: np.ndarray  # (h, w, 3) of uint8, at the size of the picture
    smooth: bool = True
    ground: tuple[int, int, int] | None = None  # fills the cell around a picture of another shape


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
    space = 3 if restoration.psf is not None and restoration.psf.ndim == 3 else 2
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

    rows: list[list[_Panel]] = []
    for note, view in _views(pictures["result"].shape[0]):
        panels = []
        for name, stack in pictures.items():
            flat = _flat(stack, view)
            pixels = _tones(flat, *span)
            if opacity is not None:
                share = _flat(opacity, view) / (_peak(_numpy(restoration.image).dtype) or 1.0)
                pixels = np.rint(pixels * share + 255.0 * (1 - share)).clip(0, 255).astype(np.uint8)
            panels.append(_Panel(name + note + _missing(flat), pixels))
        rows.append(panels)

    detail = _detail_row(rows[-1], rows[-1][list(pictures).index("result")].pixels)
    others = _layer_panels(restoration, space, span)
    others += _psf_panel(restoration) + _mask_panel(restoration, space, span)
    return _compose(_title(restoration, title, span), rows, detail, others)


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


def _layer_panels(restoration: Restoration, space: int, span: tuple[float, float]) -> list[_Panel]:
    panels = []
    for name, layer in restoration.layers.items():
        stack = _canonical(layer, space)
        flat, values = _flat(stack, "middle"), _finite([stack])
        where = f", slice {stack.shape[0] // 2 + 1}" if stack.shape[0] > 1 else ""
        if values.size == 0:
            continue
        low, high = (float(v) for v in np.percentile(values, PERCENTILES))
        if name == "residual" or min(-low, high) > 0.2 * max(-low, high):
            scale = max(-low, high) or 1.0
            panels.append(_Panel(f"{name}{where}: ±{_number(scale)} around gray", _tones(flat, -scale, scale)))
        elif high >= FILLED * span[1] and low >= span[0] - 0.5 * (span[1] - span[0]):
            panels.append(_Panel(name + where, _tones(flat, *span)))
        else:
            high = high if high > low else low + 1.0
            panels.append(_Panel(f"{name}{where}: {_number(low)} to {_number(high)}", _tones(flat, low, high)))
    return panels


def _psf_panel(restoration: Restoration) -> list[_Panel]:
    if restoration.psf is None:
        return []
    values = restoration.psf.array
    name = "PSF (maximum)" if values.ndim == 3 else "PSF"
    flat = values.max(axis=0) if values.ndim == 3 else values
    size = " x ".join(str(n) for n in values.shape)
    return [_Panel(f"{name}, {size}", _tones(flat[..., None], 0.0, float(flat.max())), smooth=False, ground=(0, 0, 0))]


def _mask_panel(restoration: Restoration, space: int, span: tuple[float, float]) -> list[_Panel]:
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
        pixels[marked] = ACCENT
    return [_Panel(f"mask, {100 * float(mask.mean()):.2g} % of the pixels", pixels, smooth=False)]


def _interesting(shown: np.ndarray, height: int, width: int) -> tuple[int, int]:
    """Top left corner of the window with the most gradient, no single edge or hot pixel counting for too much."""
    gray = shown.mean(axis=-1)
    step = max(1, math.ceil(math.sqrt(gray.size / ENOUGH)))
    rows, columns = gray.shape[0] // step, gray.shape[1] // step
    small = gray[: rows * step, : columns * step].reshape(rows, step, columns, step).mean(axis=(1, 3))
    if min(small.shape) < 2:
        return 0, 0
    energy = sum(g**2 for g in np.gradient(small))
    energy = np.minimum(energy, np.percentile(energy, 98))
    total = np.pad(energy.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    h, w = min(max(1, height // step), rows), min(max(1, width // step), columns)
    windows = total[h:, w:] - total[:-h, w:] - total[h:, :-w] + total[:-h, :-w]
    # Among equals the window nearest to the middle.
    y, x = np.indices(windows.shape)
    away = np.hypot(y - (windows.shape[0] - 1) / 2, x - (windows.shape[1] - 1) / 2) / math.hypot(*gray.shape)
    top, left = np.unravel_index(int(np.argmax(windows - 1e-3 * away * (windows.max() or 1.0))), windows.shape)
    return min(int(top) * step, shown.shape[0] - height), min(int(left) * step, shown.shape[1] - width)


def _detail_row(panels: list[_Panel], result: np.ndarray) -> list[_Panel]:
    """The same region of each panel; marks it in the first. Nothing where the whole picture is already that large."""
    height, width = result.shape[:2]
    scale = _panel_scale(height, width)
    h = min(height, math.ceil(height * scale / DETAIL))
    w = min(width, math.ceil(width * scale / DETAIL))
    if (h, w) == (height, width):
        return []
    top, left = _interesting(result, h, w)
    row = [
        _Panel(
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


def _panel_scale(height: int, width: int) -> float:
    longest = max(height, width)
    if longest > LARGEST:
        return LARGEST / longest
    return max(1, math.ceil(SMALLEST / longest))


def _title(restoration: Restoration, title: str | None, span: tuple[float, float]) -> list[str]:
    image = restoration.image
    facts = [f"{' x '.join(str(n) for n in image.shape)}, {str(image.dtype).removeprefix('torch.')}"]
    if isinstance(restoration.confidence, (int, float)):
        facts.append(f"confidence {restoration.confidence:.2f}")
    if span != (0.0, _peak(_numpy(image).dtype) or 1.0):
        facts.append(f"shown from {_number(span[0])} to {_number(span[1])}")
    head = [title] if title else []
    notes = list(restoration.notes)
    return [" · ".join([*head, *notes[:2]]) or "restoration", " · ".join([*notes[2:], *facts])]


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _compose(title: list[str], rows: list[list[_Panel]], detail: list[_Panel], others: list[_Panel]) -> Image:
    from PIL import Image, ImageDraw

    height, width = rows[0][0].pixels.shape[:2]
    scale = _panel_scale(height, width)
    cell = (max(SMALLEST, round(width * scale)), max(1, round(height * scale)))
    columns = len(rows[0])
    inner = max(columns * cell[0] + (columns - 1) * GUTTER, 2 * SMALLEST + GUTTER)
    placed: list[tuple[list[_Panel], int, int]] = [(row, *cell) for row in rows]
    if detail:
        placed.append((detail, cell[0], max(panel.pixels.shape[0] for panel in detail)))
    if others:
        several = max(len(others), 2)
        small = (inner - (several - 1) * GUTTER) // several
        placed.append((others, small, max(LOWEST, min(cell[1], round(height * small / width)))))

    lines = [(text, TITLE if i == 0 else CAPTION, INK if i == 0 else SOFT) for i, text in enumerate(title) if text]
    wrapped = [(part, size, ink) for text, size, ink in lines for part in _wrap(text, size, inner)]
    y = MARGIN + sum(size + 8 for _, size, _ in wrapped) + 12
    total = y + sum(h + CAPTION + 10 + GUTTER for _, _, h in placed) - GUTTER + MARGIN
    sheet = Image.new("RGB", (inner + 2 * MARGIN, total), PAPER)
    pen = ImageDraw.Draw(sheet)
    at = MARGIN
    for text, size, ink in wrapped:
        pen.text((MARGIN, at), text, font=_font(size), fill=ink)
        at += size + 8
    for panels, w, h in placed:
        for i, panel in enumerate(panels):
            x = MARGIN + i * (w + GUTTER)
            picture = _fitted(panel, w, h)
            if panel.ground is not None:
                sheet.paste(panel.ground, (x, y, x + w, y + h))
                sheet.paste(picture, (x + (w - picture.width) // 2, y + (h - picture.height) // 2))
            else:
                sheet.paste(picture, (x, y))
            caption = _wrap(panel.caption, CAPTION, w)
            pen.text((x, y + h + 6), caption[0], font=_font(CAPTION), fill=SOFT)
        y += h + CAPTION + 10 + GUTTER
    return sheet


def _fitted(panel: _Panel, width: int, height: int) -> Image:
    """A panel at the size of its cell: shrunk by averaging, or enlarged by whole factors where it can be."""
    from PIL import Image

    picture = Image.fromarray(panel.pixels)
    scale = min(width / picture.width, height / picture.height)
    if scale >= 1 and (not panel.smooth or scale >= 2):
        scale = math.floor(scale)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    method = Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST if scale == int(scale) else None
    return picture.resize(size, Image.Resampling.BICUBIC if method is None else method)


def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size=size)


def _readable(text: str) -> str:
    """Only what Pillow's own font has glyphs for."""
    return "".join(c if " " <= c <= "~" or c in "±·…" else "?" for c in text.replace("×", "x").replace("\n", " "))


def _wrap(text: str, size: int, width: int) -> list[str]:
    font = _font(size)
    lines, line = [], ""
    for word in _readable(text).split(" "):
        longer = f"{line} {word}" if line else word
        if line and font.getlength(longer) > width:
            lines.append(line)
            line = word
        else:
            line = longer
    while font.getlength(line) > width and len(line) > 1:
        line = line[:-2] + "…" if line.endswith("…") else line[:-1] + "…"
    return [*lines, line]
