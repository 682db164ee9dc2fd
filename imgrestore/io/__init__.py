"""Read and write pictures: PNG, JPEG, WebP, BMP, TIFF and FITS, with their metadata, atomically.

`read` gives a `Picture` (pixels and all that must survive), `write` takes pixels and the `Picture` they are like.
A file that cannot be read raises `PictureError`. Pillow, tifffile and astropy are imported when first needed.

Examples
--------
>>> ".tif" in SUPPORTED, ".docx" in SUPPORTED
(True, False)
"""

from .files import read, write
from .picture import MAX_PIXELS, SUPPORTED, Picture, PictureError, is_picture

__all__ = ["MAX_PIXELS", "SUPPORTED", "Picture", "PictureError", "is_picture", "read", "write"]
