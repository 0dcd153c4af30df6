"""SGD on two one-hot fields, users and items say, in cells of a grid that fit the cache: what LIBMF does.

`fmkit.solvers.sgd` comes here by itself where every row has one column of each of two fields, both without values. The
objective and the AdaGrad steps are the same, the order is another (Zhuang, Chin, Juan, Lin, "A fast parallel SGD for
matrix factorization in shared memory systems", RecSys 2013): users and items are dealt out to n blocks each, and the
rows are sorted once into the n x n cells of the grid. An epoch has n rounds, in each of which every block of users
meets one block of items: cells of a round share no column, so threads work on them at once, and as the rounds do not
depend on the number of threads, neither does the result, to the last bit.

Inside a cell rows follow each other by bundles of `BUNDLE` users, at random in each. One user after the other would
make each visit wait for the last one, whose result it reads. At random through the cell, the users' rows come from
further away. Over 9M ratings of 70,000 users, k = 8, an epoch took .36 s of one core by single users, .27 by bundles,
.34 to .43 at random; after five epochs test errors differed by .0015, and no order was always the best.

The bias is every row's, so it stands still during a round. Then it moves by the sum of the round's slopes over the
curvature and weight of all rows: one Newton step an epoch, added up in a fixed order. Had it taken AdaGrad steps row
by row, every visit would wait for the last one's, and threads for each other.

What bounds it (k = 8, 30 ns a visit on a core of Zen 3): not arithmetic, some 170 flops a visit or 6 Gflop/s, nor
memory, 12 bytes a rating and the users' rows once for every block of items, 1 GB/s where a triad has 5 to 20, but the
latency of what leads from a row's factors over the product, the slope and the root back to them.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.design import Design
from fmkit.draws import philox
from fmkit.fields import Field
from fmkit.kernels import kernel
from fmkit.lanes import HALF, row_products, table
from fmkit.machine import FactorizationMachine
from fmkit.progress import Progress
from fmkit.solvers.objective import Objective
from fmkit.solvers.pair_step import SHARE_V, SHARE_W, STEP_MATH, WEIGHT, step_pair
from fmkit.solvers.penalties import column_shares
from fmkit.threads import for_each

CACHE = 1 << 20  # bytes that a block of users and a block of items have together, at most
ROOM_FOR_THREADS = 16  # blocks at least, where cells are not too small for it
BUNDLE = 8  # users


@dataclass(frozen=True)
class Grid:
    """The rows of an objective, sorted into the cells of n_blocks x n_blocks.

    Parameters
    ----------
    n_blocks : int
    place : ndarray of shape (n_features,), int64
        Row of the table where each column stands, the columns of a block side by side.
    n_places : int
        Rows of the table.
    starts : ndarray of shape (n_blocks**2 + 1,), int64
        Where the rows of each cell begin; cell c is of block c // n_blocks of the first field.
    left, right : ndarrays of shape (n_rows,), uint32
        Row of the table of each row's column, of the first and the second field.
    targets, weights : ndarrays of shape (n_rows,), float32
        `weights` of shape (0,) if all are 1.
    """

    n_blocks: int
    place: NDArray[np.int64]
    n_places: int
    starts: NDArray[np.int64]
    left: NDArray[np.uint32]
    right: NDArray[np.uint32]
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]


def has_one_of_each(design: Design) -> bool:
    """Whether a design is two one-hot fields and no more: one column of each in every row, without values."""
    whole = all(field.rows is None and field.values is None for field in design.fields)
    return whole and len(design.fields) == 2 and not design.blocks


def sgd_grid(
    objective: Objective,
    machine: FactorizationMachine,
    *,
    learning_rate: float,
    spread: float,
    random_state: np.random.Generator,
    n_threads: int,
    n_blocks: int | None = None,
) -> Iterator[Progress[FactorizationMachine]]:
    """Epochs over the cells, round by round, for as long as the caller asks for more.

    Parameters
    ----------
    objective : Objective
        Of a design that `has_one_of_each`.
    machine, learning_rate, spread, random_state
        As for `fmkit.solvers.sgd.sgd`.
    n_threads : int
        The result is the same for any number.
    n_blocks : int, optional
        Blocks of each field; by default as many as let a pair of them fit the cache, and threads find work.

    Yields
    ------
    Progress
        One an epoch.
    """
    start = time.perf_counter()
    k, lanes = machine.n_factors, _lanes(machine.n_factors)
    cells = sort_into_cells(objective, n_blocks or _count_blocks(objective.design, lanes), random_state, n_threads)
    P = table(cells.n_places, lanes + 5)
    P[cells.place, :k], P[cells.place, lanes + WEIGHT] = machine.factors, machine.linear
    shares = column_shares(objective.penalties, objective.design, objective.weights)
    P[cells.place, lanes + SHARE_W], P[cells.place, lanes + SHARE_V] = shares
    rates = np.array([learning_rate * spread, learning_rate * np.sqrt(spread)], np.float32)
    total_weight, curvature = objective.total_weight, 0.25 if objective.logistic else 1.0
    told = np.zeros((cells.n_blocks**2, 2))
    rows = (cells.starts, cells.left, cells.right, cells.targets, cells.weights)
    bias, epoch = np.float32(machine.bias), 0
    while True:
        for round_ in draw_rounds(cells.n_blocks, random_state):
            parts = np.array_split(round_, min(n_threads, cells.n_blocks))
            state = (bias, P, k, rates, objective.logistic, told)
            for_each(visit_cells, [(part, *rows, *state) for part in parts], n_threads)
            bias -= np.float32(told[round_, 1].sum() / (curvature * total_weight))
        machine.factors[:], machine.linear[:] = P[cells.place, :k], P[cells.place, lanes + WEIGHT]
        machine.bias = float(bias)
        epoch += 1
        yield Progress(epoch, told[:, 0].sum() / total_weight, time.perf_counter() - start, machine)


def draw_rounds(n_blocks: int, random_state: np.random.Generator) -> NDArray[np.int64]:
    """The cells of each round of an epoch, shape (n_blocks, n_blocks): the diagonals of a shuffled grid."""
    left, right = random_state.permutation(n_blocks), random_state.permutation(n_blocks)
    turn = np.arange(n_blocks)
    return np.asarray(left * n_blocks + right[(turn[:, None] + turn) % n_blocks])


def sort_into_cells(objective: Objective, n_blocks: int, random_state: np.random.Generator, n_threads: int) -> Grid:
    """The grid of an objective, its columns dealt out and its rows in the order of visits."""
    first, second = objective.design.fields
    at_first, size = _deal(first, n_blocks, random_state)
    at_second, size_second = _deal(second, n_blocks, random_state)
    place = np.empty(objective.design.n_features, np.int64)
    place[first.columns], place[second.columns] = at_first, n_blocks * size + at_second
    omega = np.empty(0, np.float32) if objective.weights is None else objective.weights
    cell_of_first, cell_of_second = at_first // size * n_blocks, at_second // size_second
    left, right = np.empty((2, len(objective.y)), np.uint32)
    targets, weights = np.empty_like(objective.y), np.empty_like(omega)
    to = (left, right, targets, weights)
    of = (place[first.columns], cell_of_first, first.codes, place[second.columns], cell_of_second, second.codes)
    starts = _distribute(n_blocks, *of, objective.y, omega, *to)
    key = np.uint64(random_state.integers(1 << 63))
    parts = np.array_split(np.arange(n_blocks**2), min(n_threads, n_blocks**2))
    for_each(_mix, [(part, starts, n_blocks, size, key, *to) for part in parts], n_threads)
    return Grid(n_blocks, place, n_blocks * (size + size_second), starts, *to)


def _lanes(k: int) -> int:
    """Columns of the table that hold k factors."""
    return -(-k // HALF) * HALF


def _count_blocks(design: Design, lanes: int) -> int:
    """So many that pairs of blocks fit the cache, but no cell is smaller than what it takes to call for it."""
    for_cache = -(-4 * design.n_features * (lanes + 5) // CACHE)
    for_threads = min(ROOM_FOR_THREADS, math.isqrt(design.n_rows // 4096))
    return max(1, for_threads, min(for_cache, math.isqrt(design.n_rows // 1024)))


def _deal(field: Field, n_blocks: int, random_state: np.random.Generator) -> tuple[NDArray[np.int64], int]:
    """Place of each level, block by block, and the size of a block: the levels of most rows first, to and fro.

    So blocks have about equally many rows, and neighbours in a bundle, too.
    """
    n_levels = len(field.columns)
    order = random_state.permutation(n_levels)
    order = order[np.argsort(-np.bincount(field.codes, minlength=n_levels)[order], kind="stable")]
    lap, turn = np.divmod(np.arange(n_levels), n_blocks)
    size = max(1, -(-n_levels // n_blocks))
    place = np.empty(n_levels, np.int64)
    place[order] = np.where(lap % 2 == 0, turn, n_blocks - 1 - turn) * size + lap
    return place, size


@kernel
def _distribute(
    n_blocks: int,
    place_u: Any,
    cell_u: Any,
    u: Any,
    place_v: Any,
    cell_v: Any,
    v: Any,
    y: Any,
    omega: Any,
    left: Any,
    right: Any,
    targets: Any,
    weights: Any,
) -> Any:
    """Write each row behind the others of its cell, and return where cells begin; u and v are the codes."""
    starts = np.zeros(n_blocks * n_blocks + 1, np.int64)
    for r in range(len(u)):
        starts[cell_u[u[r]] + cell_v[v[r]] + 1] += 1
    starts = np.cumsum(starts)
    ends = starts.copy()
    for r in range(len(u)):
        c = cell_u[u[r]] + cell_v[v[r]]
        left[ends[c]], right[ends[c]], targets[ends[c]] = place_u[u[r]], place_v[v[r]], y[r]
        if len(omega):
            weights[ends[c]] = omega[r]
        ends[c] += 1
    return starts


@kernel
def _mix(
    cells: Any, starts: Any, n_blocks: int, size: int, key: Any, left: Any, right: Any, targets: Any, weights: Any
) -> None:
    """Order the rows of each cell by bundles of `size` users in its block, at random in each bundle."""
    zero, n_bundles = np.uint32(0), -(-size // BUNDLE)
    for c in cells:
        first, count = starts[c], starts[c + 1] - starts[c]
        random = np.arange(count)
        for e in range(count - 1, 0, -1):
            word = np.uint64(philox(key, np.uint32(c), np.uint32(e), zero, zero)[0])
            other = np.int64((word * np.uint64(e + 1)) >> np.uint64(32))
            random[e], random[other] = random[other], random[e]
        bundle = (left[first : first + count].astype(np.int64) - c // n_blocks * size) // BUNDLE
        ends = np.zeros(n_bundles + 1, np.int64)
        for b in bundle:
            ends[b + 1] += 1
        ends = np.cumsum(ends)
        order = np.empty(count, np.int64)
        for e in random:
            order[ends[bundle[e]]] = first + e
            ends[bundle[e]] += 1
        left[first : first + count], right[first : first + count] = left[order], right[order]
        targets[first : first + count] = targets[order]
        if len(weights):
            weights[first : first + count] = weights[order]


@kernel(fastmath=STEP_MATH)
def visit_cells(
    cells: Any,
    starts: Any,
    left: Any,
    right: Any,
    y: Any,
    omega: Any,
    bias: Any,
    P: Any,
    k: int,
    rates: Any,
    logistic: bool,
    told: Any,
) -> None:
    """A step for each row of `cells`; told[c] becomes the sums of losses and slopes in cell c, as they were met.

    Parameters
    ----------
    cells : int64 array
    starts, left, right, y, omega
        See `Grid`.
    bias : float32
    P : float32 array of shape (n_places, at least k + 5)
        A column's factors, zeros up to a multiple of `HALF`, then what `WEIGHT` to `SHARE_V` say.
    rates : float32 array of shape (2,)
        Learning rates of weights and of factors.
    told : float64 array of shape (n_cells, 2)
    """
    lanes, one = -(-k // HALF) * HALF, np.float32(1)
    mean = one / np.float32(max(k, 1))
    for cell in cells:
        total, slopes = 0.0, 0.0  # the one float64 there is: two additions a row that nothing waits for
        for r in range(starts[cell], starts[cell + 1]):
            i, j = left[r], right[r]
            products = row_products(P, i, j, lanes)
            f = bias + (P[i, lanes + WEIGHT] + P[j, lanes + WEIGHT]) + products[1]
            weight = omega[r] if len(omega) else one
            if logistic:
                s = weight * (one / (one + np.exp(-f)) - y[r])
                total += weight * (np.log1p(np.exp(-abs(f))) + max(f, np.float32(0)) - y[r] * f)
            else:
                s = weight * (f - y[r])
                total += s * (f - y[r])
            slopes += s
            step_pair(P, i, j, lanes, products, s, weight, rates, mean)
        told[cell, 0], told[cell, 1] = total, slopes
