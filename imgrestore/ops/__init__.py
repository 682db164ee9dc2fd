"""The ops: each a public function, a pure-torch twin, and a native kernel where the library is loaded."""

from imgrestore.ops.fft_filter import fft_filter, fft_filter_reference

__all__ = ["fft_filter", "fft_filter_reference"]
