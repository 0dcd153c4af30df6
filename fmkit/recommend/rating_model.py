"""A rating model after its fit: extended vectors of users and items, whose products are ratings; people folded in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fmkit.estimators import FMRegressor
from fmkit.linalg import row_dots
from fmkit.machine import FactorizationMachine
from fmkit.ranking.pairs import Pairs
from fmkit.ranking.topn import Doubt, top_n
from fmkit.recommend.rating_design import RatingDesign
from fmkit.recommend.side import Side
from fmkit.solvers.fold import fold_columns
from fmkit.threads import count_threads

Floats = NDArray[np.float32]
Codes = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Ratings:
    """Ratings by code: what a model is fitted to, or folds people in by.

    Parameters
    ----------
    users, items : ndarrays of shape (n,), integers
    values : ndarray of shape (n,), float32
    weights : ndarray of shape (n,), float32, or None
    context : csr_array of shape (n, n_context), or None
    """

    users: Codes
    items: Codes
    values: Floats
    weights: Floats | None = None
    context: sparse.csr_array | None = None

    def __len__(self) -> int:
        return len(self.values)

    def select(self, rows: Any) -> Self:
        """Some of them, by a mask or positions."""
        weights = None if self.weights is None else self.weights[rows]
        context = None if self.context is None else self.context[rows]
        return type(self)(self.users[rows], self.items[rows], self.values[rows], weights, context)


@dataclass(frozen=True, eq=False)
class Asked:
    """Users in a context: a rating is level + <vector, item's vector>.

    Parameters
    ----------
    vectors : ndarray of shape (n, d + 1), float32
        Sums of factors of the user and the context, and a 1 for the item's weight.
    level : ndarray of shape (n,), float32
    spreads : ndarray of shape (n, 4 k + 2), float32
        A rating's variance is the product with the item's; (n, 0) if the model tells none.
    """

    vectors: Floats
    level: Floats
    spreads: Floats

    def __len__(self) -> int:
        return len(self.level)


@dataclass(frozen=True, eq=False)
class RatingModel:
    """y = bias + c_user + c_item + c_context + the products of the three's vectors.

    Parameters
    ----------
    bias : float
    users, items : Side
    context : ndarray of shape (n_context, d + 1), float32
        Factors and weight of each column of the context.
    usual : ndarray of shape (d + 1,), float32
        Their mean over the rows of the fit: of a context that nobody tells.
    noise : float
        Precision of a rating.
    lowest, highest : float
        Range of the ratings of the fit.
    """

    bias: float
    users: Side
    items: Side
    context: Floats
    usual: Floats
    noise: float
    lowest: float
    highest: float

    @classmethod
    def fit(cls, design: RatingDesign, ratings: Ratings, estimator: FMRegressor) -> Self:
        """Fit an estimator to ratings, and take its machine apart."""
        rows = design.rows(ratings.users, ratings.items, ratings.context)
        model = estimator.fit(rows, ratings.values, ratings.weights)
        n_threads = count_threads(estimator.n_jobs)
        of_users, of_items = rows.blocks
        users = Side.of_block(of_users, design.users, model, n_threads)
        items = Side.of_block(of_items, design.items, model, n_threads)
        n_context = int(of_users.columns[0])
        machine = model.machine_
        context = np.column_stack([machine.factors[:n_context], machine.linear[:n_context]])
        usual = np.zeros(context.shape[1], np.float32)
        if ratings.context is not None:
            usual = np.asarray(ratings.context.mean(axis=0) @ context, np.float32)
        noise = 1.0
        if model.posterior_ is not None:
            noise = model.posterior_.noise
        else:  # a ridge regression's penalties are in units of the noise; an item's weight is as sure as its ratings
            variance = float(np.square(ratings.values - model.predict(rows)).mean())
            evidence = np.bincount(ratings.items, minlength=len(items)) + items.precision[-1]
            items = replace(items, var_weights=np.asarray(variance / evidence, np.float32))
        low, high = float(ratings.values.min()), float(ratings.values.max())
        return cls(float(machine.bias), users, items, context, usual, noise, low, high)

    @property
    def item_vectors(self) -> Floats:
        """Those that `Asked.vectors` are multiplied with."""
        return np.column_stack([self.items.vectors, self.items.weights])

    def asked(self, users: Side, context: sparse.csr_array | None = None) -> Asked:
        """Users in a context each, or in the usual one."""
        n, d = users.vectors.shape
        told = np.broadcast_to(self.usual, (n, d + 1)) if context is None else context @ self.context
        q, c = np.asarray(told[:, :-1], np.float32), np.asarray(told[:, -1], np.float32)
        level = np.float32(self.bias) + users.weights + c + row_dots(users.vectors, q)
        vectors = np.column_stack([users.vectors + q, np.ones(n, np.float32)])
        return Asked(vectors, level, self._spreads(users, vectors))

    def _spreads(self, users: Side, vectors: Floats) -> Floats:
        """Factors of the variances, of independent users and items (`fmkit.posterior.spread_rows`)."""
        n, k = users.var_vectors.shape
        mean = vectors[:, :k]
        parts = [users.var_vectors, 2 * users.covariance, np.square(mean), 2 * mean]
        return np.column_stack([*parts, users.var_weights, np.ones(n, np.float32)])

    @property
    def item_spreads(self) -> Floats:
        """Those that `Asked.spreads` are multiplied with."""
        items, k = self.items, self.items.var_vectors.shape[1]
        mean = items.vectors[:, :k]
        parts = [np.square(mean) + items.var_vectors, mean, items.var_vectors, items.covariance]
        return np.column_stack([*parts, np.ones(len(items), np.float32), items.var_weights])

    def lists(
        self, asked: Asked, n: int, exclude: Pairs, *, risk: float = 0.0, among: Codes | None = None, n_threads: int = 1
    ) -> tuple[NDArray[np.int32], Floats]:
        """The n items of highest rating less risk standard deviations; -1 and -inf where fewer are left.

        Parameters
        ----------
        asked : Asked
        n : int
        exclude : Pairs
            Items left out for each.
        risk : float
        among : ndarray of codes, ascending, optional
            Only these.
        n_threads : int
        """
        vectors, doubt = self.item_vectors, None
        if risk:
            spreads = self.item_spreads
            doubt = Doubt(risk, asked.spreads, spreads if among is None else spreads[among])
        before, seen = exclude.before, exclude.items
        if among is not None:
            left_out = exclude.csr[:, among]
            left_out.sort_indices()
            vectors, before, seen = vectors[among], left_out.indptr.astype(np.int64), left_out.indices.astype(np.int32)
        codes, scores = top_n(asked.vectors, vectors, n, before, seen, n_threads, doubt)
        if among is not None:
            codes = np.where(codes < 0, np.int32(-1), among[codes].astype(np.int32))
        return codes, scores + asked.level[:, None]

    def scores(self, asked: Asked, items: Codes) -> Floats:
        """Ratings expected of an item each."""
        return asked.level + row_dots(asked.vectors, self.item_vectors[items])

    def deviations(self, asked: Asked, items: Codes) -> Floats:
        """Standard deviations of these: of what is not known of user and item, without the noise of a rating."""
        return np.sqrt(np.maximum(row_dots(asked.spreads, self.item_spreads[items]), 0))

    def noise_of(self, users: Codes, items: Codes) -> Floats:
        """Variance of the noise of ratings."""
        return np.asarray(1 / (self.noise * self.users.noise[users] * self.items.noise[items]), np.float32)

    def fold(self, of: Side, others: Side, rows: sparse.csr_array, own: Codes, other: Codes, ratings: Ratings) -> Side:
        """People (or items) solved for by their ratings, everything else as it is.

        Parameters
        ----------
        of, others : Side
            Whose prior they have; whom their ratings are of.
        rows : csr_array of shape (n, n_members)
            What is known of each.
        own, other : ndarrays of shape (n_ratings,)
            Codes of whose each rating is, in 0..n - 1, and of what in `others`.
        ratings : Ratings
        """
        n, n_threads = rows.shape[0], count_threads(None)
        weights = np.ones(len(own), np.float32) if ratings.weights is None else ratings.weights
        entries = np.ones(len(other), np.float32), other.astype(np.int32), np.arange(len(other) + 1)
        X = sparse.csr_array(entries, shape=(len(other), len(others)))
        w, V = others.weights, others.vectors
        if ratings.context is not None:
            X = sparse.hstack([X, ratings.context], format="csr")
            w, V = np.append(w, self.context[:, -1]), np.concatenate([V, self.context[:, :-1]])
            X.sort_indices()
        expected = of.expected(rows)
        folded, levels = fold_columns(
            X,
            ratings.values - np.float32(self.bias),
            np.asarray(weights * others.noise[other] * np.float32(self.noise), np.float32),
            own.astype(np.int32),
            np.bincount(own, weights, n).astype(np.float32),
            FactorizationMachine(0.0, np.ascontiguousarray(w), np.ascontiguousarray(V)),
            np.ascontiguousarray(np.broadcast_to(of.precision, expected.shape)),
            expected,
            of.noise_shape,
            n_threads,
            variances=of.var_vectors.shape[1] > 0,
        )
        k = of.var_vectors.shape[1]
        spreads = folded.var_v[:, :k], folded.cov[:, :k], folded.var_w
        if not k:
            spreads = np.zeros((n, 0), np.float32), np.zeros((n, 0), np.float32), np.zeros(n, np.float32)
        return replace(
            of,
            vectors=folded.V,
            weights=folded.w,
            var_vectors=spreads[0],
            covariance=spreads[1],
            var_weights=spreads[2],
            noise=levels,
            rows=rows,
        )
