"""Table: the pairs that a ranker is fitted to, and the rows of both sides."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fmkit.design import Design
from fmkit.ranking.factors import Factors
from fmkit.ranking.pairs import Pairs, is_identity
from fmkit.ranking.ranking import Ranking
from fmkit.ranking.side import Side


@dataclass(frozen=True, eq=False)
class Table:
    """What a ranker is fitted to.

    Parameters
    ----------
    pairs : Pairs
    queries, items : Design
        Their rows.
    """

    pairs: Pairs
    queries: Design
    items: Design

    @cached_property
    def sides(self) -> tuple[Side, Side]:
        """Queries and items as "implicit" sees them: found once for all recipes that are tried."""
        return Side.of(self.queries, self.pairs), Side.of(self.items, self.pairs.transposed)

    @classmethod
    def of(cls, interactions: Any, queries: Any, items: Any, weights: ArrayLike | None) -> Table:
        """Of what `FMRanker.fit` takes; ids where nothing is given."""
        designs = [_design(rows) for rows in (queries, items)]
        n_queries, n_items = (None if design is None else design.n_rows for design in designs)
        pairs = Pairs.of(interactions, n_queries, n_items, weights)
        if not len(pairs):
            raise ValueError("interactions must hold at least one pair")
        of = zip(designs, (pairs.n_queries, pairs.n_items), strict=True)
        return cls(pairs, *(Design.from_codes([np.arange(n)]) if design is None else design for design, n in of))


def joined(before: Ranking, interactions: Any, queries: Any, items: Any, weights: ArrayLike | None) -> Table:
    """What the fit had and what comes to it."""
    sides = []
    for name, rows, old in (("queries", queries, before.queries), ("items", items, before.items)):
        design = _design(rows)
        if design is None and not is_identity(old):
            raise ValueError(f"{name} must be given, all rows of them: the fit had features of {name}")
        if design is not None and (design.n_rows < old.shape[0] or design.n_features < old.shape[1]):
            raise ValueError(
                f"{name} must hold the {old.shape[0]} rows and {old.shape[1]} columns of the fit, and more"
            )
        if design is not None:
            changed = design.csr[: old.shape[0], : old.shape[1]] - old
            if changed.nnz and np.abs(changed.data).max() > 1e-6:
                raise ValueError(
                    f"the first {old.shape[0]} rows and {old.shape[1]} columns of {name} must be those of the fit"
                )
        sides.append(design)
    n_queries, n_items = (None if design is None else design.n_rows for design in sides)
    new = Pairs.of(interactions, n_queries, n_items, weights).csr.tocoo()
    old_pairs = before.pairs.csr.tocoo()
    pairs = np.concatenate([np.stack([p.row, p.col], axis=1) for p in (old_pairs, new)])
    n = [max(a, b) for a, b in zip(old_pairs.shape, new.shape, strict=True)]
    together = Pairs.of(pairs, n[0], n[1], np.concatenate([old_pairs.data, new.data]))
    designs = [Design.from_codes([np.arange(size)]) if d is None else d for d, size in zip(sides, n, strict=True)]
    return Table(together, designs[0], designs[1])


def without_queries(
    before: Ranking, kept: NDArray[np.int64], columns: NDArray[np.int64] | None = None
) -> tuple[Table, list[Factors]]:
    """What is left with some of the queries and features, by default those that not the others alone had; machines."""
    queries = before.queries[kept]
    if columns is None:
        had, has = (np.diff(matrix.tocsc().indptr) > 0 for matrix in (before.queries, queries))
        columns = np.flatnonzero(has | ~had)
    place = np.full(before.queries.shape[1], -1)
    place[columns] = np.arange(len(columns))
    starts = []
    for factors in before.factors:
        own = np.arange(before.queries.shape[1]) if factors.columns is None else factors.columns
        rows = np.append(place[own] >= 0, np.ones(len(factors.machine.query_factors) - len(own), bool))
        machine = replace(factors.machine, query_factors=factors.machine.query_factors[rows])
        moved = None if factors.columns is None else place[own][place[own] >= 0]
        starts.append(replace(factors, machine=machine, columns=moved))
    design = Design.from_matrix(queries[:, columns])
    return Table(before.pairs.rows(kept), design, Design.from_matrix(before.items)), starts


def _design(rows: Any) -> Design | None:
    return rows if rows is None or isinstance(rows, Design) else Design.from_matrix(rows)
