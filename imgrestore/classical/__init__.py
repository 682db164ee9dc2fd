"""Classical estimates: plain functions on arrays or tensors."""

from imgrestore.classical.deconvolution import estimate_noise, hyper_laplacian, richardson_lucy, total_variation, wiener
from imgrestore.classical.moire_peaks import Peak, find_peaks, notch_filter, periodic_plus_smooth
from imgrestore.classical.psf import PsfEstimate, estimate_psf
from imgrestore.classical.psf_windows import FieldEstimate, estimate_psf_field
from imgrestore.classical.reflection import suppress_reflection
from imgrestore.classical.reflection_smooth import separate_smooth
from imgrestore.classical.shadow import shadow_mask
from imgrestore.classical.shadow_matting import shadow_matte
from imgrestore.classical.specular import separate_highlights
from imgrestore.classical.specular_bilateral import separate_by_bilateral
from imgrestore.classical.specular_dichromatic import specular_free
from imgrestore.classical.specular_ratio import separate_by_ratio

__all__ = [
    "FieldEstimate",
    "Peak",
    "PsfEstimate",
    "estimate_noise",
    "estimate_psf",
    "estimate_psf_field",
    "find_peaks",
    "hyper_laplacian",
    "notch_filter",
    "periodic_plus_smooth",
    "richardson_lucy",
    "separate_by_bilateral",
    "separate_by_ratio",
    "separate_highlights",
    "separate_smooth",
    "shadow_mask",
    "shadow_matte",
    "specular_free",
    "suppress_reflection",
    "total_variation",
    "wiener",
]
