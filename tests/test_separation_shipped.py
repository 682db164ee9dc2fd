"""The nets that take pictures apart and ship: they gain where they can, and leave alone what is undamaged."""

from functools import partial

import damaged
import numpy as np
import pytest
import set_reflection
import set_rust
import set_shadow
import set_specular
from skimage import data

from imgrestore import dereflect, derust, deshadow, despecular

LIMIT = 1e-5


def check_gains(task, pictures, more, with_mask):
    """The net gains so much more than the classical method, loses on no picture, and its layers are exact."""
    plain = damaged.gains(partial(task, method="classical"), pictures, with_mask=with_mask)
    found = damaged.gains(task, pictures, with_mask=with_mask)
    assert damaged.mean(found) > damaged.mean(plain) + more, found
    assert damaged.worst(found) > -0.5, found
    assert max(one.recomposed for one in found) < LIMIT


def test_reflections_are_taken_off_better_than_without():
    check_gains(dereflect, set_reflection.SETS["veiled"](), 1, with_mask=False)


def test_shadows_are_lifted_no_worse_than_without():
    check_gains(deshadow, set_shadow.cast(1), -0.2, with_mask=False)


@pytest.mark.parametrize("with_mask", [False, True])
def test_highlights_are_taken_off_better_than_without(with_mask):
    check_gains(despecular, set_specular.on_photographs(), 0.6, with_mask)


def test_stains_below_a_mask_are_taken_off_better_than_without():
    """In crowded pictures: on a single surface the classical method is kept."""
    check_gains(derust, set_rust.filed(), 0.1, with_mask=True)


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket", "immunohistochemistry", "retina"])
def test_undamaged_pictures_come_back(name):
    picture = getattr(data, name)()
    assert np.array_equal(dereflect(picture), picture)
    assert np.array_equal(derust(picture), picture)
    assert damaged.psnr(deshadow(picture) / 255, picture / 255) > 45


def test_a_shadow_over_a_face_is_lifted():
    """The classical method alone leaves it."""
    face = data.astronaut()[:256, 100:356].astype(np.float32) / 255
    rows, columns = np.indices(face.shape[:2])
    shade = (np.hypot((rows - 110) / 50, (columns - 120) / 34) < 1)[..., None]
    shaded = np.where(shade, face * (0.42, 0.45, 0.5), face).astype(np.float32)
    before = damaged.psnr(shaded, face)
    assert damaged.psnr(deshadow(shaded), face) > before + 3
