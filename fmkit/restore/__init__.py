"""Pictures with lost pixels: patches that look alike are rows of a factorization machine, their pixels its columns."""

from fmkit.restore.detect import Damage, find_damage
from fmkit.restore.image import restore_image
from fmkit.restore.restorer import ImageRestorer
from fmkit.restore.score import psnr, ssim

__all__ = ["Damage", "ImageRestorer", "find_damage", "psnr", "restore_image", "ssim"]
