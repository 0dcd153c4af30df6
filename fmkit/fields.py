"""Fields: groups of columns of which no row has two, how they are held, and finding them.

Columns of a field do not interact, so ALS and Gibbs may solve them at once, with the result of one after the other.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fmkit.kernels import kernel


@dataclass(frozen=True, eq=False)
class Field:
    """Columns of which a row has at most one, as (row, code, value) triples with what goes without saying left out.

    A one-hot coded variable without gaps is nothing but one int32 code a row.

    Parameters
    ----------
    columns : ndarray of shape (n_levels,), int32
        The design's column that each code stands for, ascending.
    codes : ndarray of shape (n_entries,), int32
        Position in `columns` of each entry.
    rows : ndarray of shape (n_entries,), int32, or None
        Row of each entry, ascending; None if entry i is row i, for all rows.
    values : ndarray of shape (n_entries,), float32, or None
        Value of each entry; None if all are 1.
    """

    columns: NDArray[np.int32]
    codes: NDArray[np.int32]
    rows: NDArray[np.int32] | None = None
    values: NDArray[np.float32] | None = None


def find_fields(matrix: csr_array) -> NDArray[np.int32]:
    """Label every column of a matrix with the number of its field, numbered by first column.

    Contiguous ranges of columns come first, since one-hot coded tables consist of them: those of which every row has
    one entry, and between these the fewest ranges in which no row has two. Only where the latter are more than twice as
    many as the fullest row has entries (bags of words, say) are their columns coloured greedily, the fullest first,
    instead.

    Parameters
    ----------
    matrix : csr_array of shape (n_rows, n_features)
        With sorted indices and without duplicates.

    Returns
    -------
    ndarray of shape (n_features,), int32
    """
    ranges, whole = _contiguous(matrix.indptr, matrix.indices, matrix.shape[1])
    rest = np.flatnonzero(~whole)
    n_whole = len(np.unique(ranges[whole]))
    fullest = int(np.diff(matrix.indptr).max(initial=0)) - n_whole  # every row has one entry in each
    if len(np.unique(ranges[rest])) <= 2 * max(fullest, 1):
        return np.asarray(ranges)
    ranges[rest] = matrix.shape[1] + _coloured(matrix[:, rest], fullest)
    return _first_use_order(ranges)


def disjoint(matrix: csr_array, label: NDArray[np.int32]) -> NDArray[np.int32]:
    """Labels 0..n-1 of the columns, cut up further where a row has two entries with one label.

    Parameters
    ----------
    matrix : csr_array of shape (n_rows, n_features)
        With sorted indices and without duplicates.
    label : ndarray of shape (n_features,), int32
        From 0 to n - 1.

    Returns
    -------
    ndarray of shape (n_features,), int32
        The fields of each label follow each other.
    """
    twice = _twice(matrix.indptr, matrix.indices, label, int(label.max(initial=-1)) + 1)
    if not twice.any():
        return label
    part = np.zeros(len(label), np.int64)
    for crowded in np.flatnonzero(twice):
        columns = np.flatnonzero(label == crowded)
        part[columns] = find_fields(matrix[:, columns])
    pairs = label * (part.max() + 1) + part
    return np.unique(pairs, return_inverse=True)[1].astype(np.int32)


def split(matrix: csr_array, label: NDArray[np.int32]) -> list[Field]:
    """The fields of a canonical matrix under labels 0..n_fields-1, of each of which a row has at most one entry."""
    n_fields = int(label.max(initial=-1)) + 1
    by_label = np.argsort(label, kind="stable").astype(np.int32)
    bounds = np.searchsorted(label[by_label], np.arange(n_fields + 1))
    code_of_column = np.empty(len(label), np.int32)
    code_of_column[by_label] = np.arange(len(label), dtype=np.int32) - bounds[label[by_label]]
    values_of = (lambda chosen: None) if (matrix.data == 1).all() else (lambda chosen: matrix.data[chosen])

    counts = np.diff(matrix.indptr)
    if n_fields and (counts == n_fields).all() and _in_field_order(label[matrix.indices], n_fields):
        # An entry a row and field, in order: the matrix is a table of codes already, nothing is sorted.
        entries: list[Any] = [slice(f, None, n_fields) for f in range(n_fields)]
        rows_of = None
    else:
        field_of_entry = label[matrix.indices].astype(np.uint16 if n_fields < 2**16 else np.int32)
        order = np.argsort(field_of_entry, kind="stable")  # a radix sort for 16 bits
        cuts = np.r_[0, np.cumsum(np.bincount(field_of_entry, minlength=n_fields))]
        entries = [order[a:b] for a, b in pairwise(cuts)]
        rows_of = np.repeat(np.arange(matrix.shape[0], dtype=np.int32), counts)

    fields = []
    for f, chosen in enumerate(entries):
        columns = by_label[bounds[f] : bounds[f + 1]]
        indices = matrix.indices[chosen]
        rows = None if rows_of is None else rows_of[chosen]
        if rows is not None and len(rows) == matrix.shape[0]:
            rows = None
        values = values_of(chosen)
        if values is not None and (values == 1).all():
            values = None
        fields.append(Field(columns, code_of_column[indices], rows, values))
    return fields


def _in_field_order(field_of_entry: NDArray[np.int32], n_fields: int) -> bool:
    return bool((field_of_entry.reshape(-1, n_fields) == np.arange(n_fields)).all())


@kernel
def _contiguous(indptr: Any, indices: Any, n_features: int) -> Any:
    """Cut the columns, left to right, around ranges of which every row has one entry, and before a row gets a second.

    Returns
    -------
    tuple of an int32 and a bool array of shape (n_features,)
        Number of each column's range, and whether it is one of those that every row has, of two columns or more.
    """
    before = np.full(n_features, -1, np.int32)  # the rightmost column to the left of column j in any row that has j
    count = np.zeros(n_features, np.int64)
    for r in range(len(indptr) - 1):
        for i in range(indptr[r], indptr[r + 1]):
            count[indices[i]] += 1
            if i > indptr[r]:
                before[indices[i]] = max(before[indices[i]], indices[i - 1])
    n_rows = len(indptr) - 1
    label, whole = np.empty(n_features, np.int32), np.zeros(n_features, np.bool_)
    start, field, stop, held = 0, 0, 0, 0
    end, filled = 0, 0  # the columns j:end are those from j on in which no row has two entries; it has `filled` of them
    for j in range(n_features):
        while end < n_features and (end == j or before[end] < j):
            filled, end = filled + count[end], end + 1
        if j >= stop and filled == n_rows and 0 < count[j] < n_rows:
            stop = end
            if held:
                start, field, held = j, field + 1, 0
            whole[start:end] = True
        elif before[j] >= start:
            start, field, held = j, field + 1, 0
        label[j] = field
        held += count[j]
        filled -= count[j]
    return label, whole


@kernel
def _twice(indptr: Any, indices: Any, label: Any, n_labels: int) -> Any:
    """Whether a row has two entries with a label, for each label."""
    latest, twice = np.full(n_labels, -1, np.int64), np.zeros(n_labels, np.bool_)
    for r in range(len(indptr) - 1):
        for i in range(indptr[r], indptr[r + 1]):
            l = label[indices[i]]
            twice[l] |= latest[l] == r
            latest[l] = r
    return twice


def _coloured(matrix: csr_array, fullest: int) -> NDArray[np.int32]:
    """Greedy colouring; a round hands out a bounded number of colours, so that a row's set of them is a few words."""
    columns = matrix.tocsc()
    label = np.full(matrix.shape[1], -1, np.int32)
    n_words = 1 + fullest // 64
    counts = np.diff(columns.indptr)
    pending = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    base = 0
    while len(pending):
        taken = np.zeros((matrix.shape[0], n_words), np.uint64)
        _colour(columns.indptr, columns.indices, pending, base, taken, label)
        pending = pending[label[pending] < 0]
        base += 64 * n_words
    label[counts == 0] = max(label.max(initial=0), 0)  # with the rarest, not with a column that every row has
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
