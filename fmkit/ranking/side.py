"""One side of the interactions as the all-pairs solver sees it: tables of rows, what is known of them, and the rest."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fmkit.blocks import find_blocks
from fmkit.design import Block, Design, own_field
from fmkit.ranking.pairs import NONE, Pairs

CODES = np.empty(0, np.int32)


@dataclass(frozen=True, eq=False)
class Entities:
    """Things with vectors of their own, users say, and which of them each row of the side has.

    Parameters
    ----------
    own : ndarray of shape (n_entities,), int32
        The design's column that each entity is.
    attributes : csr_array of shape (n_entities, n_attributes), float32
        What is known of each.
    columns : ndarray of shape (n_attributes,), int32
        The design's column that each attribute is.
    pairs : Pairs of shape (n_entities, n_others)
        Those of all rows that an entity has; with `rows`, an item may occur more than once.
    rows : ndarray of shape (n_pairs,), int32, or (0,)
        The side's row of each pair; (0,) if row e has entity e.
    codes : ndarray of shape (n_rows,), int32, or (0,)
        The entity of each row; likewise.
    """

    own: NDArray[np.int32]
    attributes: sparse.csr_array
    columns: NDArray[np.int32]
    pairs: Pairs
    rows: NDArray[np.int32]
    codes: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Side:
    """A design whose columns are entities, their attributes, and others.

    Parameters
    ----------
    pairs : Pairs of shape (n_rows, n_others)
    entities : tuple of Entities
    others : csr_array of shape (n_rows, n_columns), float32
        The design's columns that are neither.
    columns : ndarray of shape (n_columns,), int32
        Their places in the design.
    n_features : int
        Columns of the design.
    """

    pairs: Pairs
    entities: tuple[Entities, ...]
    others: sparse.csr_array
    columns: NDArray[np.int32]
    n_features: int

    @cached_property
    def row_weights(self) -> NDArray[np.float64]:
        """Sum of the weights of each row's pairs."""
        return np.asarray(self.pairs.csr.sum(axis=1), np.float64)

    @cached_property
    def present(self) -> NDArray[np.float32]:
        """1 for rows that have pairs, else 0."""
        return (np.diff(self.pairs.before) > 0).astype(np.float32)

    @classmethod
    def of(cls, design: Design, pairs: Pairs) -> Side:
        """Blocks whose rows have columns of their own are tables of entities; or else the largest one-hot field is one.

        Attributes of a field's levels that are written out row by row are found (`fmkit.blocks.find_blocks`).
        """
        own = own_field(design) if not design.blocks else None
        if own is not None:
            rows, every = (np.arange(n, dtype=np.int32) for n in design.shape)
            table = Block(design, rows, every)
            return cls(pairs, (_entities(table, pairs),), _columns(design, CODES), CODES, design.n_features)
        design = find_blocks(design)
        tables = [block for block in design.blocks if own_field(block.table) is not None]
        whole = [field for field in design.fields if field.rows is None and field.values is None]
        if whole and not tables:
            largest = max(whole, key=lambda field: len(field.columns))
            n_levels = len(largest.columns)
            levels = Design.from_codes([np.arange(n_levels, dtype=np.int32)])
            tables.append(Block(levels, largest.codes, largest.columns))
        taken = np.zeros(design.n_features, bool)
        for block in tables:
            taken[block.columns] = True
        columns = np.flatnonzero(~taken).astype(np.int32)
        entities = tuple(_entities(block, pairs) for block in tables)
        return cls(pairs, entities, _columns(design, columns), columns, design.n_features)


def _columns(design: Design, columns: NDArray[np.int32]) -> sparse.csr_array:
    if not len(columns):
        return sparse.csr_array((design.n_rows, 0), dtype=np.float32)
    return sparse.csr_array(design.csr[:, columns])


def _entities(block: Block, pairs: Pairs) -> Entities:
    """The entities of a table, the pairs of their rows put together."""
    field = own_field(block.table)
    assert field is not None
    others = np.delete(np.arange(block.table.n_features), field.columns)
    own, columns = block.columns[field.columns[field.codes]], block.columns[others]
    attributes, n, codes = sparse.csr_array(block.table.csr[:, others]), len(own), block.codes
    if len(codes) == n and np.array_equal(codes, np.arange(n)):
        return Entities(own, attributes, columns, pairs, CODES, CODES)
    of_pair = codes[pairs.queries]
    order = np.argsort(of_pair, kind="stable")
    before = np.concatenate([[0], np.cumsum(np.bincount(of_pair, minlength=n))])
    weights = pairs.weights[order] if len(pairs.weights) else NONE
    together = Pairs(n, pairs.n_items, before, pairs.items[order], weights)
    return Entities(own, attributes, columns, together, pairs.queries[order], codes)
