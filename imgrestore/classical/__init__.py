"""Classical estimates: plain functions on arrays or tensors."""

from imgrestore.classical.deconvolution import estimate_noise, hyper_laplacian, richardson_lucy, total_variation, wiener

__all__ = ["estimate_noise", "hyper_laplacian", "richardson_lucy", "total_variation", "wiener"]
