"""Ranking: fitted machines and item-item weights, blended, that score and list items for queries known and new."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fmkit.ranking.blend import spreads
from fmkit.ranking.factors import Factors
from fmkit.ranking.item_item import ItemItem
from fmkit.ranking.pairs import Pairs
from fmkit.ranking.topn import top_n, top_n_of_scores

if TYPE_CHECKING:
    import torch

Vectors = NDArray[np.float32]

FOLDED = 5000  # queries that tell how folded vectors compare with fitted ones
AVERAGED = 100_000  # queries that an average one is made of
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
        parts = [factors.query_vectors(queries, histories) for factors in self.factors]
        return self._blended(self._with_average(parts), len(codes))

    def new(self, queries: sparse.csr_array, histories: Pairs, n_threads: int) -> Vectors:
        """Those of queries that it had not, from their features and histories."""
        of = zip(self.factors, self.item_parts, self._ways, strict=True)
        parts = [f.fold_in(queries, histories, Z, self.present, n_threads) @ way for f, Z, way in of]
        return self._blended(self._with_average(parts), histories.n_queries)

    def _with_average(self, parts: list[Vectors]) -> list[Vectors]:
        """Vectors of the machines; of queries of which nothing is known, that of an average one.

        The squared loss has no item weights: a vector of zeros would list items in the order of their codes.
        """
        for number, (factors, vectors) in enumerate(zip(self.factors, parts, strict=True)):
            if factors.loss == "implicit":
                unknown = ~vectors[:, :-1].any(axis=1)
                if unknown.any():
                    vectors[unknown] = self._averages[number]
        return parts

    @cached_property
    def _averages(self) -> list[Vectors]:
        """Mean vector of each machine's queries that have pairs."""
        codes = np.flatnonzero(np.diff(self.pairs.before) > 0)
        codes = codes[:: len(codes) // AVERAGED + 1]
        queries, histories = self.queries[codes], self.pairs.rows(codes)
        return [factors.query_vectors(queries, histories).mean(axis=0) for factors in self.factors]

    @cached_property
    def _ways(self) -> list[Vectors]:
        """Of each machine, what takes vectors folded in to those that the fit would have found.

        The squared loss is no judge of length beside an item's own weight, where another loss was fitted: a ridge
        regression of fitted vectors on folded ones, of queries that have both, tells.
        """
        ways = []
        codes = np.flatnonzero(np.diff(self.pairs.before) > 0)
        codes = codes[:: len(codes) // FOLDED + 1]
        for factors, Z in zip(self.factors, self.item_parts, strict=True):
            way = np.eye(Z.shape[1], dtype=np.float32)
            if factors.loss in ("warp", "bpr"):
                features, histories = self.queries[codes], self.pairs.rows(codes)
                nothing = sparse.csr_array(features.shape, dtype=np.float32)
                folded = factors.fold_in(nothing, histories, Z, self.present, 1).astype(np.float64)
                fitted = factors.query_vectors(features, histories)
                gram = folded.T @ folded
                gram[np.diag_indices_from(gram)] += 1e-3 * np.trace(gram) / len(gram)
                way = np.linalg.solve(gram, folded.T @ fitted).astype(np.float32)
                way[:, -1] = way[-1, :-1] = 0
                way[-1, -1] = 1
            ways.append(way)
        return ways

    def _blended(self, parts: list[Vectors], n: int) -> Vectors:
        """Vectors of each machine as one, so that products with `item_vectors` are blended scores."""
        if len(self.weights) > 1:
            of = zip(parts, self.item_parts, self.weights, strict=False)
            parts = [P * (np.float32(weight) / spreads(P, Z))[:, None] for P, Z, weight in of]
        return np.concatenate([np.empty((n, 0), np.float32), *parts], axis=1)

    def scores(self, vectors: Vectors, histories: Pairs) -> Vectors:
        """Of all items, of shape (n, n_items)."""
        scores = vectors @ self.item_vectors.T
        if self.item_item is not None and self.with_item_item:
            scores += np.float32(self.weights[-1]) * self.item_item.scores(histories)
            unknown = np.diff(histories.before) == 0  # of which items say nothing
            scores[unknown] += np.float32(self.weights[-1]) * self._popularity
        return scores

    @cached_property
    def _popularity(self) -> Vectors:
        """Queries of each item, in units of their standard deviation as item-item scores are."""
        count = np.bincount(self.pairs.items, minlength=self.pairs.n_items).astype(np.float32)
        return count / max(float(count.std()), 1e-30)

    def pair_scores(self, vectors: Vectors, histories: Pairs, items: NDArray[np.int64]) -> Vectors:
        """Of one item for each query, of shape (n,)."""
        if not self.with_item_item:
            return np.asarray(np.einsum("ij,ij->i", vectors, self.item_vectors[items]), np.float32)
        scores = np.empty(len(items), np.float32)
        for some in self._blocks(len(items)):
            scores[some] = self.scores(vectors[some], histories.rows(some))[np.arange(len(some)), items[some]]
        return scores

    @property
    def with_item_item(self) -> bool:
        """Whether scores are more than inner products."""
        return self.item_item is not None and self.weights[-1] > 0

    def _blocks(self, n: int) -> Iterator[NDArray[np.int64]]:
        """Places of n queries, as many at once as all items may be scored for."""
        block = SCORES_AT_ONCE // self.items.shape[0] + 1
        for start in range(0, n, block):
            yield np.arange(start, min(start + block, n))

    def lists(
        self,
        vectors: Vectors,
        histories: Pairs,
        n: int,
        exclude: Pairs,
        n_threads: int,
        among: NDArray[np.int64] | None = None,
        beside: tuple[Vectors, Vectors] | None = None,
        device: torch.device | None = None,
    ) -> tuple[NDArray[np.int32], Vectors]:
        """The n best items of each query and their scores; -1 and -inf where fewer are left.

        `among` are the codes, ascending, of the only items that may be listed; `beside` are vectors of these queries
        and of all items whose products add to the scores. On a device the search is made there, without item-item
        weights.
        """
        if among is not None:
            exclude = exclude.among(among)
        if not self.with_item_item:
            items = self.item_vectors
            if beside is not None:
                vectors, items = np.hstack([vectors, beside[0]]), np.hstack([items, beside[1]])
            items = items if among is None else items[among]
            if device is None:
                codes, values = top_n(vectors, items, n, exclude.before, exclude.items, n_threads)
            else:
                from fmkit.tensors.topn import top_n as top_n_there  # loads torch

                codes, values = top_n_there(vectors, items, n, exclude.before, exclude.items, device)
        else:
            codes = np.full((len(vectors), n), -1, np.int32)
            values = np.full((len(vectors), n), -np.inf, np.float32)
            for some in self._blocks(len(vectors)):
                scores, left_out = self.scores(vectors[some], histories.rows(some)), exclude.rows(some)
                if beside is not None:
                    scores += beside[0][some] @ beside[1].T
                if among is not None:
                    scores = np.ascontiguousarray(scores[:, among])
                best = top_n_of_scores(scores, n, left_out.before, left_out.items, n_threads)
                codes[some], values[some] = best, np.take_along_axis(scores, np.maximum(best, 0), axis=1)
            values[codes < 0] = -np.inf
        if among is not None:
            codes = np.where(codes < 0, np.int32(-1), among.astype(np.int32)[codes])
        return codes, values
