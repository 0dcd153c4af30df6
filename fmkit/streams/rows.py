"""Rows of a stream before their columns are known, as arrays that are cut and joined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """Some rows.

    Parameters
    ----------
    indptr : ndarray of shape (n_rows + 1,), int64
        Where the prints of each row begin.
    prints : ndarray of shape (n_prints,), uint64
        Of the ids, or of a text file's columns.
    fields : ndarray of shape (n_prints,), int32
        What each is an id of.
    values : ndarray of shape (n_prints,), float32, or of shape (0,)
        Empty if all are 1.
    numbers : ndarray of shape (n_rows, n_numbers), float64
        Columns of numbers, NaN where there is none.
    targets : ndarray of shape (n_rows,), float64
        Of a classifier, positions among the labels in the order in which they came.
    weights : ndarray of shape (n_rows,), float64, or of shape (0,)
        Empty if all are 1.
    """

    indptr: NDArray[np.int64]
    prints: NDArray[np.uint64]
    fields: NDArray[np.int32]
    values: NDArray[np.float32]
    numbers: Floats
    targets: Floats
    weights: Floats

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def cut(self, first: int, last: int) -> Rows:
        """Rows first:last, without a copy."""
        entries = slice(self.indptr[first], self.indptr[last])
        return Rows(
            self.indptr[first : last + 1] - self.indptr[first],
            self.prints[entries],
            self.fields[entries],
            self.values[entries],
            self.numbers[first:last],
            self.targets[first:last],
            self.weights[first:last],
        )


def joined(parts: list[Rows]) -> Rows:
    """Rows one after the other."""
    if len(parts) == 1:
        return parts[0]
    before = np.cumsum([0, *(part.indptr[-1] for part in parts)])
    indptr = [part.indptr[1:] + start for part, start in zip(parts, before, strict=False)]

    def of(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts])

    return Rows(
        np.concatenate([np.zeros(1, np.int64), *indptr]),
        *(of(name) for name in ("prints", "fields", "values", "numbers", "targets", "weights")),
    )


def recut(parts: Iterable[Rows], n_rows: int) -> Iterator[Rows]:
    """The same rows, `n_rows` at a time, the last ones perhaps fewer: however a reader cut them, steps are the same."""
    held: list[Rows] = []
    missing = n_rows
    for part in parts:
        first = 0
        while len(part) - first >= missing:
            yield joined([*held, part.cut(first, first + missing)])
            first, held, missing = first + missing, [], n_rows
        if first < len(part):
            held.append(part.cut(first, len(part)))
            missing -= len(part) - first
    if held:
        yield joined(held)
