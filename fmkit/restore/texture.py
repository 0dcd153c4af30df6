"""How rough a picture is around each pixel: two planes that tell a grain from a flat ground of the same mean.

Source: Newson et al., Non-Local Patch-Based Image Inpainting (2017), section 3.3. Deep in a hole the mean of many votes
is smooth, and the smooth patches of the picture are nearest to it: without these planes wood and grass turn to plain
paint there.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

WIDTH = 9  # pixels over which gradients are averaged
WEIGHT = 1.5  # of the planes in the search; with 3 holes of 16 pixels lose 0.2 dB


def texture_planes(plane: NDArray[np.float32], lost: NDArray[np.bool_]) -> NDArray[np.float32]:
    """WEIGHT times the mean of |dx/dcolumn| and of |dx/drow| over the known pixels around, shape (2, rows, columns)."""
    planes = np.zeros((2, *plane.shape), np.float32)
    for i, axis in enumerate((1, 0)):
        both_known = ~lost & ~np.roll(lost, 1, axis)
        both_known[(slice(None), 0) if axis == 1 else 0] = False
        slope = np.where(both_known, np.abs(plane - np.roll(plane, 1, axis)), np.float32(0))
        sums, weights = (uniform_filter(x, WIDTH, np.float32, "nearest") for x in (slope, both_known))
        planes[i] = WEIGHT * sums / np.maximum(weights, np.float32(1e-6))
    return planes
