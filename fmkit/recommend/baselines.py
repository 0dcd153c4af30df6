"""Baselines that a model should beat: popularity, means, neighbours, and EASE."""

from __future__ import annotations

from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.base import BaseEstimator

from fmkit.ranking.evaluation import NUMBERS_AT_ONCE
from fmkit.ranking.item_item import ItemItem
from fmkit.ranking.judge import as_pairs
from fmkit.ranking.pairs import checked_codes
from fmkit.ranking.topn import top_n_of_scores
from fmkit.threads import count_threads


class Baseline(Protocol):
    """What `evaluate_scores` needs: ``evaluate_scores(model.fit(train).scores, test, exclude=train)``."""

    def fit(self, matrix: Any) -> Self:
        """Learn from a sparse matrix of users x items."""

    def scores(self, users: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Of shape (len(users), n_items), for codes of users that were fitted."""


class Popularity(BaseEstimator):
    """Everyone is shown what most users have.

    Attributes
    ----------
    counts_ : ndarray of shape (n_items,), float32
        Users of each item, whatever the values of the matrix.

    Examples
    --------
    >>> from scipy import sparse
    >>> Popularity().fit(sparse.csr_array([[1, 1, 0], [0, 5, 0]])).scores([0, 1])
    array([[1., 2., 0.],
           [1., 2., 0.]], dtype=float32)
    """

    counts_: NDArray[np.float32]

    def fit(self, matrix: Any) -> Self:
        """Count.

        Parameters
        ----------
        matrix : sparse matrix of shape (n_users, n_items), or Pairs
        """
        pairs = as_pairs(matrix, "matrix")
        self.counts_ = np.bincount(pairs.items, minlength=pairs.n_items).astype(np.float32)
        self._n_users = pairs.n_queries
        return self

    def scores(self, users: ArrayLike) -> NDArray[np.float32]:
        """The same for all users, of shape (len(users), n_items); not to be written to."""
        n = len(checked_codes(users, self._n_users, "users"))
        return np.broadcast_to(self.counts_, (n, len(self.counts_)))


class UserItemMeans(BaseEstimator):
    """A rating is the mean of all, and what the user and the item are above it: mean + b_u + c_i.

    b and c minimise  sum (r - mean - b_u - c_i)² + user_damping sum b_u² + item_damping sum c_i²,  so that few ratings
    say little. Each side has a closed form given the other, and the two take turns until neither moves.

    Parameters
    ----------
    user_damping, item_damping : float
        Ratings of the mean that each user and each item are taken to have beside their own.

    Attributes
    ----------
    mean_ : float
    users_ : ndarray of shape (n_users,), float32
        b, 0 for a user without ratings.
    items_ : ndarray of shape (n_items,), float32
        c.

    Examples
    --------
    >>> from scipy import sparse
    >>> model = UserItemMeans(user_damping=1, item_damping=1).fit(sparse.csr_array([[5, 4, 0], [3, 0, 2]]))
    >>> model.mean_, model.predict([0, 1], [2, 1]).round(2)
    (3.5, array([3.63, 2.83], dtype=float32))
    """

    mean_: float
    users_: NDArray[np.float32]
    items_: NDArray[np.float32]

    def __init__(self, user_damping: float = 5.0, item_damping: float = 5.0) -> None:
        self.user_damping = user_damping
        self.item_damping = item_damping

    def fit(self, matrix: Any) -> Self:
        """Solve.

        Parameters
        ----------
        matrix : sparse matrix of shape (n_users, n_items)
            Ratings; every stored entry is one, zeros too.

        Raises
        ------
        TypeError
            If the matrix is not sparse.
        ValueError
            If there are no ratings, one is not finite, or a damping is not above 0.
        """
        if min(self.user_damping, self.item_damping) <= 0:
            raise ValueError(f"dampings must be above 0, got {self.user_damping:g} and {self.item_damping:g}")
        if not sparse.issparse(matrix):
            raise TypeError(f"matrix must be a sparse matrix of users x items, got {type(matrix).__name__}")
        ratings = sparse.coo_array(matrix)
        if not ratings.nnz or not np.isfinite(ratings.data).all():
            raise ValueError("matrix must hold at least one rating, and only finite ones")
        user, item = ratings.coords
        self.mean_ = float(ratings.data.mean(dtype=np.float64))
        r = ratings.data - self.mean_
        n_users, n_items = ratings.shape
        user_n, item_n = np.bincount(user, minlength=n_users), np.bincount(item, minlength=n_items)
        b, c = np.zeros(n_users), np.zeros(n_items)
        moved = np.inf
        while moved > 1e-6 * np.abs(r).max():
            before = b
            b = np.bincount(user, r - c[item], minlength=n_users) / (user_n + self.user_damping)
            c = np.bincount(item, r - b[user], minlength=n_items) / (item_n + self.item_damping)
            moved = float(np.abs(b - before).max())
        self.users_, self.items_ = b.astype(np.float32), c.astype(np.float32)
        return self

    def predict(self, users: ArrayLike, items: ArrayLike) -> NDArray[np.float32]:
        """Ratings of pairs of codes, of shape (n,)."""
        predicted: NDArray[np.float32] = (
            self._of_users(users) + self.items_[checked_codes(items, len(self.items_), "items")]
        )
        return predicted

    def scores(self, users: ArrayLike) -> NDArray[np.float32]:
        """Ratings of all items, of shape (len(users), n_items)."""
        return self._of_users(users)[:, None] + self.items_

    def _of_users(self, users: ArrayLike) -> NDArray[np.float32]:
        level: NDArray[np.float32] = (
            np.float32(self.mean_) + self.users_[checked_codes(users, len(self.users_), "users")]
        )
        return level


class ItemKNN(BaseEstimator):
    """An item's score is the sum of its similarities to those of the user's items that are its nearest neighbours.

    Similar are items whose columns x point the same way, `<x_i, x_j> / (|x_i| |x_j| + shrinkage)`; of each item the
    `n_neighbours` most similar count, of equal ones those of lower code.

    Parameters
    ----------
    n_neighbours : int
    shrinkage : float
        Pulls similarities that rest on few users to 0.
    n_jobs : int, optional
        Threads; by default, or -1, every core. The result is the same for any number.

    Attributes
    ----------
    similarities_ : csr_array of shape (n_items, n_items), float32
        Column j holds the neighbours of item j.

    Examples
    --------
    >>> from scipy import sparse
    >>> model = ItemKNN(n_neighbours=1, shrinkage=0).fit(sparse.csr_array([[1, 1, 0], [1, 1, 1], [1, 0, 0]]))
    >>> model.scores([2]).round(2)
    array([[0.  , 0.82, 0.  ]], dtype=float32)
    """

    similarities_: sparse.csr_array

    def __init__(self, n_neighbours: int = 50, shrinkage: float = 10.0, n_jobs: int | None = None) -> None:
        self.n_neighbours = n_neighbours
        self.shrinkage = shrinkage
        self.n_jobs = n_jobs

    def fit(self, matrix: Any) -> Self:
        """Find the neighbours, a block of items at a time.

        Parameters
        ----------
        matrix : sparse matrix of shape (n_users, n_items), or Pairs
            Values are weights, not negative.
        """
        if self.n_neighbours < 1 or self.shrinkage < 0:
            raise ValueError(
                f"n_neighbours must be at least 1 and shrinkage at least 0, got {self.n_neighbours} and "
                f"{self.shrinkage:g}"
            )
        self._histories = as_pairs(matrix, "matrix").csr
        columns = self._histories.T.tocsr()
        n_items = columns.shape[0]
        lengths = np.sqrt(columns.power(2).sum(axis=1))
        n_threads, height = count_threads(self.n_jobs), NUMBERS_AT_ONCE // max(n_items, 1) + 1
        parts = []
        for start in range(0, n_items, height):
            block = np.arange(start, min(start + height, n_items))
            similar = (columns[block] @ self._histories).toarray()
            similar /= np.maximum(np.outer(lengths[block], lengths) + np.float32(self.shrinkage), 1e-30)
            similar[similar <= 0] = -np.inf  # who shares no user is no neighbour
            nearest = top_n_of_scores(
                similar,
                min(self.n_neighbours, n_items),
                np.arange(len(block) + 1),
                block.astype(np.int32),  # left out: the item itself
                n_threads,
            )
            row, place = np.nonzero(nearest >= 0)
            found = nearest[row, place]
            parts.append((similar[row, found], found, block[row]))
        values, neighbours, items = (np.concatenate(part) for part in zip(*parts, strict=True))
        self.similarities_ = sparse.csr_array((values, (neighbours, items)), shape=(n_items, n_items))
        return self

    def scores(self, users: ArrayLike) -> NDArray[np.float32]:
        """Of shape (len(users), n_items)."""
        scores: NDArray[np.float32] = (
            self._histories[checked_codes(users, self._histories.shape[0], "users")] @ self.similarities_
        ).toarray()
        return scores


class EASE(BaseEstimator):
    """Full-rank weights between items in closed form: each item foretold by all others (see `fmkit.ranking.item_item`).

    Parameters
    ----------
    ridge : float
        For tables of millions of pairs, some hundreds are usual.

    Attributes
    ----------
    item_item_ : ItemItem

    Examples
    --------
    >>> from scipy import sparse
    >>> model = EASE(ridge=1).fit(sparse.csr_array([[1, 1, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1]]))
    >>> model.item_item_.weights.round(2)  # row 0: what having item 0 says of the others
    array([[ 0.  ,  0.67, -0.25],
           [ 0.55,  0.  ,  0.38],
           [-0.18,  0.33,  0.  ]], dtype=float32)
    """

    item_item_: ItemItem

    def __init__(self, ridge: float = 100.0) -> None:
        self.ridge = ridge

    def fit(self, matrix: Any) -> Self:
        """Solve.

        Parameters
        ----------
        matrix : sparse matrix of shape (n_users, n_items), or Pairs
            All pairs weigh alike.

        Raises
        ------
        ValueError
            If users and items are both too many.
        """
        self._histories = as_pairs(matrix, "matrix")
        self.item_item_ = ItemItem.of(self._histories, self.ridge, noise=0.0)
        return self

    def scores(self, users: ArrayLike) -> NDArray[np.float32]:
        """Of shape (len(users), n_items), in units of their standard deviation."""
        return self.item_item_.scores(self._histories.rows(checked_codes(users, self._histories.n_queries, "users")))
