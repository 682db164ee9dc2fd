import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from native_cases import assert_isa, assert_without_native, isas, needs_native

from imgrestore import _native
from imgrestore.ops import fft_filter, fft_filter_reference

C64 = torch.complex64
TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-14}
COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}
SMOOTH = [(1, 1), (2, 3), (3, 2), (1, 16), (16, 1), (1, 250), (5, 6), (8, 8), (45, 60), (32, 32), (30, 64)]
SMOOTH += [(64, 48), (75, 128), (81, 250), (256, 90), (2, 2048), (360, 480), (512, 512), (27, 1), (125, 81)]
ROUGH = [(7, 8), (8, 7), (31, 33), (1, 13), (97, 64), (2, 11)]


def make(image_shape, response_shape=None, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    *_, h, w = image_shape
    image = torch.randn(image_shape, generator=generator, dtype=dtype)
    response = torch.randn(response_shape or (h, w // 2 + 1), generator=generator, dtype=COMPLEX[dtype])
    return image, response


def assert_is_twin(image, response, **options):
    out = fft_filter(image, response, **options)
    exact = fft_filter_reference(image.double(), response.to(torch.complex128), **options)
    assert out.dtype == image.dtype
    assert out.shape == exact.shape
    error = (out - exact).abs().max() / exact.abs().max().clamp_min(1e-30)
    assert error < TOLERANCE[image.dtype] * math.log2(image.shape[-1] * image.shape[-2] + 2), float(error)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f32", "f64"])
@pytest.mark.parametrize("size", SMOOTH + ROUGH, ids=str)
def test_is_its_twin(size, dtype):
    assert_is_twin(*make((2, *size), dtype=dtype))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 130), st.integers(1, 130), st.integers(1, 3), st.booleans())
def test_is_its_twin_at_any_size(h, w, planes, own_response):
    assert_is_twin(*make((planes, h, w), (planes if own_response else 1, h, w // 2 + 1)))


@pytest.mark.parametrize("size", [(4, 5, 6), (8, 7, 3), (1, 1, 1)], ids=str)
def test_three_dimensions(size):
    d, h, w = size
    assert_is_twin(*make((2, d, h, w), (d, h, w // 2 + 1)), ndim=3)


@pytest.mark.parametrize(
    ("image_lead", "response_lead"),
    [((), (3,)), ((3,), ()), ((2, 3), (3,)), ((2, 1), (1, 3)), ((1,), (2, 2)), ((2, 3), (2, 3)), ((17,), (1,))],
)
def test_leading_dimensions_broadcast(image_lead, response_lead):
    assert_is_twin(*make((*image_lead, 20, 18), (*response_lead, 20, 10)))


def test_many_planes_go_to_threads_whole():
    assert_is_twin(*make((5, 9, 24, 40)))


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[:, ::2, 3:43],
        lambda x: x.transpose(-1, -2)[:, :32, :40],
        lambda x: x[:, 5:37, 1:81:2],
        lambda x: x[:1, :32, :40].expand(4, 32, 40),
        lambda x: x.flip(-1)[:, :32, :40],
    ],
    ids=["rows", "transposed", "columns", "expanded", "flipped"],
)
def test_strided_image(view):
    image = view(torch.randn(3, 64, 90, generator=torch.Generator().manual_seed(1)))
    _, response = make(image.shape)
    assert_is_twin(image, response)


def test_strided_and_conjugated_response():
    image, response = make((3, 32, 40), (32, 30))
    assert_is_twin(image, response[:, 4:25])
    assert_is_twin(image, response.T.contiguous().T[:, :21])
    assert_is_twin(image, response[:, :21].conj())


@pytest.mark.parametrize("lead", [(0,), (2, 0), (0, 3)])
def test_empty_batch(lead):
    assert fft_filter(*make((*lead, 8, 6))).shape == (*lead, 8, 6)
    assert fft_filter(*make((8, 6), (*lead, 8, 4))).shape == (*lead, 8, 6)


@pytest.mark.parametrize("size", [(16, 24), (15, 27), (7, 11)])
def test_identity_and_shift(size):
    image, _ = make(size)
    impulse = torch.zeros(size)
    impulse[2, 5] = 1
    torch.testing.assert_close(fft_filter(image, torch.fft.rfft2(impulse)), image.roll((2, 5), (0, 1)))


def test_several_threads_at_once_get_the_same_bits():
    jobs = [make((2, h, w), seed=h) for h, w in [(64, 64), (60, 72), (128, 40), (90, 100)]] * 6
    alone = [fft_filter(*job) for job in jobs]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda job: fft_filter(*job), jobs))
    for a, b in zip(alone, together, strict=True):
        assert torch.equal(a, b)


def test_bits_do_not_depend_on_the_batch():
    image, response = make((9, 48, 50))
    whole = fft_filter(image, response)
    assert torch.equal(whole, fft_filter(image, response))
    if _native.available():
        assert torch.equal(whole[4], fft_filter(image[4], response))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("size", [(16, 16), (40, 45), (7, 9)])
def test_nan_stays_nan(size, bad):
    image, response = make((2, *size))
    image[0, 3, 5] = bad
    out = fft_filter(image, response)
    assert not out[0].isfinite().any()
    assert out[1].isfinite().all()
    image[0, 3, 5] = 0
    response[2, 1] = bad
    assert not fft_filter(image, response).isfinite().any()


@pytest.mark.parametrize("size", [(4, 6), (3, 5), (1, 4), (6, 1), (7, 4)], ids=str)
def test_gradients(size):
    h, w = size
    image, response = make((2, 1, h, w), (3, h, w // 2 + 1), torch.float64)
    arguments = (image.requires_grad_(), response.requires_grad_())
    assert torch.autograd.gradcheck(fft_filter, arguments)
    assert torch.autograd.gradgradcheck(fft_filter, arguments)


@needs_native
@pytest.mark.parametrize("size", [(4, 6), (3, 5), (1, 4), (6, 1), (12, 40)], ids=str)
def test_gradients_of_the_op_are_those_of_the_twin(size):
    h, w = size
    image, response = make((2, 3, h, w), (3, h, w // 2 + 1), torch.float64)
    weight = torch.randn(image.shape, dtype=torch.float64)
    grads = []
    for function in (fft_filter, fft_filter_reference):
        x, r = image.clone().requires_grad_(), response.clone().requires_grad_()
        grads.append(torch.autograd.grad((function(x, r) * weight).sum(), (x, r)))
    torch.testing.assert_close(grads[0], grads[1])


@needs_native
@pytest.mark.parametrize("grad", [False, True])
def test_opcheck(grad):
    assert _native.op("fft_filter", lambda: None) is not None or fft_filter(*make((4, 4))) is not None
    for shapes in [((8, 6), (8, 4)), ((2, 1, 5, 9), (3, 5, 5)), ((1, 1), (1, 1))]:
        image, response = make(*shapes)
        arguments = (image.requires_grad_(grad), response.requires_grad_(grad))
        torch.library.opcheck(torch.ops.imgrestore.fft_filter.default, arguments)


def test_meta_tensors():
    image, response = make((2, 8, 6))
    assert fft_filter(image.to("meta"), response.to("meta")).shape == (2, 8, 6)


def test_vmap_and_forward_mode():
    image, response = make((3, 8, 6), dtype=torch.float64)
    mapped = torch.func.vmap(fft_filter, in_dims=(0, None))(image, response)
    torch.testing.assert_close(mapped, fft_filter(image, response))
    _, tangent = torch.func.jvp(lambda x: fft_filter(x, response), (image,), (image,))
    torch.testing.assert_close(tangent, fft_filter(image, response))


def test_compiles_without_graph_breaks():
    image, response = make((2, 8, 6))
    compiled = torch.compile(lambda x, r: fft_filter(2 * x, r) + 1, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(image, response), fft_filter(2 * image, response) + 1)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"image": [[1.0]]}, TypeError, r"image: got list, expected a torch\.Tensor"),
        ({"image": torch.zeros(8, 6, dtype=torch.uint8)}, TypeError, r"image: got dtype torch\.uint8, expected"),
        ({"image": torch.zeros(6)}, ValueError, r"image: got shape \(6,\), expected at least 2 dimensions"),
        ({"image": torch.zeros(0, 6)}, ValueError, r"image: got shape \(0, 6\), expected no empty"),
        ({"response": torch.zeros(8, 4)}, TypeError, r"response: got dtype torch\.float32, expected torch\.complex64"),
        ({"response": torch.zeros(8, 6, dtype=C64)}, ValueError, r"response: .* expected it to end in \(8, 4\)"),
        ({"response": torch.zeros(8, 4, dtype=C64, device="meta")}, ValueError, "response: got device meta"),
        ({"response": torch.zeros(5, 8, 4, dtype=C64)}, ValueError, r"response: got leading dimensions \(5,\)"),
        ({"ndim": 1}, ValueError, "ndim: got 1, expected 2 or 3"),
    ],
)
def test_errors_name_the_argument(change, error, message):
    arguments = {"image": torch.zeros(2, 8, 6), "response": torch.zeros(8, 4, dtype=C64), **change}
    with pytest.raises(error, match=message):
        fft_filter(**arguments)


CHILD = """
import torch
from imgrestore.ops import fft_filter, fft_filter_reference
generator = torch.Generator().manual_seed(3)
for h, w in [(1, 1), (2, 3), (40, 45), (64, 128), (75, 36), (250, 9)]:
    for dtype, complex_dtype in ((torch.float32, torch.complex64), (torch.float64, torch.complex128)):
        image = torch.randn(2, h, w, generator=generator, dtype=dtype)
        response = torch.randn(h, w // 2 + 1, generator=generator, dtype=complex_dtype)
        exact = fft_filter_reference(image.double(), response.to(torch.complex128))
        error = (fft_filter(image, response) - exact).abs().max() / exact.abs().max()
        assert error < (1e-5 if dtype == torch.float32 else 1e-13), (h, w, dtype, error)
"""


@needs_native
@isas
def test_every_instruction_set(isa):
    assert_isa(CHILD, isa)


def test_same_answers_without_native_code():
    assert_without_native(CHILD)
