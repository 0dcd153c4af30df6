"""Rows of a stream as entries of a machine's columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fmkit.machine import FactorizationMachine, predict_rows

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Coded:
    """Rows as entries of columns.

    Parameters
    ----------
    indptr : ndarray of shape (n_rows + 1,), int64
    columns, fields : ndarrays of shape (n_entries,), int32
    values : ndarray of shape (n_entries,), float32, or of shape (0,)
        Empty if all are 1.
    targets : ndarray of shape (n_rows,), float64
    weights : ndarray of shape (n_rows,), float32, or of shape (0,)
        Empty if all are 1.
    n_columns : int
        Columns after these rows.
    n_fields : int
    """

    indptr: NDArray[np.int64]
    columns: NDArray[np.int32]
    fields: NDArray[np.int32]
    values: Floats
    targets: NDArray[np.float64]
    weights: Floats
    n_columns: int
    n_fields: int

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self), self.n_columns

    def values_of(self, machine: FactorizationMachine) -> Floats:
        """A machine's values of these rows; entries of one column in a row are added up as two."""
        out = np.empty(len(self), np.float32)
        values = self.values if len(self.values) else np.ones(len(self.columns), np.float32)
        w, V = np.ascontiguousarray(machine.linear), np.ascontiguousarray(machine.factors)
        predict_rows(self.indptr, self.columns, values, np.float32(machine.bias), w, V, out)
        return out

    @property
    def pairs(self) -> bool:
        """Whether every row has two different columns, without values, and no more."""
        n = len(self)
        if (
            len(self.values)
            or len(self.columns) != 2 * n
            or not np.array_equal(self.indptr, np.arange(0, 2 * n + 1, 2))
        ):
            return False
        return not (self.columns[::2] == self.columns[1::2]).any()
