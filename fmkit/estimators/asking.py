"""What a fitted ranker is asked: lists for queries known and new, scores, vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from fmkit.design import canonical_csr
from fmkit.ranking.pairs import Pairs, checked_codes
from fmkit.ranking.ranking import Ranking
from fmkit.tensors.device import WORTH_SEARCHING, find_device
from fmkit.threads import count_threads

Vectors = NDArray[np.float32]


class Asked(BaseEstimator):
    """An estimator whose fit leaves a `ranking_`."""

    ranking_: Ranking
    n_jobs: int | None
    device: str

    def rank(
        self, queries: ArrayLike | None = None, n: int = 10, *, exclude_seen: bool = True
    ) -> tuple[NDArray[np.int32], Vectors]:
        """The best items of queries that the fit had.

        Parameters
        ----------
        queries : array-like of shape (n_lists,), integers, optional
            Their rows; by default all.
        n : int, default=10
            Length of the lists.
        exclude_seen : bool, default=True
            Leave out what a query has already.

        Returns
        -------
        items : ndarray of shape (n_lists, n), int32
            Best first, of equal scores the lower row first; -1 where fewer items are left.
        scores : ndarray of shape (n_lists, n), float32
        """
        check_is_fitted(self)
        codes = self._codes(queries)
        histories = self.ranking_.pairs.rows(codes)
        return self._lists(self.ranking_.known(codes), histories, n, exclude_seen)

    def rank_new(
        self, interactions: Any, n: int = 10, *, queries: Any = None, exclude_seen: bool = True
    ) -> tuple[NDArray[np.int32], Vectors]:
        """The best items of queries that the fit never saw, from what they have; no training.

        Parameters
        ----------
        interactions : sparse matrix of shape (n_lists, n_items), or array-like of shape (n_pairs, 2)
            What each new query has.
        n : int, default=10
        queries : matrix of shape (n_lists, n_query_features), optional
            Their features, in the columns of the fit; nothing in the columns of single queries' ids.
        exclude_seen : bool, default=True

        Returns
        -------
        items, scores
            As of `rank`.
        """
        check_is_fitted(self)
        rows, histories = self._new(interactions, queries)
        vectors = self.ranking_.new(rows, histories, count_threads(self.n_jobs))
        return self._lists(vectors, histories, n, exclude_seen)

    def fold_in(self, interactions: Any, queries: Any = None) -> Vectors:
        """Vectors of queries that the fit never saw; their products with `item_vectors_` are the scores.

        Where item-item weights take part, what these add is not in them: ask `rank_new`.

        Parameters
        ----------
        interactions, queries
            As of `rank_new`.

        Returns
        -------
        ndarray of shape (n, n_dimensions), float32
        """
        check_is_fitted(self)
        return self.ranking_.new(*self._new(interactions, queries), count_threads(self.n_jobs))

    def score(self, queries: ArrayLike | None = None, items: ArrayLike | None = None) -> Vectors:
        """Scores of queries that the fit had: of all items, or pair by pair.

        Parameters
        ----------
        queries : array-like of shape (n,), integers, optional
            Their rows; by default all.
        items : array-like of shape (n,), integers, optional
            An item for each.

        Returns
        -------
        ndarray of shape (n, n_items), or (n,) if items are given, float32
            Of any unit; they tell which item ranks before which for one query.
        """
        check_is_fitted(self)
        codes = self._codes(queries)
        vectors, histories = self.ranking_.known(codes), self.ranking_.pairs.rows(codes)
        if items is None:
            return self.ranking_.scores(vectors, histories)
        columns = checked_codes(items, self.ranking_.pairs.n_items, "items")
        if len(columns) != len(codes):
            raise ValueError(f"items must hold one for each of {len(codes)} queries, got {len(columns)}")
        return self.ranking_.pair_scores(vectors, histories, columns)

    @property
    def query_vectors_(self) -> Vectors:
        """Extended vectors of the queries of the fit: products with `item_vectors_` are scores."""
        check_is_fitted(self, "ranking_")
        return self.ranking_.known(np.arange(self.ranking_.pairs.n_queries))

    @property
    def item_vectors_(self) -> Vectors:
        """Extended vectors of the items."""
        check_is_fitted(self, "ranking_")
        return self.ranking_.item_vectors

    def _lists(
        self, vectors: Vectors, histories: Pairs, n: int, exclude_seen: bool
    ) -> tuple[NDArray[np.int32], Vectors]:
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        exclude = histories if exclude_seen else histories.select(np.zeros(len(histories), bool))
        numbers = float(len(vectors)) * self.ranking_.pairs.n_items * vectors.shape[1]
        device = find_device(self.device, numbers, WORTH_SEARCHING)
        return self.ranking_.lists(vectors, histories, n, exclude, count_threads(self.n_jobs), device=device)

    def _codes(self, queries: ArrayLike | None) -> NDArray[np.int64]:
        n = self.ranking_.pairs.n_queries
        return np.arange(n) if queries is None else checked_codes(queries, n, "queries")

    def _new(self, interactions: Any, queries: Any) -> tuple[sparse.csr_array, Pairs]:
        """Features and histories of new queries."""
        n_items, n_features = self.ranking_.pairs.n_items, self.ranking_.queries.shape[1]
        rows = None if queries is None else canonical_csr(queries)
        histories = Pairs.of(interactions, None if rows is None else rows.shape[0], n_items)
        if rows is None:
            return sparse.csr_array((histories.n_queries, n_features), dtype=np.float32), histories
        if rows.shape[1] != n_features:
            raise ValueError(f"queries must have the {n_features} columns of the fit, got {rows.shape[1]}")
        return rows, histories
