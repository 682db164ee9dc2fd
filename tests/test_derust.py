"""`derust`: what it gains on stains, and that it leaves everything else alone."""

import damaged
import numpy as np
import pytest
import set_rust
import torch
from skimage import data

from imgrestore.degrade import rust
from imgrestore.tasks.derust import derust


@pytest.fixture(scope="module")
def computed():
    return set_rust.computed()


@pytest.fixture(scope="module")
def unasked(computed):
    return damaged.gains(derust, computed)


def test_gains_without_a_mask(unasked):
    assert damaged.mean(unasked) > 12
    assert damaged.worst(unasked) > -0.3
    assert max(one.recomposed for one in unasked) < 1e-5


def test_gains_with_the_mask(computed, unasked):
    """Where the stains are found anyway, a mask can only cut off their faintest parts."""
    masked = damaged.gains(derust, computed, with_mask=True)
    assert damaged.mean(masked) > damaged.mean(unasked) - 0.3
    assert damaged.worst(masked) > -0.5
    assert max(one.recomposed for one in masked) < 1e-5


def test_gains_on_jpeg_files():
    files = set_rust.filed()[::2]
    found, masked = (damaged.gains(derust, files, with_mask=w) for w in (False, True))
    assert damaged.mean(found) > 4.5
    assert damaged.mean(masked) > damaged.mean(found)
    assert min(damaged.worst(found), damaged.worst(masked)) > -0.5


@pytest.mark.parametrize(
    "name", ["astronaut", "brick", "chelsea", "coffee", "page", "retina", "rocket", "immunohistochemistry"]
)
def test_pictures_without_stains_come_back(name):
    picture = getattr(data, name)()
    picture = np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture
    picture = picture[: min(640, len(picture)), :640]
    result = derust(picture, details=True)
    assert np.array_equal(result.image, picture)
    assert not result.layers["density"].any()
    assert "left as it is" in result.notes[0]


def test_rust_all_over_comes_back_with_its_mask():
    rng = np.random.default_rng(0)
    crust = rust._crust((160, 200), rng).transpose(1, 2, 0)
    result = derust(crust, details=True)
    assert np.array_equal(result.image, crust)
    assert result.mask.mean() > 0.5
    assert "rust" in result.notes[0]
    assert result.confidence < 0.5


def tea_page(density=0.7):
    page = torch.from_numpy(data.page() / 255).float().expand(3, -1, -1)
    stain = rust.Stain("splash", rust.DIRECTIONS["tea"], density=density, size=0.3, seed=5)
    params = rust.RustParams((stain,))
    return page, rust.apply(page, params), rust.rust_layers((3, *page.shape[1:]), params)


def test_the_density_found_is_the_true_one():
    _, stained, layers = tea_page()
    result = derust(stained, details=True)
    assert float((result.layers["density"] - layers.density).abs().mean()) < 0.01
    area = rust.stained_area(layers)[0]
    both = float((result.mask & area).sum()) / float((result.mask | area).sum())
    assert both > 0.8
    assert "density" in result.notes[0]


def test_a_fainter_stain_is_less_dense():
    amounts = [float(derust(tea_page(d)[1], details=True).layers["density"].mean()) for d in (0.3, 0.6, 0.9)]
    assert amounts == sorted(amounts)
    assert amounts[2] == pytest.approx(3 * amounts[0], rel=0.15)


def test_exposure_does_not_matter():
    page, stained, _ = tea_page()
    darker = derust(0.4 * stained)
    assert float((darker - 0.4 * page).abs().mean()) < 0.004


def test_other_stains_are_found_when_their_density_is_given():
    page = torch.from_numpy(data.page() / 255).float().expand(3, -1, -1)
    ink = rust.Stain("splash", rust.DIRECTIONS["ink"], density=0.6, size=0.3, seed=5)
    stained = rust.apply(page, rust.RustParams((ink,)))
    assert torch.equal(derust(stained), stained)
    cleaned = derust(stained, stain=rust.DIRECTIONS["ink"])
    assert float((cleaned - page).abs().mean()) < 0.2 * float((stained - page).abs().mean())


def test_gray_pictures_need_a_mask():
    page, stained, layers = tea_page()
    gray, clean = stained.mean(0).numpy(), page.mean(0).numpy()
    result = derust(gray, details=True)
    assert np.array_equal(result.image, gray)
    assert "mask" in result.notes[0]
    mask = rust.stained_area(layers)[0].numpy()
    mended = derust(gray, mask=mask)
    assert np.square(mended - clean).mean() < np.square(gray - clean).mean()
    assert np.array_equal(mended[~_wider(mask)], gray[~_wider(mask)])


def _wider(mask):
    from scipy.ndimage import binary_dilation

    return binary_dilation(mask, iterations=8)


def test_a_mask_of_everything_and_stains_without_colour_are_refused_in_words():
    _, stained, _ = tea_page()
    whole = derust(stained, mask=np.ones(stained.shape[1:], bool), details=True)
    assert torch.equal(whole.image, stained)
    assert "mask" in whole.notes[0]
    colourless = derust(stained, stain=(1, 1, 1), details=True)
    assert torch.equal(colourless.image, stained)
    assert "colour" in colourless.notes[0]


@pytest.mark.parametrize("stain", ["brown", (1, 2), (0, 0, 0), (-1, 1, 1), (np.nan, 1, 1)])
def test_bad_stains(stain):
    with pytest.raises(ValueError, match="stain is"):
        derust(np.eye(20), stain=stain)
