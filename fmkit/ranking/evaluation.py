"""How good a model ranks: the metrics of exact full rankings, by vectors or by any scorer, block by block."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fmkit.ranking.judge import Gains, Judge, as_pairs
from fmkit.ranking.metrics import DEFAULT, RankMetrics
from fmkit.ranking.pairs import Pairs
from fmkit.ranking.topn import top_n, top_n_of_scores
from fmkit.threads import count_threads

NUMBERS_AT_ONCE = 1 << 22  # of a block: of scores, of vectors or of lists; 16 MB in float32

Lists = Callable[[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]], NDArray[np.int32]]


def evaluate(
    query_vectors: ArrayLike,
    item_vectors: ArrayLike,
    relevant: Any,
    *,
    exclude: Any = None,
    metrics: str | Sequence[str] = DEFAULT,
    gains: Gains = "binary",
    n_jobs: int | None = None,
) -> RankMetrics:
    """Metrics of the rankings of all items by inner product, exact.

    No matrix of scores is made. Of equal scores the item of lower code comes first. Only queries with a relevant item
    are ranked.

    Parameters
    ----------
    query_vectors : array-like of shape (n_queries, n_dimensions)
        Taken as float32.
    item_vectors : array-like of shape (n_items, n_dimensions)
    relevant : sparse matrix of shape (n_queries, n_items), or Pairs
        Positive where an item is relevant; see `rank_metrics`. To leave further queries out of the means, empty their
        rows.
    exclude : sparse matrix of shape (n_queries, n_items), or Pairs, optional
        Items left out of a query's ranking: those of training. Refused if one is relevant too, since then no list
        could be right.
    metrics : str or sequence of str, default=("ndcg@10", "recall@20")
        As defined in `rank_metrics`. If fewer than k items are left to rank, a list is shorter.
    gains : {"binary", "linear", "exponential"}, default="binary"
        Of NDCG; see `rank_metrics`.
    n_jobs : int, optional
        Threads; by default, or -1, every core. The result is the same for any number.

    Raises
    ------
    TypeError
        If `relevant` or `exclude` is neither a sparse matrix nor Pairs.
    ValueError
        If a metric is unknown, shapes do not fit, vectors are not finite, a pair is both relevant and excluded, or no
        query has a relevant item.

    Examples
    --------
    The query's items by score are 2, 0, 1; it had 2 before.

    >>> from scipy import sparse
    >>> relevant, before = sparse.csr_array([[0, 1, 0]]), sparse.csr_array([[0, 0, 1]])
    >>> evaluate([[1, 2]], [[1, 1], [2, 0], [2, 2]], relevant, exclude=before, metrics="mrr@3").mean()
    {'mrr@3': 0.5}
    """
    vectors, items = (
        _checked_vectors(given, name)
        for given, name in ((query_vectors, "query_vectors"), (item_vectors, "item_vectors"))
    )
    if vectors.shape[1] != items.shape[1]:
        raise ValueError(f"query and item vectors must be of one length, got {vectors.shape[1]} and {items.shape[1]}")
    table = _fitting(relevant, "relevant", len(vectors), len(items))
    judge = Judge(table, metrics, gains, count_threads(n_jobs))

    def lists(
        queries: NDArray[np.int64], excluded_before: NDArray[np.int64], excluded: NDArray[np.int32]
    ) -> NDArray[np.int32]:
        return top_n(vectors[queries], items, judge.deepest, excluded_before, excluded, judge.n_threads)[0]

    block = NUMBERS_AT_ONCE // max(judge.deepest, vectors.shape[1]) + 1
    return _by_blocks(judge, lists, exclude, block)


def evaluate_scores(
    score: Callable[[NDArray[np.int64]], ArrayLike],
    relevant: Any,
    *,
    exclude: Any = None,
    metrics: str | Sequence[str] = DEFAULT,
    gains: Gains = "binary",
    n_jobs: int | None = None,
    block: int | None = None,
) -> RankMetrics:
    """Metrics of the rankings of all items by scores that a function gives, for models that are no inner product.

    Of equal scores the item of lower code comes first.

    Parameters
    ----------
    score : callable
        ``score(queries)`` gives scores of shape (len(queries), n_items) for an array of query codes, ascending. Called
        from one thread, and only for queries with a relevant item. An item whose score is -inf is not listed. What
        it returns is not changed.
    relevant, exclude, metrics, gains, n_jobs
        As in `evaluate`.
    block : int, optional
        Queries a call of `score`; by default as many as have about 4 million scores.

    Raises
    ------
    TypeError
        If `relevant` or `exclude` is neither a sparse matrix nor Pairs.
    ValueError
        As in `evaluate`; or if scores have another shape or hold NaN.

    Examples
    --------
    Everyone is told what is popular.

    >>> import numpy as np
    >>> from scipy import sparse
    >>> before = sparse.csr_array([[0, 1, 0, 0], [0, 1, 1, 0], [1, 1, 0, 0]])
    >>> after = sparse.csr_array([[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]])
    >>> popularity = before.sum(axis=0)
    >>> result = evaluate_scores(
    ...     lambda queries: np.tile(popularity, (len(queries), 1)), after, exclude=before, metrics=["mrr@4"]
    ... )
    >>> result.per_query["mrr@4"]
    array([1. , 0.5, nan])
    """
    if block is not None and block < 1:
        raise ValueError(f"block must be at least 1 query, got {block}")
    judge = Judge(as_pairs(relevant, "relevant"), metrics, gains, count_threads(n_jobs))
    n_items = judge.relevant.n_items

    def lists(
        queries: NDArray[np.int64], excluded_before: NDArray[np.int64], excluded: NDArray[np.int32]
    ) -> NDArray[np.int32]:
        scores = np.asarray(score(queries))
        if scores.shape != (len(queries), n_items):
            raise ValueError(
                f"score must return an array of {len(queries)} queries x {n_items} items, got {scores.shape}"
            )
        if scores.dtype not in (np.float32, np.float64):
            scores = scores.astype(np.float64)
        if np.isnan(scores.min()):
            row, item = np.argwhere(np.isnan(scores))[0]
            raise ValueError(f"scores must be numbers, that of query {queries[row]} and item {item} is NaN")
        return top_n_of_scores(np.ascontiguousarray(scores), judge.deepest, excluded_before, excluded, judge.n_threads)

    return _by_blocks(judge, lists, exclude, NUMBERS_AT_ONCE // n_items + 1 if block is None else block)


def _by_blocks(judge: Judge, lists: Lists, exclude: Any, block: int) -> RankMetrics:
    """Judge the lists of all queries that have relevant items, `block` at a time."""
    relevant = judge.relevant
    excluded = None
    if exclude is not None:
        excluded = _fitting(exclude, "exclude", relevant.n_queries, relevant.n_items)
        _check_apart(relevant, excluded)
    asked = np.flatnonzero(np.diff(relevant.before))
    for start in range(0, len(asked), block):
        queries = asked[start : start + block]
        if excluded is None:
            before, items = np.zeros(len(queries) + 1, np.int64), np.empty(0, np.int32)
        else:
            rows = excluded.csr[queries]
            before, items = rows.indptr.astype(np.int64), rows.indices.astype(np.int32)
        judge.measure(queries, lists(queries, before, items))
    return RankMetrics(judge.per_query())


def _checked_vectors(given: ArrayLike, name: str) -> NDArray[np.float32]:
    vectors = np.asarray(given, np.float32)
    if vectors.ndim != 2:
        raise ValueError(f"{name} must be of shape (n, n_dimensions), got {vectors.shape}")
    if not np.isfinite(vectors).all():
        raise ValueError(f"{name} must be finite, row {np.argwhere(~np.isfinite(vectors))[0, 0]} is not")
    return vectors


def _fitting(table: Any, name: str, n_queries: int, n_items: int) -> Pairs:
    pairs = as_pairs(table, name)
    if (pairs.n_queries, pairs.n_items) != (n_queries, n_items):
        raise ValueError(
            f"{name} must be of {n_queries} queries x {n_items} items, got {pairs.n_queries} x {pairs.n_items}"
        )
    return pairs


def _check_apart(relevant: Pairs, excluded: Pairs) -> None:
    both = relevant.csr.multiply(excluded.csr).tocoo()
    if both.nnz:
        raise ValueError(
            f"{both.nnz:,} pairs are both relevant and excluded, query {both.row[0]} with item {both.col[0]} the first"
        )
