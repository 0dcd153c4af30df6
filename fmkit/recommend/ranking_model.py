"""A ranker of clicks behind the questions that a recommender asks of any model."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fmkit.estimators import FMRanker
from fmkit.ranking.pairs import Pairs
from fmkit.recommend.entities import Entities
from fmkit.recommend.model import Codes, Floats
from fmkit.recommend.rating_model import Ratings


@dataclass(frozen=True, eq=False)
class AskedRanking:
    """Users of a ranker: their vectors, and what they have.

    Parameters
    ----------
    vectors : ndarray of shape (n, d), float32
    histories : Pairs
    """

    vectors: Floats
    histories: Pairs

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def level(self) -> Floats:
        """Nothing: scores of a user tell what goes before what."""
        return np.zeros(len(self), np.float32)

    def select(self, rows: NDArray[Any]) -> Self:
        """Some of them, in this order."""
        return type(self)(self.vectors[rows], self.histories.rows(rows))


@dataclass(frozen=True, eq=False)
class RankingModel:
    """Scores that tell which item goes before which, for one user.

    Parameters
    ----------
    ranker : FMRanker
        Of queries that are features, then ids.
    n_features : int
        Columns of the users' features.
    """

    ranker: FMRanker
    n_features: int

    @classmethod
    def fit(cls, users: sparse.csr_array, items: sparse.csr_array, clicks: Ratings, ranker: FMRanker) -> Self:
        """Fit a ranker to clicks, from the features of both sides."""
        weights = np.ones(len(clicks), np.float32) if clicks.weights is None else clicks.weights
        pairs = sparse.csr_array((weights, (clicks.users, clicks.items)), shape=(users.shape[0], items.shape[0]))
        return cls(ranker.fit(pairs, with_ids(users), with_ids(items)), users.shape[1])

    def renewed(self, users: Codes, items: Codes, weights: Floats | None, known: tuple[Entities, Entities]) -> Self:
        """With further pairs, by codes, and all that is known of users and items now."""
        ranker = copy.copy(self.ranker)
        of_users, of_items = (with_ids(side.features) for side in known)
        pairs = np.stack([users, items], axis=1)
        return replace(self, ranker=ranker.partial_fit(pairs, of_users, of_items, sample_weight=weights))

    def without(self, gone: Codes, stay: NDArray[np.bool_]) -> Self:
        """Without some users, and without features but those that stay."""
        features = np.append(np.flatnonzero(~stay), len(stay) + gone) if len(stay) else gone
        ranker = copy.copy(self.ranker).forget(gone, features=features)
        return replace(self, ranker=ranker, n_features=int(stay.sum()))

    @property
    def item_vectors(self) -> Floats:
        """Of the inner products in the scores."""
        return self.ranker.ranking_.item_vectors

    @property
    def item_factors(self) -> Floats:
        """What makes items alike: the vectors, without weights of items."""
        return np.concatenate([Z[:, :-1] for Z in self.ranker.ranking_.item_parts], axis=1)

    @property
    def user_factors(self) -> Floats:
        """Vectors of the users."""
        return self.ranker.query_vectors_

    def asked(self, users: AskedRanking, context: None = None) -> AskedRanking:
        """The same: a ranker knows no context."""
        return users

    def find(self, codes: Codes) -> AskedRanking:
        """Users of the fit, -1 for one of whom nothing is known."""
        ranking, unknown = self.ranker.ranking_, np.flatnonzero(codes < 0)
        histories = ranking.pairs.rows(np.maximum(codes, 0))
        vectors = ranking.known(np.maximum(codes, 0).astype(np.int64))
        if len(unknown):
            histories = histories.select(~np.isin(histories.queries, unknown))
            nothing = Pairs.of(sparse.csr_array((len(unknown), ranking.pairs.n_items), dtype=np.float32))
            nobody = sparse.csr_array((len(unknown), ranking.queries.shape[1]), dtype=np.float32)
            vectors[unknown] = ranking.new(nobody, nothing, 1)
        return AskedRanking(vectors, histories)

    def folded(self, clicks: Ratings, features: sparse.csr_array, n_threads: int = 1) -> AskedRanking:
        """Users 0, 1, ... who come with clicks, and with a row of features each."""
        ranking = self.ranker.ranking_
        pairs = np.stack([clicks.users, clicks.items], axis=1)
        histories = Pairs.of(pairs, features.shape[0], ranking.pairs.n_items, clicks.weights)
        n_ids = ranking.queries.shape[1] - self.n_features
        ids = sparse.csr_array((features.shape[0], n_ids), dtype=np.float32)
        rows = sparse.hstack([features, ids], format="csr", dtype=np.float32)
        return AskedRanking(ranking.new(rows, histories, n_threads), histories)

    def lists(
        self,
        asked: AskedRanking,
        n: int,
        exclude: Pairs,
        *,
        risk: float = 0.0,
        among: Codes | None = None,
        n_threads: int = 1,
    ) -> tuple[NDArray[np.int32], Floats]:
        """The n items of highest score; -1 and -inf where fewer are left. A ranker tells no risk."""
        of = None if among is None else among.astype(np.int64)
        return self.ranker.ranking_.lists(asked.vectors, asked.histories, n, exclude, n_threads, of)

    def scores(self, asked: AskedRanking, items: Codes) -> Floats:
        """Scores of an item each; 0 for -1, an item that nobody has."""
        known = np.maximum(items, 0).astype(np.int64)
        scores = self.ranker.ranking_.pair_scores(asked.vectors, asked.histories, known)
        return np.where(items < 0, np.float32(0), scores)


def with_ids(features: sparse.csr_array) -> sparse.csr_array | None:
    """Features and then ids, so that ids that come later stand last; None for ids alone."""
    if not features.shape[1]:
        return None
    n = features.shape[0]
    return sparse.hstack([features, sparse.eye_array(n, dtype=np.float32)], format="csr", dtype=np.float32)
