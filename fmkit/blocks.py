"""Finding relation blocks: fields of a flat design that repeat what another one says, an item's genres or year."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.design import Block, Design, Field
from fmkit.kernels import kernel


def find_blocks(design: Design) -> Design:
    """The same matrix with blocks for what is held more often than need be.

    A field follows a key, a one-hot field without gaps, if every code of the key always comes with the same entry of
    it, or with none: key and followers become a block with a table row a level of the key. Keys are tried in order of
    their levels in use, most first, so that what follows from the item does not go to the item's year.

    Parameters
    ----------
    design : Design
        Blocks that it has are kept.

    Returns
    -------
    Design
        With every column at its place; the given one itself if no key pays. A key pays if something follows it, and if
        it has at most half as many levels as there are rows.

    Examples
    --------
    >>> user, item, genre = [0, 0, 1, 1, 2, 2], [0, 1, 0, 2, 1, 2], [1, 0, 1, 0, 0, 0]
    >>> design = find_blocks(Design.from_codes([user, item, genre]))
    >>> len(design.fields), design.blocks[0].columns
    (1, array([3, 4, 5, 6, 7], dtype=int32))
    >>> design.blocks[0].table.to_csr().toarray()
    array([[1., 0., 0., 0., 1.],
           [0., 1., 0., 1., 0.],
           [0., 0., 1., 1., 0.]], dtype=float32)
    """
    keys = []
    for field in design.fields:
        if field.rows is None and field.values is None and 2 * len(field.columns) <= design.n_rows:
            keys.append((field, *_levels(field.codes, len(field.columns))))
    keys.sort(key=lambda key: -np.count_nonzero(key[2]))

    flat, blocks = list(design.fields), list(design.blocks)
    for field, first, count in keys:
        if not any(field is other for other in flat):
            continue
        followers = []
        for other in flat:
            if other is not field and len(other.codes):
                entries = _follow(field.codes, first, count, *_arrays(other))
                if len(entries):
                    followers.append((other, entries))
        if followers:
            blocks.append(_block(field, followers))
            taken = {id(field), *(id(other) for other, _ in followers)}
            flat = [other for other in flat if id(other) not in taken]
    if len(blocks) == len(design.blocks):
        return design
    return replace(design, fields=tuple(flat), blocks=tuple(blocks))


def _arrays(field: Field) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
    """Codes, rows and values of a field, of shape (0,) for what goes without saying."""
    rows = np.empty(0, np.int32) if field.rows is None else field.rows
    values = np.empty(0, np.float32) if field.values is None else field.values
    return field.codes, rows, values


def _block(key: Field, followers: list[tuple[Field, NDArray[np.int32]]]) -> Block:
    """The block of a key and its followers, each with the entry that it has for every level of the key (-1: none)."""
    columns = np.sort(np.concatenate([key.columns, *(field.columns for field, _ in followers)]))
    n_levels = len(key.columns)

    def placed(field: Field) -> NDArray[np.int32]:
        return np.searchsorted(columns, field.columns).astype(np.int32)

    fields = [Field(placed(key), np.arange(n_levels, dtype=np.int32))]
    for field, entries in followers:
        rows = np.flatnonzero(entries >= 0).astype(np.int32)
        of_rows = entries[rows]
        values = None if field.values is None else field.values[of_rows]
        fields.append(Field(placed(field), field.codes[of_rows], None if len(rows) == n_levels else rows, values))
    return Block(Design(n_levels, len(columns), tuple(fields)), key.codes, columns)


@kernel
def _levels(codes: Any, n_levels: int) -> Any:
    """First row and number of rows of each level."""
    first, count = np.full(n_levels, -1, np.int32), np.zeros(n_levels, np.int32)
    for r in range(len(codes)):
        if count[codes[r]] == 0:
            first[codes[r]] = r
        count[codes[r]] += 1
    return first, count


@kernel
def _follow(key: Any, first: Any, count: Any, codes: Any, rows: Any, values: Any) -> Any:
    """Entry of a field for each level of a key, -1 for none; of shape (0,) as soon as rows of a level differ.

    Parameters
    ----------
    key : int32 array of shape (n_rows,)
        Level of each row.
    first, count : int32 arrays of shape (n_levels,)
        First row and number of rows of each level.
    codes, rows, values : int32, int32, float32 arrays of shape (n_entries,)
        The field; `rows` of shape (0,) if entry i is row i, `values` if all are 1.
    """
    entries, met = np.full(len(count), -1, np.int32), np.zeros(len(count), np.int32)
    for e in range(len(codes)):
        r = rows[e] if len(rows) else e
        level = key[r]
        known = entries[level]
        if known < 0:
            if first[level] != r:  # an earlier row of the level has none
                return entries[:0]
            entries[level] = e
        elif codes[e] != codes[known] or (len(values) and values[e] != values[known]):
            return entries[:0]
        met[level] += 1
    for level in range(len(count)):
        if met[level] != count[level] and met[level]:
            return entries[:0]
    return entries
