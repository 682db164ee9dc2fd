import child
import pytest
import torch
from device_cases import planes
from executor import needs_executor

from imgrestore.ops import BlurOperator, richardson_lucy, richardson_lucy_reference
from imgrestore.psf import Psf

pytestmark = needs_executor
BOUNDARIES = ("unknown", "zero", "reflect", "periodic")


def case(shape, boundary, psf=None, *, seed=0, dtype=torch.float32):
    """A picture of counts blurred by a PSF that is not symmetric, and the blur."""
    space = len(shape) - 2
    if psf is None:
        psf = Psf(planes(*((3,) * (space - 2)), 5, 4, dtype=torch.float64, seed=7).numpy())
    sharp = 20 * planes(*shape, dtype=torch.float64, seed=seed) ** 4 + 0.5
    blur = BlurOperator(psf, tuple(shape[2:]), "periodic", sharp)
    observed = (blur.apply(sharp) + 0.05 * planes(*shape, dtype=torch.float64, seed=3)).to(dtype)
    return observed, psf


def check(device, observed, psf, boundary, count, tolerance=3e-5, **options):
    """As the twin in float64, and the same bits in every order of threads.

    Beyond the frame little light tells of the scene, and the share of it divides: large PSFs take a larger tolerance.
    """
    frame = tuple(observed.shape[2:])

    def there(value, put):
        return put(value) if isinstance(value, torch.Tensor) else value

    def double(t):
        return t.double() if t.is_floating_point() else t

    exact_options = {k: there(v, double) for k, v in options.items()}
    blur = BlurOperator(psf, frame, boundary, observed.double())
    exact, steps = richardson_lucy_reference(observed.double(), blur, count, **exact_options)
    results = []
    x = device.put(observed)
    options = {k: there(v, device.put) for k, v in options.items()}
    for _ in device.orders():
        scene, done = richardson_lucy(x, BlurOperator(psf, frame, boundary, x), count, **options)
        assert scene.device == x.device
        assert scene.dtype == torch.float32
        assert done == steps
        results.append(scene.cpu())
    assert all(torch.equal(results[0], r) for r in results)
    torch.testing.assert_close(results[0].double(), exact, rtol=tolerance, atol=tolerance * float(exact.abs().max()))
    return results[0], done


# The first PSF is small beside a tile; the second is not, and goes through the whole domain.
PSFS = {"small": (5, 4), "large": (33, 30)}
psfs = pytest.mark.parametrize(
    "psf", [Psf(planes(*s, dtype=torch.float64, seed=7).numpy()) for s in PSFS.values()], ids=PSFS
)


@psfs
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("accelerate", [False, True])
@pytest.mark.parametrize("tv_weight", [0.0, 0.02])
def test_is_its_twin(device, psf, boundary, accelerate, tv_weight):
    observed, _ = case((1, 2, 35, 40), boundary, psf)
    check(device, observed, psf, boundary, 5, 2e-4, accelerate=accelerate, tv_weight=tv_weight)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("options", [{"accelerate": False}, {"accelerate": True, "tv_weight": 0.02}], ids=str)
def test_volumes(device, boundary, options):
    observed, psf = case((1, 2, 4, 10, 9), boundary)
    check(device, observed, psf, boundary, 4, **options)


@pytest.mark.parametrize("shape", [(1, 1, 5, 4), (1, 1, 1, 6), (3, 1, 40, 6), (1, 2, 7, 64), (2, 2, 30, 33)], ids=str)
@pytest.mark.parametrize("boundary", ["unknown", "reflect"])
def test_sizes(device, shape, boundary):
    psf = Psf(planes(1, 3, dtype=torch.float64).numpy()) if shape[2] == 1 else None
    observed, psf = case(shape, boundary, psf)
    check(device, observed, psf, boundary, 3)


def test_psf_as_large_as_the_picture(device):
    psf = Psf(planes(12, 15, dtype=torch.float64).numpy())
    for boundary in BOUNDARIES:
        observed, _ = case((1, 1, 12, 15), boundary, psf)
        check(device, observed, psf, boundary, 3)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("accelerate", [False, True])
def test_masks_and_background(device, boundary, accelerate):
    observed, psf = case((2, 1, 18, 15), boundary)
    valid, saturated = planes(*observed.shape, seed=5) > 0.2, planes(*observed.shape, seed=6) > 0.9
    background = torch.tensor([0.1, 0.3]).reshape(2, 1, 1, 1)
    check(
        device,
        observed,
        psf,
        boundary,
        4,
        accelerate=accelerate,
        valid=valid,
        saturated=saturated,
        background=background,
    )
    check(device, observed, psf, boundary, 2, accelerate=accelerate, saturated=saturated, background=0.05)


@pytest.mark.parametrize("accelerate", [False, True])
@pytest.mark.parametrize("boundary", ["unknown", "reflect", "periodic"])
def test_stops_at_the_noise_picture_by_picture(device, accelerate, boundary):
    observed, psf = case((3, 1, 24, 20), boundary)
    sigma = torch.tensor([3.0, 0.2, 0.6]).reshape(3, 1, 1, 1)
    _, done = check(device, observed, psf, boundary, 9, accelerate=accelerate, sigma=sigma)
    assert done == 9
    _, done = check(device, observed, psf, boundary, 9, accelerate=accelerate, sigma=torch.tensor(1.0))
    assert 1 < done < 9


def test_progress_is_told_and_changes_nothing(device):
    observed, psf = case((1, 1, 20, 20), "unknown")
    x = device.put(observed)
    blur = BlurOperator(psf, (20, 20), "unknown", x)
    told = []
    scene, done = richardson_lucy(x, blur, 45, progress=told.append)
    whole, _ = richardson_lucy(x, blur, 45)
    assert torch.equal(scene, whole)
    assert done == 45
    assert len(told) == 15
    assert told == sorted(told)
    assert told[-1] == 1


def test_no_iterations(device):
    observed, psf = case((1, 1, 9, 9), "zero")
    check(device, observed, psf, "zero", 0)


def launches(device, observed, psf, count, **options):
    frame = tuple(observed.shape[2:])
    device.module.forget_launches()
    richardson_lucy(observed, BlurOperator(psf, frame, "periodic", observed), count, **options)
    names = (launch["name"].removeprefix("richardson_lucy ") for launch in device.module.launches())
    return [name for name in names if name != "fft_twiddles"]


def test_four_passes_an_iteration(device):
    if not device.module:
        pytest.skip("needs the executor's list of launches")
    observed, psf = case((1, 1, 36, 32), "periodic", Psf(planes(31, 31, dtype=torch.float64).numpy()))
    names = launches(device, observed, psf, 2, accelerate=False)
    assert names[:3] == ["kernel", "kernel", "scene"]
    assert names[3:] == ["blur", "ratio", "adjoint", "update"] * 2
    more = len(launches(device, observed, psf, 5)) - len(launches(device, observed, psf, 4))
    assert more == 6  # a pass more, and the sum it waits for


def test_two_passes_an_iteration_in_tiles(device):
    if not device.module:
        pytest.skip("needs the executor's list of launches")
    observed, psf = case((1, 1, 36, 32), "periodic")
    names = launches(device, observed, psf, 2, accelerate=False)
    assert names == ["overlap_save response"] * 2 + ["tiles ratio", "tiles update"] * 2


@pytest.mark.parametrize("boundary", ["unknown", "zero", "periodic"])
@pytest.mark.parametrize("options", [{}, {"accelerate": False, "sigma": torch.tensor(0.5)}], ids=["plain", "judged"])
def test_several_tiles(device, boundary, options):
    observed, psf = case((2, 1, 70, 130), boundary)
    check(device, observed, psf, boundary, 3, **options)


def test_tiles_know_no_longest_line(device):
    observed, psf = case((1, 1, 5, 7700), "unknown")
    check(device, observed, psf, "unknown", 2)


def test_a_kernel_of_another_dtype_is_refused(device):
    observed, psf = case((1, 1, 9, 9), "zero")
    x = device.put(observed)
    with pytest.raises(TypeError, match="response: got dtype"):
        richardson_lucy(x, BlurOperator(psf, (9, 9), "zero", x.double()), 2)


CAPTURED = """
import sys, torch
from executor import library
from test_device_richardson_lucy import PSFS, case
from device_cases import planes
from imgrestore import _native, Psf
from imgrestore.ops import BlurOperator, richardson_lucy, richardson_lucy_reference

module, ops = library(), torch.ops.imgrestore_executor
_native.op, _native.on_cuda = (lambda name, register: getattr(ops, name).default), (lambda x: True)
observed, psf = case((1, 1, 45, 81), "periodic", Psf(planes(*PSFS[sys.argv[1]], dtype=torch.float64, seed=7).numpy()))
exact, scene = (
    f(x, BlurOperator(psf, (45, 81), "periodic", x), 2, tv_weight=0.02)[0]
    for f, x in ((richardson_lucy_reference, observed.double()), (richardson_lucy, observed))
    if module.configure(capturing=True) is None
)
assert "fft_twiddles" in [launch["name"] for launch in module.launches()]
torch.testing.assert_close(scene.double(), exact, rtol=2e-4, atol=2e-4 * float(exact.max()))
"""


@pytest.mark.parametrize("psf", PSFS)
def test_twiddles_of_a_graph_live_as_long_as_its_launches(device, psf):
    """While a graph is captured its tables are not kept, and their memory goes to whoever asks once they are gone.

    In a process of its own, which keeps no tables yet, and where memory that is given back is overwritten.
    """
    if not device.module:
        pytest.skip("needs the executor, which can say that it is capturing")
    child.run("-c", CAPTURED, psf, MALLOC_PERTURB_="165", GLIBC_TUNABLES="glibc.malloc.tcache_count=0")
