"""What the tests of the classical methods have in common."""

import numpy as np
import pytest

from imgrestore.classical import hyper_laplacian, richardson_lucy, total_variation, wiener

METHODS = [wiener, richardson_lucy, total_variation, hyper_laplacian]
SPARSE = [total_variation, hyper_laplacian]
BOUNDARIES = ["unknown", "zero", "reflect", "periodic"]

by_name = pytest.mark.parametrize("method", METHODS, ids=lambda m: m.__name__)


def variation(picture):
    return np.abs(np.diff(picture, axis=0)).sum() + np.abs(np.diff(picture, axis=1)).sum()
