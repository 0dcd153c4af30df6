"""Groups: columns that share a prior, in the sense of Bayesian machines: all users, all items, all words.

Fields say which columns share no row; a bag of words has as many of them as its fullest row has words, but is one
group. So a group is a field of several columns of which every row (of the table that holds it) has one; else the fields
beside it belong to it too: a run of fields with gaps is one group, and so are all single columns of a table.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fmkit.design import Design, Field


def find_groups(design: Design) -> NDArray[np.int32]:
    """Number the groups of a design's columns, shape (n_features,), int32, from 0."""
    groups = np.zeros(design.n_features, np.int32)
    n_groups = _number(groups, design.fields, np.arange(design.n_features, dtype=np.int32), design.n_rows, 0)
    for block in design.blocks:
        n_groups = _number(groups, block.table.fields, block.columns, block.table.n_rows, n_groups)
    return groups


def _number(
    groups: NDArray[np.int32], fields: tuple[Field, ...], columns: NDArray[np.int32], n_rows: int, n_groups: int
) -> int:
    """Number the groups of one table's fields from `n_groups` on; returns the next number."""
    before = ""
    numbers: dict[str, int] = {}
    for field in fields:
        if not len(field.columns):
            continue
        if field.rows is not None:
            kind = "gaps"
        else:
            kind = "single" if len(field.columns) == 1 else "whole"
        if kind == "whole" or (kind == "gaps" and before != "gaps") or kind not in numbers:
            numbers[kind] = n_groups
            n_groups += 1
        groups[columns[field.columns]] = numbers[kind]
        before = kind
    return n_groups
