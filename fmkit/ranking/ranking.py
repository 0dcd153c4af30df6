"""Ranking: fitted machines and item-item weights, blended, that score and list items for queries known and new."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fmkit.ranking.blend import spreads
from fmkit.ranking.factors import Factors
from fmkit.ranking.item_item import ItemItem
from fmkit.ranking.pairs import Pairs
from fmkit.ranking.topn import top_n, top_n_of_scores

Vectors = NDArray[np.float32]

SCORES_AT_ONCE = 1 << 24  # where all items are scored for a query: 64 MB


@dataclass
class Ranking:
    """A blend of rankings over one catalogue.

    A single machine's scores are its own; of several, each counts in units of its spread over the items.

    Parameters
    ----------
    queries, items : csr_array of shape (n_queries, n_query_features), (n_items, n_item_features)
        Features of the rows that the fit had.
    pairs : Pairs
        What the fit had: the histories of its queries.
    factors : list of Factors
    item_item : ItemItem, or None
    weights : list of float
        Of each of `factors`, and of `item_item` after them; those of 0 are not even looked at.
    """

    queries: sparse.csr_array
    items: sparse.csr_array
    pairs: Pairs
    factors: list[Factors]
    item_item: ItemItem | None = None
    weights: list[float] = field(default_factory=lambda: [1.0])

    @cached_property
    def item_parts(self) -> list[Vectors]:
        """Extended vectors of the items, of each machine."""
        return [factors.machine.item_vectors(self.items) for factors in self.factors]

    @cached_property
    def item_vectors(self) -> Vectors:
        """Those of the blend."""
        return np.concatenate([np.empty((self.items.shape[0], 0), np.float32), *self.item_parts], axis=1)

    @cached_property
    def present(self) -> NDArray[np.bool_]:
        """Which items somebody has."""
        return np.bincount(self.pairs.items, minlength=self.pairs.n_items) > 0

    def known(self, codes: NDArray[np.int64]) -> Vectors:
        """Vectors of the blend, of queries that the fit had."""
        queries, histories = self.queries[codes], self.pairs.rows(codes)
        return self.blended([factors.query_vectors(queries, histories) for factors in self.factors])

    def new(self, queries: sparse.csr_array, histories: Pairs, n_threads: int) -> Vectors:
        """Those of queries that it had not, from their features and histories."""
        of = zip(self.factors, self.item_parts, strict=True)
        return self.blended([f.fold_in(queries, histories, Z, self.present, n_threads) for f, Z in of])

    def blended(self, parts: list[Vectors]) -> Vectors:
        """Vectors of each machine as one, so that products with `item_vectors` are blended scores."""
        if len(self.weights) > 1:
            of = zip(parts, self.item_parts, self.weights, strict=False)
            parts = [P * (np.float32(weight) / spreads(P, Z))[:, None] for P, Z, weight in of]
        return np.concatenate([np.empty((len(parts[0]) if parts else 0, 0), np.float32), *parts], axis=1)

    def scores(self, vectors: Vectors, histories: Pairs) -> Vectors:
        """Of all items, of shape (n, n_items)."""
        scores = vectors @ self.item_vectors.T
        if self.item_item is not None and self.weights[-1]:
            scores += np.float32(self.weights[-1]) * self.item_item.scores(histories)
        return scores

    def lists(
        self, vectors: Vectors, histories: Pairs, n: int, exclude: Pairs, n_threads: int
    ) -> tuple[NDArray[np.int32], Vectors]:
        """The n best items of each query and their scores; -1 and -inf where fewer are left."""
        if self.item_item is None or not self.weights[-1]:
            return top_n(vectors, self.item_vectors, n, exclude.before, exclude.items, n_threads)
        codes = np.full((len(vectors), n), -1, np.int32)
        values = np.full((len(vectors), n), -np.inf, np.float32)
        block = SCORES_AT_ONCE // len(self.items.indptr) + 1
        for start in range(0, len(vectors), block):
            some = np.arange(start, min(start + block, len(vectors)))
            scores, left_out = self.scores(vectors[some], histories.rows(some)), exclude.rows(some)
            best = top_n_of_scores(scores, n, left_out.before, left_out.items, n_threads)
            codes[some], values[some] = best, np.take_along_axis(scores, np.maximum(best, 0), axis=1)
        values[codes < 0] = -np.inf
        return codes, values
