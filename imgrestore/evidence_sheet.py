"""A sheet of what explains a diagnosis: maps of evidence over the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from imgrestore.sheet_page import Panel, compose

if TYPE_CHECKING:
    from PIL.Image import Image

    from imgrestore.evidence import Explanation

__all__ = ["draw"]

FOR, AGAINST = (214, 60, 38), (38, 96, 214)
# Of the maps, what is drawn in full colour; single pixels beyond it do not pale the rest.
FULL = 99.5
# How much of the picture is seen through the strongest colour.
THROUGH = 0.35


def draw(explanation: Explanation, title: str | None = None) -> Image:
    """Draw an explanation on one sheet.

    Parameters
    ----------
    explanation : Explanation
    title : str, optional
        Stands above the scores.

    Returns
    -------
    PIL.Image.Image
        RGB: the picture with the map of the likeliest damage beside it, and smaller ones of the others below.
    """
    pixels = np.rint(np.clip(np.nan_to_num(explanation.picture), 0, 1) * 255).astype(np.uint8)
    ordered = sorted(explanation.maps, key=lambda name: -explanation.scores[name])
    panels = [Panel(_caption(explanation, name), _over(pixels, explanation.maps[name])) for name in ordered]
    scores = sorted(explanation.scores.items(), key=lambda item: -item[1])
    told = " · ".join(f"{name} {score:.2f}" for name, score in scores)
    head = [title] if title else []
    lines = [" · ".join([*head, f"{explanation.method} maps"]), told, "red speaks for a damage, blue against it"]
    return compose(lines, [[Panel("picture", pixels), *panels[:1]]], [], panels[1:])


def _caption(explanation: Explanation, name: str) -> str:
    values = explanation.maps[name]
    return f"{name} {explanation.scores[name]:.2f}: {float(values.min()):+.2g} to {float(values.max()):+.2g}"


def _over(pixels: NDArray[np.uint8], values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A map in colours over the picture in gray."""
    ground = np.repeat(pixels.mean(axis=-1, keepdims=True), 3, axis=-1) * 0.7 + 0.3 * 255
    most = float(np.percentile(np.abs(values), FULL)) or float(np.abs(values).max()) or 1.0
    share = np.clip(np.abs(values) / most, 0, 1)[..., None]
    colour = np.where(values[..., None] > 0, np.array(FOR), np.array(AGAINST))
    mixed = ground * (1 - share * (1 - THROUGH)) + colour * share * (1 - THROUGH)
    return np.rint(np.clip(mixed, 0, 255)).astype(np.uint8)
