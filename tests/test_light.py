"""sRGB values to light and back."""

import pytest
import torch
from skimage.color import rgb2xyz, xyz2rgb

from imgrestore.light import decode, encode

VALUES = torch.linspace(-0.5, 3, 701, dtype=torch.float64)


def test_inverse():
    assert torch.allclose(encode(decode(VALUES)), VALUES, atol=1e-6)
    assert torch.allclose(decode(encode(VALUES)), VALUES, atol=1e-6)


def test_odd():
    assert torch.equal(decode(-VALUES), -decode(VALUES))
    assert torch.equal(encode(-VALUES), -encode(VALUES))


def test_gray_as_scikit_image_has_it():
    gray = torch.linspace(0, 1, 256, dtype=torch.float64)
    luminance = rgb2xyz(gray[:, None].expand(-1, 3).numpy())[:, 1]
    assert decode(gray).numpy() == pytest.approx(luminance, abs=1e-6)
    xyz = rgb2xyz([[[0.2, 0.2, 0.2]]])
    assert xyz2rgb(xyz)[0, 0] == pytest.approx(
        encode(decode(torch.full((3,), 0.2, dtype=torch.float64))).numpy(), abs=1e-4
    )


@pytest.mark.parametrize("function", [decode, encode])
def test_gradients(function):
    values = torch.tensor([-0.3, 0.0, 1e-4, 0.02, 0.3, 1.7], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(function, values)
    function(values).sum().backward()
    assert bool(torch.isfinite(values.grad).all())
