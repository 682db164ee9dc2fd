"""What the tests of the device kernels have in common; they run on the executor, or on a GPU with ``--device cuda``."""

import torch


def planes(*shape, dtype=torch.float32, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def assert_is_twin(device, function, twin, *tensors, tolerance=2e-6, same_bits=True):
    """The op on the device is its twin in float64, to a part of the twin's largest value, in every order of threads.

    Parameters
    ----------
    device : Device
    function, twin : callable
        Of the tensors alone.
    *tensors : Tensor or None
        On the CPU.
    tolerance : float
    same_bits : bool
        Whether the result may not depend on the order.

    Returns
    -------
    Tensor
        What the op gave, on the CPU.
    """
    exact = twin(*(t.double() if isinstance(t, torch.Tensor) and t.is_floating_point() else t for t in tensors))
    there = [device.put(t) for t in tensors]
    first = None
    for order in device.orders():
        out = function(*there)
        assert out.device == there[0].device
        assert out.shape == exact.shape
        if first is None:
            first = out
            difference = (out.cpu().double() - exact).abs().max() if out.numel() else torch.zeros(())
            scale = exact.abs().max().clamp_min(1e-30) if out.numel() else 1.0
            assert float(difference / scale) < tolerance, f"{float(difference / scale):.1e} in order {order}"
        elif same_bits:
            assert torch.equal(out, first), f"order {order} gives other bits"
    return first.cpu()


def kernels_of(device, function):
    """The names of the kernels that a call launches on the executor; None on a GPU."""
    if not device.module:
        return None
    device.module.forget_launches()
    function()
    return [launch["name"] for launch in device.module.launches()]
