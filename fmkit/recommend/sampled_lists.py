"""Metrics of relevant items among a few drawn ones: cheap, widely printed, and biased.

Each relevant item is ranked among items drawn at random that its user has not. What comes out is not an estimate of the
metric over all items, and may order models the other way (Krichene and Rendle, "On sampled metrics for item
recommendation", KDD 2020). It is here for comparisons with figures that others have printed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.errors import InputError
from fmkit.ranking.pairs import Pairs

PAIRS_AT_ONCE = 1 << 14
BIASED = (
    "sampled metrics are biased: ranks among {n} drawn items are no estimate of ranks among all, and can order models "
    "the other way (Krichene and Rendle, KDD 2020); without sampled= all items are ranked"
)

Score = Callable[[NDArray[Any], NDArray[Any]], NDArray[np.float32]]


def sampled_ranks(
    score: Score, users: NDArray[Any], relevant: Pairs, having: Pairs, n_drawn: int, random_state: int = 0
) -> NDArray[np.int64]:
    """The rank, from 1, of each relevant item among itself and `n_drawn` items that its user has not.

    Parameters
    ----------
    score : callable
        Scores of pairs of codes, of shape (n,).
    users : ndarray of shape (relevant.n_queries,)
        The code that `score` takes for each query.
    relevant : Pairs
    having : Pairs of the same shape
        What is never drawn: what a query has in training, and its relevant items.
    n_drawn : int
        Drawn with replacement.
    random_state : int

    Returns
    -------
    ranks : ndarray of shape (len(relevant),), int64
        In the order of the pairs. Among equal scores the place is drawn.
    """
    if n_drawn < 1:
        raise InputError(f"sampled must be at least 1 item, got {n_drawn}")
    n_items = relevant.n_items
    full = (np.diff(having.before) >= n_items) & (np.diff(relevant.before) > 0)
    if full.any():
        raise InputError(f"user {users[int(np.argmax(full))]} has every item: none is left to draw")
    rng = np.random.default_rng(random_state)
    taken = having.queries.astype(np.int64) * n_items + having.items  # ascending
    ranks = np.empty(len(relevant), np.int64)
    for start in range(0, len(relevant), PAIRS_AT_ONCE):
        part = slice(start, start + PAIRS_AT_ONCE)
        query = relevant.queries[part]
        drawn = _draw(np.repeat(query, n_drawn), taken, n_items, rng)
        codes = users[query]
        own = score(codes, relevant.items[part])[:, None]
        others = score(np.repeat(codes, n_drawn), drawn).reshape(-1, n_drawn)
        n_alike = (others == own).sum(axis=1)
        ranks[part] = 1 + (others > own).sum(axis=1) + rng.integers(n_alike + 1)
    return ranks


def metrics_of_ranks(ranks: NDArray[np.int64], kinds: list[tuple[str, int]]) -> dict[str, NDArray[np.float64]]:
    """Metrics at k of lists with one relevant item each, at a known place; by "kind@k"."""
    of_kind = {
        "ndcg": 1 / np.log2(1.0 + ranks),
        "recall": np.ones(len(ranks)),
        "capped_recall": np.ones(len(ranks)),
        "hit_rate": np.ones(len(ranks)),
        "map": 1 / ranks,
        "mrr": 1 / ranks,
    }
    return {
        f"{kind}@{k}": np.where(ranks <= k, 1 / k if kind == "precision" else of_kind[kind], 0.0) for kind, k in kinds
    }


def _draw(
    query: NDArray[np.int32], taken: NDArray[np.int64], n_items: int, rng: np.random.Generator
) -> NDArray[np.int32]:
    """An item that is not taken for each query."""
    drawn = rng.integers(n_items, size=len(query), dtype=np.int32)
    open_ = np.arange(len(query))
    while len(open_):
        keys = query[open_].astype(np.int64) * n_items + drawn[open_]
        places = np.minimum(np.searchsorted(taken, keys), len(taken) - 1)
        open_ = open_[taken[places] == keys]
        drawn[open_] = rng.integers(n_items, size=len(open_), dtype=np.int32)
    return drawn
