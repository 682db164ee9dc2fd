"""Gradients of the classical methods, towards the picture and towards the PSF."""

import pytest
import torch
from deconvolution_cases import BOUNDARIES, SPARSE, by_name

from imgrestore.classical import richardson_lucy, wiener
from imgrestore.classical.admm import sparse_gradients
from imgrestore.ops.blur_operator import BlurOperator


def pair(shape=(7, 8), support=(3, 4)):
    generator = torch.Generator().manual_seed(0)
    image, psf = (torch.rand(s, generator=generator, dtype=torch.float64) + 0.2 for s in (shape, support))
    return image.requires_grad_(), psf.requires_grad_()


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_gradients_of_wiener_are_right(boundary):
    assert torch.autograd.gradcheck(lambda i, p: wiener(i, p, 0.05, boundary=boundary), pair(), atol=1e-6)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("options", [{}, {"tv_weight": 0.02, "background": 0.1}], ids=["plain", "tv"])
def test_gradients_of_richardson_lucy_are_right(boundary, options):
    def run(image, psf):
        return richardson_lucy(image, psf, 3, boundary=boundary, accelerate=False, **options)

    assert torch.autograd.gradcheck(run, pair(), atol=1e-6)


@pytest.mark.parametrize("method", SPARSE, ids=lambda m: m.__name__)
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_gradients_of_sparse_methods_towards_the_psf_are_right(boundary, method):
    image, psf = pair()

    def run(psf):
        return method(image.detach(), psf, 0.02, boundary=boundary, num_iter=3)

    assert torch.autograd.gradcheck(run, psf, atol=1e-5)


@pytest.mark.parametrize("prior", ["tv", "hyper_laplacian"])
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_gradients_of_the_sparse_solver_are_right(boundary, prior):
    image, psf = pair()
    weight = torch.tensor(0.02, dtype=torch.float64)

    def run(image, psf):
        blur = BlurOperator(psf / psf.sum(), tuple(image.shape), boundary, image)
        return sparse_gradients(image[None, None], blur, weight, prior=prior, num_iter=3).scene

    assert torch.autograd.gradcheck(run, (image, psf), atol=1e-5)


@by_name
def test_gradients_past_holes_and_flat_ground_are_finite(method):
    image = torch.full((12, 13), 0.5)
    image[5, 6], image[2, 2] = 2, torch.nan
    image.requires_grad_()
    psf = torch.rand(3, 3).requires_grad_()
    method(image, psf).nan_to_num().square().sum().backward()
    assert image.grad.isfinite().all()
    assert psf.grad.isfinite().all()
    assert image.grad[5, 6] != 0
