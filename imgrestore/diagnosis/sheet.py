"""A sheet of a diagnosis: the picture, and where what was found lies in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from imgrestore.sheet_page import Panel, compose

if TYPE_CHECKING:
    from PIL.Image import Image

    from imgrestore.diagnosis.report import Finding, Report

__all__ = ["draw"]

COLOUR = (214, 60, 38)
# How much of the picture is seen through a mask.
THROUGH = 0.55


def draw(report: Report, title: str | None = None) -> Image:
    """Draw a diagnosis on one sheet.

    Parameters
    ----------
    report : Report
    title : str, optional
        Stands above the answer.

    Returns
    -------
    PIL.Image.Image
        RGB.
    """
    shown = list(report) or list(report.findings[:1])
    answer = ", ".join(report.believed) or "nothing to mend"
    odds = " · ".join(f"{name} {value:.2f}" for name, value in report.probabilities.items())
    lines = [" · ".join([*([title] if title else []), answer]), odds]
    panels = [_panel(one, report.picture) for one in shown]
    return compose(lines, [[Panel("picture", report.picture), *panels[:1]]], [], panels[1:])


def _panel(one: Finding, picture: NDArray[np.uint8]) -> Panel:
    size = (picture.shape[1], picture.shape[0])
    mask = cv2.resize(one.mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)[..., None]
    ground = np.repeat(picture.mean(axis=-1, keepdims=True), 3, axis=-1)
    mixed = ground + mask * (1 - THROUGH) * (np.array(COLOUR) - ground)
    caption = f"{one.damage} {one.probability:.2f}, strength {one.strength:.2f}, {one.mask.mean():.0%} of the picture"
    return Panel(caption, np.rint(np.clip(mixed, 0, 255)).astype(np.uint8))
