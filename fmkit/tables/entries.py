"""Columns of which every row has so many entries: side by side, they are a CSR matrix that nothing is sorted for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


@dataclass(frozen=True, eq=False)
class Entries:
    """Entries of rows.

    Parameters
    ----------
    columns : ndarray of shape (n, n_entries), int32
        Ascending within a row; -1 for no entry.
    values : ndarray of shape (n, n_entries), float32, or None
        None: all are 1.
    width : int
        Columns that there are.
    """

    columns: NDArray[np.int32]
    values: NDArray[np.float32] | None
    width: int

    @classmethod
    def beside(cls, parts: Sequence[Entries]) -> Entries:
        """The columns of several parts, one after the other."""
        if len(parts) == 1:
            return parts[0]
        shape = len(parts[0].columns), sum(part.columns.shape[1] for part in parts)
        columns, values, at, first = np.empty(shape, np.int32), None, 0, 0
        if any(part.values is not None for part in parts):
            values = np.ones(shape, np.float32)
        for part in parts:
            own = slice(at, at + part.columns.shape[1])
            np.add(part.columns, np.int32(first), out=columns[:, own])
            if first and part.columns.min(initial=0) < 0:
                columns[:, own][part.columns < 0] = -1
            if values is not None and part.values is not None:
                values[:, own] = part.values
            at, first = own.stop, first + part.width
        return cls(columns, values, first)

    def csr(self) -> sparse.csr_array:
        """As a matrix in canonical format."""
        n, n_entries = self.columns.shape
        columns, values = self.columns.ravel(), None if self.values is None else self.values.ravel()
        index = np.int32 if n * n_entries < 2**31 else np.int64
        there = columns >= 0
        if there.all():
            before = np.arange(n + 1, dtype=index) * index(n_entries)
        else:
            before = np.zeros(n + 1, index)
            for j in range(n_entries):
                before[1:] += self.columns[:, j] >= 0
            np.cumsum(before, out=before)
            columns, values = columns[there], None if values is None else values[there]
        if values is None:
            values = np.ones(len(columns), np.float32)
        matrix = sparse.csr_array((values, columns, before), shape=(n, self.width))
        matrix.has_canonical_format = True
        return matrix
