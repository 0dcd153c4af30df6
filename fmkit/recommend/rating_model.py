"""A rating model after its fit: extended vectors of users and items, whose products are ratings; people folded in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fmkit.estimators import FMClassifier
from fmkit.linalg import row_dots
from fmkit.machine import FactorizationMachine
from fmkit.ranking.pairs import Pairs
from fmkit.ranking.topn import Arranged, Doubt, top_n
from fmkit.recommend.model import Codes, Floats
from fmkit.recommend.pair_values import RatingPairs
from fmkit.recommend.rating_design import PARTNERS, RatingDesign, pairs_of
from fmkit.recommend.rating_side import RatingSide
from fmkit.recommend.scale import Scale
from fmkit.solvers.fold import fold_columns
from fmkit.tables.levels import unit_rows
from fmkit.threads import count_threads

ROWS_AT_ONCE = 1 << 17  # of contexts: some 20 MB
ROUNDS = 20  # of classes and what they stand for in turn


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
        A rating's variance is the product with the item's.
    noise : ndarray of shape (n,), float32
        Noise precision of each one's ratings, as a multiple of what it is without.
    """

    vectors: Floats
    level: Floats
    spreads: Floats
    noise: Floats

    def __len__(self) -> int:
        return len(self.level)

    def select(self, rows: Any) -> Self:
        """Some of them, in this order."""
        return type(self)(self.vectors[rows], self.level[rows], self.spreads[rows], self.noise[rows])


@dataclass(frozen=True, eq=False)
class RatingModel:
    """f = bias + c_user + c_item + c_context + the products of the three's vectors, and ratings on the scale of f.

    Weights c hold the pairs inside of each, of the context's columns too.

    Parameters
    ----------
    bias : float
    users, items : RatingSide
    context : ndarray of shape (n_context, d + 1), float32
        Factors and weight of each column of the context.
    usual : ndarray of shape (d + 1,), float32
        The mean over the rows of the fit of what contexts come to: of one that nobody tells.
    noise : float
        Precision of a rating.
    scale : Scale
    """

    bias: float
    users: RatingSide
    items: RatingSide
    context: Floats
    usual: Floats
    noise: float
    scale: Scale

    @classmethod
    def fit(cls, design: RatingDesign, ratings: Ratings, estimator: Any) -> Self:
        """Fit an estimator to ratings, and take its machine apart."""
        rows = design.rows(ratings.users, ratings.items, ratings.context)
        model = estimator.fit(rows, ratings.values, ratings.weights)
        n_threads = count_threads(estimator.n_jobs)
        of_users, of_items = rows.blocks
        one = isinstance(model, FMClassifier)  # of one machine a class, which of two classes is one
        machine, posterior = (model.machines_[0], model.posterior_[0]) if one else (model.machine_, model.posterior_)
        learned = machine, posterior, getattr(model, "penalties_", None), n_threads
        users = RatingSide.of_block(of_users, design.users, *learned)
        items = RatingSide.of_block(of_items, design.items, *learned)
        n_context = int(of_users.columns[0])
        context = np.column_stack([machine.factors[:n_context], machine.linear[:n_context]])
        usual = np.zeros(context.shape[1], np.float32)
        if ratings.context is not None:
            total, n, step = np.zeros(context.shape[1]), len(ratings), ROWS_AT_ONCE
            for first in range(0, n, step):
                total += sums_of(ratings.context[first : first + step], context).sum(axis=0, dtype=np.float64)
            usual = (total / n).astype(np.float32)
        noise = 1.0
        if posterior is not None:
            logistic = one and model.likelihood_ == "logistic"
            noise = np.pi / 8 if logistic else posterior.noise  # as a probit's (MacKay)
        else:  # a ridge regression's penalties are in units of the noise; an item's weight is as sure as its ratings
            variance = float(np.square(ratings.values - model.predict(rows)).mean())
            items = replace(items, variance=variance)
            counts = np.bincount(ratings.items, ratings.weights, len(items)).astype(np.float32)
            items = replace(items, var_weights=items.doubt(counts))
        fitted = cls(float(machine.bias), users, items, context, usual, noise, Scale.of(ratings.values, model))
        if posterior is None:
            return fitted
        shifts = [
            np.asarray(posterior.means[block.columns] @ machine.factors[block.columns], np.float32)
            for block in (of_users, of_items)
        ]
        fitted = fitted.about(shifts[0], shifts[1], ratings)
        of_user, of_item = (
            np.bincount(codes, minlength=len(side)) for codes, side in ((ratings.users, users), (ratings.items, items))
        )
        users = fitted.users.knowing_the_usual(design.user_groups == PARTNERS, of_user, weight_alone=False)
        items = fitted.items.knowing_the_usual(design.item_groups == PARTNERS, of_item, weight_alone=True)
        return replace(fitted, users=users, items=items)

    def about(self, of_users: Floats, of_items: Floats, ratings: Ratings) -> Self:
        """The same values with users' and items' vectors less a shift each, and weights whose means are 0.

        A fit takes columns that all rows have about their means, and knows how sure it is of what is left: a word in
        every title would else be a part of all items' vectors, of which nothing is known that the bias does not offset.
        """
        level = []
        for side, codes, shift, other in (
            (self.users, ratings.users, of_users, of_items),
            (self.items, ratings.items, of_items, of_users),
        ):
            weights = side.weights + (side.vectors - shift) @ other
            level.append(float(np.average(weights, weights=np.bincount(codes, minlength=len(side)))))
        context, usual = self.context.copy(), self.usual.copy()
        context[:, -1] += context[:, :-1] @ (of_users + of_items)
        usual[-1] += usual[:-1] @ (of_users + of_items)
        return replace(
            self,
            bias=self.bias + float(of_users @ of_items) + sum(level),
            users=self.users.moved(of_users, of_items, level[0]),
            items=self.items.moved(of_items, of_users, level[1]),
            context=context,
            usual=usual,
        )

    @cached_property
    def item_vectors(self) -> Floats:
        """Those that `Asked.vectors` are multiplied with."""
        return np.column_stack([self.items.vectors, self.items.weights])

    @property
    def item_factors(self) -> Floats:
        """What makes items alike."""
        return self.items.vectors

    @property
    def user_factors(self) -> Floats:
        """What makes users alike."""
        return self.users.vectors

    def find(self, codes: Codes) -> RatingSide:
        """Users of the fit; -1 stands for one of whom nothing is known."""
        return self.users.find(codes)

    def in_context(self, context: sparse.csr_array | None, n: int) -> Floats:
        """What n contexts come to, factors and then the weight; of the usual one for None."""
        if context is None:
            return np.broadcast_to(self.usual, (n, len(self.usual)))
        return sums_of(context, self.context)

    def drawn(self, rng: np.random.Generator) -> Self:
        """The model with a draw of the items from what is known of them."""
        return replace(self, items=self.items.drawn(rng))

    def folded(self, ratings: Ratings, features: sparse.csr_array, n_threads: int = 1) -> RatingSide:
        """These users, solved for by their ratings, everything else as it is."""
        n = features.shape[0]
        pairs = pairs_of(ratings.users, ratings.items, n, len(self.items))
        rows = features
        if len(self.users.members) > features.shape[1]:
            rows = sparse.hstack([unit_rows(pairs), features], format="csr", dtype=np.float32)
        return self.fold(self.users, self.items, rows, ratings.users, ratings.items, ratings, n_threads)

    def asked(self, users: RatingSide, context: sparse.csr_array | None = None) -> Asked:
        """What is asked for users, in a context each or in the usual one."""
        n = len(users)
        told = self.in_context(context, n)
        q, c = told[:, :-1], told[:, -1]
        level = np.float32(self.bias) + users.weights + c + row_dots(users.vectors, q)
        vectors = np.column_stack([users.vectors + q, np.ones(n, np.float32)])
        return Asked(vectors, level, self._spreads(users, vectors), users.noise)

    def _spreads(self, users: RatingSide, vectors: Floats) -> Floats:
        """Factors of the variances, of independent users and items (`fmkit.posterior.spread_rows`)."""
        n, k = users.var_vectors.shape
        mean = vectors[:, :k]
        parts = [users.var_vectors, 2 * users.covariance, np.square(mean), 2 * mean]
        return np.column_stack([*parts, users.var_weights, np.ones(n, np.float32)])

    @cached_property
    def item_spreads(self) -> Floats:
        """Those that `Asked.spreads` are multiplied with."""
        return self._spreads_of(self.items)

    @cached_property
    def _arranged_vectors(self) -> Arranged:
        return Arranged(self.item_vectors)

    @cached_property
    def _arranged_spreads(self) -> Arranged:
        return Arranged(self.item_spreads)

    def _spreads_of(self, items: RatingSide) -> Floats:
        mean = items.vectors[:, : items.var_vectors.shape[1]]
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
        vectors: Floats | Arranged = self._arranged_vectors if among is None else self.item_vectors[among]
        exclude, doubt = exclude if among is None else exclude.among(among), None
        if risk:
            spreads = self._arranged_spreads if among is None else self.item_spreads[among]
            doubt = Doubt(risk, asked.spreads, spreads, self.scale.most_variance)
        codes, scores = top_n(asked.vectors, vectors, n, exclude.before, exclude.items, n_threads, doubt)
        if among is not None:
            codes = np.where(codes < 0, np.int32(-1), among.astype(np.int32)[codes])
        return codes, scores + asked.level[:, None]

    def scores(self, asked: Asked, items: Codes) -> Floats:
        """Ratings expected of an item each; -1 stands for one of which nothing is known."""
        vectors = self.item_vectors[items]
        if (items < 0).any():
            nothing = self.items.find(np.array([-1]))
            vectors[items < 0] = np.append(nothing.vectors[0], nothing.weights[0])
        return asked.level + row_dots(asked.vectors, vectors)

    def deviations(self, asked: Asked, items: Codes) -> Floats:
        """Standard deviations of these: of what is not known of user and item, without the noise of a rating."""
        spreads = self.item_spreads[items]
        if (items < 0).any():
            spreads[items < 0] = self._spreads_of(self.items.find(np.array([-1])))
        return np.sqrt(np.clip(row_dots(asked.spreads, spreads), 0, np.float32(self.scale.most_variance)))

    def noise_of(self, asked: Asked, items: Codes) -> Floats:
        """Variance of the noise of a rating of an item each."""
        levels = np.where(items < 0, np.float32(1), self.items.noise[items])
        return np.asarray(1 / (self.noise * asked.noise * levels), np.float32)

    def expected(self, asked: Asked, items: Codes) -> Floats:
        """Mean of a rating of an item each: as of `ratings`, without deviations where the mean does without them."""
        if self.scale.ordered:
            return self.ratings(asked, items)[0]
        return np.clip(self.scores(asked, items), self.scale.lowest, self.scale.highest)

    def ratings(self, asked: Asked, items: Codes) -> tuple[Floats, Floats]:
        """Mean and standard deviation of a rating of an item each."""
        f, noise = self.scores(asked, items), self.noise_of(asked, items)
        return self.scale.ratings(f, np.square(self.deviations(asked, items)), noise)

    @cached_property
    def _pairs(self) -> RatingPairs:
        return RatingPairs.of(self)

    def pair_scores(self, users: Codes, items: Codes) -> Floats:
        """As `scores`, of users by code in the usual context."""
        return self._pairs.values(users, items)

    def pairs_expected(self, users: Codes, items: Codes) -> Floats:
        """As `expected`, of these."""
        if self.scale.ordered:
            return self.pair_ratings(users, items)[0]
        return np.clip(self.pair_scores(users, items), self.scale.lowest, self.scale.highest)

    def pair_ratings(self, users: Codes, items: Codes) -> tuple[Floats, Floats]:
        """As `ratings`, of these."""
        variance, noise = self._pairs.variances(users, items)
        np.clip(variance, 0, np.float32(self.scale.most_variance), out=variance)
        return self.scale.ratings(self.pair_scores(users, items), variance, noise)

    def fold(
        self,
        of: RatingSide,
        others: RatingSide,
        rows: sparse.csr_array,
        own: Codes,
        other: Codes,
        ratings: Ratings,
        n_threads: int,
    ) -> RatingSide:
        """People (or items) solved for by their ratings, everything else as it is.

        Parameters
        ----------
        of, others : RatingSide
            Whose prior they have; whom their ratings are of.
        rows : csr_array of shape (n, n_members)
            What is known of each.
        own, other : ndarrays of shape (n_ratings,)
            Codes of whose each rating is, in 0..n - 1, and of what in `others`.
        ratings : Ratings
        n_threads : int
        """
        n = rows.shape[0]
        weights = np.ones(len(own), np.float32) if ratings.weights is None else ratings.weights
        w, V, columns = others.weights, others.vectors, other.astype(np.int32)
        if len(self.context):  # what a rating is of and its context are one column, the rating's own
            told = self.in_context(ratings.context, len(other))
            V, columns = V[other], np.arange(len(other), dtype=np.int32)
            w = w[other] + told[:, -1] + row_dots(V, np.ascontiguousarray(told[:, :-1]))
            V = V + told[:, :-1]
        entries = np.ones(len(other), np.float32), columns, np.arange(len(other) + 1)
        X = sparse.csr_array(entries, shape=(len(other), len(w)))
        expected, counts = of.expected(rows), np.bincount(own, weights, n).astype(np.float32)
        expected[counts == 0] += of.unmet
        known = FactorizationMachine(0.0, np.ascontiguousarray(w), np.ascontiguousarray(V))
        precision = np.ascontiguousarray(np.broadcast_to(of.precision, expected.shape))
        codes = own.astype(np.int32)
        levels = np.asarray(others.noise[other] * np.float32(self.noise), np.float32)
        f, of_rows = np.full(len(own), self.bias, np.float32), known.predict(X, n_threads)
        for _ in range(ROUNDS if self.scale.ordered else 1):
            targets = self.scale.targets(ratings.values, f, np.float32(1) / levels) - np.float32(self.bias)
            omega = np.asarray(weights * levels, np.float32)
            state = X, targets, omega, codes, counts, known, precision, expected, of.noise_shape, n_threads
            folded, noise = fold_columns(*state, variances=of.var_vectors.shape[1] > 0)
            if self.scale.ordered:  # what a class stands for depends on the value that it is a class of
                Q = np.asarray(X @ V, np.float32)
                f = np.float32(self.bias) + of_rows + folded.w[own] + row_dots(folded.V[own], Q)
        k = of.var_vectors.shape[1]
        if not k:
            return replace(of.certain(np.column_stack([folded.V, folded.w]), of.doubt(counts)), rows=rows)
        return replace(
            of,
            vectors=folded.V,
            weights=folded.w,
            var_vectors=folded.var_v[:, :k],
            covariance=folded.cov[:, :k],
            var_weights=folded.var_w,
            noise=noise,
            rows=rows,
        )


def sums_of(rows: sparse.csr_array, members: Floats) -> Floats:
    """Of each row the sum of factors, then the weight with the pairs inside the row; (n, d + 1), float32."""
    V = members[:, :-1].astype(np.float64)
    sums = np.asarray(rows @ members.astype(np.float64))
    of_itself = np.asarray(rows.multiply(rows) @ np.square(V).sum(axis=1))
    sums[:, -1] += (np.square(sums[:, :-1]).sum(axis=1) - of_itself) / 2
    return sums.astype(np.float32)
