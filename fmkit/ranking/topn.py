"""Exact top-N lists: maximum inner product search over all items, without a matrix of scores."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.kernels import kernel
from fmkit.linalg import HEIGHT, LANES, rank_update
from fmkit.threads import even_cuts, for_each

TILE = 1024  # items scored at once, at most: HEIGHT x 1024 scores are 32 KB, they stay in the first-level cache
SLAB = 1 << 16  # numbers of the vectors of a tile: 256 KB, they stay in the second-level cache


class Arranged:
    """Vectors in groups, dimension by dimension, as the search reads them: one stretch of memory a group.

    Worth keeping where the same items are searched again and again.

    Parameters
    ----------
    vectors : ndarray of shape (n, n_dimensions), float32
    width : int
        Of a group.
    """

    def __init__(self, vectors: NDArray[np.float32], width: int = LANES) -> None:
        self.n, self.n_dimensions = vectors.shape
        n_groups = -(-self.n // width)
        whole = np.zeros((n_groups * width, self.n_dimensions), np.float32)
        whole[: self.n] = vectors
        by_group = whole.reshape(n_groups, width, self.n_dimensions)
        self.groups = np.ascontiguousarray(by_group.swapaxes(1, 2)).reshape(n_groups * self.n_dimensions, width)


@dataclass(frozen=True, eq=False)
class Doubt:
    """What is taken off a score for what is not known: risk * sqrt(<query's spread, item's spread>).

    Parameters
    ----------
    risk : float
        Standard deviations; negative ones are added.
    queries : ndarray of shape (n_queries, s), float32
    items : ndarray of shape (n_items, s), float32, or Arranged
        Their products are variances; one below 0 counts as 0.
    most : float
        The largest variance that there can be.
    """

    risk: float
    queries: NDArray[np.float32]
    items: NDArray[np.float32] | Arranged
    most: float = np.inf


def top_n(
    queries: NDArray[np.float32],
    items: NDArray[np.float32] | Arranged,
    n: int,
    seen_before: NDArray[np.int64],
    seen: NDArray[np.int32],
    n_threads: int,
    doubt: Doubt | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The n items of largest inner product with each query; of equal ones, those of lower code.

    Scored in registers and selected while the scores are in the cache: 2 to 4 times as fast as `implicit.cpu.topk`
    (benchmarks/bench_topn.py); and unlike BLAS, it gives a pair the same bits whatever it is scored along with.

    Parameters
    ----------
    queries : ndarray of shape (n_queries, n_dimensions), float32
    items : ndarray of shape (n_items, n_dimensions), float32, or Arranged
    n : int
    seen_before : ndarray of shape (n_queries + 1,), int64
        The items left out for query r are seen[seen_before[r]:seen_before[r + 1]].
    seen : ndarray, int32
        Item codes, ascending within a query.
    n_threads : int
        The result is the same for any number.
    doubt : Doubt, optional
        Scores are inner products less this.

    Returns
    -------
    codes : ndarray of shape (n_queries, n), int32
        Best first; -1 where fewer than n items are left.
    scores : ndarray of shape (n_queries, n), float32
        Scores; -inf where there is no item.
    """
    among = _arranged(items)
    n_queries, n_items = len(queries), among.n
    codes = np.full((n_queries, n), -1, np.int32)
    scores = np.full((n_queries, n), -np.inf, np.float32)
    chunk = (n_queries // (4 * n_threads * HEIGHT) + 1) * HEIGHT
    doubt = doubt or Doubt(0.0, np.empty((0, 0), np.float32), np.empty((0, 0), np.float32))
    of_queries, of_items = Arranged(doubt.queries, HEIGHT), _arranged(doubt.items)
    spreads = np.float32(doubt.risk), np.float32(doubt.most), of_queries.groups, of_items.groups, of_items.n_dimensions
    vectors = Arranged(queries, HEIGHT).groups, among.groups, among.n_dimensions
    arguments = (*vectors, *spreads, n_items, seen_before, seen, codes, scores)
    ranges = [(first, min(first + chunk, n_queries), *arguments) for first in range(0, n_queries, chunk)]
    for_each(_select, ranges, n_threads)
    return codes, scores


def top_n_of_scores(
    given: NDArray[np.floating[Any]],
    n: int,
    seen_before: NDArray[np.int64],
    seen: NDArray[np.int32],
    n_threads: int,
) -> NDArray[np.int32]:
    """The codes of `top_n` for scores that exist, of shape (n_queries, n_items), float32 or float64, none NaN."""
    n_queries = len(given)
    codes = np.full((n_queries, n), -1, np.int32)
    scores = np.full((n_queries, n), -np.inf, given.dtype)
    work = given.shape[1] * np.arange(n_queries + 1)
    ranges = [(a, b, given, seen_before, seen, codes, scores) for a, b in even_cuts(work, n_threads)]
    for_each(_select_of_scores, ranges, n_threads)
    return codes


def _arranged(items: NDArray[np.float32] | Arranged) -> Arranged:
    return items if isinstance(items, Arranged) else Arranged(items)


@kernel
def _put(codes: Any, scores: Any, r: int, code: int, score: Any) -> Any:
    """Put an item that beats the last one of list r behind all that are as good; returns the score of the new last."""
    place = codes.shape[1] - 1
    while place > 0 and scores[r, place - 1] < score:
        scores[r, place], codes[r, place] = scores[r, place - 1], codes[r, place - 1]
        place -= 1
    scores[r, place], codes[r, place] = score, code
    return scores[r, codes.shape[1] - 1]


@kernel
def _select(
    first: int,
    last: int,
    queries: Any,
    items: Any,
    n_dimensions: int,
    risk: Any,
    most: Any,
    query_spreads: Any,
    item_spreads: Any,
    n_spreads: int,
    n_items: int,
    seen_before: Any,
    seen: Any,
    codes: Any,
    scores: Any,
) -> None:
    """Fill codes and scores of the queries first:last; `first` is a multiple of HEIGHT.

    Items come in ascending order and replace others only if they are better: this is the rule for ties.
    """
    n = codes.shape[1]
    size = max(min(SLAB // max(n_dimensions + n_spreads, 1), TILE) // LANES, 1) * LANES
    tile, variances = np.empty((HEIGHT, size), np.float32), np.empty((HEIGHT, size), np.float32)
    next_seen = seen_before[first:last].copy()
    for start in range(0, n_items, size):
        width = min(size, n_items - start)
        for top in range(first, last, HEIGHT):
            height, at = min(HEIGHT, last - top), top // HEIGHT
            tile[:] = 0
            for j in range(0, width, LANES):
                group = (start + j) // LANES
                rank_update(
                    tile, 0, j, queries, at * n_dimensions, 0, items, group * n_dimensions, 0, n_dimensions, HEIGHT, 0
                )
            if risk:
                variances[:] = 0
                for j in range(0, width, LANES):
                    group = (start + j) // LANES
                    of_query, of_item = at * n_spreads, group * n_spreads
                    rank_update(
                        variances, 0, j, query_spreads, of_query, 0, item_spreads, of_item, 0, n_spreads, HEIGHT, 0
                    )
                for h in range(height):
                    for j in range(width):
                        tile[h, j] -= risk * np.sqrt(min(max(variances[h, j], np.float32(0)), most))
            for h in range(height):
                r = top + h
                seen_at = next_seen[r - first]
                while seen_at < seen_before[r + 1] and seen[seen_at] < start + width:
                    tile[h, seen[seen_at] - start] = -np.inf
                    seen_at += 1
                next_seen[r - first] = seen_at
                least = scores[r, n - 1]
                for j in range(width):
                    score = tile[h, j]
                    if score > least:
                        least = _put(codes, scores, r, start + j, score)


@kernel
def _select_of_scores(first: int, last: int, given: Any, seen_before: Any, seen: Any, codes: Any, scores: Any) -> None:
    """Fill codes and scores of the queries first:last, by the rule for ties of `_select`."""
    for r in range(first, last):
        next_seen, least = seen_before[r], scores[r, -1]
        for j in range(given.shape[1]):
            if given[r, j] > least:
                while next_seen < seen_before[r + 1] and seen[next_seen] < j:
                    next_seen += 1
                if next_seen == seen_before[r + 1] or seen[next_seen] != j:
                    least = _put(codes, scores, r, j, given[r, j])
