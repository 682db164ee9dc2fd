"""Highlights taken off the light of a picture, spot by spot, from wide ones to small ones."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from imgrestore import ops
from imgrestore.classical.specular_fill import Area, Image, membrane
from imgrestore.classical.specular_judge import Scores, judge, ramp
from imgrestore.classical.specular_parts import GROW, Fit, Scene, Spots, blur, find, fit, grown, mean, rise

# Radii, and parts of its peak down to which a spot reaches, from the whole to the core.
RADII = (24, 10, 4)
CUTS = (0.12, 0.3, 0.6)
SIDE = 640
# The widest two radii grow with pictures whose longer side is more than this, up to SIDE. Of larger ones a copy of this
# size is looked at first.
USUAL = 400
# The body is not darker below a highlight than beside it, and not much brighter.
BRIGHTER = (1.0, 1.5)
# Where the differences of the channels are less than these parts of the body's, the camera has flattened them.
FLAT = (0.9, 0.5)
# Error of the channels' differences over the rise, beyond which a pixel is no part of the highlight after all.
FOREIGN = (0.8, 0.35)
# How strongly the brightness of the body is held where its colour says little of it.
HOLD = 0.05
# How far a highlight reaches beyond the spot, as a part of the spot's radius.
SKIRT = 0.55
# Where the rise is less than this part of the body's differences, those are what an error is measured by.
FAINT = 0.7
NEAR, NEARER = 1.5, 0.7
BESIDE = 8


@dataclass(frozen=True)
class Lifted:
    """A picture without its highlights.

    Attributes
    ----------
    light : ndarray of float32, shape (H, W, 3)
    evidence : float
        The light taken off, in pixels of the picture's white.
    spots : int
        How many spots it came from.
    score : float
        Mean score of those, weighted by the light taken off.
    """

    light: Image
    evidence: float
    spots: int
    score: float


def lift_wide(scene: Scene) -> Lifted:
    """Take highlights off; of a large picture only wide ones, and off a small copy.

    Parameters
    ----------
    scene : Scene

    Returns
    -------
    Lifted
        `light` is what it is compared with, bit by bit, where no highlight was found: the scene's, or its copy's.
    """
    small = _copied(scene)
    longer = max(small.light.shape[:2])
    growth = max(1.0, longer / USUAL)
    radii = tuple(round(radius * growth) for radius in RADII[:2]) + RADII[2:]
    return _passes(small, radii, CUTS)


def lift_small(scene: Scene, wide: Lifted) -> Lifted:
    """Go on where `lift_wide` ended: what it took off, and the small highlights of a large picture.

    Parameters
    ----------
    scene : Scene
    wide : Lifted
        What `lift_wide` gave for it.

    Returns
    -------
    Lifted
        `light` is the scene's, bit by bit, where no highlight was found.
    """
    step = _step(scene)
    if step == 1:
        return wide
    if wide.spots:
        taken = _copied(scene).light - wide.light
        scene = Scene(_enlarged(scene.light, taken, step), scene.open, scene.white, scene.noise)
    last = _passes(scene, RADII[-1:], CUTS[1:2])
    evidence = wide.evidence * step**2 + last.evidence
    score = (wide.evidence * step**2 * wide.score + last.evidence * last.score) / max(evidence, 1e-9)
    return Lifted(last.light, evidence, wide.spots + last.spots, score)


def _step(scene: Scene) -> int:
    longer = max(scene.light.shape[:2])
    return 1 if longer <= SIDE else round(longer / USUAL)


def _copied(scene: Scene) -> Scene:
    """The scene itself, or a small copy of a large one."""
    step = _step(scene)
    if step == 1:
        return scene
    height, width = scene.light.shape[:2]
    size = (max(1, width // step), max(1, height // step))
    light, opened = (
        np.asarray(cv2.resize(a, size, interpolation=cv2.INTER_AREA), np.float32) for a in (scene.light, scene.open)
    )
    return Scene(light, (opened > 0.99).astype(np.float32), scene.white, scene.noise / step)


def lift_below(scene: Scene, mask: Area) -> Lifted:
    """Take the highlights off that a mask shows.

    Parameters
    ----------
    scene : Scene
    mask : ndarray of bool, shape (H, W)

    Returns
    -------
    Lifted
    """
    spots = Spots(mask.astype(np.int32), 1, membrane(scene.light, mask))
    light = _without(scene, spots, np.array([0.0, 1.0]), fit(scene, spots.body), masked=True)
    return Lifted(light, float(mean(scene.light - light).sum()) / scene.white, 1, 1.0)


def _passes(scene: Scene, radii: tuple[int, ...], cuts: tuple[float, ...]) -> Lifted:
    start, count, total, trust = scene.light, 0, 0.0, 0.0
    for radius in radii:
        for cut in cuts:
            spots = find(scene, rise(scene.light, radius), cut)
            if spots is None:
                continue
            found = fit(scene, spots.body)
            score = judge(scene, spots, found)
            if not score.any():
                continue
            spots = _with_skirts(scene, spots, score)
            light = _without(scene, spots, score, fit(scene, spots.body))
            taken = mean(scene.light - light)
            amount = np.bincount(spots.label.ravel(), taken.ravel(), spots.count + 1)
            count += int(np.count_nonzero(amount > 0))
            total += float(amount.sum())
            trust += float((amount * score).sum())
            # What was clipped has been replaced.
            opened = np.maximum(scene.open, (mean(start - light) > 0)[..., None]).astype(np.float32)
            scene = Scene(light, opened, scene.white, scene.noise)
    return Lifted(scene.light, total / scene.white, count, trust / max(total, 1e-9))


def _with_skirts(scene: Scene, spots: Spots, score: Scores) -> Spots:
    """The same spots, those that are highlights with the skirts that they fade out in, and the body around these."""
    taken = score[spots.label] > 0
    area = np.bincount(spots.label.ravel(), minlength=spots.count + 1)
    reach = SKIRT * np.sqrt(area / np.pi) + 1
    distance, nearest = cv2.distanceTransformWithLabels(
        (~taken).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    # What is nearest comes as the number of a pixel, counted from 1 over those that are taken.
    owner = np.zeros(int(nearest.max()) + 1, np.int32)
    owner[nearest[taken]] = spots.label[taken]
    label = owner[nearest]
    label[distance > reach[label]] = 0
    label[(spots.label > 0) & ~taken] = 0
    # Other spots would colour the body only where they are near.
    others = (spots.label > 0) & (distance < reach.max() + BESIDE)
    return Spots(label, spots.count, membrane(scene.light, grown((label > 0) | others)))


def _without(scene: Scene, spots: Spots, score: Scores, found: Fit, *, masked: bool = False) -> Image:
    """The light below the spots, as far as they are believed to be highlights."""
    amount = score.astype(np.float32)[spots.label]
    weight = found.rise * (amount > 0)
    chosen = np.nonzero(amount > 0)

    def near(plane: Image, sigma: float = NEAR) -> Image:
        return blur(weight * plane, sigma)[chosen]

    share = blur(weight, NEAR)[chosen]
    product, square = near(found.product), near(found.square)
    level, around, light = found.light[chosen], found.body[chosen], scene.light[chosen]
    hold = (HOLD * (around / 3) ** 2 + 1e-8) * share
    ratio = np.where(share > 1e-9, np.clip((product + hold) / (square + hold + 1e-12), *BRIGHTER), 1)
    body = ratio[:, None] * spots.body[chosen]
    flat = ramp(near(found.product, NEARER) / (near(found.square, NEARER) + 1e-12), *FLAT) * (level > around)
    below = light - np.maximum(level - ratio * around, 0)[:, None]
    below = below + flat[:, None] * (body - below)
    below = np.where(scene.open[chosen] > 0, below, body)
    below = np.minimum(np.maximum(below, np.minimum(light, 0.5 * body)), light)
    part = amount[chosen]
    if not masked:
        error = np.sqrt(np.maximum(near(found.energy) - 2 * ratio * product + ratio**2 * square, 0) / (share + 1e-12))
        height = near(found.rise) / (share + 1e-12)
        part = part * ramp(
            error / np.maximum(np.maximum(height, FAINT * np.sqrt(square / (share + 1e-12))), 1e-6), *FOREIGN
        )
    result = scene.light.copy()
    result[chosen] = light + part[:, None] * (below - light)
    return result


def _enlarged(light: Image, taken: Image, step: int) -> Image:
    """A picture without what was taken off its smaller copy: smooth, and along its own edges."""
    height, width = light.shape[:2]
    wide = cv2.resize(taken, (width, height), interpolation=cv2.INTER_LINEAR)
    where = grown(taken.max(axis=2) > 0).astype(np.float32)
    near = np.clip(cv2.resize(where, (width, height), interpolation=cv2.INTER_LINEAR) * 2, 0, 1)
    near = cv2.erode(near, GROW)
    guide = torch.from_numpy(mean(light))
    spread = float(wide.max())
    fine = ops.guided(torch.from_numpy(wide).movedim(-1, 0).contiguous(), guide, 2 * step, (0.05 * spread) ** 2 + 1e-10)
    off = np.maximum(fine.movedim(0, -1).numpy(), 0) * near[..., None]
    return np.asarray(np.where(off > 1e-6, np.maximum(light - off, np.minimum(light, 0)), light), np.float32)
