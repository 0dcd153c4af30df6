"""Pictures with lost pixels: patches that look alike are rows of a factorization machine, their pixels its columns."""

from fmkit.restore.image import restore_image
from fmkit.restore.score import psnr, ssim

__all__ = ["psnr", "restore_image", "ssim"]
