"""Judge: the metrics' definitions, taken from lists block by block."""

import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fmkit.kernels import kernel
from fmkit.ranking.pairs import Pairs
from fmkit.threads import even_cuts, for_each

Gains = Literal["binary", "linear", "exponential"]

METRICS = ("ndcg", "recall", "capped_recall", "precision", "map", "mrr", "hit_rate")
NDCG, RECALL, CAPPED_RECALL, PRECISION, MAP, MRR, HIT_RATE = range(len(METRICS))
LARGEST_EXPONENT = 1000  # sums of 2^1000 are finite in float64


def as_pairs(table: Any, name: str) -> Pairs:
    """Pairs as they are, or those of a sparse matrix."""
    if isinstance(table, Pairs):
        return table
    if not sparse.issparse(table):
        raise TypeError(f"{name} must be a sparse matrix of queries x items, or Pairs; got {type(table).__name__}")
    return Pairs.of(sparse.csr_array(table, copy=True))  # Pairs sort and merge entries in place


class Judge:
    """Metrics of lists that come block by block.

    Parameters
    ----------
    relevant : Pairs
    metrics : str or sequence of str
    gains : {"binary", "linear", "exponential"}
    n_threads : int
    """

    def __init__(self, relevant: Pairs, metrics: str | Sequence[str], gains: Gains, n_threads: int) -> None:
        asked = [parsed(name) for name in dict.fromkeys([metrics] if isinstance(metrics, str) else metrics)]
        if not asked:
            raise ValueError("metrics must name at least one, such as 'ndcg@10'")
        if not len(relevant):
            raise ValueError("no query has a relevant item")
        self.relevant, self.n_threads = relevant, n_threads
        self.names = [f"{METRICS[kind]}@{k}" for kind, k in asked]
        self.kinds, self.cutoffs = np.array(asked).T.copy()
        self.deepest = int(self.cutoffs.max())
        self.gains = _gains(relevant, gains)
        self.discounts = 1 / np.log2(np.arange(2, self.deepest + 2))
        self.values = np.full((relevant.n_queries, len(asked)), np.nan)

    def measure(self, queries: NDArray[np.int64], lists: NDArray[np.int32]) -> None:
        """Take in the lists of some queries, of shape (len(queries), deepest)."""
        work = self.deepest * np.arange(len(queries) + 1)
        table = (self.relevant.before, self.relevant.items, self.gains)
        out = (self.kinds, self.cutoffs, self.discounts, self.values)
        ranges = [(a, b, queries, lists, *table, *out) for a, b in even_cuts(work, self.n_threads)]
        for_each(_measure, ranges, self.n_threads)

    def per_query(self) -> dict[str, NDArray[np.float64]]:
        """Each metric of all queries, NaN where no item is relevant."""
        return {name: self.values[:, m].copy() for m, name in enumerate(self.names)}


def parsed(name: str) -> tuple[int, int]:
    """Kind and cutoff of a metric; a ValueError if there is none of this name."""
    found = re.fullmatch(r"(\w+)@([1-9]\d*)", name)
    if found is None or found[1] not in METRICS:
        raise ValueError(f"unknown metric {name!r}; there are {', '.join(f'{m}@k' for m in METRICS)}, k at least 1")
    return METRICS.index(found[1]), int(found[2])


def _gains(relevant: Pairs, gains: Gains) -> NDArray[np.float64]:
    """What each relevant item adds to NDCG."""
    if gains not in ("binary", "linear", "exponential"):
        raise ValueError(f"gains must be 'binary', 'linear' or 'exponential', got {gains!r}")
    if gains == "binary" or not len(relevant.weights):
        return np.ones(len(relevant))
    values = relevant.weights.astype(np.float64)
    if gains == "linear":
        return values
    if values.max() > LARGEST_EXPONENT:
        raise ValueError(f"exponential gains need values up to {LARGEST_EXPONENT:,}, got {values.max():g}")
    powers: NDArray[np.float64] = np.expm1(np.log(2) * values)  # positive for the smallest value too
    return powers


@kernel
def _measure(
    first: int,
    last: int,
    queries: Any,
    lists: Any,
    before: Any,
    items: Any,
    gains: Any,
    kinds: Any,
    cutoffs: Any,
    discounts: Any,
    values: Any,
) -> None:
    """Fill values[q] of queries q = queries[first:last] with relevant items; lists[r] is that of queries[r]."""
    n = len(discounts)
    found = np.empty(n)  # the gain at each place, 0 where there is no hit
    for r in range(first, last):
        q = queries[r]
        start, end = before[q], before[q + 1]
        if start == end:
            continue
        for place in range(n):
            low, high = start, end
            while low < high:
                middle = (low + high) // 2
                if items[middle] < lists[r, place]:
                    low = middle + 1
                else:
                    high = middle
            found[place] = gains[low] if low < end and items[low] == lists[r, place] else 0.0
        for m in range(len(kinds)):
            values[q, m] = _value(kinds[m], found[: cutoffs[m]], gains[start:end], discounts)


@kernel
def _value(kind: int, found: Any, gains: Any, discounts: Any) -> float:
    """One metric of one list, cut at k = len(found)."""
    k, n_relevant = len(found), len(gains)
    hits, precisions, reciprocal, gained = 0, 0.0, 0.0, 0.0
    for place in range(k):
        if found[place] > 0:
            hits += 1
            precisions += hits / (place + 1)
            gained += found[place] * discounts[place]
            if hits == 1:
                reciprocal = 1 / (place + 1)
    if kind == NDCG:
        best, ideal = np.sort(gains), 0.0
        for place in range(min(k, n_relevant)):
            ideal += best[n_relevant - 1 - place] * discounts[place]
        return gained / ideal
    if kind == RECALL:
        return hits / n_relevant
    if kind == CAPPED_RECALL:
        return hits / min(k, n_relevant)
    if kind == PRECISION:
        return hits / k
    if kind == MAP:
        return precisions / n_relevant
    if kind == MRR:
        return reciprocal
    return 1.0 if hits > 0 else 0.0
