"""The blur by a field of PSFs on devices: tap by tap, and the same as through the Fourier domain in float64."""

import functools

import pytest
import torch
from device_cases import assert_is_twin, planes
from executor import needs_executor

from imgrestore import _native
from imgrestore.ops import BlurField, _blur_field_device

pytestmark = needs_executor

# frame, grid, PSFs: fewer and more windows than tiles, grids finer than the PSFs, PSFs of any rest by 4.
CASES = [
    ((7, 8), (1, 1), (3, 3)),
    ((1, 70), (1, 3), (1, 5)),
    ((45, 1), (3, 1), (4, 1)),
    ((61, 67), (3, 2), (9, 10)),
    ((97, 130), (2, 2), (8, 7)),
    ((37, 41), (4, 5), (31, 31)),
    ((40, 33), (12, 9), (2, 6)),
]
BOUNDARIES = ["unknown", "zero", "reflect", "periodic"]


@pytest.fixture
def device(device, monkeypatch):
    """The executor has this op alone; the way through the Fourier domain needs no other."""
    given = _native.op
    if device.module:
        monkeypatch.setattr(_native, "op", lambda name, reg: given(name, reg) if name == "blur_field" else None)
    return device


def maps(frame, grid, shape, boundary="unknown"):
    """The blur and its adjoint as functions of scene and kernels: both on the device, and both through Fourier."""

    def spread(scene, kernels):
        return BlurField(kernels, frame, boundary, scene).spread(scene)

    def spread_adjoint(scene, kernels):
        return BlurField(kernels, frame, boundary, scene).spread_adjoint(scene)

    return spread, spread_adjoint


def inputs(frame, grid, shape, boundary="unknown", lead=(1, 1)):
    kernels = planes(*grid, *shape, seed=1)
    kernels = kernels / kernels.sum((-2, -1), keepdim=True)
    domain = BlurField(kernels, frame, boundary, kernels).domain
    return planes(*lead, *domain), kernels


@pytest.mark.parametrize("case", CASES, ids=str)
def test_is_the_same_as_through_fourier(device, case):
    for function in maps(*case):
        assert_is_twin(device, function, function, *inputs(*case))


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("lead", [(), (3,), (2, 3)], ids=str)
def test_boundaries_and_batches(device, boundary, lead):
    case = ((33, 35), (3, 2), (5, 8), boundary)
    for function in maps(*case):
        assert_is_twin(device, function, function, *inputs(*case, lead))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_adjoint_is_its_adjoint(device, case):
    scene, kernels = inputs(*case, lead=(2, 1))
    blur = BlurField(device.put(kernels), case[0], "unknown", device.put(scene))
    other = planes(*scene.shape, seed=3) - 0.5
    forward = blur.spread(device.put(scene)).cpu().double()
    back = blur.spread_adjoint(device.put(other)).cpu().double()
    left, right = (forward * other).sum(), (scene * back).sum()
    assert abs(left - right) < 1e-6 * (forward * other).abs().sum()


def test_strided_scenes_and_empty_batches(device):
    case = ((20, 26), (2, 3), (5, 4), "periodic")
    scene, kernels = inputs(*case, lead=(2, 3))
    for function in maps(*case):
        assert_is_twin(device, function, function, scene.mT.contiguous().mT, kernels)
        assert_is_twin(device, function, function, scene.transpose(0, 1), kernels.mT.contiguous().mT)
        assert function(device.put(scene[:0]), device.put(kernels)).shape == (0, 3, 20, 26)


@pytest.mark.parametrize("size", [(5, 3), (37, 70)])
def test_any_weights_and_scenes_smaller_than_a_kernel(device, size):
    scene, kernels = planes(2, *size), planes(2, 3, 9, 8, seed=1)
    down, right = planes(2, size[0], seed=2), planes(3, size[1], seed=3)
    # Windows of one line each, the first beyond a tile where there is one: its neighbour sees them at its rim.
    down[1, torch.arange(size[0]) != min(32, size[0] - 1)] = 0
    right[0, torch.arange(size[1]) != min(64, size[1] - 1)] = 0

    def periodic(x, kernel):
        """The sum of shifted scenes, tap by tap."""
        taps = [(j, i, kernel[j, i]) for j in range(9) for i in range(8)]
        return sum(tap * x.roll((j - 4, i - 4), (-2, -1)) for j, i, tap in taps)

    def twin(scene, kernels, down, right, adjoint):
        total = torch.zeros_like(scene)
        for i in range(2):
            for j in range(3):
                weight = down[i][:, None] * right[j]
                if adjoint:
                    # The transpose of a roll is the roll back.
                    turned = (weight * scene).flip(-2, -1)
                    total = total + periodic(turned, kernels[i, j]).flip(-2, -1)
                else:
                    total = total + weight * periodic(scene, kernels[i, j])
        return total

    for adjoint in (False, True):
        native = functools.partial(_blur_field_device.blur_field, adjoint=adjoint)
        assert_is_twin(device, native, functools.partial(twin, adjoint=adjoint), scene, kernels, down, right)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_what_is_not_finite_stays_where_it_is_seen(device, bad):
    scene, kernels = inputs((40, 70), (2, 2), (3, 5), "periodic")
    scene[0, 0, 20, 66] = bad
    blur = BlurField(device.put(kernels), (40, 70), "periodic", device.put(scene))
    for function in (blur.spread, blur.spread_adjoint):
        wrong = ~function(device.put(scene)).cpu().isfinite()[0, 0]
        assert bool(wrong[19:22, 64:69].all())
        assert int(wrong.sum()) == 15


def names(device):
    return [launch["name"] for launch in device.module.launches()] if device.module else ["blur_field"]


def test_psfs_with_a_gradient_or_too_large_go_through_fourier(device):
    scene, kernels = inputs((40, 44), (2, 2), (3, 5))
    scene = device.put(scene).requires_grad_()
    kernels = device.put(kernels).requires_grad_()
    if device.module:
        device.module.forget_launches()
    BlurField(kernels, (40, 44), "unknown", scene).spread(scene).sum().backward()
    assert scene.grad.shape == scene.shape
    assert kernels.grad.shape == kernels.shape
    large, wide = inputs((40, 44), (1, 1), (3, 32))
    BlurField(device.put(wide), (40, 44), "unknown", device.put(large)).spread(device.put(large))
    double = planes(40, 44, dtype=torch.float64)
    BlurField(device.put(wide.double()[..., :9]), (40, 44), "periodic", device.put(double)).spread(device.put(double))
    if device.module:
        assert not device.module.launches()
    with torch.no_grad():
        BlurField(kernels, (40, 44), "unknown", scene).spread(scene)
    assert names(device) == ["blur_field"]


@functools.cache
def register_executor():
    _blur_field_device.register("imgrestore_executor")


@pytest.fixture
def differentiable(device):
    """The op with its fake and backward, which on the executor are not registered by `_native.op`."""
    if device.module:
        register_executor()
    return _native.op("blur_field", _blur_field_device.register)


@pytest.mark.parametrize("adjoint", [False, True])
def test_gradient_of_the_scene(device, differentiable, adjoint):
    case = ((33, 36), (3, 2), (6, 5))
    scene, kernels = inputs(*case, lead=(2, 2))
    weight = planes(*scene.shape, seed=5)
    function = maps(*case)[adjoint]

    def gradient(scene, kernels, weight):
        leaf = scene.detach().requires_grad_()
        (first,) = torch.autograd.grad((function(leaf, kernels) * weight).sum(), leaf)
        return first

    assert_is_twin(device, gradient, gradient, scene, kernels, weight)


def test_opcheck(device, differentiable):
    scene = device.put(planes(2, 9, 11)).requires_grad_()
    tensors = [device.put(t) for t in (planes(2, 1, 3, 4), planes(2, 9), planes(1, 11))]
    for adjoint in (False, True):
        torch.library.opcheck(differentiable, (scene, *tensors, adjoint))
    with pytest.raises(NotImplementedError, match="gradients for the scene only"):
        differentiable(scene, tensors[0].requires_grad_(), *tensors[1:], False)


def test_the_op_refuses_what_it_does_not_cover(device):
    op = _native.op("blur_field", _blur_field_device.register)

    def call(scene, *others):
        return op(*(device.put(planes(*shape)) for shape in (scene, *others)), False)

    with pytest.raises(RuntimeError, match="a grid of 1 x 1 kernels of 32 x 3 is too large"):
        call((40, 40), (1, 1, 32, 3), (1, 40), (1, 40))
    with pytest.raises(RuntimeError, match=r"down must be \(rows, height\)"):
        call((40, 40), (2, 1, 3, 3), (1, 40), (1, 40))
    with pytest.raises(RuntimeError, match=r"kernels must be \(rows, columns, kh, kw\)"):
        call((40, 40), (3, 3), (1, 40), (1, 40))
