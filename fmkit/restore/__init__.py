"""Pictures with lost pixels: patches that look alike are rows of a factorization machine, their pixels its columns."""

from fmkit.restore.image import restore_image

__all__ = ["restore_image"]
