"""The patches that look like a given one: exhaustive search of a window, the best kept in a heap."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.kernels import kernel
from fmkit.linalg import FASTMATH, LANES, rank_update


def search_moments(planes: NDArray[np.float32], confidence: NDArray[np.float32]) -> NDArray[np.float32]:
    """What `similar_patches` correlates: c, c x and c x^2 of every row of pixels, one below the other.

    Parameters
    ----------
    planes : float32 ndarray of shape (n_planes, n_rows, n_columns)
        The picture x, best with a mean near 0, and how far each pixel is trusted, c.
    confidence : float32 ndarray of shape (n_rows, n_columns) or (n_planes, n_rows, n_columns)

    Returns
    -------
    float32 ndarray of shape (n_planes, 3 n_rows, n_columns + 2 LANES)
        Zero in the columns beyond the picture's.
    """
    n_planes, n_rows, n_columns = planes.shape
    moments = np.zeros((n_planes, n_rows, 3, n_columns + 2 * LANES), np.float32)
    moments[:, :, 0, :n_columns] = confidence
    moments[:, :, 1, :n_columns] = confidence * planes
    moments[:, :, 2, :n_columns] = confidence * planes * planes
    return moments.reshape(n_planes, 3 * n_rows, n_columns + 2 * LANES)


@kernel
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


@kernel
def _lay_out(moments: Any, patch: int, row: int, column: int, stencil: Any) -> None:
    """What a patch is to be correlated with: column 0 of the stencil for its distance, 1 for the weights' sum."""
    stencil[:] = 0
    for b in range(patch):
        for a in range(patch):
            c, cx, cxx = moments[3 * (row + a) : 3 * (row + a) + 3, column + b]
            i = 3 * (b * patch + a)
            stencil[i, 0], stencil[i + 1, 0], stencil[i + 2, 0] = cxx, -2 * cx, c
            stencil[i, 1] = c


@kernel(fastmath=FASTMATH)
def similar_patches(
    reference: Any,
    moments: Any,
    shape: tuple[int, int],
    patch: int,
    row: int,
    column: int,
    radius: int,
    stencil: Any,
    sums: Any,
    distance: Any,
    place: Any,
) -> int:
    """The patches of a window around one, by mean squared difference weighted with both patches' confidences.

    d(p, q) = sum_i c_pi c_qi (x_pi - x_qi)^2 / sum_i c_pi c_qi over the pixels i of patches p and q. The square
    multiplied out, both sums are correlations of p's c x^2, c x and c with q's c, c x and c x^2: `rank_update` scores
    `LANES` neighbouring candidates at once. 841 candidates take 20 us of a
    group's 70 to 130, on one 2.6 GHz core.

    Parameters
    ----------
    reference, moments : float32 arrays
        `search_moments` of the picture that holds the patch to compare with, and of the one to search.
    shape : (int, int)
        Rows and columns of the picture.
    patch : int
        Side of the square patches.
    row, column : int
        Upper left corner of the patch to compare with.
    radius : int
        Candidates begin at most so many rows and columns away.
    stencil : float32 array of shape (n_planes, 3 patch * patch, 2)
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
    n_rows, n_columns = shape
    for plane in range(len(reference)):
        _lay_out(reference[plane], patch, row, column, stencil[plane])
    left, right = max(0, column - radius), min(n_columns - patch, column + radius)
    found = 0
    for r in range(max(0, row - radius), min(n_rows - patch, row + radius) + 1):
        sums[:] = 0
        for plane in range(len(moments)):
            for start in range(0, right - left + 1, LANES):
                for b in range(patch):
                    i, at = 3 * b * patch, left + start + b
                    rank_update(sums, 0, start, stencil[plane], i, 0, moments[plane], 3 * r, at, 3 * patch, 2, 0)
        for c in range(right - left + 1):
            d = max(np.float32(0), sums[0, c] / sums[1, c])
            found = _keep_nearest(distance, place, found, d, r * n_columns + left + c)
    order = np.argsort(distance[:found])
    distance[:found], place[:found] = distance[order], place[order]
    return found
