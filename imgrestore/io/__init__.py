"""Read and write pictures: PNG, JPEG, WebP, BMP, TIFF and FITS, with their metadata, atomically.

`read` gives a `Picture` (pixels and all that must survive), `write` takes pixels and the `Picture` they are like.
`open_source` and `open_target` do it part by part, for pictures larger than memory: TIFF, BigTIFF, Zarr and OME-Zarr.
A file that cannot be read raises `PictureError`. Pillow, tifffile, astropy and zarr are imported when first needed.

Examples
--------
>>> ".tif" in SUPPORTED, ".docx" in SUPPORTED
(True, False)
"""

from .files import read, write
from .large import open_source, open_target, tiff_size
from .picture import FORMATS, MAX_PIXELS, SUPPORTED, Picture, PictureError, is_picture
from .window import Rectangle, Source, Target
from .zarr_source import is_zarr

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "SUPPORTED",
    "Picture",
    "PictureError",
    "Rectangle",
    "Source",
    "Target",
    "is_picture",
    "is_zarr",
    "open_source",
    "open_target",
    "read",
    "tiff_size",
    "write",
]
