"""The ops: each a public function, a pure-torch twin, and a native kernel where the library is loaded."""

from imgrestore.ops.bilateral import bilateral, bilateral_reference
from imgrestore.ops.blur_field import BlurField
from imgrestore.ops.blur_operator import BlurOperator
from imgrestore.ops.box import box, box_reference
from imgrestore.ops.channel_norm import channel_norm, channel_norm_reference
from imgrestore.ops.depthwise_gate import depthwise_gate, depthwise_gate_reference
from imgrestore.ops.fft_convolve import fft_convolve, fft_convolve_reference
from imgrestore.ops.fft_filter import fft_filter, fft_filter_reference
from imgrestore.ops.gated_block import gated_block, gated_block_reference
from imgrestore.ops.guided import guided, guided_reference
from imgrestore.ops.patch_conv import patch_conv, patch_conv_reference
from imgrestore.ops.richardson_lucy import richardson_lucy, richardson_lucy_reference
from imgrestore.ops.separable import gaussian_taps, separable, separable_reference
from imgrestore.ops.sparse_steps import SparseProblem, SparseState, sparse_steps, sparse_steps_reference
from imgrestore.ops.tv_denoise import tv_denoise, tv_denoise_reference
from imgrestore.ops.wiener_planes import wiener_planes, wiener_planes_reference

__all__ = [
    "BlurField",
    "BlurOperator",
    "SparseProblem",
    "SparseState",
    "bilateral",
    "bilateral_reference",
    "box",
    "box_reference",
    "channel_norm",
    "channel_norm_reference",
    "depthwise_gate",
    "depthwise_gate_reference",
    "fft_convolve",
    "fft_convolve_reference",
    "fft_filter",
    "fft_filter_reference",
    "gated_block",
    "gated_block_reference",
    "gaussian_taps",
    "guided",
    "guided_reference",
    "patch_conv",
    "patch_conv_reference",
    "richardson_lucy",
    "richardson_lucy_reference",
    "separable",
    "separable_reference",
    "sparse_steps",
    "sparse_steps_reference",
    "tv_denoise",
    "tv_denoise_reference",
    "wiener_planes",
    "wiener_planes_reference",
]
