"""Rows of sparse text, `label [field:]index:value ...`, from bytes to arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from fmkit.kernels import kernel

NEWLINE, HASH, PLUS, MINUS, POINT, COLON = (ord(letter) for letter in "\n#+-.:")

# What 18 digits and a power of ten beyond these make is 0 or infinite in float32.
FARTHEST = 80
POWERS = np.array([float(f"1e{exponent}") for exponent in range(FARTHEST + 1)])
# Products of doubles up to here with powers up to 1e22, both exact, are rounded once: as the text is, by definition.
WHOLE, EXACT = 2**53, 22
# Elsewhere four roundings and the digits past the 18th go astray by less than this.
ASTRAY = 2.0**-50

NONE, SURE, DOUBTFUL = 0, 1, 2


@kernel
def parse(
    text: Any,
    with_fields: bool,
    lowest: int,
    highest: int,
    highest_field: int,
    labels: Any,
    indptr: Any,
    fields: Any,
    indices: Any,
    values: Any,
    doubtful: Any,
) -> Any:
    """Read lines up to the first that is not as it should be.

    Numbers are float32, rounded from the nearest double. Where the double cannot be told apart here from one that
    rounds to another float32 (one number of 2**25 or so), the place is noted: Python is to read it.

    Parameters
    ----------
    text : ndarray of uint8
        Whole lines.
    with_fields : bool
        Whether entries are field:index:value.
    lowest, highest, highest_field : int
        Bounds of indices, and of fields from 0.
    labels : ndarray of float32, indptr : ndarray of int64
        Of each row, its label and the entries before it, and those of all: as long as there are lines, and one more.
    fields, indices : ndarray of int32, values : ndarray of float32
        Of each entry: as long as there are colons (pairs of them, with fields; else fields is not touched).
    doubtful : ndarray of int64 of shape (labels and values, 2)
        Position of a doubtful number in the text; the entry, or the row less its number of rows, that it belongs to.

    Returns
    -------
    tuple of int
        Rows, entries and doubtful numbers read, and the start of the line at fault, -1 if there is none.
    """
    i = row = entry = n_doubtful = 0
    indptr[0] = 0
    while i < len(text):
        start = i
        i = _past_blanks(text, i)
        if text[i] == NEWLINE:
            i += 1
            continue
        at = i
        label, i, kind = _number(text, i)
        if kind == NONE or not _ends(text[i]):
            return row, entry, n_doubtful, start
        if kind == DOUBTFUL:
            doubtful[n_doubtful, 0], doubtful[n_doubtful, 1] = at, row - len(labels)
            n_doubtful += 1
        labels[row] = label
        i = _past_blanks(text, i)
        if text[i] == ord("q"):
            i = _past_query(text, i)
            if i < 0:
                return row, entry, n_doubtful, start
            i = _past_blanks(text, i)
        while text[i] != NEWLINE:
            if with_fields:
                field, i = _index(text, i)
                if field < 0 or field > highest_field or text[i] != COLON:
                    return row, entry, n_doubtful, start
                i += 1
            index, i = _index(text, i)
            if index < lowest or index > highest or text[i] != COLON:
                return row, entry, n_doubtful, start
            at = i + 1
            if 48 <= text[at] <= 57 and _ends(text[at + 1]):  # the 1 of one-hot columns, most of all
                value, i = np.float32(text[at] - 48), at + 1
            else:
                value, i, kind = _number(text, at)
                if kind == NONE or not _ends(text[i]):
                    return row, entry, n_doubtful, start
                if kind == DOUBTFUL:
                    doubtful[n_doubtful, 0], doubtful[n_doubtful, 1] = at, entry
                    n_doubtful += 1
            if with_fields:  # only now: a half of an entry has no place
                fields[entry] = field
            indices[entry] = index
            values[entry] = value
            entry += 1
            i = _past_blanks(text, i)
        row += 1
        indptr[row] = entry
        i += 1
    return row, entry, n_doubtful, -1


@kernel
def _past_blanks(text: Any, i: int) -> int:
    """The next letter that is no blank of ASCII (a carriage return is one), or the line's end after a comment."""
    while text[i] == 32 or (9 <= text[i] <= 13 and text[i] != NEWLINE):
        i += 1
    if text[i] == HASH:
        while text[i] != NEWLINE:
            i += 1
    return i


@kernel
def _ends(letter: int) -> bool:
    """Whether nothing follows a number without a blank between."""
    return letter == 32 or 9 <= letter <= 13 or letter == HASH


@kernel
def _past_query(text: Any, i: int) -> int:
    """Past svmlight's `qid:3`; -1 if it is something else. A line end stops every comparison in time."""
    if text[i + 1] != ord("i") or text[i + 2] != ord("d") or text[i + 3] != COLON:
        return -1
    query, i = _index(text, i + 4)
    return i if query >= 0 and _ends(text[i]) else -1


@kernel
def _index(text: Any, i: int) -> Any:
    """A whole number of at most 18 digits, -1 if there is none, and the place after it."""
    start, index = i, 0
    while 48 <= text[i] <= 57:
        index = 10 * index + (text[i] - 48)
        i += 1
    return index if 0 < i - start <= 18 else -1, i


@kernel
def _number(text: Any, i: int) -> Any:
    """A decimal number, the place after it, and whether it is `NONE` (or beyond float32), `SURE` or `DOUBTFUL`."""
    sign = np.float32(-1 if text[i] == MINUS else 1)
    if text[i] == MINUS or text[i] == PLUS:
        i += 1
    digits, power, start = 0, 0, i  # the number is digits * 10 ** power, but for digits past the 18th
    while 48 <= text[i] <= 57:
        if digits < 10**17:
            digits = 10 * digits + (text[i] - 48)
        else:
            power += 1
        i += 1
    n_digits = i - start
    if text[i] == POINT:
        i += 1
        start = i
        while 48 <= text[i] <= 57:
            if digits < 10**17:
                digits = 10 * digits + (text[i] - 48)
                power -= 1
            i += 1
        n_digits += i - start
    if n_digits == 0:
        return np.float32(0), i, NONE
    if text[i] == ord("e") or text[i] == ord("E"):
        i += 1
        down = text[i] == MINUS
        if text[i] == MINUS or text[i] == PLUS:
            i += 1
        start, exponent = i, 0
        while 48 <= text[i] <= 57:
            exponent = min(10 * exponent + (text[i] - 48), 10**12)
            i += 1
        if i == start:
            return np.float32(0), i, NONE
        power += -exponent if down else exponent
    if digits == 0 or power < -FARTHEST:
        return sign * np.float32(0), i, SURE
    if power > FARTHEST:
        return np.float32(0), i, NONE
    if power < 0:
        near = digits / POWERS[-power]
    else:
        near = digits * POWERS[power]
    value, sure = np.float32(near), True
    if digits > WHOLE or abs(power) > EXACT:
        sure = np.float32(near * (1 - ASTRAY)) == np.float32(near * (1 + ASTRAY))
    if sure and value == np.inf:
        return value, i, NONE
    return sign * value, i, SURE if sure else DOUBTFUL
