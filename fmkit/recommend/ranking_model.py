"""A ranker of clicks behind the questions that a recommender asks of any model."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fmkit.estimators import FMRanker
from fmkit.linalg import row_dots
from fmkit.ranking.lifts import Choices, Lifts
from fmkit.ranking.pairs import Pairs
from fmkit.recommend.entities import Entities
from fmkit.recommend.model import Codes, Floats
from fmkit.recommend.pair_values import dots
from fmkit.recommend.rating_model import Ratings


@dataclass(frozen=True, eq=False)
class AskedRanking:
    """Users of a ranker in a context: their vectors, and what they have.

    Parameters
    ----------
    of_users : ndarray of shape (n, d), float32
    histories : Pairs
    of_contexts : ndarray of shape (n, r), float32
        0 of the usual context.
    """

    of_users: Floats
    histories: Pairs
    of_contexts: Floats

    def __len__(self) -> int:
        return len(self.of_users)

    @property
    def vectors(self) -> Floats:
        """Those that items are multiplied with."""
        return np.hstack([self.of_users, self.of_contexts])

    @property
    def level(self) -> Floats:
        """Nothing: scores of a user tell what goes before what."""
        return np.zeros(len(self), np.float32)

    def select(self, rows: NDArray[Any]) -> Self:
        """Some of them, in this order."""
        return type(self)(self.of_users[rows], self.histories.rows(rows), self.of_contexts[rows])


@dataclass(frozen=True, eq=False)
class RankingModel:
    """Scores that tell which item goes before which, for one user.

    Parameters
    ----------
    ranker : FMRanker
        Of queries that are features, then ids.
    n_features : int
        Columns of the users' features.
    lifts : Lifts, or None
        What contexts add.
    """

    ranker: FMRanker
    n_features: int
    lifts: Lifts | None = None

    @classmethod
    def fit(
        cls,
        users: sparse.csr_array,
        items: sparse.csr_array,
        clicks: Ratings,
        ranker: FMRanker,
        context_groups: NDArray[np.intp],
    ) -> Self:
        """Fit a ranker to clicks, from the features of both sides; then what their contexts add."""
        pairs = sparse.csr_array(
            (weights_of(clicks), (clicks.users, clicks.items)), shape=(users.shape[0], items.shape[0])
        )
        model = cls(ranker.fit(pairs, with_ids(users), with_ids(items)), users.shape[1])
        if clicks.context is None:
            return model
        rng = np.random.default_rng(0)
        return replace(model, lifts=Lifts.fit(ranker.ranking_, choices_of(clicks), context_groups, rng))

    def with_contexts_of(self, clicks: Ratings, context_groups: NDArray[np.intp]) -> Self:
        """What contexts add by all clicks that there are now, with the weight that it has."""
        if self.lifts is None:
            return self
        pairs = self.ranker.ranking_.pairs
        shape = pairs.n_queries, pairs.n_items
        return replace(self, lifts=Lifts.of(choices_of(clicks), context_groups, self.lifts.weights, shape))

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

    @cached_property
    def item_vectors(self) -> Floats:
        """Of the inner products in the scores."""
        own = self.ranker.ranking_.item_vectors
        return own if self.lifts is None else np.hstack([own, self.lifts.items])

    @property
    def item_factors(self) -> Floats:
        """What makes items alike: the vectors, without weights of items."""
        return np.concatenate([Z[:, :-1] for Z in self.ranker.ranking_.item_parts], axis=1)

    @property
    def user_factors(self) -> Floats:
        """Vectors of the users."""
        return self.ranker.query_vectors_

    def asked(self, users: AskedRanking, context: sparse.csr_array | None = None) -> AskedRanking:
        """The same users, in a context each or in the usual one."""
        if context is None or self.lifts is None:
            return replace(users, of_contexts=self._usual(len(users)))
        return replace(users, of_contexts=np.asarray(context @ self.lifts.columns, np.float32))

    def _usual(self, n: int) -> Floats:
        return np.zeros((n, 0 if self.lifts is None else self.lifts.items.shape[1]), np.float32)

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
        return AskedRanking(vectors, histories, self._usual(len(codes)))

    def folded(self, clicks: Ratings, features: sparse.csr_array, n_threads: int = 1) -> AskedRanking:
        """Users 0, 1, ... who come with clicks, and with a row of features each."""
        ranking = self.ranker.ranking_
        pairs = np.stack([clicks.users, clicks.items], axis=1)
        histories = Pairs.of(pairs, features.shape[0], ranking.pairs.n_items, clicks.weights)
        n_ids = ranking.queries.shape[1] - self.n_features
        ids = sparse.csr_array((features.shape[0], n_ids), dtype=np.float32)
        rows = sparse.hstack([features, ids], format="csr", dtype=np.float32)
        vectors = ranking.new(rows, histories, n_threads)
        return AskedRanking(vectors, histories, self._usual(features.shape[0]))

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
        beside = None if self.lifts is None else (asked.of_contexts, self.lifts.items)
        return self.ranker.ranking_.lists(asked.of_users, asked.histories, n, exclude, n_threads, of, beside)

    def scores(self, asked: AskedRanking, items: Codes) -> Floats:
        """Scores of an item each; 0 for -1, an item that nobody has."""
        known = np.maximum(items, 0).astype(np.int64)
        scores = self.ranker.ranking_.pair_scores(asked.of_users, asked.histories, known)
        if self.lifts is not None:
            scores += row_dots(asked.of_contexts, self.lifts.items[known])
        return np.where(items < 0, np.float32(0), scores)

    def pair_scores(self, users: Codes, items: Codes) -> Floats:
        """As `scores`, of users by code in the usual context; what a user has is looked up once."""
        distinct, place = np.unique(users, return_inverse=True)
        people, ranking = self.find(distinct), self.ranker.ranking_
        if ranking.with_item_item:
            return self.scores(self.asked(people).select(place), items)
        scores = dots(place, np.maximum(items, 0), people.of_users, ranking.item_vectors)
        return np.where(items < 0, np.float32(0), scores)


def weights_of(clicks: Ratings) -> Floats:
    """What each click counts."""
    return np.ones(len(clicks), np.float32) if clicks.weights is None else clicks.weights


def choices_of(clicks: Ratings) -> Choices:
    """Clicks that tell their context."""
    assert clicks.context is not None
    return Choices(clicks.users, clicks.items, weights_of(clicks), clicks.context)


def with_ids(features: sparse.csr_array) -> sparse.csr_array | None:
    """Features and then ids, so that ids that come later stand last; None for ids alone."""
    if not features.shape[1]:
        return None
    n = features.shape[0]
    return sparse.hstack([features, sparse.eye_array(n, dtype=np.float32)], format="csr", dtype=np.float32)
