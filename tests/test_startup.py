"""What a process does not wait for: imports that take long and that a task has no use for."""

import pytest
import torch
from child import run

from imgrestore.ops import fft_convolve
from imgrestore.ops._shapes import broadcast_shapes, broadcasts_to

# Torch's compiler, what it reckons shapes with, and SciPy's signals with all statistics: seconds together.
SLOW = {"torch._dynamo", "sympy", "scipy.signal", "scipy.stats", "matplotlib", "skimage", "dask", "zarr"}
SHARP = "import imgrestore, numpy; imgrestore.deblur(numpy.eye(40, dtype='float32'), 'gaussian:1')"
NETS = "from imgrestore.nets import weights; [weights.load(task) for task in weights.SHA256]"


@pytest.mark.parametrize("code", [SHARP, NETS], ids=["deblur", "nets"])
def test_slow_imports_are_left_alone(code):
    begin = "import sys, torch; before = set(sys.modules)"  # what torch imports by itself is not ours to leave
    told = run("-c", f"{begin}; {code}; print(*sorted({SLOW!r} & (set(sys.modules) - before)))").stdout
    assert told.split() == []


@pytest.mark.parametrize("shapes", [((2, 1), (3,)), ((), (4, 5)), ((1, 0), (6, 1)), ((2, 3),)])
def test_shapes_broadcast_as_those_of_tensors(shapes):
    found = broadcast_shapes(*shapes)
    assert isinstance(found, torch.Size)
    assert found == torch.broadcast_shapes(*shapes)
    assert broadcasts_to(shapes[0], found)


def test_shapes_that_do_not_broadcast():
    with pytest.raises(ValueError, match="broadcast"):
        broadcast_shapes((2,), (3,))
    assert not broadcasts_to((2,), (3,))
    assert not broadcasts_to((2, 3), (3,))  # it would be the longer one


def test_shapes_may_be_symbols():
    kernel = torch.rand(3, 5, 5)
    compiled = torch.compile(lambda x: fft_convolve(x, kernel), backend="aot_eager", fullgraph=True, dynamic=True)
    for size in (20, 31):
        x = torch.rand(2, 1, size, 24)
        torch.testing.assert_close(compiled(x), fft_convolve(x, kernel))
