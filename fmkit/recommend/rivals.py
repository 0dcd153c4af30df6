"""Baselines in the dress of a recommender, so that one evaluation judges both."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, clone

from fmkit.errors import InputError
from fmkit.ranking.evaluation import NUMBERS_AT_ONCE
from fmkit.ranking.item_item import MOST
from fmkit.ranking.pairs import Pairs
from fmkit.ranking.topn import top_n_of_scores
from fmkit.recommend.baselines import EASE, ItemKNN, Popularity, UserItemMeans
from fmkit.recommend.entities import Entities
from fmkit.recommend.interactions import Columns, Interactions
from fmkit.threads import count_threads

MOST_PRODUCTS = 1e10  # of pairs of a user's items: about a minute of one core
MOST_ITEMS = 50_000  # whose similarities are looked through

BASELINES = {"Popularity": Popularity, "UserItemMeans": UserItemMeans, "ItemKNN": ItemKNN, "EASE": EASE}


class BaselineRecommender(BaseEstimator):
    """A baseline that reads interactions and gives lists.

    Parameters
    ----------
    baseline : Baseline
        `UserItemMeans` is fitted to ratings, and is the one that predicts them; the others to pairs.
    relevant : float, optional
        Of ratings, the least of a pair that the others are fitted to; by default all are.
    n_jobs : int, optional
        Threads; by default, or -1, every core.

    Attributes
    ----------
    feedback_ : {"explicit", "implicit"}
        "explicit" if it predicts ratings.
    baseline_ : Baseline
        A clone, fitted.
    interactions_ : Interactions
    users_, items_ : Entities

    Examples
    --------
    >>> clicks = {"user": ["ann", "ann", "bob"], "item": [7, 8, 8]}
    >>> BaselineRecommender(Popularity()).fit(clicks).predict(["bob"], [8])
    array([2.], dtype=float32)
    """

    feedback_: str
    baseline_: Any
    interactions_: Interactions
    users_: Entities
    items_: Entities

    tells_std = False

    def __init__(self, baseline: Any, *, relevant: float | None = None, n_jobs: int | None = None) -> None:
        self.baseline = baseline
        self.relevant = relevant
        self.n_jobs = n_jobs

    @property
    def feedback(self) -> str:
        """What `feedback_` will be: known before the fit."""
        return "explicit" if isinstance(self.baseline, UserItemMeans) else "implicit"

    def fit(
        self,
        interactions: Any,
        *,
        users: Any = None,
        items: Any = None,
        user: str | None = None,
        item: str | None = None,
    ) -> Self:
        """Fit the baseline.

        Parameters
        ----------
        interactions : DataFrame, pyarrow.Table, mapping of columns, path, sequence of paths, or Interactions
        users, items : Entities or table, optional
            Who and what can be asked for beside those of the interactions.
        user, item : str, optional
            Columns of ids of these tables; by default those of usual names.
        """
        if not isinstance(interactions, Interactions):
            interactions, _ = Interactions.in_time(interactions, Columns(user, item))
        self.interactions_ = interactions
        self.users_, self.items_ = (
            told if isinstance(told, Entities) else Entities.of(ids, told, role, column)
            for ids, told, role, column in (
                (interactions.users, users, "user", user),
                (interactions.items, items, "item", item),
            )
        )
        users, items, rating = interactions.user_codes, interactions.item_codes, interactions.ratings
        self.feedback_ = self.feedback
        if self.feedback_ == "explicit" and rating is None:
            raise InputError("UserItemMeans is fitted to ratings, and the interactions have none")
        shape = len(self.users_), len(self.items_)
        if self.feedback_ == "explicit":
            matrix = sparse.coo_array((rating, (users, items)), shape=shape)  # ratings of 0 stay
        else:
            if self.relevant is not None and rating is not None:
                liked = rating >= np.float32(self.relevant)
                users, items = users[liked], items[liked]
            matrix = sparse.csr_array((np.ones(len(users), np.float32), (users, items)), shape=shape)
            matrix.data[:] = 1  # a pair that comes twice is one
        self.baseline_ = clone(self.baseline).fit(matrix)
        return self

    def predict(self, users: Any, items: Any, *, context: Any = None) -> NDArray[np.float32]:
        """Ratings of pairs of ids, whatever the context; of an unknown user or item, as of one without ratings.

        Of baselines that predict none, scores; 0 for an unknown user or item.
        """
        user, item = self.users_.ids.encode(users), self.items_.ids.encode(items)
        if self.feedback_ != "explicit":
            known = (user >= 0) & (item >= 0)
            score = np.zeros(len(user), np.float32)
            score[known] = self.scores(user[known], item[known])
            return score
        b, c = np.append(self.baseline_.users_, 0), np.append(self.baseline_.items_, 0)  # -1 is the last
        rating: NDArray[np.float32] = (self.baseline_.mean_ + b[user] + c[item]).astype(np.float32)
        return rating

    def top(self, users: NDArray[Any], n: int, *, exclude: Pairs) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The best n items of each user, by code.

        Parameters
        ----------
        users : ndarray of shape (n_users,), integers
        n : int
        exclude : Pairs of shape (n_users, n_items)
            Row by row, what is left out.

        Returns
        -------
        items : ndarray of shape (n_users, n), int32
            -1 where none is left.
        scores : ndarray of shape (n_users, n), float32
        """
        step, n_threads = NUMBERS_AT_ONCE // len(self.items_) + 1, count_threads(self.n_jobs)
        best = np.full((len(users), n), -1, np.int32)
        scores = np.full((len(users), n), -np.inf, np.float32)
        for start in range(0, len(users), step):
            rows = slice(start, min(start + step, len(users)))
            given = np.ascontiguousarray(self.baseline_.scores(users[rows]), np.float32)
            before = exclude.before[rows.start : rows.stop + 1]
            left_out = exclude.items[before[0] : before[-1]]
            best[rows] = top_n_of_scores(given, n, before - before[0], left_out, n_threads)
            found = np.take_along_axis(given, np.maximum(best[rows], 0), axis=1)
            scores[rows] = np.where(best[rows] < 0, -np.inf, found)
        return best, scores

    def scores(self, users: NDArray[Any], items: NDArray[Any]) -> NDArray[np.float32]:
        """Of pairs of codes, of shape (n,)."""
        asked, place = np.unique(users, return_inverse=True)
        order = np.argsort(place, kind="stable")
        bounds = np.searchsorted(place[order], np.arange(len(asked) + 1))
        out = np.empty(len(users), np.float32)
        step = NUMBERS_AT_ONCE // len(self.items_) + 1
        for start in range(0, len(asked), step):
            stop = min(start + step, len(asked))
            rows = order[bounds[start] : bounds[stop]]
            out[rows] = self.baseline_.scores(asked[start:stop])[place[rows] - start, items[rows]]
        return out


def feasible(train: Interactions) -> tuple[list[str], list[str]]:
    """Names of the baselines that a table is not too large for, and sentences on those left out."""
    n_users, n_items = len(train.users), len(train.items)
    names, notes = ["Popularity"], []
    if train.ratings is not None:
        names.append("UserItemMeans")
    products = float(np.square(np.bincount(train.user_codes, minlength=n_users).astype(np.float64)).sum())
    if n_items > MOST_ITEMS or products > MOST_PRODUCTS:
        notes.append(f"the baseline ItemKNN is left out: {n_items:,} items in {len(train):,} rows take too long")
    else:
        names.append("ItemKNN")
    if n_items > MOST:
        notes.append(f"the baseline EASE is left out: it inverts a matrix of items, and {n_items:,} are too many")
    else:
        names.append("EASE")
    return names, notes
