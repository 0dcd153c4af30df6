"""Numbers as columns: piecewise linear between knots, so that a machine of products can bend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import sparse

from fmkit.errors import InputError
from fmkit.tables.entries import Entries
from fmkit.tables.texts import NUMBER, is_text, plain, without_gaps

AT_ONCE = 1 << 13  # rows: what is made of them on the way is in a cache, and no fresh memory is asked for


@dataclass(frozen=True, eq=False)
class Knots:
    """Where a number's columns peak.

    A value between two knots has an entry in both columns, that together are 1; beyond the ends it counts as the end.
    Numbers of few distinct values get a column each.

    Parameters
    ----------
    knots : ndarray of shape (n_knots,), float64, ascending
    missing : bool
        Whether rows without a number have a column of their own: there were some in the fit.
    """

    knots: NDArray[np.float64]
    missing: bool

    @classmethod
    def learn(cls, numbers: NDArray[np.float64], n_knots: int) -> Knots:
        """At quantiles of the distinct numbers, weighted by the roots of their counts: a number that most rows have
        takes one knot and leaves the others to the rest.
        """
        distinct, count = np.unique(numbers[np.isfinite(numbers)], return_counts=True)
        if len(distinct) > n_knots:
            weight = np.cumsum(np.sqrt(count))
            at = np.searchsorted(weight, np.linspace(0, weight[-1], n_knots))
            distinct = distinct[np.unique(np.minimum(at, len(distinct) - 1))]
        return cls(distinct, bool(np.isnan(numbers).any()))

    def __len__(self) -> int:
        return len(self.knots) + self.missing

    def encode(self, numbers: NDArray[np.float64]) -> sparse.csr_array:
        """Rows of the design, float32."""
        return self.entries(numbers).csr()

    def entries(self, numbers: NDArray[np.float64]) -> Entries:
        """The same, as the one or two entries that a row has."""
        n, knots = len(numbers), self.knots
        if not len(self):
            return Entries(np.empty((n, 0), np.int32), None, 0)
        shape = n, 1 if len(knots) < 2 else 2
        values, columns = np.empty(shape, np.float32), np.zeros(shape, np.int32)
        for first in range(0, n, AT_ONCE):
            some = slice(first, first + AT_ONCE)
            self._encode(numbers[some], columns[some], values[some])
        columns[values == 0] = -1
        return Entries(columns, values, len(self))

    def _encode(self, numbers: NDArray[np.float64], columns: NDArray[np.int32], values: NDArray[np.float32]) -> None:
        knots, gone = self.knots, np.isnan(numbers)
        if len(knots) < 2:
            values[:] = 1
        else:
            within = np.clip(numbers, knots[0], knots[-1])
            left = np.clip(np.searchsorted(knots, within, side="right") - 1, 0, len(knots) - 2)
            share = (within - knots[left]) / (knots[left + 1] - knots[left])
            values[:, 0], values[:, 1] = 1 - share, share
            columns[:, 0], columns[:, 1] = left, left + 1
        values[gone] = 0
        if self.missing:
            columns[gone, 0], values[gone, 0] = len(knots), 1

    def select(self, columns: NDArray[Any]) -> Knots:
        """With some of the columns, ascending, alone: numbers that had no entry in the others are encoded as before."""
        kept = columns[columns < len(self.knots)]
        return Knots(self.knots[kept], len(kept) < len(columns))

    def names(self, column: str) -> list[str]:
        """A name for each column."""
        digits = next((n for n in (6, 12) if len({f"{knot:.{n}g}" for knot in self.knots}) == len(self.knots)), 17)
        return [f"{column}~{knot:.{digits}g}" for knot in self.knots] + [f"{column} missing"] * self.missing


def as_numbers(column: pa.Array) -> NDArray[np.float64]:
    """Numbers, or texts that are; NaN where there is none.

    Raises
    ------
    InputError
        If a text is no number.
    """
    of, column = pa.types, plain(column)
    if is_text(column):
        texts = without_gaps(column)
        try:
            column = texts.cast(pa.float64())
        except pa.ArrowInvalid:
            wrong = texts.filter(pc.invert(pc.match_substring_regex(texts, NUMBER)))
            raise InputError(f"{wrong[0].as_py() if len(wrong) else texts[0].as_py()!r} is no number") from None
    kind = column.type
    if not (
        of.is_integer(kind) or of.is_floating(kind) or of.is_decimal(kind) or of.is_boolean(kind) or of.is_null(kind)
    ):
        raise InputError(f"numbers are needed, it holds {kind}")
    return np.asarray(pc.fill_null(column.cast(pa.float64(), safe=False), np.nan))
