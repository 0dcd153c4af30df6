"""Groups: columns that share a prior, in the sense of Bayesian machines: all users, all items, all words.

Fields say which columns share no row; a bag of words has as many of them as its fullest row has words, but is one
group. Labels tell groups. Without them, a variable is a group: a field of adjacent columns, of which every row (of the
table that holds it) has one, or of which no row has two though chance would have given many rows two. All columns that
stand alone and that most rows have are one group, numbers of all kinds; and what lies between two variables is one: the
words of a bag, a set of items, genres.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fmkit.design import Design
from fmkit.fields import Field

BY_CHANCE = 20.0  # expected pairs of entries in a row, none found: no accident, e^-20, but a variable with gaps


def find_groups(design: Design) -> NDArray[np.int32]:
    """Number the groups of a design's columns, shape (n_features,), int32, from 0 without gaps.

    Columns of which `design.groups` says it are left as they are; those of different blocks are never one group.

    Examples
    --------
    >>> find_groups(Design.from_codes([[0, 1, 1], [1, 0, 2]]))
    array([0, 0, 1, 1, 1], dtype=int32)
    >>> find_groups(Design.from_matrix([[1, 1, 0, 1], [0, 1, 1, 0], [1, 0, 1, 1]], fields=[7, 7, 7, 5]))
    array([1, 1, 1, 0], dtype=int32)
    """
    known = np.full(design.n_features, -1, np.int32) if design.groups is None else design.groups
    groups, n_groups = known.copy(), int(known.max(initial=-1)) + 1
    parts = [(design.fields, np.arange(design.n_features, dtype=np.int32), design.n_rows)]
    parts += [(block.table.fields, block.columns, block.table.n_rows) for block in design.blocks]
    for fields, columns, n_rows in parts:
        unknown = [f for f in fields if len(f.columns) and known[columns[f.columns[0]]] < 0]
        numbers = _number(unknown, n_rows)
        for field, number in zip(unknown, numbers, strict=True):
            groups[columns[field.columns]] = n_groups + number
        n_groups += len(set(numbers))
    return np.unique(groups, return_inverse=True)[1].astype(np.int32)


def entries_a_row(design: Design) -> NDArray[np.float64]:
    """Entries that a row has of each column's group, on average, but 1 at least: shape (n_features,)."""
    groups, entries = find_groups(design), np.zeros(design.n_features)
    parts = [(design.fields, np.arange(design.n_features, dtype=np.int32), design.n_rows)]
    parts += [(block.table.fields, block.columns, block.table.n_rows) for block in design.blocks]
    for fields, columns, n_rows in parts:
        for field in fields:
            entries[groups[columns[field.columns[:1]]]] += len(field.codes) / max(n_rows, 1)
    return np.maximum(entries[groups], 1)


def _number(fields: list[Field], n_rows: int) -> list[int]:
    """The group of each field of a table, from 0 without gaps."""
    numbers, n_groups = [], 0
    alone, between = -1, -1  # group of the columns that stand alone; of what follows the last variable
    for field in fields:
        full = field.rows is None
        several = full and len(field.codes) > 0 and field.codes.min() < field.codes.max()
        if several or (not full and _is_variable(field, n_rows)):
            number, between = n_groups, -1
        elif full or (len(field.columns) == 1 and field.values is not None and 2 * len(field.codes) > n_rows):
            alone = number = n_groups if alone < 0 else alone
        else:
            between = number = n_groups if between < 0 else between
        n_groups = max(n_groups, number + 1)
        numbers.append(number)
    return numbers


def _is_variable(field: Field, n_rows: int) -> bool:
    """Whether a field with gaps is a range of columns with too few pairs for accident."""
    columns, entries = field.columns, len(field.codes)
    if columns[-1] - columns[0] != len(columns) - 1 or entries**2 < 2 * BY_CHANCE * n_rows:
        return False
    counts = np.bincount(field.codes, minlength=len(columns)).astype(np.float64)
    return bool(entries**2 - np.square(counts).sum() >= 2 * BY_CHANCE * n_rows)
