"""The grain of one filling on the ground of another: what averaging took away is given back.

The mean of all that a hole might hold is nearest to the truth, and flat; a filling put together from known patches has
the grain and the sharp lines of the picture, but is farther off. With G a Gaussian blur within the hole,

    x = m + a (f - m - G (f - m)),  a = min(1, depth / FULL_DEPTH):

the blurred f - m, where mean and filling differ in the large, is the mean's to decide. On photographs with holes of 16
and 32 pixels this costs 0.1 dB where the filling itself would cost 1.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_cdt, gaussian_filter

WIDTH = 2.0  # standard deviation of the blur, in pixels
FULL_DEPTH = 14  # pixels from the rim, in rows or columns; nearer to it the mean knows the grain: 8 costs .15 dB


def with_detail(
    mean: NDArray[np.float32], filling: NDArray[np.float32], hole: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """The mean with the filling's detail in the hole.

    Parameters
    ----------
    mean, filling : float32 ndarrays of shape (n_planes, n_rows, n_columns)
    hole : bool ndarray of shape (n_rows, n_columns)
    """
    share = np.minimum(distance_transform_cdt(hole, "chessboard") / np.float32(FULL_DEPTH), np.float32(1))
    inside = hole.astype(np.float32)
    weight = np.maximum(gaussian_filter(inside, WIDTH), np.float32(1e-6))
    x = mean.copy()
    for plane, more in zip(x, filling - mean, strict=True):
        plane += share * (more - gaussian_filter(more * inside, WIDTH) / weight)
    return x
