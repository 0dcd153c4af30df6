"""Interactions as pairs of row codes: which items each query has, with what weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

MOST_EMPTY = 100  # rows by pairs, beyond which codes are taken for ids
NONE = np.empty(0, np.float32)


@dataclass(frozen=True, eq=False)
class Pairs:
    """A sparse table of queries by items whose entries are interactions.

    Parameters
    ----------
    n_queries, n_items : int
    before : ndarray of shape (n_queries + 1,), int64
        The items of query q are items[before[q]:before[q + 1]].
    items : ndarray of shape (n_pairs,), int32
        Codes, ascending within a query, none twice.
    weights : ndarray of shape (n_pairs,), float32
        Positive; of shape (0,) if all are 1.
    """

    n_queries: int
    n_items: int
    before: NDArray[np.int64]
    items: NDArray[np.int32]
    weights: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        interactions: Any,
        n_queries: int | None = None,
        n_items: int | None = None,
        weights: ArrayLike | None = None,
    ) -> Pairs:
        """From pairs of codes, or from a sparse matrix whose values are weights.

        Parameters
        ----------
        interactions : array-like of shape (n_pairs, 2) of integers, or sparse matrix of shape (n_queries, n_items)
            Codes of query and item. The weights of a pair that occurs more than once add up; a pair of weight 0 is
            none.
        n_queries, n_items : int, optional
            By default the largest code + 1, or the shape of the matrix.
        weights : array-like of shape (n_pairs,), optional
            Of pairs of codes; by default 1 each.

        Raises
        ------
        TypeError
            If codes are not integers.
        ValueError
            If a code lies outside the tables, or a weight is negative or not finite.
        """
        if sparse.issparse(interactions):
            if weights is not None:
                raise ValueError("weights go with pairs of codes: the values of a sparse matrix are its weights")
            matrix = sparse.csr_array(interactions, dtype=np.float32, copy=True)  # the caller's stays as it is
            shape = matrix.shape[0] if n_queries is None else n_queries, matrix.shape[1] if n_items is None else n_items
            if matrix.shape != shape:
                raise ValueError(
                    f"interactions must be a matrix of {shape[0]} queries x {shape[1]} items, got {matrix.shape}"
                )
        else:
            codes = np.asarray(interactions)
            if codes.ndim != 2 or codes.shape[1] != 2:
                raise ValueError(
                    f"interactions must be pairs of codes of shape (n_pairs, 2), or a sparse matrix of queries x "
                    f"items; got an array of shape {codes.shape}"
                )
            if codes.dtype.kind not in "iu":
                raise TypeError(
                    f"interactions must be integer codes of query and item, got {codes.dtype}: "
                    "numpy.unique(ids, return_inverse=True) makes codes of ids"
                )
            shape = tuple(  # type: ignore[assignment]
                _checked(codes[:, side], name, n)
                for side, (name, n) in enumerate((("query", n_queries), ("item", n_items)))
            )
            values = np.ones(len(codes), np.float32) if weights is None else np.asarray(weights, np.float32)
            if values.shape != (len(codes),):
                raise ValueError(f"weights must hold a number for each of {len(codes)} pairs, got shape {values.shape}")
            matrix = sparse.csr_array((values, (codes[:, 0], codes[:, 1])), shape=shape)
        wrong = ~(matrix.data >= 0) | np.isinf(matrix.data)
        if wrong.any():
            raise ValueError(f"weights of interactions must be finite and not negative, got {matrix.data[wrong][0]}")
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        values = NONE if (matrix.data == 1).all() else matrix.data
        return cls(
            matrix.shape[0], matrix.shape[1], matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), values
        )

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def csr(self) -> sparse.csr_array:
        """Queries x items, the weights its values."""
        values = self.weights if len(self.weights) else np.ones(len(self), np.float32)
        return sparse.csr_array((values, self.items, self.before), shape=(self.n_queries, self.n_items))

    @cached_property
    def transposed(self) -> Pairs:
        """Which queries each item has."""
        matrix = self.csr.T.tocsr()
        matrix.sort_indices()
        values = matrix.data if len(self.weights) else NONE
        return Pairs(
            self.n_items, self.n_queries, matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), values
        )

    @cached_property
    def queries(self) -> NDArray[np.int32]:
        """The query of each pair, of shape (n_pairs,)."""
        return np.repeat(np.arange(self.n_queries, dtype=np.int32), np.diff(self.before))

    def rows(self, queries: NDArray[np.integer[Any]]) -> Pairs:
        """The pairs of some queries, which become queries 0, 1, ..."""
        some = self.csr[queries]
        weights = some.data if len(self.weights) else NONE
        return Pairs(len(queries), self.n_items, some.indptr.astype(np.int64), some.indices.astype(np.int32), weights)

    def among(self, items: NDArray[np.integer[Any]]) -> Pairs:
        """The pairs of some items, ascending, which become items 0, 1, ..."""
        place = np.full(self.n_items, -1, np.int32)
        place[items] = np.arange(len(items), dtype=np.int32)
        some = self.select(place[self.items] >= 0)
        return replace(some, n_items=len(items), items=place[some.items])

    def select(self, keep: NDArray[np.bool_]) -> Pairs:
        """The pairs where `keep`, of shape (n_pairs,), is True."""
        before = np.concatenate([[0], np.cumsum(keep, dtype=np.int64)])[self.before]
        values = self.weights[keep] if len(self.weights) else NONE
        return Pairs(self.n_queries, self.n_items, before, self.items[keep], values)


def checked_codes(codes: ArrayLike, n: int, name: str) -> NDArray[np.int64]:
    """Codes of rows, 0..n-1, as integers; a ValueError if they are none."""
    array = np.asarray(codes)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be integers of shape (n,), got {array.dtype} of shape {array.shape}")
    wrong = (array < 0) | (array >= n)
    if wrong.any():
        raise ValueError(f"{name} must lie in 0..{n - 1}, got {array[wrong][0]}")
    return array.astype(np.int64)


def is_identity(matrix: sparse.csr_array) -> bool:
    """Whether rows are ids alone."""
    n, m = matrix.shape
    if not n == m == matrix.nnz:
        return False
    return bool(
        (matrix.data == 1).all()
        and (matrix.indptr == np.arange(n + 1)).all()
        and (matrix.indices == np.arange(n)).all()
    )


def _checked(codes: NDArray[Any], name: str, n: int | None) -> int:
    """How many rows there are; a ValueError if a code lies outside."""
    lowest, largest = (int(codes.min()), int(codes.max())) if len(codes) else (0, -1)
    if n is None and largest > MOST_EMPTY * max(len(codes), 10_000):
        raise ValueError(
            f"codes of {name} go up to {largest:,} in {len(codes):,} pairs: codes are rows, from 0 without gaps; "
            "numpy.unique(ids, return_inverse=True) makes them of ids"
        )
    n = largest + 1 if n is None else n
    if lowest < 0 or largest >= n:
        wrong = lowest if lowest < 0 else largest
        row = int(np.argmax(codes == wrong))
        raise ValueError(f"codes of interactions must lie in 0..{n - 1}, pair {row} has {name} {wrong}")
    return n
