"""Pictures larger than memory and more than one machine can do, on dask: `map` for arrays, and what batches run on.

It needs the extra ``scale``: ``pip install "imgrestore[scale]"``.
"""

from .lazy import map

__all__ = ["map"]
