"""WARP and BPR: stochastic steps on an item that a query has and one that it has not.

A visit of a pair (query, item i) draws other items. BPR (Rendle, Freudenthaler, Gantner, Schmidt-Thieme, UAI 2009)
takes the first that is not the query's own, j, for a step on log(1 + exp(s_j - s_i)). WARP (Weston, Bengio, Usunier,
IJCAI 2011) goes on to the first that also breaks the margin, s_j > s_i - 1, for a step on log(rank) (1 - s_i + s_j),
where (n_items - 1) // draws stands for the rank of i. Of an item that ranks well most visits end without a step.

An own item is never stepped on, but counts as a draw. So draws are geometric, their success the share of items that
are both foreign and too near, and n_items over draws estimates the number of these for queries of few items and of
many. And visits end: a query that has nearly all items gives up after `max_trials` draws.

Steps are those of AdaGrad (Duchi, Hazan, Singer, JMLR 2011), with one sum for the mean over a column's factors, as in
`fmkit.solvers.sgd`. Pairs of a query are visited in groups, groups in random order: what belongs to a query is
fetched once a group, and while the group before it is at work.
"""

import time
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fmkit.draws import philox
from fmkit.kernels import kernel
from fmkit.lanes import prefetch, row_product, row_sum, table
from fmkit.linalg import FASTMATH
from fmkit.progress import Progress
from fmkit.ranking.machine import RankingMachine
from fmkit.ranking.pairs import Pairs, is_identity
from fmkit.threads import for_each

GROUP = 8  # pairs of a query visited in a row: at 4 an epoch of 4M takes a quarter longer, at 16 hardly less
START = 1.0  # of AdaGrad's sums: the first steps are not all of one length
BLOCK = 4  # items drawn and scored at once: the words of a block of Philox
DRAWS = 71  # stream of the draws

WEIGHT, SQUARE_WEIGHT, SQUARE_FACTORS = 0, 1, 2  # what stands beside a column's factors

# The rows of a side's features, (before, columns, values), all None for an identity matrix; and its factors and extras.
Side = tuple[Any, Any, Any, NDArray[np.float32], NDArray[np.float32]]


def sampled(
    pairs: Pairs,
    queries: Any,
    items: Any,
    machine: RankingMachine,
    *,
    loss: Literal["warp", "bpr"],
    learning_rate: float,
    reg: float,
    max_trials: int,
    popularity: float,
    random_state: np.random.Generator,
    n_threads: int,
) -> Iterator[Progress[RankingMachine]]:
    """Epochs over the pairs, for as long as the caller asks for more.

    Parameters
    ----------
    pairs : Pairs
        What queries have. The weight of a pair scales its loss.
    queries, items : sparse matrix of shape (n_queries, n_query_features), (n_items, n_item_features)
        Rows of the two sides. Identity matrices are recognised.
    machine : RankingMachine
        The start, fitted in place. If its factors are all zero only item weights move.
    loss : {"warp", "bpr"}
    learning_rate : float
        AdaGrad's. Its sums start at 1: about the length of a step along a slope of 1.
    reg : float
        A step also goes along the slope of reg / 2 times the squares of all that it moves.
    max_trials : int
        Draws at most in a visit. WARP takes an item for well ranked after as many; BPR gives up one whose draws were
        all the query's own.
    popularity : float
        Items are drawn with a probability that goes as their number of pairs to this power; at 0, all alike. One that
        nobody has is never drawn: it was offered to nobody, and would learn from its own id that nobody wants it.
        WARP's ranks count items by how often they are drawn.
    random_state : Generator
        Draws the orders, and the key of the draws.
    n_threads : int
        With one thread the result is deterministic. More share the machine without locks (Hogwild; Niu, Recht, Re,
        Wright 2011).

    Yields
    ------
    Progress
        One an epoch. Its loss is the mean of log(rank) times the hinge, or of the log loss, as met on the way.
    """
    if queries.shape != (pairs.n_queries, len(machine.query_factors)):
        raise ValueError(f"queries have shape {queries.shape}, not {(pairs.n_queries, len(machine.query_factors))}")
    if items.shape != (pairs.n_items, len(machine.item_factors)):
        raise ValueError(f"items have shape {items.shape}, not {(pairs.n_items, len(machine.item_factors))}")
    start = time.perf_counter()
    k = machine.n_factors
    query_side: Side = (*_rows(queries), table(len(machine.query_factors), k), _extras(len(machine.query_factors)))
    item_side: Side = (*_rows(items), table(len(machine.item_factors), k), _extras(len(machine.item_factors)))
    V, Z, w = query_side[3][:, :k], item_side[3][:, :k], item_side[4][:, WEIGHT]
    V[:], Z[:], w[:] = machine.query_factors, machine.item_factors, machine.item_linear
    absent, alone = _columns_of_absent(pairs, items)
    Z[absent] = 0
    n_drawn = len(np.unique(pairs.items))
    log_rank = np.log(np.maximum((n_drawn - 1) // np.maximum(np.arange(max_trials + 1), 1), 1)).astype(np.float32)
    data = (pairs.before, pairs.items, pairs.weights, query_side, item_side, *_alias(pairs, popularity))
    settings = (k, loss == "warp", log_rank, np.array([learning_rate, reg], np.float32))
    key = np.uint64(random_state.integers(2**64, dtype=np.uint64))
    total = float(pairs.weights.sum()) if len(pairs.weights) else float(len(pairs))
    rows, first = _groups(pairs)
    epoch = 0
    while True:
        orders = np.array_split(random_state.permutation(len(rows)), n_threads)
        parts = [(rows[order], first[order], *data, *settings, key, epoch, GROUP) for order in orders]
        met = sum(for_each(visit_groups, parts, n_threads))
        machine.query_factors[:], machine.item_factors[:], machine.item_linear[:] = V, Z, w
        machine.item_linear[absent] = w[alone].min(initial=0)
        epoch += 1
        yield Progress(epoch, met / max(total, 1e-30), time.perf_counter() - start, machine)


def _columns_of_absent(pairs: Pairs, items: Any) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Columns of items alone that nobody has, which weigh what the least of the others' ids does; and these ids."""
    table = sparse.csr_array(items)
    uses = np.bincount(table.indices, minlength=table.shape[1])
    touched = np.bincount(table[np.unique(pairs.items)].indices, minlength=table.shape[1]) > 0
    return ~touched, touched & (uses == 1)


def _rows(matrix: Any) -> tuple[Any, Any, Any]:
    """A sparse matrix by rows, columns ascending; (None, None, None) for an identity matrix."""
    matrix = sparse.csr_array(matrix, dtype=np.float32, copy=True)
    matrix.sum_duplicates()
    if is_identity(matrix):
        return None, None, None
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data


def _extras(n: int) -> NDArray[np.float32]:
    """Weights and AdaGrad's sums of n columns."""
    extras = np.zeros((n, 4), np.float32)
    extras[:, [SQUARE_WEIGHT, SQUARE_FACTORS]] = START
    return extras


def _groups(pairs: Pairs) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The query of each group, and the group's first pair. Its others follow in strides over all the query has."""
    count = -(-np.diff(pairs.before) // GROUP)
    rows = np.repeat(np.arange(pairs.n_queries, dtype=np.int32), count)
    return rows, np.arange(len(rows)) - (np.cumsum(count) - count)[rows] + pairs.before[rows]


def _alias(pairs: Pairs, power: float) -> tuple[NDArray[np.uint32], NDArray[np.int32]]:
    """Tables for draws by popularity, of items that somebody has; empty if all items are alike."""
    count = np.bincount(pairs.items, minlength=pairs.n_items).astype(np.float64)
    if not len(pairs) or (power == 0 and (count > 0).all()):
        return np.empty(0, np.uint32), np.empty(0, np.int32)
    share = np.where(count > 0, np.maximum(count, 1.0) ** power, 0)
    cut, other = _alias_tables(share * (pairs.n_items / share.sum()))
    return cut, other


@kernel
def _alias_tables(share: Any) -> Any:
    """Walker's alias method, in Vose's order (IEEE Transactions on Software Engineering 17, 1991).

    Parameters
    ----------
    share : float64 array of shape (n,)
        Probabilities times n; overwritten.

    Returns
    -------
    cut : uint32 array of shape (n,)
        A draw of entry j with a further uniform word above cut[j] is one of other[j].
    other : int32 array of shape (n,)
    """
    n = len(share)
    cut, other = np.full(n, np.uint32(0xFFFFFFFF)), np.arange(n).astype(np.int32)
    stack = np.empty(n, np.int64)  # those of share < 1 from the left, the others from the right
    small, large = 0, n
    for j in range(n):
        if share[j] < 1:
            stack[small] = j
            small += 1
        else:
            large -= 1
            stack[large] = j
    while small > 0 and large < n:
        small -= 1
        a, b = stack[small], stack[large]
        cut[a], other[a] = np.uint32(share[a] * 4294967295.0), b
        share[b] -= 1 - share[a]
        if share[b] < 1:
            large += 1
            stack[small] = b
            small += 1
    return cut, other


@kernel
def _span(before: Any, row: int) -> Any:
    """Where the entries of a row begin and end."""
    if before is None:
        return np.int64(row), np.int64(row + 1)
    return before[row], before[row + 1]


@kernel
def _entry(columns: Any, values: Any, e: int) -> Any:
    """Column and value of an entry."""
    if columns is None:
        return np.int64(e), np.float32(1)
    return np.int64(columns[e]), values[e]


@kernel
def _count(before: Any, P: Any) -> int:
    """Rows of a side."""
    if before is None:
        return len(P)
    return len(before) - 1


@kernel
def _prefetch_row(before: Any, P: Any, row: int) -> None:
    """Ask for the factors of a row that is its own column, or for where its entries are."""
    if before is None:
        prefetch(P, row * P.shape[1])
    else:
        prefetch(before, row)


@kernel
def _has(own: Any, low: int, high: int, item: int) -> bool:
    """Whether own[low:high], ascending and not empty, holds the item."""
    n = high - low
    while n > 1:
        half = n >> 1
        low = low + half if own[low + half] <= item else low
        n -= half
    return bool(own[low] == item)


@kernel(fastmath=FASTMATH)
def _add_row(side: Any, row: int, sign: float, out: Any) -> None:
    """out[0] += sign times the vector of a row."""
    before, columns, values, P, _ = side
    e, stop = _span(before, row)
    while e < stop:
        c, x = _entry(columns, values, e)
        row_sum(out, 0, np.float32(1), P, c, sign * x)
        e += 1


@kernel(fastmath=FASTMATH)
def _score(items: Any, q: Any, row: int) -> Any:
    """Of an item for the query of vector q[0]."""
    before, columns, values, P, extras = items
    score = np.float32(0)
    e, stop = _span(before, row)
    while e < stop:
        c, x = _entry(columns, values, e)
        score += x * (row_product(q, 0, P, c) + extras[c, WEIGHT])
        e += 1
    return score


@kernel(fastmath=FASTMATH)
def _step(P: Any, extras: Any, c: int, slope: float, direction: Any, norm: float, k: int, rates: Any) -> None:
    """Factors of column c against slope * direction[0] + reg * P[c]; `norm` is <direction[0], direction[0]>."""
    rate, reg = rates[0], rates[1]
    square = slope * slope * norm
    if reg != 0:
        square += reg * (np.float32(2) * slope * row_product(direction, 0, P, c) + reg * row_product(P, c, P, c))
    extras[c, SQUARE_FACTORS] += square / np.float32(max(k, 1))
    pace = rate / np.sqrt(extras[c, SQUARE_FACTORS])
    row_sum(P, c, np.float32(1) - pace * reg, direction, 0, -pace * slope)


@kernel(fastmath=FASTMATH)
def _step_query(queries: Any, row: int, slope: float, apart: Any, k: int, rates: Any) -> None:
    """The query's columns, along the item to be lower less the one to be higher."""
    before, columns, values, P, extras = queries
    norm = row_product(apart, 0, apart, 0)
    e, stop = _span(before, row)
    while e < stop:
        c, x = _entry(columns, values, e)
        _step(P, extras, c, slope * x, apart, norm, k, rates)
        e += 1


@kernel(fastmath=FASTMATH)
def _step_items(items: Any, higher: int, lower: int, slope: float, q: Any, k: int, rates: Any) -> None:
    """The columns of both items; one that both have in equal parts orders nothing and stays."""
    before, columns, values, P, extras = items
    norm = row_product(q, 0, q, 0)
    e, stop_e = _span(before, higher)
    f, stop_f = _span(before, lower)
    while e < stop_e or f < stop_f:
        left = right = np.int64(len(P))
        x = y = np.float32(0)
        if e < stop_e:
            left, x = _entry(columns, values, e)
        if f < stop_f:
            right, y = _entry(columns, values, f)
        c, along = min(left, right), np.float32(0)
        if left == c:
            along -= slope * x
            e += 1
        if right == c:
            along += slope * y
            f += 1
        if along != 0:
            _step(P, extras, c, along, q, norm, k, rates)
            d = along + rates[1] * extras[c, WEIGHT]
            extras[c, SQUARE_WEIGHT] += d * d
            extras[c, WEIGHT] -= rates[0] * d / np.sqrt(extras[c, SQUARE_WEIGHT])


@kernel(fastmath=FASTMATH)
def visit_groups(
    rows: Any,
    first: Any,
    before: Any,
    own: Any,
    weights: Any,
    queries: Any,
    items: Any,
    cut: Any,
    other: Any,
    k: int,
    warp: bool,
    log_rank: Any,
    rates: Any,
    key: Any,
    epoch: int,
    group: int,
) -> float:
    """A visit of each pair of some groups; returns the sum of their losses as they were met.

    Parameters
    ----------
    rows, first : int32, int64 arrays of shape (n_groups,)
        Query and first pair of each group.
    before, own, weights : int64, int32, float32 arrays
        Those of Pairs.
    queries, items : Side
    cut, other : uint32, int32 arrays
        Tables of `_alias`.
    k : int
    warp : bool
    log_rank : float32 array of shape (max_trials + 1,)
        WARP's factor of a loss by the draws that it took.
    rates : float32 array of shape (2,)
        Learning rate and penalty.
    key : uint64
    epoch, group : int
        The draws of pair p are those of (index p, sweep `epoch`).
    """
    n_items, max_trials = _count(items[0], items[3]), len(log_rank) - 1
    width = queries[3].shape[1]
    q, apart = np.zeros((1, width), np.float32), np.zeros((1, width), np.float32)
    drawn, scores = np.empty(BLOCK, np.int64), np.empty(BLOCK, np.float32)
    met = 0.0
    for g in range(len(rows)):
        row = rows[g]
        low, high = before[row], before[row + 1]
        if high - low == n_items:
            continue
        q[0, :] = 0
        _add_row(queries, row, np.float32(1), q)
        if g + 1 < len(rows):
            prefetch(own, before[rows[g + 1]])
            prefetch(own, first[g + 1])
            _prefetch_row(queries[0], queries[3], rows[g + 1])
        for p in range(first[g], high, -(-(high - low) // group)):
            item = np.int64(own[p])
            score = _score(items, q, item)
            bar = score - np.float32(1) if warp else np.float32(-np.inf)
            found, gap, trial = np.int64(-1), np.float32(0), 0
            while found < 0 and trial < max_trials:
                words = philox(key, p, trial // BLOCK, epoch, DRAWS)
                for t in range(BLOCK):
                    place = np.uint64(words[t]) * np.uint64(n_items)
                    drawn[t] = place >> np.uint64(32)
                    if len(cut) > 0 and np.uint32(place) > cut[drawn[t]]:
                        drawn[t] = other[drawn[t]]
                    scores[t] = _score(items, q, drawn[t])
                for t in range(min(BLOCK, max_trials - trial)):
                    trial += 1
                    if scores[t] > bar and not _has(own, low, high, drawn[t]):
                        found, gap = drawn[t], scores[t] - score
                        break
            if found < 0:
                continue
            slope = weights[p] if len(weights) > 0 else np.float32(1)
            if warp:
                slope *= log_rank[trial]
                met += slope * (np.float32(1) + gap)
            else:
                less = np.exp(-abs(gap))
                met += slope * (np.log1p(less) + max(gap, np.float32(0)))
                slope *= (np.float32(1) if gap > 0 else less) / (np.float32(1) + less)
            apart[0, :] = 0
            _add_row(items, found, np.float32(1), apart)
            _add_row(items, item, np.float32(-1), apart)
            _step_items(items, item, found, slope, q, k, rates)
            _step_query(queries, row, slope, apart, k, rates)
            q[0, :] = 0
            _add_row(queries, row, np.float32(1), q)
    return met
