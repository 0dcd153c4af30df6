"""What the columns of a streamed table are: the target, weights, ids, numbers; and a batch of it as rows of prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fmkit.errors import InputError
from fmkit.streams.hashing import holds_ids, print_column
from fmkit.streams.rows import Rows
from fmkit.tables.texts import plain


@dataclass(frozen=True)
class Roles:
    """Columns by what they are.

    Parameters
    ----------
    target : str
    weight : str or None
    ids, numbers : tuple of str
        Columns of ids, a field each, and of numbers.
    """

    target: str
    weight: str | None
    ids: tuple[str, ...]
    numbers: tuple[str, ...]

    @classmethod
    def of(
        cls,
        schema: pa.Schema,
        target: str,
        weight: str | None,
        ids: Sequence[str] | None,
        numbers: Sequence[str] | None,
    ) -> Roles:
        """Roles as given; with neither ids nor numbers, all other columns by their type: decimals are numbers.

        Raises
        ------
        InputError
            If a column is missing, or has two roles.
        """
        special = [target] if weight is None else [target, weight]
        if ids is None and numbers is None:
            others = [column for column in schema if column.name not in special]
            ids = [column.name for column in others if holds_ids(column.type)]
            numbers = [column.name for column in others if not holds_ids(column.type)]
        roles = cls(target, weight, tuple(ids or ()), tuple(numbers or ()))
        named = [*special, *roles.ids, *roles.numbers]
        for name in named:
            if name not in schema.names:
                raise InputError(f"there is no column '{name}', only {', '.join(map(repr, schema.names))}")
            if named.count(name) > 1:
                raise InputError(f"column '{name}' is named {named.count(name)} times: it can be one thing alone")
        if not roles.ids and not roles.numbers:
            raise InputError(f"the stream has no column beside '{target}': ids or numbers are needed to learn from")
        return roles

    @property
    def columns(self) -> list[str]:
        """What is read of a file."""
        return [*self.ids, *self.numbers, self.target, *([] if self.weight is None else [self.weight])]


class RowFault(InputError):
    """A row is not as it should be; whoever knows the file tells its line.

    Parameters
    ----------
    message : str
    row : int
        Counted from 0, in the batch.
    """

    def __init__(self, message: str, row: int) -> None:
        super().__init__(message)
        self.sentence, self.row = message, row


@dataclass
class Targets:
    """Targets as float64: numbers, or positions of labels in the order in which they come.

    Parameters
    ----------
    labels : list or None
        Those that are known; None for numbers.
    final : bool
        Whether they were given: no other may come.
    """

    labels: list[Any] | None = None
    final: bool = False
    of: dict[Any, int] = field(init=False)

    def __post_init__(self) -> None:
        self.of = {label: position for position, label in enumerate(self.labels or ())}

    def read(self, column: pa.Array, name: str) -> NDArray[np.float64]:
        """The targets of a column.

        Raises
        ------
        RowFault
            At the first that is missing, no finite number, or a label too many.
        """
        if self.labels is None:
            return finite(column, name, "target")
        if column.null_count:
            raise RowFault(f"there is no label in column '{name}'", int(pc.index(column.is_null(), True).as_py()))
        encoded = plain(column).dictionary_encode()
        codes = np.asarray(encoded.indices)
        positions = np.empty(len(encoded.dictionary))
        for code, label in enumerate(encoded.dictionary.to_pylist()):
            if label not in self.of:
                if self.final or len(self.labels) == 2:
                    known = " and ".join(map(repr, self.labels))
                    sentence = f"the label {label!r} in column '{name}' was never seen before: it is to be {known}"
                    raise RowFault(sentence, int(np.argmax(codes == code)))
                self.of[label] = len(self.labels)
                self.labels.append(label)
            positions[code] = self.of[label]
        return positions[codes] if len(codes) else np.empty(0)


def finite(column: pa.Array, name: str, what: str) -> NDArray[np.float64]:
    """A column whose every row must hold a finite number."""
    numbers = _numbers(column, name)
    wrong = ~np.isfinite(numbers)
    if wrong.any():
        row = int(np.argmax(wrong))
        is_there = column[row].is_valid and not np.isnan(numbers[row])
        told = f"the {what} {column[row].as_py()} is not finite" if is_there else f"there is no {what}"
        raise RowFault(f"{told} in column '{name}'", row)
    return numbers


def _numbers(column: pa.Array, name: str) -> NDArray[np.float64]:
    kind = column.type
    known = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean, pa.types.is_null)
    if not any(is_kind(kind) for is_kind in known):
        raise InputError(f"column '{name}' must hold numbers, it holds {kind}")
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)


def read_table(batch: pa.RecordBatch, roles: Roles, targets: Targets | None) -> Rows:
    """A batch's rows; rows without weight are left out.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
    roles : Roles
    targets : Targets or None
        None leaves targets and weights be: rows to predict.

    Raises
    ------
    RowFault
        If a target or a weight is none.
    InputError
        If a column is missing, or its type is none of its role's.
    """
    n = len(batch)
    columns = {name: batch.column(_position(batch.schema, name)) for name in (*roles.ids, *roles.numbers)}
    prints = np.empty((n, len(roles.ids)), np.uint64)
    there: NDArray[np.bool_] | None = None
    for position, name in enumerate(roles.ids):
        try:
            has_id = print_column(columns[name], position, prints[:, position])
        except (InputError, pa.ArrowException) as error:
            raise InputError(f"column '{name}': {error}") from None
        if has_id is not None:
            there = np.ones(prints.shape, bool) if there is None else there
            there[:, position] = has_id
    fields = np.tile(np.arange(len(roles.ids), dtype=np.int32), n)
    of_rows = np.full(n, len(roles.ids)) if there is None else there.sum(axis=1)
    flat = prints.reshape(-1)
    if there is not None:
        flat, fields = flat[there.reshape(-1)], fields[there.reshape(-1)]
    numbers = np.empty((n, len(roles.numbers)))
    for position, name in enumerate(roles.numbers):
        numbers[:, position] = _numbers(columns[name], name)
        wrong = np.isinf(numbers[:, position])
        if wrong.any():
            raise RowFault(f"a number in column '{name}' is not finite", int(np.argmax(wrong)))
    y, weights = np.zeros(n), np.empty(0)
    if targets is not None:
        y = targets.read(batch.column(_position(batch.schema, roles.target)), roles.target)
        if roles.weight is not None:
            weights = finite(batch.column(_position(batch.schema, roles.weight)), roles.weight, "weight")
            if (weights < 0).any():
                raise RowFault(f"a weight in column '{roles.weight}' is negative", int(np.argmax(weights < 0)))
    indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(of_rows, dtype=np.int64)])
    rows = Rows(indptr, flat, fields, np.empty(0, np.float32), numbers, y, weights)
    return rows if not len(weights) or weights.all() else _select(rows, weights > 0)


def _position(schema: pa.Schema, name: str) -> int:
    positions = schema.get_all_field_indices(name)
    if len(positions) != 1:
        told = f"there is no column '{name}'" if not positions else f"there are {len(positions)} columns '{name}'"
        raise InputError(f"{told}: every batch must have the columns of the first")
    return int(positions[0])


def _select(rows: Rows, keep: NDArray[np.bool_]) -> Rows:
    lengths = np.diff(rows.indptr)
    of_prints = np.repeat(keep, lengths)
    return Rows(
        np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths[keep])]),
        rows.prints[of_prints],
        rows.fields[of_prints],
        rows.values[of_prints] if len(rows.values) else rows.values,
        rows.numbers[keep],
        rows.targets[keep],
        rows.weights[keep],
    )
