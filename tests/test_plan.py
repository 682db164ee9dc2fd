"""restore: which steps are carried out, in which order, what is taken back, and what comes out."""

import pickle

import numpy as np
import pytest
import torch

from imgrestore import plan
from imgrestore.diagnosis.report import Finding, Report
from imgrestore.nets.diagnoser import DAMAGES
from imgrestore.plan import FUNCTIONS, ORDER, TASKS, Restored, restore
from imgrestore.types import Restoration

GRAY = np.full((40, 50), 100, np.uint8)


def report(**probability):
    """A report that believes what is likely."""
    findings = [
        Finding(name, TASKS[name], probability.get(name, 0.0), 0.5, np.zeros((40, 50), bool)) for name in DAMAGES
    ]
    findings.sort(key=lambda one: -one.probability)
    believed = tuple(one.damage for one in findings if one.probability >= 0.5)
    sound = float(np.prod([1 - one.probability for one in findings]))
    first = believed[0] if believed else "none"
    return Report(tuple(findings), sound, first, believed, 0.0, None, np.zeros((40, 50, 3), np.uint8))


@pytest.fixture
def world(monkeypatch):
    """Tasks that add 1 to every pixel, and diagnoses that a test gives one after another."""
    calls, diagnoses = [], []

    def task(name):
        def run(image, *, details, **settings):
            calls.append((name, settings))
            return Restoration(image + 1, notes=(f"{name} was taken off",))

        return run

    monkeypatch.setattr(plan, "FUNCTIONS", {name: task(name) for name in FUNCTIONS})
    monkeypatch.setattr(plan, "diagnose", lambda image, channel_axis: diagnoses.pop(0))
    return calls, diagnoses


def names(calls):
    return [name for name, _ in calls]


def test_the_last_damage_goes_first(world):
    calls, diagnoses = world
    diagnoses += [report(rust=0.99, blur=0.6, shadow=0.7), report(rust=0.99, shadow=0.7), report(rust=0.9), report()]
    found = restore(GRAY, details=True)
    assert names(calls) == ["blur", "shadow", "rust"]
    assert [step.kept for step in found.steps] == [True] * 3
    assert len(found.reports) == 4
    assert found.confidence == 1.0
    assert (found.image == GRAY + 3).all()


@pytest.mark.parametrize(("rows", "wanted"), [(36, "shadow"), (38, "rust")])
def test_a_shadow_over_nearly_everything_is_none(rows, wanted):
    found = report(shadow=0.9, rust=0.8)
    shadow = next(one for one in found.findings if one.damage == "shadow")
    shadow.mask[:rows] = True  # of 40
    assert plan.first_of(found, []) == wanted
    assert plan.first_of(found, ["shadow"]) == "rust"


def test_every_damage_has_its_place():
    assert sorted(ORDER) == sorted(DAMAGES) == sorted(FUNCTIONS) == sorted(TASKS)


def test_layers_make_the_input_again(world):
    _, diagnoses = world
    diagnoses += [report(blur=0.9, rust=0.8), report(rust=0.8), report()]
    found = restore(GRAY, details=True)
    assert sorted(found.layers) == ["deblur", "derust", "restored"]
    np.testing.assert_allclose(found.recompose(), GRAY)
    again = pickle.loads(pickle.dumps(found))
    assert isinstance(again, Restored)
    assert [step.task for step in again.steps] == ["deblur", "derust"]


def test_what_looks_more_damaged_is_taken_back(world):
    calls, diagnoses = world
    diagnoses += [report(blur=0.9, rust=0.6), report(blur=0.9, rust=0.6, moire=0.9, shadow=0.4), report()]
    found = restore(GRAY, details=True)
    assert names(calls) == ["blur", "rust"]
    assert [step.kept for step in found.steps] == [False, True]
    assert "taken back" in found.steps[0].why
    assert (found.image == GRAY + 1).all()


def test_a_task_that_changes_nothing_is_asked_once(world, monkeypatch):
    calls, diagnoses = world
    monkeypatch.setitem(plan.FUNCTIONS, "blur", lambda image, **_: Restoration(image.copy(), notes=("sharp",)))
    diagnoses += [report(blur=0.9)]
    found = restore(GRAY, details=True)
    assert not calls
    assert len(found.reports) == 1
    assert (found.steps[0].kept, found.steps[0].why) == (False, "sharp")
    assert (found.image == GRAY).all()
    assert found.image is not GRAY


def test_a_damage_that_comes_back_is_not_removed_again(world):
    calls, diagnoses = world
    diagnoses += [report(blur=0.9), report(blur=0.9)]
    assert (restore(GRAY) == GRAY + 1).all()
    assert names(calls) == ["blur"]


def test_blur_is_tried_before_it_is_believed(world):
    calls, diagnoses = world
    diagnoses += [report(blur=0.3, shadow=0.45), report()]
    restore(GRAY)
    assert names(calls) == ["blur"]


def test_a_picture_that_was_mended_is_looked_at_with_less_caution(world):
    calls, diagnoses = world
    diagnoses += [report(blur=0.9, specular=0.3), report(specular=0.3, shadow=0.4, rust=0.2), report(rust=0.2)]
    restore(GRAY)
    assert names(calls) == ["blur", "specular"]


def test_a_try_that_brings_nothing_is_taken_back(world):
    calls, diagnoses = world
    diagnoses += [report(blur=0.9, specular=0.3), report(specular=0.3), report(specular=0.1, rust=0.1)]
    found = restore(GRAY, details=True)
    assert names(calls) == ["blur", "specular"]
    assert [step.kept for step in found.steps] == [True, False]
    assert (found.image == GRAY + 1).all()


def test_nothing_to_mend(world):
    calls, diagnoses = world
    diagnoses += [report(shadow=0.3)]
    found = restore(GRAY, details=True)
    assert not calls
    assert found.notes == ("nothing to mend was found: the picture is left as it is",)
    assert found.confidence == pytest.approx(0.7)
    np.testing.assert_array_equal(found.recompose(), GRAY)


def test_a_plan_is_followed_without_a_diagnosis(world):
    calls, _ = world
    found = restore(GRAY, plan=["derust", ("deblur", {"psf": 3}), "shadow", "derust"], details=True, refine=False)
    assert names(calls) == ["rust", "blur", "shadow", "rust"]
    assert calls[1][1]["psf"] == 3
    assert all(settings["refine"] is False for _, settings in calls)
    assert found.reports == ()
    assert found.confidence is None
    np.testing.assert_allclose(found.recompose(), GRAY)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("deblur", "plan is 'deblur'; expected a sequence of tasks"),
        (["deblurr"], "plan has the step 'deblurr'; expected one of deblur"),
        ([("deblur", 3)], "plan has the step"),
        ({"deblur": {}}, "expected a sequence of tasks"),
    ],
)
def test_plans_that_make_no_sense(wrong, told):
    with pytest.raises(ValueError, match=told):
        restore(GRAY, plan=wrong)


def test_each_picture_of_a_batch_has_its_own_plan(world):
    calls, diagnoses = world
    diagnoses += [report(blur=0.9), report(), report()]
    batch = torch.zeros(2, 3, 40, 50)
    heard = []
    found = restore(batch, details=True, progress=lambda text, part: heard.append((text, part)))
    assert [len(one.steps) for one in found] == [1, 0]
    assert names(calls) == ["blur"]
    assert heard[0] == ("picture 1 of 2, diagnosing", 0.0)
    assert heard[-1] == ("picture 2 of 2, done", 1.0)
    diagnoses += [report(blur=0.9), report(), report()]
    result = restore(batch)
    assert result.shape == batch.shape
    assert result[0].eq(1).all()
    assert not result[1].any()


def test_batches_of_arrays_with_channels_anywhere(world):
    _, diagnoses = world
    diagnoses += [report()] * 6
    stack = np.zeros((2, 3, 40, 50, 3), np.float32)
    assert restore(stack, channel_axis=-1).shape == stack.shape
    with pytest.raises(ValueError, match="channel_axis is 0 in a batch of shape"):
        restore(np.zeros((3, 2, 40, 50), np.float32), channel_axis=0)


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="device is 'nowhere'"):
        restore(GRAY, device="nowhere")
