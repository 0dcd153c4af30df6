"""A fitted machine that ranks by inner products, and the vectors of queries that it has or never saw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fmkit.ranking.implicit import Objective
from fmkit.ranking.machine import RankingMachine
from fmkit.ranking.pairs import Pairs
from fmkit.ranking.squares import solve_rows
from fmkit.threads import even_cuts, for_each

Vectors = NDArray[np.float32]


@dataclass
class Factors:
    """A machine and how histories enter it.

    Parameters
    ----------
    loss : str
        What it was fitted by.
    machine : RankingMachine
        If histories are features, its last n_items query features are theirs.
    power : float, or None
        A history of n items has n**-power for values; None: histories are no features, and a new query is folded in.
    objective : Objective
        By which new queries are folded in.
    n_items : int
        Of the fit.
    columns : ndarray of shape (n_query_features,), or None
        The queries' features that the machine has, before those of histories; None: all.
    """

    loss: str
    machine: RankingMachine
    power: float | None
    objective: Objective
    n_items: int
    columns: NDArray[np.int64] | None = None

    def query_vectors(self, queries: sparse.csr_array, histories: Pairs) -> Vectors:
        """Extended vectors of rows of known features with their histories, of shape (n, n_factors + 1)."""
        if self.columns is not None:
            queries = queries[:, self.columns]
        if self.power is None:
            return self.machine.query_vectors(queries)
        return self.machine.query_vectors(sparse.hstack([queries, as_features(histories, self.power)], format="csr"))

    def fold_in(
        self, queries: sparse.csr_array, histories: Pairs, items: Vectors, present: NDArray[np.bool_], n_threads: int
    ) -> Vectors:
        """Extended vectors of queries that the fit never saw.

        By their features and, where histories are none, the vector about these that the squared loss over all items
        asks for, the items' vectors fixed; without an interaction it is what the features tell.

        Parameters
        ----------
        queries : csr_array of shape (n, n_query_features)
            Nothing in columns that belong to single queries.
        histories : Pairs of shape (n, n_items)
        items : ndarray of shape (n_items, n_factors + 1), float32
            Extended vectors.
        present : ndarray of shape (n_items,)
            Which items the fit had pairs of.
        n_threads : int
        """
        vectors = self.query_vectors(queries, histories)
        if self.power is not None:
            return vectors
        Z = np.ascontiguousarray(items[:, :-1])
        of_present = Z[present]
        unseen = np.float32(self.objective.unseen) * (of_present.T @ of_present)
        seen = np.diff(histories.before) > 0
        weight = np.asarray(histories.csr.sum(axis=1)) + self.objective.unseen * np.count_nonzero(present)
        penalty = self.objective.penalty(weight)
        expected = np.ascontiguousarray(vectors[:, :-1])
        folded, times = np.empty_like(expected), np.ones(len(expected), np.float32)
        nothing = np.empty((0, Z.shape[1]), np.float32), np.empty(0, np.int32)
        arrays = (histories.before, histories.items, nothing[1], histories.weights, Z, nothing[0], unseen, times)
        ranges, everyone = even_cuts(histories.before, n_threads), np.arange(len(expected))
        pull = penalty[:, None] * expected
        for_each(solve_rows, [(a, b, everyone, *arrays, penalty, pull, folded) for a, b in ranges], n_threads)
        vectors[seen, :-1] = folded[seen]
        return vectors

    def shares(self, history: Pairs, items: Vectors, present: NDArray[np.bool_]) -> Vectors:
        """What each pair of one query adds to its vector, of shape (n_pairs, n_factors); for histories that are none.

        The vector of the squared loss is linear in what is seen: (sum c z z' + unseen sum z z' + penalty I)^-1 sum c z.
        """
        Z = items[:, :-1].astype(np.float64)
        z, weights = Z[history.items], np.ones(len(history)) if not len(history.weights) else history.weights
        weight = np.asarray([weights.sum() + self.objective.unseen * np.count_nonzero(present)], np.float32)
        system = self.objective.unseen * (Z[present].T @ Z[present]) + (z.T * weights) @ z
        system[np.diag_indices_from(system)] += self.objective.penalty(weight)[0] + 1e-12
        return np.linalg.solve(system, (z * weights[:, None]).T).T


def as_features(histories: Pairs, power: float) -> sparse.csr_array:
    """Histories as features: n**-power where a query has an item, n being how many it has."""
    n = np.diff(histories.before)
    values = np.repeat(np.maximum(n, 1).astype(np.float32) ** np.float32(-power), n)
    return sparse.csr_array((values, histories.items, histories.before), shape=histories.csr.shape)
