"""Pictures that ship with fmkit."""

from pathlib import Path

import numpy as np
import pyvips
from sklearn.utils import Bunch

FOLDER = Path(__file__).parent / "harvesters"


def load_harvesters() -> Bunch:
    """Load Pieter Bruegel's painting "The Harvesters" (1565, public domain), 1165 x 859 pixels.

    `make_damage(picture.shape[:2])` draws damage for it.

    Returns
    -------
    bunch : sklearn.utils.Bunch
        `picture` : uint8 ndarray of shape (859, 1165, 3), sRGB; `filename` : the JPEG file; `DESCR` : what it is,
        where it is from, its licence.
    """
    path = FOLDER / "harvesters.jpg"
    picture = np.asarray(pyvips.Image.new_from_file(str(path)).numpy(), dtype=np.uint8)
    return Bunch(picture=picture, filename=str(path), DESCR=(FOLDER / "README.md").read_text(encoding="utf-8"))
