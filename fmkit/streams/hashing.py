"""Ids as 64-bit prints, by a kernel over what Arrow holds: no id becomes an object of Python.

A print is `mix`, the finaliser of splitmix64 (Steele, Lea, Flood, OOPSLA 2014), of a whole number, or of a text's words
of 8 bytes one after the other; a multiple of the golden ratio tells one field from the next. Text that is a whole
number, as Python writes it, has the print of the number: an id is the same from CSV and from Parquet. Any bit of an id
changes each bit of its print in half of the cases, so that the top bits, scaled, are a bucket.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fmkit.errors import InputError
from fmkit.kernels import kernel

Prints = NDArray[np.uint64]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
TEXT = np.uint64(0x5851F42D4C957F2D)  # beside the field, so that texts do not start where numbers do
EXACT = 2.0**53  # whole numbers up to which float64 tells one from the next


@kernel
def mix(z: Any) -> Any:
    """A one-to-one map of 64 bits; 0, which stands for an empty slot elsewhere, becomes 1 where it would come out."""
    z = (z ^ (z >> np.uint64(30))) * FIRST
    z = (z ^ (z >> np.uint64(27))) * SECOND
    z = z ^ (z >> np.uint64(31))
    return z if z else np.uint64(1)


@kernel
def print_numbers(numbers: Any, field: int, out: Any) -> None:
    """out[r] = the print of a whole number, int64."""
    start = GOLDEN * np.uint64(field + 1)
    for r in range(len(out)):
        out[r] = mix(np.uint64(numbers[r]) + start)


@kernel
def print_texts(offsets: Any, letters: Any, field: int, out: Any) -> None:
    """out[r] = the print of letters[offsets[r] : offsets[r + 1]], bytes of UTF-8."""
    start = GOLDEN * np.uint64(field + 1)
    for r in range(len(out)):
        first, last = offsets[r], offsets[r + 1]
        number, is_number = _whole_number(letters, first, last)
        if is_number:
            out[r] = mix(np.uint64(number) + start)
            continue
        z = (start ^ TEXT) + np.uint64(last - first)
        at = first
        while at < last:
            word = np.uint64(0)
            for i in range(min(8, last - at)):
                word |= np.uint64(letters[at + i]) << np.uint64(8 * i)
            z = mix(z ^ word) + GOLDEN
            at += 8
        out[r] = mix(z)


@kernel
def _whole_number(letters: Any, first: Any, last: Any) -> Any:
    """The number of at most 18 digits that Python would write so, and whether there is one."""
    at = first + 1 if first < last and letters[first] == ord("-") else first
    n_digits, number = last - at, np.int64(0)
    if n_digits < 1 or n_digits > 18 or (letters[at] == ord("0") and last - first > 1):
        return number, False
    for i in range(at, last):
        digit = np.int64(letters[i]) - 48
        if digit < 0 or digit > 9:
            return number, False
        number = 10 * number + digit
    return (-number if at > first else number), True


def print_column(column: pa.Array, field: int, out: Prints) -> NDArray[np.bool_] | None:
    """Write a column's prints; returns which rows have an id, None if all have.

    Parameters
    ----------
    column : pyarrow.Array
        Numbers, text, booleans, dates, or a dictionary of these. Decimals that are whole, as pandas makes them of whole
        numbers with gaps, count as whole.
    field : int
        The same id in another field has another print.
    out : ndarray of shape (n_rows,), uint64
        Where there is no id, it is of no meaning.

    Raises
    ------
    InputError
        If the column holds lists or the like.
    """
    of, kind = pa.types, column.type
    if of.is_dictionary(kind):
        of_levels = np.empty(len(column.dictionary), np.uint64)
        has_level = print_column(column.dictionary, field, of_levels)
        codes = column.indices.fill_null(0).to_numpy(zero_copy_only=False)
        if len(of_levels):
            out[:] = of_levels[codes]
        there = _valid(column)
        if has_level is None:
            return there
        of_rows = has_level[codes]
        return np.asarray(of_rows if there is None else of_rows & there)
    if of.is_nested(kind):
        raise InputError(f"it holds {kind}: one id a row is needed, give each member of a list a column of its own")
    if of.is_floating(kind):
        column = pc.if_else(pc.is_finite(column), column, None).cast(pa.float64())
        numbers = column.fill_null(0).to_numpy(zero_copy_only=False)
        if ((numbers == np.floor(numbers)) & (np.abs(numbers) <= EXACT)).all():
            print_numbers(numbers.astype(np.int64), field, out)
            return _valid(column)
    if of.is_integer(kind):
        print_numbers(_as_int64(column), field, out)
        return _valid(column)
    if of.is_null(kind):
        return np.zeros(len(out), bool)
    if not (of.is_string(kind) or of.is_large_string(kind)):
        column = column.cast(pa.string())
    offset_type = np.int64 if of.is_large_string(column.type) else np.int32
    _, offsets, letters = column.buffers()
    if len(out):
        ends = np.frombuffer(offsets, offset_type)[column.offset : column.offset + len(out) + 1]
        content = np.frombuffer(letters, np.uint8) if letters is not None else np.empty(0, np.uint8)
        print_texts(ends, content, field, out)
    return _valid(column)


def _as_int64(column: pa.Array) -> NDArray[np.int64]:
    if pa.types.is_uint64(column.type):
        return np.asarray(column.fill_null(0).to_numpy(zero_copy_only=False)).view(np.int64)
    whole = column.cast(pa.int64())
    if whole.null_count:
        whole = whole.fill_null(0)
    return np.asarray(whole.to_numpy(zero_copy_only=False))


def _valid(column: pa.Array) -> NDArray[np.bool_] | None:
    return None if not column.null_count else np.asarray(column.is_valid().to_numpy(zero_copy_only=False))


def holds_ids(kind: pa.DataType) -> bool:
    """Whether a column of this type is taken for ids where nobody says what it is: all but decimals."""
    return not (pa.types.is_floating(kind) or pa.types.is_decimal(kind))
