"""The diagnoser that ships: what it tells of photographs, damaged and not, and how it is explained."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage import data

import imgrestore
from imgrestore.data.damages import seeded_cases
from imgrestore.degrade import blur, moire
from imgrestore.nets.diagnoser import DAMAGES
from imgrestore.nets.weights import load
from imgrestore.train.diagnose import answer

PHOTOGRAPHS = [getattr(data, name)() for name in ("astronaut", "chelsea", "coffee", "rocket")]


def odds(picture):
    planes = torch.from_numpy(np.asarray(picture, np.float32) / 255).permute(2, 0, 1)
    return dict(zip(DAMAGES, load("diagnose").diagnose(planes).logits[0].tolist(), strict=True))


@pytest.mark.parametrize("number", range(len(PHOTOGRAPHS)))
def test_blur_is_told_from_sharp_photographs(number):
    photograph = PHOTOGRAPHS[number]
    planes = torch.from_numpy(photograph).permute(2, 0, 1).float() / 255
    soft = blur.convolve_valid(planes, torch.from_numpy(blur.gaussian_psf(3.0, 3.0)))
    assert odds(soft.permute(1, 2, 0).numpy() * 255)["blur"] > odds(photograph)["blur"] + 2


def test_moire_is_told_from_clean_photographs():
    rises = []
    for number, photograph in enumerate(PHOTOGRAPHS):
        part = photograph[:240, :240]
        planes = torch.from_numpy(part.copy()).permute(2, 0, 1).float() / 255
        params = replace(moire.sample(tuple(planes.shape), np.random.default_rng(number)), tone=moire.Tone())
        waved = moire.apply(planes, params).permute(1, 2, 0).numpy() * 255
        rises.append(odds(waved)["moire"] - odds(part)["moire"])
    assert min(rises) > 0, rises  # one of the four is faint
    assert np.mean(rises) > 1, rises


def test_it_is_right_far_more_often_than_by_chance():
    """Seven answers are possible; photographs that it has not seen."""
    cases = list(seeded_cases(PHOTOGRAPHS, 6, 224, seed=3))
    right = 0
    for picture, truth in cases:
        found = answer(load("diagnose").diagnose(picture).logits[0], several=True)
        right += (*DAMAGES, "none")[found] == truth
    assert right > 0.4 * len(cases), right / len(cases)


def test_explain_needs_no_weights_of_ones_own():
    found = imgrestore.explain(PHOTOGRAPHS[1][:128, :128], damage="moire", patch=48)
    assert found.scores.keys() == set(DAMAGES)
    assert np.abs(found.maps["moire"]).max() > 0
