"""From prints and numbers to columns of a machine: what a stream's model keeps to be asked with later rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.errors import InputError
from fmkit.kernels import kernel
from fmkit.streams.coded import Coded
from fmkit.streams.roles import Roles
from fmkit.streams.rows import Rows, joined
from fmkit.streams.sources import Matrix, TextFiles, open_source
from fmkit.streams.vocabulary import Vocabulary, is_vocabulary

Floats = NDArray[np.float32]
WIDEST = 2**31 - 1  # columns


@dataclass
class Encoder:
    """Columns of ids and numbers.

    A column of numbers is one column of the machine, in units of its mean and standard deviation in the first batch;
    these come first. Ids have `n_hash` buckets together, or as many columns as there are ids.

    Parameters
    ----------
    roles : Roles or None
        None for sparse text, whose columns have no names.
    n_hash : int or None
        Buckets; None for a vocabulary.
    vocabulary : Vocabulary
    means, scales : ndarray of shape (n_numbers,), float64
    with_fields : bool
        Of sparse text: whether entries have fields, as libffm's.
    """

    roles: Roles | None
    n_hash: int | None
    vocabulary: Vocabulary
    means: NDArray[np.float64]
    scales: NDArray[np.float64]
    with_fields: bool = False

    @classmethod
    def of_first(cls, first: Rows, roles: Roles | None, n_hash: int | None, with_fields: bool) -> Encoder:
        """An encoder with the units of the first batch, and no vocabulary yet."""
        there = ~np.isnan(first.numbers)
        n = np.maximum(there.sum(axis=0), 1)
        means = np.where(there, first.numbers, 0).sum(axis=0) / n
        scales = np.sqrt(np.square(np.where(there, first.numbers - means, 0)).sum(axis=0) / n)
        # What does not differ in the first batch has no unit: it stays as far from its mean as it is.
        scales = np.where(scales > 1e-9 * np.abs(means), scales, 1.0)
        return cls(roles, n_hash, Vocabulary(), means, scales, with_fields)

    @property
    def n_columns(self) -> int:
        """Columns of the machine by now."""
        return len(self.means) + (len(self.vocabulary) if self.n_hash is None else self.n_hash)

    def encode(self, rows: Rows, *, grow: bool) -> Coded:
        """Rows by their columns; ids that a vocabulary does not know, and is not to learn, are no entries."""
        n_numbers = len(self.means)
        if self.n_hash is not None:
            columns = np.empty(len(rows.prints), np.int32)
            to_buckets(rows.prints, self.n_hash, n_numbers, columns)
        else:
            columns = self.vocabulary.columns(rows.prints, grow=grow)
            if self.n_columns > WIDEST:
                raise InputError(f"there are more than {WIDEST:,} ids: set n_hash to hash them")
            unknown = columns < 0
            columns += np.int32(n_numbers)
            if unknown.any():
                columns[unknown] = -1
        n_ids = 0 if self.roles is None else len(self.roles.ids)
        n_fields = n_ids + n_numbers if self.roles is not None else int(rows.fields.max(initial=-1)) + 1
        indptr, fields, values = rows.indptr, rows.fields, rows.values
        if n_numbers or (columns < 0).any():
            scaled = ((rows.numbers - self.means) / self.scales).astype(np.float32)
            given = values if len(values) else np.ones(len(columns), np.float32)
            indptr, columns, fields, values = put_together(indptr, columns, fields, given, scaled, n_ids)
            if not n_numbers and not len(rows.values):
                values = rows.values
        weights = rows.weights.astype(np.float32)
        return Coded(indptr, columns, fields, values, rows.targets, weights, self.n_columns, n_fields)

    def forget(self, n_columns: int) -> None:
        """Keep no more columns: the thread that reads may have met ids that were never learned."""
        n_ids = n_columns - len(self.means)
        if self.n_hash is None and n_ids < len(self.vocabulary):
            self.vocabulary = Vocabulary(self.vocabulary.prints[:n_ids])

    def read(self, X: Any) -> Coded:
        """Rows to predict, as a stream or as a table: whatever `fit_stream` reads, without target and weight.

        Raises
        ------
        InputError
            If it is of another kind than the stream of the fit, or lacks a column.
        """
        source = open_source(X)
        if isinstance(source, TextFiles | Matrix) != (self.roles is None):
            wanted = "sparse text files or matrices" if self.roles is None else "tables with the columns of the stream"
            raise InputError(f"the model was fitted to a stream of another kind: {wanted} are needed")
        if isinstance(source, TextFiles | Matrix) and source.with_fields != self.with_fields:
            wanted = "files of libffm, whose entries have fields," if self.with_fields else "entries without fields"
            raise InputError(f"the model was fitted to a stream of another kind: {wanted} are needed")
        parts = list(_some(source.rows(self.roles, None)))
        n_numbers = len(self.means)
        nothing = Rows(
            np.zeros(1, np.int64),
            np.empty(0, np.uint64),
            np.empty(0, np.int32),
            np.empty(0, np.float32),
            np.empty((0, n_numbers)),
            np.empty(0),
            np.empty(0),
        )
        return self.encode(joined(parts) if parts else nothing, grow=False)

    def pack(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Facts and arrays of a model file."""
        roles = self.roles
        facts: dict[str, Any] = {"n_hash": self.n_hash, "roles": None, "with_fields": self.with_fields}
        if roles is not None:
            facts["roles"] = [roles.target, roles.weight, list(roles.ids), list(roles.numbers)]
        arrays = {"stream.means": self.means, "stream.scales": self.scales}
        return facts, arrays if self.n_hash is not None else {**arrays, "stream.prints": self.vocabulary.prints}

    @classmethod
    def unpack(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Encoder:
        """The reverse; a KeyError, TypeError or ValueError if the file holds something else."""
        roles = None
        if facts["roles"] is not None:
            target, weight, ids, numbers = facts["roles"]
            roles = Roles(str(target), None if weight is None else str(weight), tuple(ids), tuple(numbers))
        means, scales = arrays["stream.means"], arrays["stream.scales"]
        n_numbers = 0 if roles is None else len(roles.numbers)
        for units in (means, scales):
            if units.dtype != np.float64 or units.shape != (n_numbers,) or not np.isfinite(units).all():
                raise ValueError("its stream's numbers have no units")
        if (scales <= 0).any():
            raise ValueError("its stream's numbers have no units")
        with_fields = bool(facts["with_fields"])
        if facts["n_hash"] is not None:
            return cls(roles, int(facts["n_hash"]), Vocabulary(), means, scales, with_fields)
        if not is_vocabulary(arrays["stream.prints"]):
            raise ValueError("its stream's vocabulary is none")
        return cls(roles, None, Vocabulary(arrays["stream.prints"]), means, scales, with_fields)


def _some(parts: Iterator[Rows]) -> Iterator[Rows]:
    return (part for part in parts if len(part))


@kernel
def to_buckets(prints: Any, n_hash: int, first: int, out: Any) -> None:
    """out[i] = first + the bucket of a print: its upper half, scaled."""
    for i in range(len(prints)):
        out[i] = first + np.int64(((prints[i] >> np.uint64(32)) * np.uint64(n_hash)) >> np.uint64(32))


@kernel
def put_together(indptr: Any, columns: Any, fields: Any, values: Any, numbers: Any, n_ids: int) -> Any:
    """Entries of ids, but for columns of -1, then of numbers, but for NaN: number m is column m, of field n_ids + m."""
    n, n_numbers = numbers.shape
    most = len(columns) + n * n_numbers
    starts = np.zeros(n + 1, np.int64)
    to, of, x = np.empty(most, np.int32), np.empty(most, np.int32), np.empty(most, np.float32)
    end = 0
    for r in range(n):
        for e in range(indptr[r], indptr[r + 1]):
            if columns[e] >= 0:
                to[end], of[end], x[end] = columns[e], fields[e], values[e]
                end += 1
        for m in range(n_numbers):
            if not np.isnan(numbers[r, m]):
                to[end], of[end], x[end] = m, n_ids + m, numbers[r, m]
                end += 1
        starts[r + 1] = end
    return starts, to[:end], of[:end], x[:end]
