"""A Restoration holds its layers fast and puts them together again."""

import dataclasses

import numpy as np
import pytest

from imgrestore import Psf, Restoration
from imgrestore import types as public


def test_layers_add_up_by_default():
    parts = {"a": np.full((2, 2), 1.0), "b": np.full((2, 2), 2.0), "c": np.full((2, 2), 0.5)}
    assert np.array_equal(Restoration(np.zeros((2, 2)), parts).recompose(), np.full((2, 2), 3.5))


def test_recompose_leaves_the_layers_as_they_are():
    first = np.ones((2, 2))
    Restoration(first, {"a": first, "b": np.ones((2, 2))}).recompose()
    assert np.array_equal(first, np.ones((2, 2)))


def test_a_forward_model_takes_the_place_of_the_sum():
    restoration = Restoration(np.full((2, 2), 3.0), {"gain": np.full((2, 2), 0.5)}, forward=lambda x, a: x * a["gain"])
    assert np.array_equal(restoration.recompose(), np.full((2, 2), 1.5))


def test_without_layers_there_is_nothing_to_recompose():
    with pytest.raises(ValueError, match="this restoration has no layers to recompose"):
        Restoration(np.ones((2, 2))).recompose()


def test_a_restoration_cannot_be_changed():
    layers = {"a": np.ones((2, 2))}
    restoration = Restoration(np.ones((2, 2)), layers, notes=["one"])
    with pytest.raises(dataclasses.FrozenInstanceError):
        restoration.image = None
    with pytest.raises(TypeError):
        restoration.layers["b"] = None
    layers["b"] = None
    assert list(restoration.layers) == ["a"]
    assert restoration.notes == ("one",)


def test_restorations_and_psfs_compare_by_identity():
    restoration = Restoration(np.ones((2, 2)))
    assert restoration == restoration
    assert restoration != Restoration(np.ones((2, 2)))
    assert Psf.disk(2) != Psf.disk(2)


def test_types_has_both_nouns():
    assert (public.Psf, public.Restoration) == (Psf, Restoration)
