"""Finding fields: groups of columns of which no row has two.

Columns of a field do not interact, so ALS and Gibbs may solve them at once, with the result of one after the other.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fmkit.kernels import kernel


def find_fields(matrix: csr_array) -> NDArray[np.int32]:
    """Label every column of a matrix with the number of its field, numbered by first column.

    Contiguous ranges of columns come first, since one-hot coded tables consist of them: the fewest ranges in which no
    row has two entries. Only where these are more than twice as many as the fullest row has entries (bags of words,
    say) are the columns coloured greedily, the fullest first, instead.

    Parameters
    ----------
    matrix : csr_array of shape (n_rows, n_features)
        With sorted indices and without duplicates.

    Returns
    -------
    ndarray of shape (n_features,), int32
    """
    fullest = int(np.diff(matrix.indptr).max(initial=0))
    ranges: NDArray[np.int32] = _contiguous(matrix.indptr, matrix.indices, matrix.shape[1])
    if matrix.shape[1] == 0 or ranges[-1] < 2 * max(fullest, 1):
        return ranges
    return _first_use_order(_coloured(matrix, fullest))


@kernel
def _contiguous(indptr: Any, indices: Any, n_features: int) -> Any:
    """Cut the columns, left to right, only where a row would get a second entry."""
    before = np.full(n_features, -1, np.int32)  # the rightmost column to the left of column j in any row that has j
    for r in range(len(indptr) - 1):
        for i in range(indptr[r] + 1, indptr[r + 1]):
            before[indices[i]] = max(before[indices[i]], indices[i - 1])
    label = np.empty(n_features, np.int32)
    start, field = 0, 0
    for j in range(n_features):
        if before[j] >= start:
            start, field = j, field + 1
        label[j] = field
    return label


def _coloured(matrix: csr_array, fullest: int) -> NDArray[np.int32]:
    """Greedy colouring; a round hands out a bounded number of colours, so that a row's set of them is a few words."""
    columns = matrix.tocsc()
    label = np.full(matrix.shape[1], -1, np.int32)
    n_words = 1 + fullest // 64
    pending = np.argsort(-np.diff(columns.indptr), kind="stable")
    base = 0
    while len(pending):
        taken = np.zeros((matrix.shape[0], n_words), np.uint64)
        _colour(columns.indptr, columns.indices, pending, base, taken, label)
        pending = pending[label[pending] < 0]
        base += 64 * n_words
    return label


@kernel
def _colour(indptr: Any, indices: Any, pending: Any, base: int, taken: Any, label: Any) -> None:
    """Give each pending column the first colour that none of its rows has taken, if there is one."""
    n_words = taken.shape[1]
    union = np.empty(n_words, np.uint64)
    for j in pending:
        union[:] = 0
        for i in range(indptr[j], indptr[j + 1]):
            union |= taken[indices[i]]
        for colour in range(64 * n_words):
            bit = np.uint64(1) << np.uint64(colour % 64)
            if union[colour // 64] & bit == 0:
                label[j] = base + colour
                for i in range(indptr[j], indptr[j + 1]):
                    taken[indices[i], colour // 64] |= bit
                break


def _first_use_order(label: NDArray[np.int32]) -> NDArray[np.int32]:
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int32)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]
