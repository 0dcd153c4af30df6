"""Deep inside wide holes no patch holds a known pixel: there, patches are copied from known ground.

Source: Criminisi, Perez and Toyama, Region Filling and Object Removal by Exemplar-Based Image Inpainting (2004), from
the rim inward. What a coarser picture says guides the choice, so that lines meet across the hole.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_cdt

from fmkit.kernels import kernel
from fmkit.linalg import FASTMATH, LANES
from fmkit.restore.patches import search_moments, similar_patches
from fmkit.restore.stripes import any_in_patch

FAR = np.float32(1e4)  # a value that no plane takes, so that no patch is like one that holds it
LONGEST_REACH = 96  # rows and columns; the time of a search grows with the square


@kernel(fastmath=FASTMATH)
def _copy_in_order(
    x: Any, wide: Any, open_: Any, moments: Any, known_moments: Any, patch: int, corners: Any, reach: Any
) -> None:
    """Fill the open pixels of each patch in turn by those of the most similar patch that is known throughout.

    Of pixels filled before, the mean of both is taken, which softens the seams between copies.

    Parameters
    ----------
    x : float32 array of shape (n_planes, n_rows, n_columns)
    wide, open_ : bool arrays of shape (n_rows, n_columns)
        Pixels to fill, and those of them not filled yet; updated.
    moments, known_moments : float32 arrays
        `search_moments` of x, updated as pixels are filled, and of x with FAR in all lost pixels.
    patch : int
    corners : int64 array of shape (n, 2)
    reach : int64 array of shape (n,)
        Copies come from at most so many rows and columns away, LONGEST_REACH or less.
    """
    stencil = np.empty((len(x), 3 * patch * patch, 2), np.float32)
    sums = np.empty((2, 2 * LONGEST_REACH + 1 + LANES), np.float32)
    distance, place = np.empty(1, np.float32), np.empty(1, np.int64)
    shape = open_.shape
    for i in range(len(corners)):
        row, column = corners[i]
        if not open_[row : row + patch, column : column + patch].any():
            continue
        similar_patches(moments, known_moments, shape, patch, row, column, reach[i], stencil, sums, distance, place)
        if distance[0] > FAR:  # one lost pixel makes FAR^2 / patch^2 of it, or more
            continue
        down, right = place[0] // shape[1] - row, place[0] % shape[1] - column
        for r in range(row, row + patch):
            for c in range(column, column + patch):
                if wide[r, c]:
                    kept = np.float32(0.0 if open_[r, c] else 0.5)
                    open_[r, c] = False
                    for plane in range(len(x)):
                        value = kept * x[plane, r, c] + (1 - kept) * x[plane, r + down, c + right]
                        x[plane, r, c] = value
                        moments[plane, 3 * r, c] = 1
                        moments[plane, 3 * r + 1, c] = value
                        moments[plane, 3 * r + 2, c] = value * value


def copy_known_patches(
    planes: NDArray[np.float32],
    lost: NDArray[np.bool_],
    distance: NDArray[np.integer[Any]],
    depth: int,
    patch: int,
    guide_confidence: float,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Fill wide holes by copies of known patches, from the rim inward.

    Parameters
    ----------
    planes : float32 ndarray of shape (n_planes, n_rows, n_columns)
        Known values, and a filling from a coarser picture to be guided by.
    lost : bool ndarray of shape (n_rows, n_columns)
    distance : integer ndarray of shape (n_rows, n_columns)
        Of lost pixels from the nearest known one, in rows or columns, whichever are more.
    depth : int
        Holes with pixels farther than this are wide.
    patch : int
        Side of a patch.
    guide_confidence : float
        Weight in the search of a pixel that is not copied yet; known and copied ones weigh 1.

    Returns
    -------
    planes : ndarray
        A copy with wide holes filled.
    copied : bool ndarray of shape (n_rows, n_columns)
        The pixels filled; not those too far from any patch that is known throughout.
    """
    near_deep = any_in_patch(np.pad(distance > depth, depth), 2 * depth + 1)
    wide = lost & near_deep
    rows, columns = (np.unique(np.r_[0 : n - patch : patch // 2, n - patch]) for n in lost.shape)
    grid = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    inside = any_in_patch(wide, patch)[grid[:, 0], grid[:, 1]]
    centre = distance[grid[:, 0] + patch // 2, grid[:, 1] + patch // 2].astype(np.int64)
    source = distance_transform_cdt(any_in_patch(lost, patch), "chessboard")[grid[:, 0], grid[:, 1]]
    # `source`, how far the nearest patch known throughout is, is -1 where there is none.
    near = (source >= 0) & (source <= LONGEST_REACH)
    inward = np.argsort(centre, kind="stable")
    inward = inward[(inside & near)[inward]]
    reach = np.minimum(source + 4 * patch, LONGEST_REACH).astype(np.int64)

    x, open_ = planes.copy(), wide.copy()
    moments = search_moments(x, np.where(lost, guide_confidence, 1).astype(np.float32))
    known_moments = search_moments(np.where(lost, FAR, x), np.ones(lost.shape, np.float32))
    _copy_in_order(x, wide, open_, moments, known_moments, patch, grid[inward], reach[inward])
    return x, wide & ~open_
