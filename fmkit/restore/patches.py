"""The patches that look like a given one: exhaustive search of a window, the best kept in a heap."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fmkit.linalg import FASTMATH, LANES, rank_update


def search_moments(plane: NDArray[np.float32], confidence: NDArray[np.float32]) -> NDArray[np.float32]:
    """What `similar_patches` correlates with: c, c x and c x^2, row by row, padded to the right.

    Parameters
    ----------
    plane, confidence : float32 ndarrays of shape (n_rows, n_columns)
        The picture x, best with a mean near 0, and how far each pixel is trusted, c.

    Returns
    -------
    float32 ndarray of shape (3 n_rows, n_columns + 2 LANES)
    """
    moments = np.stack([confidence, confidence * plane, confidence * plane * plane], axis=1)
    return np.pad(moments.reshape(-1, plane.shape[1]), [(0, 0), (0, 2 * LANES)])


@njit(nogil=True, cache=True)
def _keep_nearest(distance: Any, place: Any, found: int, new_distance: float, new_place: int) -> int:
    """Add a patch to the `found` in the heap (the farthest on top) while there is room, else in the farthest's stead.

    Returns the patches now in it.
    """
    if found < len(distance):
        i = found
        while i > 0 and distance[(i - 1) // 2] < new_distance:
            distance[i], place[i] = distance[(i - 1) // 2], place[(i - 1) // 2]
            i = (i - 1) // 2
        distance[i], place[i] = new_distance, new_place
        return found + 1
    if new_distance < distance[0]:
        i, child = 0, 1
        while child < found:
            if child + 1 < found and distance[child + 1] > distance[child]:
                child += 1
            if distance[child] <= new_distance:
                break
            distance[i], place[i] = distance[child], place[child]
            i, child = child, 2 * child + 1
        distance[i], place[i] = new_distance, new_place
    return found


@njit(nogil=True, cache=True, fastmath=FASTMATH)
def similar_patches(
    moments: Any,
    n_columns: int,
    patch: int,
    row: int,
    column: int,
    radius: int,
    kernel: Any,
    sums: Any,
    distance: Any,
    place: Any,
) -> int:
    """The patches of a window around one, by mean squared difference weighted with both patches' confidences.

    d(p, q) = sum_i c_pi c_qi (x_pi - x_qi)^2 / sum_i c_pi c_qi over the pixels i of patches p and q. The square
    multiplied out, both sums are correlations of p's c x^2, c x and c with q's c, c x and c x^2: `rank_update` scores
    `LANES` neighbouring candidates at once, 841 of them in 5 us, so that leaving a hopeless one early gains nothing.

    Parameters
    ----------
    moments : float32 array
        See `search_moments`.
    n_columns : int
        Columns of the picture, padding not counted.
    patch : int
        Side of the square patches.
    row, column : int
        Upper left corner of the patch to compare with.
    radius : int
        Candidates begin at most so many rows and columns away.
    kernel : float32 array of shape (3 * patch * patch, 2)
        Work space.
    sums : float32 array of shape (2, at least 2 radius + 1 + LANES)
        Work space.
    distance, place : float32 and int64 arrays of shape (n_similar,)
        Get the distance of each patch found and its corner, as row * n_columns + column; the nearest first.

    Returns
    -------
    int
        How many were found: n_similar, or all of a smaller window.
    """
    n_rows = moments.shape[0] // 3
    kernel[:] = 0
    for a in range(patch):
        for b in range(patch):
            c, cx, cxx = moments[3 * (row + a) : 3 * (row + a) + 3, column + b]
            i = 3 * (b * patch + a)
            kernel[i, 0], kernel[i + 1, 0], kernel[i + 2, 0] = cxx, -2 * cx, c
            kernel[i, 1] = c
    left, right = max(0, column - radius), min(n_columns - patch, column + radius)
    found = 0
    for r in range(max(0, row - radius), min(n_rows - patch, row + radius) + 1):
        sums[:] = 0
        for start in range(0, right - left + 1, LANES):
            for b in range(patch):
                i = 3 * b * patch
                rank_update(sums, 0, start, kernel, i, 0, moments, 3 * r, left + start + b, 3 * patch, 2, 0)
        for c in range(right - left + 1):
            d = max(np.float32(0), sums[0, c] / sums[1, c])
            found = _keep_nearest(distance, place, found, d, r * n_columns + left + c)
    order = np.argsort(distance[:found])
    distance[:found], place[:found] = distance[order], place[order]
    return found
