"""Damage Bruegel's painting: `python examples/damage_painting.py PICTURE MASK` writes what is left and what is lost."""

import sys

import numpy as np
import pyvips

from fmkit.datasets import load_harvesters, make_damage

PRIMING = (232, 224, 204)  # the chalk ground that shows where paint is gone

picture_path, mask_path = sys.argv[1:]
picture = load_harvesters().picture
mask = make_damage(picture.shape[:2], random_state=0)
picture[mask] = PRIMING
pyvips.Image.new_from_array(picture).write_to_file(picture_path)
pyvips.Image.new_from_array(mask.astype(np.uint8) * 255).write_to_file(mask_path)
print(f"{picture_path}: The Harvesters with {mask.mean():.1%} of its pixels lost; {mask_path}: where.")
