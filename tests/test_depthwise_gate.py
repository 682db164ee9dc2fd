import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from imgrestore import _native
from imgrestore.ops import depthwise_gate, depthwise_gate_reference

needs_native = pytest.mark.skipif(not _native.available(), reason=f"no native library: {_native.reason()}")
LAST, PLANES = torch.channels_last, torch.contiguous_format
LAYOUTS = pytest.mark.parametrize("layout", [PLANES, LAST], ids=["planes", "channels_last"])
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float64: 1e-12}
SIZES = [(1, 1), (1, 7), (9, 1), (2, 3), (5, 16), (9, 17), (13, 61), (33, 70), (3, 300)]


def make(shape, dtype=torch.float32, layout=PLANES, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def draw(*size):
        return torch.randn(size, generator=generator, dtype=torch.float64).to(dtype)

    x = draw(*shape).contiguous(memory_format=layout)
    channels = shape[1]
    return x, draw(channels, 1, 3, 3) / 3, draw(channels)


def assert_is_twin(x, *parameters):
    out = depthwise_gate(x, *parameters)
    exact = depthwise_gate_reference(x.double(), *(None if p is None else p.double() for p in parameters))
    assert out.dtype == x.dtype
    assert out.shape == exact.shape
    error = (out - exact).abs().max() / exact.abs().max().clamp_min(1e-30)
    assert error < TOLERANCE[x.dtype], (tuple(x.shape), x.dtype, float(error))


@LAYOUTS
@pytest.mark.parametrize("channels", [2, 6, 16, 34, 40])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_is_its_twin(size, channels, layout):
    assert_is_twin(*make((2, channels, *size), layout=layout))


@LAYOUTS
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize("channels", [2, 16, 34])
def test_other_precisions(channels, dtype, layout):
    for size in ((1, 1), (7, 40), (10, 67)):
        assert_is_twin(*make((2, channels, *size), dtype, layout))


@pytest.mark.parametrize("size", [(1, 8, 300, 310), (3, 8, 70, 523)], ids=str)
def test_many_tiles(size):
    assert_is_twin(*make(size))
    assert_is_twin(*make(size, layout=LAST))


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[:, :, ::2, 3:43],
        lambda x: x.transpose(-1, -2)[:, :, :32, :40],
        lambda x: x[:, :, 5:37, 1:81:2],
        lambda x: x[:1, :, :32, :40].expand(4, -1, -1, -1),
        lambda x: x[:, :, :1].expand(-1, -1, 20, -1),
        lambda x: x.flip(-1),
        lambda x: x.contiguous(memory_format=LAST)[:, :, 2:30, 3:50],
    ],
    ids=["rows", "transposed", "columns", "expanded", "repeated", "flipped", "channels_last"],
)
def test_strided_planes(view):
    x, *parameters = make((2, 8, 64, 90))
    assert_is_twin(view(x), *parameters)


@pytest.mark.parametrize("size", [(0, 8, 5, 6), (2, 8, 0, 6), (2, 8, 5, 0)], ids=str)
def test_empty(size):
    _, *parameters = make((2, 8, 3, 3))
    assert depthwise_gate(torch.zeros(size), *parameters).shape == (size[0], 4, *size[2:])


def test_several_threads_at_once_get_the_same_bits():
    jobs = [make((2, 8, h, w), seed=h) for h, w in [(64, 64), (60, 72), (128, 40), (90, 100)]] * 4
    alone = [depthwise_gate(*job) for job in jobs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda job: depthwise_gate(*job), jobs))
    for a, b in zip(alone, together, strict=True):
        assert torch.equal(a, b)


@LAYOUTS
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bits_do_not_depend_on_threads_or_cut(layout, dtype):
    x, *parameters = make((1, 8, 150, 1100), dtype, layout)
    threads = torch.get_num_threads()
    try:
        results = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(depthwise_gate(x, *parameters))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(results[0], other) for other in results[1:])
    if _native.available():
        part = depthwise_gate(x[:, :, 20:130, 300:777], *parameters)
        assert torch.equal(part[:, :, 1:-1, 1:-1], results[0][:, :, 21:129, 301:776])


@needs_native
@LAYOUTS
def test_result_has_the_layout_of_its_input(layout):
    assert depthwise_gate(*make((2, 8, 5, 6), layout=layout)).is_contiguous(memory_format=layout)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_stays_in_its_neighbourhood(bad):
    x, *parameters = make((1, 8, 20, 40))
    x[0, 1, 7, 16] = bad
    for layout in (PLANES, LAST):
        out = depthwise_gate(x.contiguous(memory_format=layout), *parameters)
        broken = ~out.isfinite().all(1)[0]
        assert broken[7, 16]
        broken[6:9, 15:18] = False
        assert not broken.any()
        assert not depthwise_gate(x.bfloat16(), *parameters)[0, :, 7, 16].isfinite().all()


def test_gradients():
    arguments = [None if a is None else a.requires_grad_() for a in make((2, 4, 3, 4), torch.float64)]
    assert torch.autograd.gradcheck(depthwise_gate, arguments)
    assert torch.autograd.gradgradcheck(depthwise_gate, arguments)


@needs_native
@LAYOUTS
def test_gradients_of_the_op_are_those_of_the_twin(layout):
    arguments = make((2, 4, 9, 20), layout=layout)
    weight = torch.randn(2, 2, 9, 20)
    grads = []
    for function in (depthwise_gate, depthwise_gate_reference):
        own = [a.clone().requires_grad_() for a in arguments]
        grads.append(torch.autograd.grad((function(*own) * weight).sum(), own))
    for ours, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@needs_native
@pytest.mark.parametrize("grad", [False, True])
def test_opcheck(grad):
    depthwise_gate(*make((1, 4, 2, 2)))
    for size in ((2, 4, 5, 9), (1, 4, 1, 1)):
        for layout in (PLANES, LAST):
            arguments = [a.requires_grad_(grad) for a in make(size, layout=layout)]
            torch.library.opcheck(torch.ops.imgrestore.depthwise_gate.default, (*arguments, ))


def test_meta_tensors():
    assert depthwise_gate(*(a.to("meta") for a in make((2, 8, 5, 6)))).shape == (2, 4, 5, 6)


def test_vmap_and_forward_mode():
    x, *parameters = make((2, 4, 5, 6), torch.float64)
    mapped = torch.func.vmap(lambda x: depthwise_gate(x, *parameters))(torch.stack([x, 2 * x]))
    torch.testing.assert_close(mapped[1], depthwise_gate(2 * x, *parameters))
    _, tangent = torch.func.jvp(lambda x: depthwise_gate(x, *parameters), (x,), (x,))
    assert tangent.abs().max() > 0


def test_compiles_without_graph_breaks():
    arguments = make((2, 4, 8, 6))
    compiled = torch.compile(lambda *a: depthwise_gate(*a) + 1, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(*arguments), depthwise_gate(*arguments) + 1, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": [[1.0]]}, TypeError, r"x: got list, expected a torch\.Tensor"),
        ({"x": torch.zeros(1, 4, 2, 2).int()}, TypeError, r"x: got dtype torch\.int32, expected"),
        ({"x": torch.zeros(4, 2, 2)}, ValueError, r"x: got shape \(4, 2, 2\), expected planes"),
        ({"x": torch.zeros(1, 0, 2, 2)}, ValueError, r"x: got shape \(1, 0, 2, 2\), expected planes"),
        ({"x": torch.zeros(1, 3, 2, 2)}, ValueError, "x: got 3 channels, expected an even number"),
        ({"weight": 1.0}, TypeError, r"weight: got float, expected a torch\.Tensor"),
        ({"weight": torch.zeros(4, 1, 5, 5)}, ValueError, r"weight: got shape \(4, 1, 5, 5\), expected \(4, 1, 3, 3\)"),
        ({"bias": torch.zeros(3)}, ValueError, r"bias: got shape \(3,\), expected \(4,\) to go with x"),
    ],
)
def test_errors_name_the_argument(change, error, message):
    arguments = {"x": torch.zeros(1, 4, 2, 2), "weight": torch.zeros(4, 1, 3, 3), "bias": torch.zeros(4)}
    with pytest.raises(error, match=message):
        depthwise_gate(**{**arguments, **change})


CHILD = """
import sys
sys.path.insert(0, {tests!r})
from test_depthwise_gate import LAST, PLANES, assert_is_twin, make
import torch
from imgrestore import _native
for size in [(1, 4, 1, 1), (2, 8, 9, 17), (1, 22, 33, 70), (1, 8, 5, 300)]:
    for layout in (PLANES, LAST):
        for dtype in (torch.float32, torch.bfloat16):
            assert_is_twin(*make(size, dtype, layout))
isa = _native.build_info()["isa"]
print(_native.available(), isa["in_use"])
"""


def in_child(**environment):
    root = Path(__file__).parents[1]
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    out = subprocess.run(
        [sys.executable, "-c", CHILD.replace("{tests!r}", repr(str(root / "tests")))],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
    )
    assert out.returncode == 0, out.stderr
    return out.stdout.split()


@needs_native
@pytest.mark.parametrize("isa", _native.build_info()["isa"]["compiled"])
def test_every_instruction_set(isa):
    if isa not in _native.build_info()["isa"]["supported"]:
        pytest.skip(f"this processor does not have {isa}")
    assert in_child(IMGRESTORE_ISA=isa, IMGRESTORE_NATIVE="1") == ["True", isa]


def test_same_answers_without_native_code():
    assert in_child(IMGRESTORE_NATIVE="0") == ["False", "None"]
