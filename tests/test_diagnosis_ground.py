"""Stars and stained cells: lights on an even dark ground are no highlights, and nothing is lit there."""

import numpy as np
import pytest
import torch
from skimage import data

from imgrestore import diagnose, restore
from imgrestore.diagnosis.examine import ONLY_LIGHTS
from imgrestore.diagnosis.ground import only_lights

SIDE = 200
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]
LIT = {"shadow", "reflection", "specular", "rust"}


def lights(count=30, ground=0.03, radius=4.0):
    """Round lights, brightest in the middle, on even ground: (3, H, W)."""
    drawn = np.full((SIDE, SIDE), ground)
    for top, left in np.random.default_rng(3).uniform(0, SIDE, (count, 2)):
        drawn += 0.9 * np.exp(-((ROWS - top) ** 2 + (COLUMNS - left) ** 2) / radius**2)
    return torch.from_numpy(drawn.clip(0, 1).astype(np.float32)).expand(3, -1, -1).clone()


def test_lights_on_an_even_dark_ground_are_told():
    assert only_lights(lights())
    assert only_lights(lights() * torch.tensor([0.1, 1.0, 0.2])[:, None, None])  # as cells in one colour
    assert only_lights(lights() + 0.01 * torch.randn(3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (lambda scene: scene + 0.3, "the ground is not dark"),
        (lambda scene: scene + torch.linspace(0, 0.1, SIDE), "it is not even"),
        (lambda scene: scene + torch.linspace(0, 0.5, SIDE), "it is not most of the picture"),
        (lambda scene: lights(count=3), "there are few lights"),
        (lambda scene: torch.maximum(scene, lights(count=1, radius=40)), "there is a body"),
        (lambda scene: torch.zeros_like(scene), "there is nothing"),
    ],
)
def test_other_pictures_are_not(changed, why):
    assert not only_lights(changed(lights())), why


@pytest.mark.parametrize("form", [lambda sky: sky, lambda sky: sky[..., 1], lambda sky: sky.astype(np.uint16) * 257])
def test_galaxies_are_no_highlights(form):
    sky = form(data.hubble_deep_field()[:400, :400])
    report = diagnose(sky)
    assert report.first == "none"
    assert all(report[name].probability == 0 for name in LIT)
    assert ONLY_LIGHTS in report.notes
    np.testing.assert_array_equal(restore(sky), sky)


def test_a_photograph_has_no_such_note():
    assert ONLY_LIGHTS not in diagnose(np.ascontiguousarray(data.astronaut()[:128, 150:278])).notes
