"""What a context does to items: how much more often each is chosen there than who is there lets expect.

A factorization machine ranks items for a user in a context by <v_user + v_context, v_item> and the item's weight: what
the context adds is a number for each of its columns and each item. Here these numbers are logarithms of lifts in closed
form, beside the scores of any ranking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import gammaln, logsumexp

from fmkit.errors import InputError
from fmkit.ranking.pairs import Pairs
from fmkit.ranking.ranking import Ranking

Floats = NDArray[np.float32]
Codes = NDArray[np.integer[Any]]

MOST_COLUMNS, MOST_CELLS = 2000, 1 << 26  # of a context; with the items 256 MB
RANK = 64  # of lifts of more columns
PRIOR = 10.0  # pairs by which a user's history is taken for what everybody has
SHAPES = np.append(np.inf, 2.0 ** np.arange(-2, 13))  # that are tried, of the Gamma prior of lifts
HIDDEN, CELLS = 0.2, 5_000_000  # share of the histories that weights are told by; their rows by items, at most
USERS = 2000  # whose histories are hidden from
ROUNDS = 30  # of Newton's method, which needs some six


@dataclass(frozen=True, eq=False)
class Choices:
    """Pairs by code, and the context of each.

    Parameters
    ----------
    queries, items : ndarrays of shape (n,), integers
    weights : ndarray of shape (n,), float32
    context : csr_array of shape (n, n_columns), float32
        None of them negative.
    """

    queries: Codes
    items: Codes
    weights: Floats
    context: sparse.csr_array

    def select(self, keep: NDArray[np.bool_]) -> Self:
        """Some of them."""
        return type(self)(self.queries[keep], self.items[keep], self.weights[keep], self.context[keep])


@dataclass(frozen=True, eq=False)
class Lifts:
    """Scores that a context adds: <context @ columns, items>.

    Parameters
    ----------
    columns : ndarray of shape (n_columns, r), float32
    items : ndarray of shape (n_items, r), float32
    weights : ndarray of shape (n_groups,), float32
        What a logarithm of a lift counts in the scores, of each group of columns.
    """

    columns: Floats
    items: Floats
    weights: Floats

    @classmethod
    def fit(cls, ranking: Ranking, choices: Choices, groups: NDArray[np.intp], rng: np.random.Generator) -> Self:
        """Lifts, and their weights beside the scores of a ranking.

        Weights are those of a conditional logit: a fifth of the histories of some users is hidden, they are folded in
        by the rest, and weights of score and lifts are the likeliest to have chosen what is hidden.

        Parameters
        ----------
        ranking : Ranking
            Fitted to these pairs.
        choices : Choices
        groups : ndarray of shape (n_columns,), integers
            Which columns tell one thing, 0, 1, ...: they share a prior and a weight.
        rng : Generator
        """
        shape = ranking.pairs.n_queries, ranking.pairs.n_items
        weights = _weights(ranking, choices, groups, rng)
        return cls.of(choices, groups, weights, shape)

    @classmethod
    def of(cls, choices: Choices, groups: NDArray[np.intp], weights: Floats, shape: tuple[int, int]) -> Self:
        """Lifts of pairs of so many queries and items, with known weights."""
        L = log_lifts(choices, groups, shape) * weights[groups][:, None]
        if len(L) <= RANK:
            return cls(np.eye(len(L), dtype=np.float32), np.ascontiguousarray(L.T), weights)
        _, vectors = np.linalg.eigh((L @ L.T).astype(np.float64))
        U = np.ascontiguousarray(vectors[:, -RANK:], np.float32)
        return cls(U, np.ascontiguousarray(L.T @ U), weights)


def log_lifts(choices: Choices, groups: NDArray[np.intp], shape: tuple[int, int]) -> Floats:
    """Logarithms of lifts, of shape (n_columns, n_items).

    A user's history, with `PRIOR` pairs more that are what everybody has, says how often an item is to be expected in
    the contexts that the user is in, if these did not matter. Of both, count and expectation, the part is taken away
    that could not have been otherwise: of users who are in one context only, all but what their prior expects. Counts
    are then Poisson about the expected ones times a lift, and lifts of a group have a Gamma(c, c) prior, c by the
    greatest evidence: a lift is (count + c) / (expected + c). Where none speaks for lifts, all are 1.
    """
    n_columns = choices.context.shape[1]
    if n_columns > MOST_COLUMNS or n_columns * shape[1] > MOST_CELLS:
        most = min(MOST_COLUMNS, MOST_CELLS // shape[1])
        raise InputError(
            f"the context has {n_columns:,} columns, of {shape[1]:,} items at most {most:,} can be told apart: "
            "make its values coarser, such as days of dates, or hours of times"
        )
    n = len(choices.items)
    context = choices.context.multiply(choices.weights[:, None]).tocsr()
    rows = np.arange(n + 1)
    ones = np.ones(n, np.float32)
    of_items = sparse.csr_array((ones, choices.items, rows), shape=(n, shape[1]))
    of_queries = sparse.csr_array((ones, choices.queries, rows), shape=(n, shape[0]))
    count = (context.T @ of_items).toarray().astype(np.float64)
    history = sparse.csr_array((choices.weights, (choices.queries, choices.items)), shape=shape)
    popularity = np.asarray(history.sum(axis=0), np.float64)
    popularity /= max(popularity.sum(), 1e-30)
    share = 1 / (np.asarray(history.sum(axis=1)) + np.float32(PRIOR))
    there = sparse.csr_array((context.T @ of_queries).multiply(share[None, :]))
    expected = (there @ history).toarray().astype(np.float64)
    untold = (there.multiply(there) @ history).toarray()
    expected += PRIOR * np.outer(np.asarray(there.sum(axis=1)), popularity)
    lifts = np.zeros(count.shape, np.float32)
    for group in np.unique(groups):
        own = groups == group
        n, mean = (np.maximum(one[own] - untold[own], 0) for one in (count, expected))
        c = _shape(n, mean)
        if np.isfinite(c):
            lifts[own] = np.log((n + c) / (mean + c))
    return lifts


def _shape(count: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    """Of the Gamma prior under which the counts are likeliest; infinite if they are so without lifts."""
    some = expected > 0
    n, e = count[some], expected[some]

    def evidence(c: float) -> float:
        if c == np.inf:
            return float(-e.sum())
        return float((gammaln(n + c) - gammaln(c) + c * np.log(c) - (n + c) * np.log(e + c)).sum())

    return float(max(SHAPES, key=evidence))


def _weights(ranking: Ranking, choices: Choices, groups: NDArray[np.intp], rng: np.random.Generator) -> Floats:
    """Of the lifts of each group, in units of the ranking's scores."""
    n_groups = int(groups.max(initial=-1)) + 1
    counts = np.bincount(choices.queries, minlength=ranking.pairs.n_queries)
    users = rng.permutation(np.flatnonzero(counts > 1))[:USERS]
    hidden = np.isin(choices.queries, users) & (rng.random(len(choices.items)) < HIDDEN)
    most = max(CELLS // ranking.pairs.n_items, 1)
    asked = rng.permutation(np.flatnonzero(hidden))[:most]
    if not len(asked):
        return np.ones(n_groups, np.float32)
    rest, told = choices.select(~hidden), choices.select(np.isin(np.arange(len(hidden)), asked))
    L = log_lifts(rest, groups, (ranking.pairs.n_queries, ranking.pairs.n_items))
    who, place = np.unique(told.queries, return_inverse=True)
    entries = (rest.weights, (rest.queries, rest.items))
    shape = ranking.pairs.n_queries, ranking.pairs.n_items
    histories = Pairs.of(sparse.csr_array(entries, shape=shape)[who])
    vectors = ranking.new(ranking.queries[who], histories, 1)
    scores = ranking.scores(vectors, histories)
    scores[histories.queries, histories.items] = -np.inf  # which nobody was to choose from
    parts = [np.asarray(told.context[:, groups == group] @ L[groups == group]) for group in range(n_groups)]
    tau, *gamma = _logit(scores[place], parts, told.items)
    spread = float(np.std(scores[np.isfinite(scores)]))
    return np.asarray(np.maximum(gamma, 0) / max(tau, 0.01 / max(spread, 1e-30)), np.float32)


def _logit(scores: Floats, parts: list[Floats], chosen: Codes) -> NDArray[np.float64]:
    """Likeliest weights of scores and of parts, of a choice of one item a row; those of parts are about 1 a priori."""
    n, rows = len(parts) + 1, np.arange(len(chosen))
    possible = np.isfinite(scores[rows, chosen])
    scores, chosen = scores[possible], chosen[possible]
    parts, rows = [part[possible] for part in parts], np.arange(len(chosen))
    open_to = np.isfinite(scores)
    X = [np.where(open_to, scores, 0), *parts]
    prior = np.array([0.0, *np.ones(n - 1)])
    theta = np.array([1 / max(float(scores[open_to].std()), 1e-30), *np.ones(n - 1)])
    for _ in range(ROUNDS):
        logits = np.where(open_to, sum(t * x for t, x in zip(theta, X, strict=True)), -np.inf)
        P = np.exp(logits - logsumexp(logits, axis=1, keepdims=True))
        means = np.array([(P * x).sum(axis=1) for x in X])
        gradient = np.array([(x[rows, chosen] - mean).sum() for x, mean in zip(X, means, strict=True)])
        gradient -= prior * (theta - 1)
        hessian = np.array([[(P * x * z).sum() for z in X] for x in X]) - means @ means.T + np.diag(prior)
        step = np.linalg.lstsq(hessian, gradient)[0]
        theta = theta + step
        if np.abs(step).max() < 1e-4 * max(np.abs(theta).max(), 1):
            break
    return theta
