"""Things in rows: letters stand in a row with others of their size, dust does not."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from fmkit.kernels import kernel
from fmkit.restore.lines import Labels

LETTERS = 4  # that a row of letters has at least


def boxes(labels: Labels, n: int) -> NDArray[np.int64]:
    """Rows and columns, first and beyond last, of each label from 1; shape (n, 4)."""
    found = np.zeros((n, 6), np.int64)
    measure(labels, np.empty((0, 0), np.bool_), found)
    return found[:, :4]


@kernel
def measure(labels, exact, found):  # type: ignore[no-untyped-def]
    """Box, area, and pixels that are exact, of each label from 1.

    Parameters
    ----------
    labels : int32 (n_rows, n_columns)
        0 is none.
    exact : bool (n_rows, n_columns) or (0, 0)
    found : int64 (n_labels, 6)
        Zeros; written: rows and columns, first and beyond last; pixels; those that are exact, 0 without `exact`.
    """
    for i in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            if labels[i, j] > 0:
                own = found[labels[i, j] - 1]
                if own[4] == 0:
                    own[0], own[2], own[3] = i, j, j + 1
                own[1], own[2], own[3] = i + 1, min(own[2], j), max(own[3], j + 1)
                own[4] += 1
                if exact.size:
                    own[5] += exact[i, j]


def in_rows(box: NDArray[np.int64]) -> NDArray[np.intp]:
    """How many things of about one size stand in a row or a column with each, itself among them.

    Parameters
    ----------
    box : int64 ndarray of shape (n_things, 4)
        Rows and columns, first and beyond last.
    """
    n = len(box)
    if n < LETTERS:
        return np.ones(n, np.intp)
    size = np.maximum(box[:, 1] - box[:, 0], box[:, 3] - box[:, 2])
    middle = np.stack([box[:, :2].mean(axis=1), box[:, 2:].mean(axis=1)], axis=1)
    k = min(9, n)
    other = cKDTree(middle).query(middle, k)[1].reshape(n, k)[:, 1:].ravel()
    self = np.repeat(np.arange(n), k - 1)
    larger = np.maximum(size[self], size[other])
    alike = larger < 1.8 * np.minimum(size[self], size[other])
    linked = np.zeros(len(self), bool)
    for low, high, start, stop in ((0, 1, 2, 3), (2, 3, 0, 1)):
        level = np.minimum(np.abs(box[self, low] - box[other, low]), np.abs(box[self, high] - box[other, high]))
        gap = np.maximum(box[self, start], box[other, start]) - np.minimum(box[self, stop], box[other, stop])
        linked |= (level <= 1 + 0.1 * larger) & (gap < larger) & (gap > -0.2 * larger)
    linked &= alike
    graph = coo_array((np.ones(linked.sum()), (self[linked], other[linked])), shape=(n, n))
    row = connected_components(graph, directed=False)[1]
    return np.asarray(np.bincount(row)[row])
