"""restore on large pictures: a chain of steps in tiles, and a diagnosis of what can be seen of the whole."""

import pickle

import numpy as np
import pytest
from skimage import data
from test_plan import report

from imgrestore import restore
from imgrestore.diagnosis.views import CLOSE, WHOLE, views_of_parts
from imgrestore.tiles import TASKS, ArraySource, Window, prepare, restore_large
from imgrestore.tiles import restore as chained

PICTURE = np.ascontiguousarray(data.camera()[100:250, 100:290])
TWICE = [
    ("deblur", {"psf": "gaussian:1", "method": "wiener", "noise": 2.0}),
    ("deblur", {"psf": "motion:5:30", "method": "wiener", "noise": 2.0}),
]


def in_tiles(prepared, picture, size):
    result = np.empty_like(picture)
    for window in Window.grid(picture.shape, size):
        result[window.slices] = prepared(picture[prepared.seen(window).slices], window)
    return result


def test_a_chain_in_tiles_equals_the_whole():
    picture = PICTURE.astype(np.float32) / 255
    plan = [(name, {**own, "noise": 0.01}) for name, own in TWICE]
    prepared = pickle.loads(pickle.dumps(prepare("restore", picture, plan=plan, refine=False)))
    whole = restore(picture, plan=plan, refine=False)
    assert np.abs(whole - picture).max() > 0.05
    for size in ((64, 64), (150, 53)):
        np.testing.assert_allclose(in_tiles(prepared, picture, size), whole, atol=1e-4)


@pytest.fixture
def told(monkeypatch):
    """Diagnoses that a test gives one after another."""
    diagnoses = []
    monkeypatch.setattr(chained, "examined", lambda views: diagnoses.pop(0))
    return diagnoses


def striped():
    return (PICTURE + 40 * np.sin(2 * np.pi * 0.23 * np.arange(190))).clip(0, 255).astype(np.uint8)


def test_steps_follow_from_diagnoses(told):
    told += [report(moire=0.9, rust=0.8), report(rust=0.8)]
    prepared = prepare("restore", striped())
    assert not told
    assert [note.split(":")[0] for note in prepared.notes] == ["demoire", "derust"]
    assert len(prepared.work.steps) == 1  # there is no rust in a gray picture
    result = in_tiles(prepared, striped(), (80, 80))
    before, after = (np.mean((one.astype(float) - PICTURE) ** 2) for one in (striped(), result))
    assert after < before / 4


def test_what_looks_more_damaged_is_taken_back(told):
    told += [report(moire=0.9), report(moire=0.9, rust=0.7, shadow=0.4)]
    prepared = prepare("restore", striped())
    assert "taken back" in prepared.notes[0]
    assert prepared.halo == 0
    np.testing.assert_array_equal(in_tiles(prepared, striped(), (100, 100)), striped())


def test_nothing_to_mend(told, fresh_process):
    told.append(report())
    prepared = prepare("restore", PICTURE)
    assert prepared.notes == ("nothing to mend was found: the picture is left as it is",)
    result = np.zeros_like(PICTURE)
    told.append(report())
    restore_large("restore", PICTURE, result, tile=64)
    np.testing.assert_array_equal(result, PICTURE)


def test_a_step_is_seen_as_if_it_were_done():
    picture = PICTURE.astype(np.float32) / 255
    name, own = TWICE[0]
    step = prepare(name, picture, **{**own, "noise": 0.01})
    after = chained.After(ArraySource(picture), step)
    window = Window(20, 30, 90, 100)
    whole = restore(picture, plan=[(name, {**own, "noise": 0.01})])
    np.testing.assert_allclose(after.read(window), whole[window.slices], atol=1e-4)


def test_it_is_one_of_the_tasks():
    assert TASKS[-1] == "restore"
    with pytest.raises(ValueError, match="plan has the step 'defog'"):
        prepare("restore", PICTURE, plan=["defog"])


def test_views_of_parts():
    rng = np.random.default_rng(0)
    parts = [np.full((500, 500), 7000, np.uint16), rng.integers(0, 65535, (500, 500)).astype(np.uint16)]
    views = views_of_parts(np.full((900, 800), 7000, np.uint16), parts, (9000, 8000))
    assert max(views.whole.shape) == WHOLE
    assert views.close.shape[1:] == (CLOSE, CLOSE)
    assert float(views.close.std()) > 0.2
    assert views.size == (9000, 8000)
    counts = [part.astype(np.float32) for part in parts]
    same = views_of_parts(np.full((900, 800), 7000, np.float32), counts, (9000, 8000))
    assert float(same.close.mean() / same.whole.mean()) == pytest.approx(
        float(views.close.mean() / views.whole.mean()), rel=1e-3
    )
