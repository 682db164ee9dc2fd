"""The ops of the nets, `channel_norm`, `depthwise_gate` and `gated_block`: equal to their twins, whatever the input."""

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from native_cases import assert_isa, assert_without_native, isas, needs_native
from net_cases import BLOCK, GATE, LAST, LAYOUTS, NET_OPS, PLANES

from imgrestore import _native

SIZES = [(1, 1), (1, 7), (9, 1), (2, 3), (5, 16), (9, 17), (13, 61), (33, 70), (3, 300)]
VIEWS = {
    "rows": lambda x: x[:, :, ::2, 3:43],
    "transposed": lambda x: x.transpose(-1, -2)[:, :, :32, :40],
    "columns": lambda x: x[:, :, 5:37, 1:81:2],
    "expanded": lambda x: x[:1, :, :32, :40].expand(4, -1, -1, -1),
    "repeated": lambda x: x[:, :, :1].expand(-1, -1, 20, -1),
    "flipped": lambda x: x.flip(-1),
    "channels_last": lambda x: x.contiguous(memory_format=LAST)[:, :, 2:30, 3:50],
}

every = pytest.mark.parametrize("case", NET_OPS.values(), ids=NET_OPS)


def every_with(channels):
    """Every op with each of its numbers of channels."""
    pairs = [pytest.param(case, c, id=f"{name}-{c}") for name, case in NET_OPS.items() for c in channels(case)]
    return pytest.mark.parametrize(("case", "channels"), pairs)


@LAYOUTS
@every_with(lambda case: case.widths)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_is_its_twin(case, channels, size, layout):
    case.assert_is_twin(*case.make((2, channels, *size), layout=layout))


@LAYOUTS
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
@every_with(lambda case: case.precise)
def test_other_precisions(case, channels, dtype, layout):
    for size in ((1, 1), (7, 40), (10, 67)):
        case.assert_is_twin(*case.make((2, channels, *size), dtype, layout))


@every
@pytest.mark.parametrize(("pictures", "size"), [(1, (300, 310)), (3, (70, 523))], ids=str)
def test_many_tiles(case, pictures, size):
    for layout in (PLANES, LAST):
        case.assert_is_twin(*case.make((pictures, case.usual, *size), layout=layout))


@every
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_strided_planes(case, view):
    x, *parameters = case.make((2, case.usual, 64, 90))
    case.assert_is_twin(view(x), *parameters)


@every
@pytest.mark.parametrize(("pictures", "size"), [(0, (5, 6)), (2, (0, 6)), (2, (5, 0))], ids=str)
def test_empty(case, pictures, size):
    shape = (pictures, case.usual, *size)
    _, *parameters = case.make((2, case.usual, 3, 3))
    assert case.op(torch.zeros(shape), *parameters).shape == case.shape(shape)


@every
def test_several_threads_at_once_get_the_same_bits(case):
    sizes = [(64, 64), (60, 72), (128, 40), (90, 100)]
    jobs = [case.make((2, case.usual, h, w), seed=h) for h, w in sizes] * 4
    alone = [case.op(*job) for job in jobs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda job: case.op(*job), jobs))
    for a, b in zip(alone, together, strict=True):
        assert torch.equal(a, b)


@every
@LAYOUTS
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bits_do_not_depend_on_threads_or_cut(case, layout, dtype):
    x, *parameters = case.make((1, case.usual, 150, 1100), dtype, layout)
    threads = torch.get_num_threads()
    try:
        results = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(case.op(x, *parameters))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(results[0], other) for other in results[1:])
    if _native.available():
        part = case.op(x[:, :, 20:130, 300:777], *parameters)
        assert torch.equal(part[:, :, 1:-1, 1:-1], results[0][:, :, 21:129, 301:776])


@needs_native
@every
@LAYOUTS
def test_result_has_the_layout_of_its_input(case, layout):
    assert case.op(*case.make((2, case.usual, 5, 6), layout=layout)).is_contiguous(memory_format=layout)


@pytest.mark.parametrize("case", [GATE, BLOCK], ids=lambda case: case.name)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_stays_in_its_neighbourhood(case, bad):
    x, *parameters = case.make((1, case.usual, 20, 40))
    x[0, 1, 7, 16] = bad
    for layout in (PLANES, LAST):
        out = case.op(x.contiguous(memory_format=layout), *parameters)
        broken = ~out.isfinite().all(1)[0]
        assert broken[7, 16]
        broken[6:9, 15:18] = False
        assert not broken.any()
        assert not case.op(x.bfloat16(), *parameters)[0, :, 7, 16].isfinite().all()


@every
def test_gradients(case):
    arguments = [a.requires_grad_() for a in case.make((2, case.few, 3, 4), torch.float64)]
    assert torch.autograd.gradcheck(case.op, arguments)
    assert torch.autograd.gradgradcheck(case.op, arguments)


@needs_native
@every
@LAYOUTS
def test_gradients_of_the_op_are_those_of_the_twin(case, layout):
    shape = (2, case.few, 9, 20)
    arguments = case.make(shape, layout=layout)
    weight = torch.randn(case.shape(shape))
    grads = []
    for function in (case.op, case.twin):
        own = [a.clone().requires_grad_() for a in arguments]
        grads.append(torch.autograd.grad((function(*own) * weight).sum(), own))
    for ours, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@needs_native
@every
@pytest.mark.parametrize("grad", [False, True])
def test_opcheck(case, grad):
    case.op(*case.make((1, case.few, 2, 2)))  # registers the op
    native = getattr(torch.ops.imgrestore, case.name).default
    for pictures, size in ((2, (5, 9)), (1, (1, 1))):
        for layout in (PLANES, LAST):
            arguments = [a.requires_grad_(grad) for a in case.make((pictures, case.few, *size), layout=layout)]
            torch.library.opcheck(native, (*arguments, *case.numbers))


@every
def test_meta_tensors(case):
    shape = (2, case.usual, 5, 6)
    assert case.op(*(a.to("meta") for a in case.make(shape))).shape == case.shape(shape)


@every
def test_vmap_and_forward_mode(case):
    x, *parameters = case.make((2, case.few, 5, 6), torch.float64)
    mapped = torch.func.vmap(lambda x: case.op(x, *parameters))(torch.stack([x, 2 * x]))
    torch.testing.assert_close(mapped[1], case.op(2 * x, *parameters))
    _, tangent = torch.func.jvp(lambda x: case.op(x, *parameters), (x,), (x,))
    assert tangent.abs().max() > 0


@every
def test_compiles_without_graph_breaks(case):
    op, arguments = case.op, case.make((2, case.few, 8, 6))
    compiled = torch.compile(lambda *a: op(*a) + 1, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(*arguments), op(*arguments) + 1, atol=1e-4, rtol=1e-4)


@every
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([[1.0]], TypeError, r"x: got list, expected a torch\.Tensor"),
        (torch.zeros(1, 4, 2, 2).int(), TypeError, r"x: got dtype torch\.int32, expected"),
        (torch.zeros(4, 2, 2), ValueError, r"x: got shape \(4, 2, 2\), expected planes"),
        (torch.zeros(1, 0, 2, 2), ValueError, r"x: got shape \(1, 0, 2, 2\), expected planes"),
    ],
    ids=["list", "int", "3-D", "no channel"],
)
def test_errors_name_x(case, x, error, message):
    _, *parameters = case.make((1, 4, 2, 2))
    with pytest.raises(error, match=message):
        case.op(x, *parameters)


CHILD = """
import torch
from net_cases import LAST, NET_OPS, PLANES
case = NET_OPS[{name!r}]
for pictures, channels, size in [(1, case.few, (1, 1)), (2, case.usual, (9, 17)), (1, case.odd, (33, 70)),
                                 (1, case.usual, (5, 300))]:
    for layout in (PLANES, LAST):
        for dtype in (torch.float32, torch.bfloat16):
            case.assert_is_twin(*case.make((pictures, channels, *size), dtype, layout))
"""


@needs_native
@every
@isas
def test_every_instruction_set(case, isa):
    assert_isa(CHILD.format(name=case.name), isa)


@every
def test_same_answers_without_native_code(case):
    assert_without_native(CHILD.format(name=case.name))
