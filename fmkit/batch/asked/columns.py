"""What a column of a batch must hold for a model: read whole, and the rows that do not hold it told apart.

Each kind of column reads a whole Arrow array at once; only where it does not go through are the rows looked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fmkit.errors import InputError
from fmkit.tables.texts import GAPS, NUMBER, is_text, plain

LARGEST = float(np.finfo(np.float32).max)
WITH_DECIMALS = "an id is a whole number or text, and this has decimals"


@dataclass(frozen=True)
class Fault:
    """Rows of a batch whose value will not do, and why.

    Parameters
    ----------
    rows : ndarray of int64, ascending, not empty
        Positions in the batch.
    reason : str
        What is wrong with the value, and what would be right.
    """

    rows: NDArray[np.int64]
    reason: str


class Refused(Exception):
    """Rows whose columns are right each by itself, but do not go together.

    Parameters
    ----------
    column : str
        The one that is to be looked at.
    faults : list of Fault
    """

    def __init__(self, column: str, faults: list[Fault]) -> None:
        super().__init__(column)
        self.column, self.faults = column, faults


class Column(Protocol):
    """A kind of column."""

    def check(self, kind: pa.DataType) -> None:
        """Raise an InputError, without the column's name, if no column of this type can hold what is needed."""

    def read(self, column: pa.Array) -> tuple[Any, list[Fault]]:
        """The values, one a row, and the faults; what stands for a value that will not do is of no meaning."""


@dataclass(frozen=True)
class Anything:
    """Whatever a model reads by itself, gaps included: categories, sets, texts of a `TableEncoder`."""

    def check(self, kind: pa.DataType) -> None:
        """Everything will do."""

    def read(self, column: pa.Array) -> tuple[pa.Array, list[Fault]]:
        """The column as it is."""
        return column, []


@dataclass(frozen=True)
class Ids:
    """Ids: whole numbers or text, as they are written.

    Parameters
    ----------
    needed : bool, default=True
        Whether each row must have one.
    trimmed : bool, default=True
        Whether blanks around an id are no part of it, as for a Recommender; a model of a stream takes them as written.
    """

    needed: bool = True
    trimmed: bool = True

    def check(self, kind: pa.DataType) -> None:
        """Numbers, text, or a dictionary of these."""
        of = pa.types
        kind = kind.value_type if of.is_dictionary(kind) else kind
        if of.is_nested(kind) or not (_is_number(kind) or _is_texts(kind) or of.is_null(kind)):
            raise InputError(f"ids are whole numbers or text, it holds {kind}")

    def read(self, column: pa.Array) -> tuple[pa.Array, list[Fault]]:
        """Integers or text."""
        column = plain(column)
        if not is_text(column):
            column, faults = _whole(column)
        else:
            column, faults = pc.utf8_trim_whitespace(column) if self.trimmed else column, []
            if self.needed and (empty := _rows(pc.equal(column, ""))) is not None:
                faults.append(Fault(empty, "there is no id"))
        if self.needed and (missing := _rows(column.is_null())) is not None:
            told = np.concatenate([fault.rows for fault in faults]) if faults else np.empty(0, np.int64)
            if len(missing := np.setdiff1d(missing, told)):
                faults.append(Fault(missing, "there is no id"))
        return column, faults


@dataclass(frozen=True)
class Numbers:
    """Finite numbers, as 32 bits hold them; text that is one counts.

    Parameters
    ----------
    needed : bool, default=True
        Whether each row must have one; if not, a gap is NaN.
    """

    needed: bool = True

    def check(self, kind: pa.DataType) -> None:
        """Numbers, truth values, or text."""
        of = pa.types
        kind = kind.value_type if of.is_dictionary(kind) else kind
        if not (_is_number(kind) or of.is_boolean(kind) or of.is_null(kind) or _is_texts(kind)):
            raise InputError(f"numbers are needed, it holds {kind}")

    def read(self, column: pa.Array) -> tuple[NDArray[np.float64], list[Fault]]:
        """Float64, NaN where there is none."""
        column = plain(column)
        faults: list[Fault] = []
        if pa.types.is_boolean(column.type):
            column = column.cast(pa.int8())
        elif is_text(column):
            column, faults = _of_texts(column)
        numbers = np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
        known = np.abs(numbers) <= LARGEST
        if known.all():
            return numbers, faults
        infinite = np.isinf(numbers)
        for wrong, reason in (
            (infinite, "the number is not finite"),
            (~known & ~infinite & ~np.isnan(numbers), "the number is larger than 32 bits hold, 3.4e38"),
        ):
            if wrong.any():
                faults.append(Fault(np.flatnonzero(wrong), reason))
        if self.needed:
            missing = np.isnan(numbers)
            for fault in faults:
                missing[fault.rows] = False
            if missing.any():
                faults.append(Fault(np.flatnonzero(missing), "there is no number"))
        return numbers, faults


@dataclass(frozen=True)
class Texts:
    """Text; an empty one counts, a missing one does not."""

    def check(self, kind: pa.DataType) -> None:
        """Text, or a dictionary of it."""
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not (_is_texts(kind) or pa.types.is_null(kind)):
            raise InputError(f"text is needed, it holds {kind}")

    def read(self, column: pa.Array) -> tuple[pa.Array, list[Fault]]:
        """Text in one form."""
        missing = _rows(column.is_null())
        faults = [] if missing is None else [Fault(missing, "there is no text: an empty one is written ''")]
        return plain(column).cast(pa.string()), faults


def taken(values: Any, rows: NDArray[np.int64]) -> Any:
    """Some of the values that a column was read to."""
    if isinstance(values, pa.Array):
        return values.take(pa.array(rows))
    return values[rows] if isinstance(values, np.ndarray) else [values[row] for row in rows.tolist()]


def faulty(mask: Sequence[bool] | NDArray[np.bool_], reason: str) -> list[Fault]:
    """The fault of these rows, if there are any."""
    rows = np.flatnonzero(np.asarray(mask, bool))
    return [Fault(rows, reason)] if len(rows) else []


def _whole(column: pa.Array) -> tuple[pa.Array, list[Fault]]:
    """Numbers as integers."""
    of, kind = pa.types, column.type
    if of.is_integer(kind) or of.is_null(kind):
        return column, []
    if of.is_decimal(kind):
        return _whole_decimals(column)
    try:
        return column.cast(pa.int64()), []
    except pa.ArrowInvalid:
        numbers = np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    whole = (numbers == np.floor(numbers)) & (np.abs(numbers) < 2.0**63)
    gaps = np.asarray(column.is_null())
    fault = faulty(~whole & ~gaps & ~np.isnan(numbers), WITH_DECIMALS)
    return pa.array(np.where(whole, numbers, 0).astype(np.int64), mask=~whole), fault


def _whole_decimals(column: pa.Array) -> tuple[pa.Array, list[Fault]]:
    """Decimals as integers, or as text where they are larger: no number is rounded on the way."""
    whole = pc.equal(pc.floor(column), column)
    faults = faulty(np.asarray(pc.fill_null(pc.invert(whole), False)), WITH_DECIMALS)
    column = pc.if_else(whole, column, None)
    try:
        return column.cast(pa.int64()), faults
    except pa.ArrowInvalid:
        return pc.replace_substring_regex(column.cast(pa.string()), r"\.0*$", ""), faults


def _of_texts(column: pa.Array) -> tuple[pa.Array, list[Fault]]:
    """Texts as numbers; those that stand for no value are gaps."""
    try:
        return column.cast(pa.float64()), []
    except pa.ArrowInvalid:
        column = pc.utf8_trim_whitespace(column)
    column = pc.if_else(pc.is_in(pc.utf8_lower(column), GAPS), None, column)
    infinite = pc.match_substring_regex(column, r"^[+-]?inf(inity)?$", ignore_case=True)
    right = pc.or_(pc.match_substring_regex(column, NUMBER), infinite)
    wrong = np.asarray(pc.fill_null(pc.invert(right), False))
    digits = pc.replace_substring_regex(pc.if_else(right, column, None), r"^\+", "")
    return digits.cast(pa.float64()), faulty(wrong, "it is text where a number is needed")


def _rows(mask: pa.BooleanArray) -> NDArray[np.int64] | None:
    """Where a mask is true; None if nowhere."""
    if not pc.any(mask).as_py():
        return None
    return np.flatnonzero(np.asarray(pc.fill_null(mask, False)))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_texts(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
