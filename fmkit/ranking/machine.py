"""RankingMachine: the pairs of an FM between the two sides of an interaction, and what an item weighs by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass
class RankingMachine:
    """An FM over pairs of a query row x and an item row y: s(x, y) = <V'x, Z'y> + <w, y>.

    Of an FM over [x, y] that is all that orders items but pairs inside an item's own row: what is added by the query
    alone (its weights, its pairs) is the same for all items. So a score is the inner product of two extended vectors,
    [V'x, 1] and [Z'y, <w, y>].

    Parameters
    ----------
    query_factors : ndarray of shape (n_query_features, n_factors), float32
        V.
    item_factors : ndarray of shape (n_item_features, n_factors), float32
        Z.
    item_linear : ndarray of shape (n_item_features,), float32
        w.
    """

    query_factors: NDArray[np.float32]
    item_factors: NDArray[np.float32]
    item_linear: NDArray[np.float32]

    @property
    def n_factors(self) -> int:
        """Length of a column's vector."""
        return int(self.query_factors.shape[1])

    @classmethod
    def random(
        cls, n_query_features: int, n_item_features: int, n_factors: int, scale: float, rng: np.random.Generator
    ) -> RankingMachine:
        """Factors drawn from N(0, scale^2), weights zero."""
        factors = [
            (scale * rng.standard_normal((n, n_factors), np.float32)).astype(np.float32)
            for n in (n_query_features, n_item_features)
        ]
        return cls(factors[0], factors[1], np.zeros(n_item_features, np.float32))

    def copy(self) -> RankingMachine:
        """One that shares no memory with this."""
        return RankingMachine(self.query_factors.copy(), self.item_factors.copy(), self.item_linear.copy())

    def query_vectors(self, queries: Any) -> NDArray[np.float32]:
        """[V'x, 1] of each row of a sparse matrix of shape (n_rows, n_query_features)."""
        vectors = np.ones((queries.shape[0], self.n_factors + 1), np.float32)
        vectors[:, :-1] = queries @ self.query_factors
        return vectors

    def item_vectors(self, items: Any) -> NDArray[np.float32]:
        """[Z'y, <w, y>] of each row of a sparse matrix of shape (n_rows, n_item_features)."""
        vectors = np.empty((items.shape[0], self.n_factors + 1), np.float32)
        vectors[:, :-1], vectors[:, -1] = items @ self.item_factors, items @ self.item_linear
        return vectors
