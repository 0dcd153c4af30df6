"""How good ranked lists are: NDCG, recall, precision, MAP, MRR and hit rate at a cutoff, query by query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from fmkit.kernels import kernel
from fmkit.ranking.judge import Gains, Judge, as_pairs
from fmkit.threads import count_threads

DEFAULT = ("ndcg@10", "recall@20")


@dataclass(frozen=True, eq=False)
class RankMetrics:
    """Metrics of ranked lists, query by query.

    The difference of two, `ours - theirs`, pairs the queries: its interval is the one that tells whether one ranking
    is better, and mostly narrower than those of the two means.

    Parameters
    ----------
    per_query : dict of str to ndarray of shape (n_queries,), float64
        By the metric's name. NaN for a query without a relevant item: no list could be right for it, and it is left
        out of means and intervals.

    Examples
    --------
    >>> import numpy as np
    >>> ours = RankMetrics({"mrr@3": np.array([1, 1 / 2, np.nan, 1, 1 / 2])})
    >>> theirs = RankMetrics({"mrr@3": np.array([1 / 2, 1 / 2, np.nan, 1 / 2, 1 / 2])})
    >>> print(ours)
    mrr@3 0.7500 (0.2907 to 1.2093)
    means of 4 queries and their 95% intervals; 1 without a relevant item left out
    >>> (ours - theirs).mean()
    {'mrr@3': 0.25}
    """

    per_query: dict[str, NDArray[np.float64]]

    @property
    def counted(self) -> NDArray[np.bool_]:
        """Which queries have a relevant item, of shape (n_queries,)."""
        return ~np.isnan(next(iter(self.per_query.values())))

    def mean(self) -> dict[str, float]:
        """Mean of each metric over the queries that have a relevant item."""
        return {name: float(values[self.counted].mean()) for name, values in self.per_query.items()}

    def interval(self) -> dict[str, tuple[float, float]]:
        """95% interval of each mean, by Student's t over queries; NaN for a single query."""
        n = int(self.counted.sum())
        if n < 2:
            return dict.fromkeys(self.per_query, (np.nan, np.nan))
        reach = {
            name: float(stdtrit(n - 1, 0.975) * values[self.counted].std(ddof=1) / np.sqrt(n))
            for name, values in self.per_query.items()
        }
        return {name: (mean - reach[name], mean + reach[name]) for name, mean in self.mean().items()}

    def __sub__(self, other: RankMetrics) -> RankMetrics:
        if self.per_query.keys() != other.per_query.keys():
            raise ValueError(f"metrics differ: {', '.join(self.per_query)}, and {', '.join(other.per_query)}")
        if not np.array_equal(self.counted, other.counted):
            raise ValueError("a difference needs metrics of the same queries with the same relevant items")
        return RankMetrics({name: values - other.per_query[name] for name, values in self.per_query.items()})

    def __str__(self) -> str:
        counted, intervals = self.counted, self.interval()
        lines = [
            f"{name} {mean:.4f} ({{:.4f}} to {{:.4f}})".format(*intervals[name]) for name, mean in self.mean().items()
        ]
        told = f"means of {counted.sum():,} queries and their 95% intervals"
        return "\n".join([*lines, f"{told}; {(~counted).sum():,} without a relevant item left out"])


def rank_metrics(
    lists: ArrayLike,
    relevant: Any,
    metrics: str | Sequence[str] = DEFAULT,
    *,
    gains: Gains = "binary",
    n_jobs: int | None = None,
) -> RankMetrics:
    """Metrics of given lists.

    Definitions are those of ranx [1]_. Of a query with R relevant items, h of them among the first k of its list:

    - ``ndcg@k``: sum of gain / log2(1 + place) over the first k places, by the largest sum that any list can have [2]_;
    - ``recall@k``: h / R;
    - ``capped_recall@k``: h / min(k, R), which a list of k items can always bring to 1; not in ranx;
    - ``precision@k``: h / k, also for a list that is shorter;
    - ``map@k``: sum over hits of the precision down to the hit's place, by R;
    - ``mrr@k``: 1 / place of the first hit, 0 if there is none;
    - ``hit_rate@k``: 1 if h > 0, else 0.

    Parameters
    ----------
    lists : array-like of shape (n_queries, n) of integers
        Item codes, best first, none twice; -1 where there is none. What lies below the largest k is not looked at.
    relevant : sparse matrix of shape (n_queries, n_items), or Pairs
        Positive where an item is relevant; other values than 1 count for NDCG alone, and only if `gains` says so.
    metrics : str or sequence of str, default=("ndcg@10", "recall@20")
    gains : {"binary", "linear", "exponential"}, default="binary"
        What a relevant item of value v adds to NDCG: 1, v (ranx's ndcg), or 2^v - 1 (ranx's ndcg_burges, [3]_).
    n_jobs : int, optional
        Threads; by default, or -1, every core. The result is the same for any number.

    Raises
    ------
    TypeError
        If codes are not integers, or `relevant` is neither a sparse matrix nor Pairs.
    ValueError
        If a metric is unknown or needs longer lists, shapes do not fit, a code lies outside of the items or stands
        twice in a list, or no query has a relevant item.

    References
    ----------
    .. [1] Bassani, "ranx: A Blazing-Fast Python Library for Ranking Evaluation and Comparison", ECIR 2022.
    .. [2] Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 20(4), 2002.
    .. [3] Burges et al., "Learning to rank using gradient descent", ICML 2005.

    Examples
    --------
    Two queries: of the first, items 0 and 3 are relevant, of the second item 1.

    >>> from scipy import sparse
    >>> relevant = sparse.csr_array([[1, 0, 0, 1], [0, 1, 0, 0]])
    >>> result = rank_metrics([[2, 0, 3], [1, 3, 0]], relevant, ["recall@2", "mrr@3"])
    >>> result.per_query["recall@2"]
    array([0.5, 1. ])
    >>> result.mean()
    {'recall@2': 0.75, 'mrr@3': 0.75}
    """
    judge = Judge(as_pairs(relevant, "relevant"), metrics, gains, count_threads(n_jobs))
    n_queries = judge.relevant.n_queries
    codes = checked_lists(np.atleast_1d(lists)[..., : judge.deepest], judge.relevant.n_items)
    if len(codes) != n_queries:
        raise ValueError(
            f"lists must be of shape (n_queries, n) with a row for each of {n_queries} queries, got {codes.shape}"
        )
    if codes.shape[1] < judge.deepest:
        asked = judge.names[int(np.argmax(judge.cutoffs))]
        raise ValueError(f"{asked} needs lists of {judge.deepest} items, got {codes.shape[1]}")
    judge.measure(np.arange(n_queries), codes)
    return RankMetrics(judge.per_query())


def checked_lists(lists: ArrayLike, n_items: int) -> NDArray[np.int32]:
    """Lists of shape (n_queries, n), C-contiguous, of item codes and -1 for none; refused if they are no such thing."""
    codes = np.asarray(lists)
    if codes.dtype.kind not in "iu":
        raise TypeError(f"lists must be integer codes of items, got {codes.dtype}")
    if codes.ndim != 2:
        raise ValueError(f"lists must be of shape (n_queries, n), got {codes.shape}")
    outside = (codes < -1) | (codes >= n_items)
    if outside.any():
        row, place = np.argwhere(outside)[0]
        raise ValueError(
            f"lists must hold item codes in 0..{n_items - 1}, or -1 for none; that of query {row} has "
            f"{codes[row, place]}"
        )
    codes = np.ascontiguousarray(codes, np.int32)
    row, item = _twice(codes, n_items)
    if row >= 0:
        raise ValueError(f"an item may stand in a list once, that of query {row} has item {item} twice")
    return codes


@kernel
def _twice(lists: Any, n_items: int) -> tuple[int, int]:
    """A row and the item that stands twice in it; (-1, -1) if there is none."""
    last_row = np.full(n_items, -1, np.int64)
    for r in range(lists.shape[0]):
        for place in range(lists.shape[1]):
            item = lists[r, place]
            if item >= 0:
                if last_row[item] == r:
                    return r, item
                last_row[item] = r
    return -1, -1
