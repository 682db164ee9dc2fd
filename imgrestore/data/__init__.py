"""Training data: clean pictures and real pairs, packed or in folders, and damaged pairs made from them."""

from imgrestore.data.blur import PSF_SIZE, BlurBatch, blur_batch, psf_pool
from imgrestore.data.pack import SUFFIXES, pack, read_pack, split
from imgrestore.data.pictures import Pictures

__all__ = ["PSF_SIZE", "SUFFIXES", "BlurBatch", "Pictures", "blur_batch", "pack", "psf_pool", "read_pack", "split"]
