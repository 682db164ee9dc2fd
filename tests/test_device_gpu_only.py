"""What only a GPU can show: `make gpu-test`. With ``--device cpu`` the same runs on the CPU's kernels, as a dry run."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from device_cases import planes
from executor import check_gpu
from net_cases import NET_OPS
from skimage import data

import imgrestore
from imgrestore import Psf, _native, ops

SCHEMA = Path(__file__).parents[1] / "csrc" / "schema.h"


@pytest.fixture
def place(request):
    """The device, or a skipped test where none was asked for."""
    name = request.config.getoption("--device")
    if name == "executor":
        pytest.skip("needs --device cuda")
    if name == "cuda":
        check_gpu()
    return torch.device(name)


@pytest.fixture
def cuda(place):
    """The device where it must be a GPU."""
    if place.type != "cuda":
        pytest.skip("needs --device cuda")
    return place


@pytest.fixture
def asked(monkeypatch):
    """The names of the native ops that were given out since the test began."""
    names, op = [], _native.op

    def recorded(name, register):
        found = op(name, register)
        names.extend([name] if found is not None else [])
        return found

    monkeypatch.setattr(_native, "op", recorded)
    return names


def signed(*shape, seed=0):
    return planes(*shape, seed=seed) - 0.4


@dataclass(frozen=True)
class Public:
    """A public op of tensors alone, its twin, what makes tensors for them, and the name of the native op."""

    call: Callable
    twin: Callable
    tensors: Callable
    native: str
    tolerance: float = 2e-5


def public(name, tensors, tolerance=2e-5, **options):
    function, twin = getattr(ops, name), getattr(ops, f"{name}_reference")
    return Public(lambda *t: function(*t, **options), lambda *t: twin(*t, **options), tensors, name, tolerance)


def net_op(name):
    return Public(NET_OPS[name].op, NET_OPS[name].twin, lambda: NET_OPS[name].make((2, 8, 13, 21)), name)


def bilateral_case():
    return Public(
        lambda x, g: ops.bilateral(x, 1.2, 0.3, guide=g),
        lambda x, g: ops.bilateral_reference(x, 1.2, 0.3, guide=g),
        lambda: (planes(2, 30, 41), planes(2, 30, 41, seed=1)),
        "bilateral",
    )


PUBLIC = {
    "fft_filter": public("fft_filter", lambda: (planes(2, 36, 48), torch.fft.rfft2(signed(36, 48, seed=1)))),
    "fft_filter_3d": Public(
        lambda *t: ops.fft_filter(*t, ndim=3),
        lambda *t: ops.fft_filter_reference(*t, ndim=3),
        lambda: (planes(2, 6, 10, 12), torch.fft.rfftn(signed(6, 10, 12, seed=1))),
        "fft_filter_3d",
    ),
    "fft_convolve": public("fft_convolve", lambda: (planes(2, 40, 33), planes(5, 7, seed=1))),
    "fft_convolve in tiles": public("fft_convolve", lambda: (planes(2, 70, 90), planes(15, 17, seed=1))),
    "fft_convolve whole": public("fft_convolve", lambda: (planes(2, 40, 33), planes(66, 7, seed=1))),
    "separable": public("separable", lambda: (planes(2, 40, 33), planes(7, seed=1), planes(5, seed=2))),
    "box": public("box", lambda: (planes(2, 40, 33),), radius=3),
    "guided": public("guided", lambda: (planes(2, 40, 33), planes(2, 40, 33, seed=1)), radius=3, eps=0.05),
    "bilateral": bilateral_case(),
    "tv_denoise": public("tv_denoise", lambda: (planes(2, 40, 33),), weight=0.1, num_iter=12, tol=0, tolerance=2e-4),
    **{name: net_op(name) for name in NET_OPS},
}
PATCHES = public("patch_conv", lambda: (planes(2, 3, 9, 13), signed(4, 3, 3, 3), planes(4)), stride=2, padding=1)
each = pytest.mark.parametrize("name", PUBLIC)
# Ops that the CPU has no kernels for, so that a dry run has nothing to show.
GPU_ALONE = ("fft_filter_3d", "blur_field", "richardson_lucy_device")


def wide(t):
    return t.to(torch.complex128 if t.is_complex() else torch.float64)


def assert_near(found, exact, tolerance):
    difference = (wide(found.detach()).cpu() - exact.detach()).abs().max() / exact.detach().abs().max()
    assert float(difference) < tolerance, f"{float(difference):.1e}"


def with_gradients(function, tensors):
    own = [t.detach().clone().requires_grad_() for t in tensors]
    out = function(*own)
    away = signed(*out.shape, seed=9).to(out)
    return out, torch.autograd.grad((out * away).sum(), own)


@each
def test_results_and_gradients_are_those_of_the_twin_in_float64(place, asked, name):
    case = PUBLIC[name]
    tensors = case.tensors()
    exact, exact_grads = with_gradients(case.twin, [wide(t) for t in tensors])
    assert not asked
    out, grads = with_gradients(case.call, [t.to(place) for t in tensors])
    if place.type == "cuda" or name not in GPU_ALONE:
        assert case.native in asked, "the twin was computed, not the kernel"
    assert out.device.type == place.type
    assert_near(out, exact, case.tolerance)
    for found, wanted in zip(grads, exact_grads, strict=True):
        assert_near(found, wanted, 5 * case.tolerance)


@each
def test_float64_runs_with_its_derivatives(place, name):
    tensors = [wide(t).to(place).requires_grad_() for t in PUBLIC[name].tensors()]
    assert torch.autograd.gradcheck(PUBLIC[name].call, tensors, fast_mode=True, nondet_tol=1e-9)


# For each op the public call that registers it, and the arguments for `opcheck` from that call's tensors.
SAMPLES = {
    "fft_filter": ("fft_filter", lambda t: t),
    "fft_filter_3d": ("fft_filter_3d", lambda t: t),
    "fft_convolve": ("fft_convolve", lambda t: (t[0][:, None], t[1][None], [1, 40, 33], [0, -2, -3], 0)),
    "separable": ("separable", lambda t: (*t, 2)),
    "box": ("box", lambda t: (*t, 2, 1, 5)),
    "guided": ("guided", lambda t: (*t, 2, 0.1, False)),
    "bilateral": ("bilateral", lambda t: (*t, 1.0, 0.3, 2, 0, False)),
    "tv_denoise": ("tv_denoise", lambda t: (t[0][:, None], None, 0.1, 2, False, 0, 2, 0.0, 0.0, True)),
    "channel_norm": ("channel_norm", lambda t: (*t, 1e-6)),
    "depthwise_gate": ("depthwise_gate", lambda t: t),
    "gated_block": ("gated_block", lambda t: (*t, 1e-6)),
    "patch_conv_into": ("patch_conv", lambda t: (*t, None, 2, 1, False, False, t[0].new_empty(2, 4, 5, 7))),
    "gated_block_into": ("gated_block", lambda t: (*t, 1e-6, False, torch.empty_like(t[0]))),
}
# Those that need not have a kernel.
MAY_LACK = ("patch_conv_into",)
# Ops that change a state of many parts; their own tests hold them to their twins.
WITHOUT_SAMPLE = (
    "wiener_planes_into",
    "blur_field",
    "richardson_lucy_device",
    "richardson_lucy_units",
    "richardson_lucy_run",
    "to_strips",
    "from_strips",
    "light_of_strips",
    "sparse_steps",
)


def test_every_op_has_a_sample():
    known = set(re.findall(r'm\.def\(\s*"(\w+)\(', SCHEMA.read_text()))
    assert known
    assert known == {*SAMPLES, *WITHOUT_SAMPLE}


def has_kernel(name, place):
    return torch._C._dispatch_has_kernel_for_dispatch_key(f"imgrestore::{name}", place.type.upper())


@pytest.mark.parametrize("grad", [False, True], ids=["plain", "grad"])
@pytest.mark.parametrize("name", SAMPLES)
def test_opcheck(place, name, grad):
    if grad and name.endswith("_into"):
        pytest.skip("it has no backward")
    if (name in MAY_LACK or (name in GPU_ALONE and place.type == "cpu")) and not has_kernel(name, place):
        pytest.skip("there is no kernel for this device")
    assert has_kernel(name, place), "there is no kernel for this device"
    source, arguments = SAMPLES[name]
    case = {**PUBLIC, "patch_conv": PATCHES}[source]
    tensors = [t.to(place) for t in case.tensors()]
    case.call(*tensors)  # registers the op
    tensors = [t.requires_grad_(grad) for t in tensors]
    torch.library.opcheck(getattr(torch.ops.imgrestore, name).default, arguments(tensors))


def test_the_library_and_the_devices_are_told(cuda):
    told = imgrestore.build_info()["cuda"]
    assert told["loaded"]
    assert told["reason"] is None
    assert len(told["devices"]) == torch.cuda.device_count()


@each
def test_the_stream_in_use_is_kept_to(cuda, name):
    case = PUBLIC[name]
    tensors = [t.to(cuda) for t in case.tensors()]
    expected = case.call(*tensors)
    late = [torch.zeros_like(t) for t in tensors]
    torch.cuda.synchronize()
    side, done = torch.cuda.Stream(), torch.cuda.Event()
    with torch.cuda.stream(side):
        torch.cuda._sleep(50_000_000)  # what does not wait for this reads zeros
        for there, t in zip(late, tensors, strict=True):
            there.copy_(t)
        out = case.call(*late)
        done.record(side)
    done.synchronize()
    assert torch.equal(out, expected)


def captured(function):
    """The function's result and a graph that computes it anew in the same place."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        function()  # plans, and attributes of kernels
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = function()
    return graph, out


@each
def test_calls_can_be_captured_in_a_graph(cuda, name):
    case = PUBLIC[name]
    tensors = [t.to(cuda) for t in case.tensors()]
    graph, out = captured(lambda: case.call(*tensors))
    tensors[0].mul_(0.5).add_(0.1)
    graph.replay()
    torch.cuda.synchronize()
    assert torch.equal(out, case.call(*tensors))


@pytest.mark.parametrize("accelerate", [False, True], ids=["plain", "accelerated"])
@pytest.mark.parametrize("frame", [(40, 36), (12, 20, 18)], ids=str)
def test_richardson_lucy_can_be_captured_in_a_graph(cuda, frame, accelerate):
    light = planes(1, 1, *frame).to(cuda) + 0.1
    blur = ops.BlurOperator(Psf.gaussian(1, ndim=len(frame)), frame, "periodic", light)

    def run():
        return ops.richardson_lucy(light, blur, 4, accelerate=accelerate)[0]

    graph, out = captured(run)
    light.mul_(2).add_(0.3)
    graph.replay()
    torch.cuda.synchronize()
    assert torch.equal(out, run())


@pytest.mark.parametrize("accelerate", [False, True], ids=["plain", "accelerated"])
def test_richardson_lucy_can_be_captured_where_no_tables_are_kept_yet(cuda, accelerate):
    """Tables made in a capture are the graph's: nothing may lie over them before the last launch has read them."""

    def case(*frame):
        light = planes(1, 1, *frame).to(cuda) + 0.1
        blur = ops.BlurOperator(Psf.gaussian(1, ndim=3), frame, "periodic", light)
        return lambda: ops.richardson_lucy(light, blur, 4, accelerate=accelerate, tv_weight=0.02)[0]

    case(12, 20, 18)()  # kernels are loaded, tables of other lengths are kept
    run = case(15, 27, 50 if accelerate else 54)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = run()
    graph.replay()
    torch.cuda.synchronize()
    assert torch.equal(out, run())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", NET_OPS)
def test_autocast_changes_no_more_than_precision(place, name, dtype):
    x, *parameters = NET_OPS[name].make((2, 8, 13, 21))
    exact = NET_OPS[name].twin(wide(x), *(wide(p) for p in parameters))
    with torch.autocast(place.type, dtype=dtype):
        out = NET_OPS[name].op(x.to(place), *(p.to(place) for p in parameters))
    assert out.is_floating_point()
    assert_near(out, exact, 3e-2)


def test_a_net_under_autocast(place):
    from imgrestore.nets.blocks import GatedBlock

    torch.manual_seed(0)
    module = GatedBlock(16).eval()
    x = signed(1, 16, 24, 40)
    with torch.no_grad():
        exact = module.double()(wide(x))
        module = module.float().to(place)
        with torch.autocast(place.type, dtype=torch.bfloat16):
            out = module(x.to(place))
    assert_near(out, exact, 3e-2)


@each
def test_the_tensors_device_is_used_not_the_current_one(cuda, name):
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    case = PUBLIC[name]
    tensors = [t.to("cuda:1") for t in case.tensors()]
    with torch.cuda.device(0):
        out = case.call(*tensors)
        assert torch.cuda.current_device() == 0
    assert out.device == tensors[0].device
    assert torch.equal(out.cpu(), case.call(*(t.to("cuda:0") for t in tensors)).cpu())


HUGE = 2**31 + 2**28
GIB = 2**30


@pytest.mark.parametrize("name", ["channel_norm", "depthwise_gate", "separable", "box", "bilateral", "fft_filter"])
def test_more_than_two_thousand_million_numbers(cuda, name):
    tensors = [t.to(cuda) for t in PUBLIC[name].tensors()]
    shape = (8, 4096, 4096) if name in NET_OPS else (4096, 4096)
    one = torch.rand((1, *shape), device=cuda)
    pictures = -(-HUGE // one.numel())
    if torch.cuda.mem_get_info()[0] < 4 * 4 * HUGE:
        pytest.skip(f"needs {4 * 4 * HUGE / GIB:.0f} GiB")
    call = PUBLIC[name].call
    rest = tensors[1:]
    if name == "fft_filter":
        rest = [torch.rand(4096, 2049, dtype=torch.complex64, device=cuda)]
    if name == "bilateral":
        call, rest = (lambda x: ops.bilateral(x, 1.0, 0.3, radius=1)), []
    many = torch.rand((pictures, *shape), device=cuda)
    many[-1:] = one
    out = call(many, *rest)
    assert torch.equal(out[-1:], call(one, *rest))
    assert torch.equal(out[:1], call(many[:1].clone(), *rest))
    del many, out
    torch.cuda.empty_cache()


def picture():
    return torch.from_numpy(data.astronaut()[100:196, 180:292].astype(np.float32) / 255).movedim(-1, 0).contiguous()


def blurred():
    psf = torch.tensor(Psf.gaussian(1.5).array).float()
    kernel = psf[None, None].expand(3, 1, -1, -1)
    wide_picture = torch.nn.functional.pad(picture()[None], (8, 8, 8, 8), mode="reflect")
    seen = torch.nn.functional.conv2d(wide_picture, kernel, groups=3)[0]
    return seen + 0.01 * torch.randn(seen.shape, generator=torch.Generator().manual_seed(0))


def nearly(found, wanted, most=2e-3):
    """Whether results differ by rounding, which iterations spread, and by which a threshold here and there may jump."""
    difference = (torch.as_tensor(found).cpu().double() - torch.as_tensor(wanted).double()).abs()
    return float(difference.square().mean().sqrt()) < most and float(difference.flatten().quantile(0.95)) < most


@pytest.fixture
def without_tf32(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.mark.usefixtures("without_tf32")
@pytest.mark.parametrize("method", ["wiener", "rl", "tv", "hyperlaplacian", "auto"])
def test_deblur_is_that_of_the_cpu(place, method):
    seen = blurred()
    here = imgrestore.deblur(seen, "gaussian:1.5", method=method)
    there = imgrestore.deblur(seen.to(place), "gaussian:1.5", method=method)
    assert there.device.type == place.type
    assert there.dtype == seen.dtype
    assert nearly(there, here)
    array = imgrestore.deblur(seen.movedim(0, -1).numpy(), "gaussian:1.5", method=method, device=str(place))
    assert isinstance(array, np.ndarray)
    assert nearly(np.moveaxis(array, -1, 0).copy(), here)


def test_deblur_of_a_stack_is_that_of_the_cpu(place):
    stack = torch.poisson(100 * planes(12, 40, 36))
    psf = Psf.gaussian(1.0, ndim=3)
    here = imgrestore.deblur(stack, psf, method="rl")
    there = imgrestore.deblur(stack.to(place), psf, method="rl")
    assert there.device.type == place.type
    assert nearly(there.cpu() / here.max(), here / here.max())


@pytest.mark.usefixtures("without_tf32")
@pytest.mark.parametrize("task", ["demoire", "deshadow", "dereflect", "despecular", "derust"])
def test_other_tasks_give_back_what_they_give_on_the_cpu(place, task):
    function = getattr(imgrestore, task)
    here = function(picture())
    there = function(picture().to(place))
    assert there.device.type == place.type
    assert nearly(there, here, most=1e-3)


def test_gradients_reach_the_picture_through_deblur(place):
    seen = blurred()
    grads = []
    for where in ("cpu", place):
        own = seen.detach().to(where).requires_grad_()
        imgrestore.deblur(own, "gaussian:1.5", method="wiener", noise=0.01).square().mean().backward()
        grads.append(own.grad.cpu())
    assert_near(grads[1], wide(grads[0]), 1e-3)
