"""Finding relation blocks: what repeats what a key says, a user, an item, becomes one block with a row a key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.design import Block, Design, canonical_csr
from fmkit.fields import Field, split
from fmkit.kernels import kernel
from fmkit.solvers.groups import find_groups

Ints = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class _Key:
    """A field or block that gives every row a code: what may say all of another one."""

    source: Field | Block
    codes: Ints
    first: Ints  # first row of each level, -1 if none has it
    count: Ints  # rows of each level


def find_blocks(design: Design) -> Design:
    """The same matrix with blocks for what is held more often than need be.

    A key is a block, or a one-hot field without gaps that has at most half as many levels as there are rows. A field
    follows a key if every code of the key always comes with the same entry of it, or with none; a block, if always with
    the same row of its table. A key and its followers become one block with a table row a level of the key: the ids of
    users, what is known of them and what they rated are one table; with the like for the items, the design is two
    blocks, which exact solvers are fastest at. Keys are tried in order of their levels in use, most first, so that what
    follows from the item does not go to the item's year.

    Parameters
    ----------
    design : Design

    Returns
    -------
    Design
        With every column at its place and in the group that it had; the given one itself if no key has followers.

    Notes
    -----
    A table of few rows is written out for all levels of the key that it follows, unless it then had more entries than
    before and two a row of the design.

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
    keys = [_key(block, block.codes, block.table.n_rows) for block in design.blocks]
    for field in design.fields:
        if field.rows is None and field.values is None and 2 * len(field.columns) <= design.n_rows:
            keys.append(_key(field, field.codes, len(field.columns)))
    # Of keys that say the same a block comes first, the one with most entries: its table need not be made anew.
    keys.sort(key=lambda key: (-np.count_nonzero(key.count), -_size(key.source)))

    flat, blocks = list(design.fields), list(design.blocks)
    taken: set[int] = set()
    for key in keys if design.n_rows else []:
        if id(key.source) in taken:
            continue
        fields, others = [], []
        for field in flat:
            if field is not key.source and len(field.codes):
                entries = _follow(key.codes, key.first, key.count, *_arrays(field))
                if len(entries):
                    fields.append((field, entries))
        for block in blocks:
            if block is not key.source and not block.hierarchical:
                rows = _rows_of_levels(key.codes, block.codes, len(key.first))
                if len(rows) and _pays(block.table, rows, design.n_rows):
                    others.append((block, rows))
        if fields or others:
            taken |= {id(key.source), *(id(source) for source, _ in fields), *(id(source) for source, _ in others)}
            flat = [field for field in flat if id(field) not in taken]
            blocks = [block for block in blocks if id(block) not in taken]
            blocks.append(_joined(key, fields, others))
    if not taken:
        return design
    return replace(design, fields=tuple(flat), blocks=tuple(blocks), groups=find_groups(design))


def _key(source: Field | Block, codes: Ints, n_levels: int) -> _Key:
    return _Key(source, codes, *_levels(codes, n_levels))


def _size(source: Field | Block) -> int:
    return 1 + source.table.n_entries if isinstance(source, Block) else 0


def _pays(table: Design, rows: Ints, n_rows: int) -> bool:
    """Whether a table written out for a key's levels is not out of proportion."""
    entries = np.diff(table.csr.indptr)
    return int(entries[rows[rows >= 0]].sum()) <= table.n_entries + 2 * n_rows


def _arrays(field: Field) -> tuple[Ints, Ints, NDArray[np.float32]]:
    """Codes, rows and values of a field, of shape (0,) for what goes without saying."""
    rows = np.empty(0, np.int32) if field.rows is None else field.rows
    values = np.empty(0, np.float32) if field.values is None else field.values
    return field.codes, rows, values


def _joined(key: _Key, fields: list[tuple[Field, Ints]], blocks: list[tuple[Block, Ints]]) -> Block:
    """The block of a key and its followers.

    Parameters
    ----------
    key : _Key
    fields : list of (Field, ndarray of shape (n_levels,))
        With the entry that each has for every level of the key, -1 for none.
    blocks : list of (Block, ndarray of shape (n_levels,))
        With the row of their table that every level of the key has, -1 if no row of the design has the level.
    """
    sources = [key.source, *(field for field, _ in fields), *(block for block, _ in blocks)]
    columns = np.sort(np.concatenate([source.columns for source in sources]))
    n_levels = len(key.first)

    def placed(source: Field | Block) -> Ints:
        return np.searchsorted(columns, source.columns).astype(np.int32)

    levels = np.arange(n_levels, dtype=np.int32)
    if isinstance(key.source, Block):
        parts = _placed_table(key.source.table, levels, placed(key.source))
    else:
        parts = [Field(placed(key.source), levels)]
    for field, entries in fields:
        rows = np.flatnonzero(entries >= 0).astype(np.int32)
        of_rows = entries[rows]
        values = None if field.values is None else field.values[of_rows]
        parts.append(Field(placed(field), field.codes[of_rows], None if len(rows) == n_levels else rows, values))
    for block, rows in blocks:
        parts += _placed_table(block.table, rows, placed(block))
    hierarchical = isinstance(key.source, Block) and key.source.hierarchical
    return Block(Design(n_levels, len(columns), tuple(parts)), key.codes, columns, hierarchical)


def _placed_table(table: Design, rows: Ints, places: Ints) -> list[Field]:
    """The fields of the given rows of a table (-1: an empty row), its columns at `places`."""
    fields = [field for field in table.fields if len(field.columns)]
    if not np.array_equal(rows, np.arange(table.n_rows)):
        label = np.empty(table.n_features, np.int32)
        for number, field in enumerate(fields):
            label[field.columns] = number
        matrix = table.csr[np.maximum(rows, 0)]
        matrix.data[np.repeat(rows < 0, np.diff(matrix.indptr))] = 0
        fields = split(canonical_csr(matrix), label)
    return [replace(field, columns=places[field.columns]) for field in fields]


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
def _rows_of_levels(key: Any, codes: Any, n_levels: int) -> Any:
    """Code that comes with each level of a key, -1 if no row has the level; of shape (0,) as soon as rows differ."""
    rows = np.full(n_levels, -1, np.int32)
    for r in range(len(key)):
        if rows[key[r]] < 0:
            rows[key[r]] = codes[r]
        elif rows[key[r]] != codes[r]:
            return rows[:0]
    return rows


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
