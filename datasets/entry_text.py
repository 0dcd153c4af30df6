"""Rows of sparse text, `label [field:]index:value ...`, from arrays to bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

from fmkit.kernels import kernel

NEWLINE, BLANK, MINUS, COLON, ZERO = (ord(letter) for letter in "\n -:0")


@kernel
def write(
    text: Any,
    indptr: Any,
    indices: Any,
    first_index: int,
    with_fields: bool,
    field_of: Any,
    labels: Any,
    label_is_spelt: Any,
    label_ends: Any,
    label_letters: Any,
    values: Any,
    value_is_spelt: Any,
    value_ends: Any,
    value_letters: Any,
) -> int:
    """Write some rows of a matrix into `text`, which has room, and return its end.

    Parameters
    ----------
    text : ndarray of uint8
    indptr, indices, values : ndarray
        Of rows of a CSR matrix; `indptr` need not begin at 0.
    first_index : int
        That of column 0.
    with_fields : bool
        Whether entries are field:index:value.
    field_of : ndarray of int32
        The field of each column, if there are fields.
    labels : ndarray of float32
        One a row.
    label_is_spelt, value_is_spelt : ndarray of bool
        Which are not written here, since they are no whole numbers, or large.
    label_ends, value_ends : ndarray of int64
        Where the text of each of these begins, and the last ends.
    label_letters, value_letters : ndarray of uint8
        Their texts.
    """
    end = n_labels = n_values = 0
    for row in range(len(labels)):
        if label_is_spelt[row]:
            end = _copy(text, end, label_letters, label_ends[n_labels], label_ends[n_labels + 1])
            n_labels += 1
        else:
            end = _whole(text, end, np.int64(labels[row]))
        for entry in range(indptr[row] - indptr[0], indptr[row + 1] - indptr[0]):
            text[end] = BLANK
            end += 1
            if with_fields:
                end = _whole(text, end, np.int64(field_of[indices[entry]]))
                text[end] = COLON
                end += 1
            end = _whole(text, end, np.int64(indices[entry]) + first_index)
            text[end] = COLON
            end += 1
            if value_is_spelt[entry]:
                end = _copy(text, end, value_letters, value_ends[n_values], value_ends[n_values + 1])
                n_values += 1
            else:
                end = _whole(text, end, np.int64(values[entry]))
        text[end] = NEWLINE
        end += 1
    return end


@kernel
def _copy(text: Any, end: int, letters: Any, first: int, last: int) -> int:
    for letter in range(first, last):
        text[end] = letters[letter]
        end += 1
    return end


@kernel
def _whole(text: Any, end: int, number: int) -> int:
    if number < 0:
        text[end] = MINUS
        end += 1
        number = -number
    rest, length = number, 1
    while rest >= 10:
        rest //= 10
        length += 1
    for place in range(end + length - 1, end - 1, -1):
        text[place] = ZERO + number % 10
        number //= 10
    return end + length
