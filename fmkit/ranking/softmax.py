"""Log loss of which item comes next, over all items or a sample, with a random part of each history asked for.

A query's vector is p = sum_{i in history} h_i / n^power + V'x, its scores are s_j = <p, z_j> + b_j. In every epoch a
random part of each query's items is hidden from its history and asked for: the loss is that of a softmax over all items
but those kept (Liang et al., Variational Autoencoders for Collaborative Filtering, 2018, ask for all; Steck,
Autoencoders that don't overfit towards the Identity, 2020, says why hidden ones are the better question). So a
history's own items never predict themselves, and a query that the fit never saw needs its history only.

Above `FULL` items the softmax is over those asked for in a batch and a sample that the batch shares, with scores less
the log of an item's chance to be among them (Bengio and Senecal 2008; Yi et al. 2019).
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fmkit.kernels import kernel
from fmkit.linalg import FASTMATH
from fmkit.progress import Progress
from fmkit.ranking.machine import RankingMachine
from fmkit.ranking.pairs import Pairs, is_identity
from fmkit.threads import WORTH_A_THREAD, for_each

Vectors = NDArray[np.float32]

FULL = 20_000  # items up to which the softmax is over all of them
SAMPLE = 4096  # items that a batch shares, above
BETAS = np.float32(0.9), np.float32(0.999)  # Adam's


@dataclass(frozen=True)
class Asking:
    """How histories are asked, and what steps are taken.

    Parameters
    ----------
    hide : float
        Share of a history's items that is hidden and asked for.
    power : float
        A history of n items adds n**-power times the sum of their vectors.
    decay : float
        Decoupled weight decay of vectors (Loshchilov and Hutter, 2019).
    learning_rate : float
        Adam's.
    batch : int
        Queries a step.
    """

    hide: float = 0.2
    power: float = 0.75
    decay: float = 0.01
    learning_rate: float = 3e-3
    batch: int = 256


class Softmax:
    """The solver: `for progress in Softmax(...)`, epoch after epoch for as long as the caller asks.

    Parameters
    ----------
    pairs : Pairs
    queries : csr_array of shape (n_queries, n_query_features)
        What is known of each query but for its history; of no columns where that is all.
    items : csr_array of shape (n_items, n_item_features)
    machine : RankingMachine
        The start, fitted in place; its last n_items query features are the history's.
    asking : Asking
    rng : Generator
        Draws the orders and what is hidden.
    n_threads : int
    """

    def __init__(
        self,
        pairs: Pairs,
        queries: sparse.csr_array,
        items: sparse.csr_array,
        machine: RankingMachine,
        asking: Asking,
        rng: np.random.Generator,
        n_threads: int,
    ) -> None:
        self.pairs, self.queries, self.items, self.machine = pairs, queries, items, machine
        self.asking, self.rng, self.n_threads = asking, rng, n_threads
        self.identity = is_identity(items)
        self.rows = np.flatnonzero(np.diff(pairs.before) > 0)
        self.steps = 0
        arrays = machine.query_factors, machine.item_factors, machine.item_linear[:, None]
        self.moments = [(np.zeros_like(a), np.zeros_like(a)) for a in arrays]
        n = pairs.n_items
        counts = np.bincount(pairs.items, minlength=n).astype(np.float64)
        self.chance = (counts + 1) ** 0.75 / ((counts + 1) ** 0.75).sum()

    def __iter__(self) -> Iterator[Progress[RankingMachine]]:
        start, epoch = time.perf_counter(), 0
        while True:
            order = self.rng.permutation(self.rows)
            n_batches = max(1, len(order) // self.asking.batch)
            total = asked = 0.0
            for rows in np.array_split(order, n_batches):
                loss, n = self._step(np.sort(rows))
                total, asked = total + loss, asked + n
            epoch += 1
            yield Progress(epoch, total / max(asked, 1.0), time.perf_counter() - start, self.machine)

    def _step(self, rows: NDArray[np.int64]) -> tuple[float, float]:
        """A step for a batch of queries; their loss and the weight of what they were asked for."""
        machine, n_items = self.machine, self.pairs.n_items
        kept, asked = self._hide(rows)
        weight = float(asked.data.sum())
        if not weight:
            return 0.0, 0.0
        n_own = self.queries.shape[1]
        some = None
        if n_items > FULL:
            some = np.unique(np.concatenate([asked.indices, self.rng.choice(n_items, SAMPLE, p=self.chance)]))
        V, H = machine.query_factors[:n_own], machine.query_factors[n_own:]
        X = self.queries[rows]
        P = np.asarray(kept @ H, np.float32)
        if n_own:
            P += X @ V
        Y = self.items if some is None else self.items[some]
        whole = self.identity and some is None
        Z = machine.item_factors if whole else np.asarray(Y @ machine.item_factors, np.float32)
        b = machine.item_linear if whole else np.asarray(Y @ machine.item_linear, np.float32)
        at_kept, at_asked = kept, asked
        if some is not None:
            chance = -np.expm1(SAMPLE * np.log1p(-self.chance[some]))
            chance[np.isin(some, asked.indices)] = 1
            b = b - np.log(chance).astype(np.float32)
            at_kept, at_asked = kept[:, some], asked[:, some]
        S, dP = np.empty((len(P), len(Z)), np.float32), np.empty_like(P)
        dZ, db = np.empty_like(Z), np.empty((len(Z), 1), np.float32)

        def of_queries(begin: int, end: int) -> float:
            s = np.matmul(P[begin:end], Z.T, out=S[begin:end])
            s += b
            loss = _softmax_slopes(s, at_kept[begin:end], at_asked[begin:end])
            s /= np.float32(weight)
            np.matmul(s, Z, out=dP[begin:end])
            return loss

        def of_items(begin: int, end: int) -> None:
            s = S[:, begin:end]
            np.matmul(s.T, P, out=dZ[begin:end])
            s.sum(axis=0, out=db[begin:end, 0])

        loss = sum(for_each(of_queries, self._cuts(len(P), len(Z)), self.n_threads))
        for_each(of_items, self._cuts(len(Z), len(P)), self.n_threads)
        slopes = [np.asarray(kept.T @ dP, np.float32), dZ, db]
        if n_own:
            slopes[0] = np.concatenate([np.asarray(X.T @ dP, np.float32), slopes[0]])
        if not whole:
            slopes[1:] = [np.asarray(Y.T @ d, np.float32) for d in slopes[1:]]
        self.steps += 1
        arrays = machine.query_factors, machine.item_factors, machine.item_linear[:, None]
        for array, slope, moments, decay in zip(arrays, slopes, self.moments, (1, 1, 0), strict=True):
            self._move(array, slope, moments, decay * self.asking.decay)
        return loss, weight

    def _hide(self, rows: NDArray[np.int64]) -> tuple[sparse.csr_array, sparse.csr_array]:
        """Histories of the rows with a part hidden, n^-power their values; and what is hidden, its weights."""
        some = self.pairs.csr[rows]
        hidden = self.rng.random(some.nnz, np.float32) < self.asking.hide
        lengths = np.diff(some.indptr)
        row = np.repeat(np.arange(len(rows)), lengths)
        n_kept = np.bincount(row[~hidden], minlength=len(rows))
        values = np.maximum(n_kept, 1).astype(np.float32) ** np.float32(-self.asking.power)
        kept = _rows(row[~hidden], some.indices[~hidden], values[row[~hidden]], some.shape)
        return kept, _rows(row[hidden], some.indices[hidden], some.data[hidden], some.shape)

    def _move(self, array: Vectors, slope: Vectors, moments: tuple[Vectors, Vectors], decay: float) -> None:
        """A step of AdamW."""
        rate = self.asking.learning_rate
        first, second = (1 - beta**self.steps for beta in BETAS)
        shrink = np.float32(1 - rate * decay)
        scalars = np.float32(rate / first), np.float32(1 / np.sqrt(second)), shrink
        flat = [a.reshape(-1) for a in (array, slope, *moments)]
        for_each(_adam, [(*cut, *flat, *scalars) for cut in self._cuts(len(flat[0]), 1)], self.n_threads)

    def _cuts(self, n: int, work: int) -> list[tuple[int, int]]:
        """0 .. n in a piece a thread, if `work` numbers each are worth it."""
        cuts = np.linspace(0, n, 1 + min(self.n_threads, n * work // WORTH_A_THREAD + 1), dtype=np.int64)
        return [(int(a), int(b)) for a, b in pairwise(cuts)]


def _rows(row: Any, columns: Any, values: Any, shape: tuple[int, int]) -> sparse.csr_array:
    before = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=shape[0]))])
    return sparse.csr_array((values, columns, before), shape=shape)


def _softmax_slopes(S: Vectors, kept: sparse.csr_array, asked: sparse.csr_array) -> float:
    """The loss of scores S, which become its slopes: weight of what is asked times softmax, less what is asked."""
    n = len(S)
    rows_kept, rows_asked = (np.repeat(np.arange(n), np.diff(m.indptr)) for m in (kept, asked))
    S[rows_kept, kept.indices] = -np.inf
    peak = S.max(axis=1, keepdims=True)
    S -= np.where(np.isfinite(peak), peak, 0)  # a query that kept every item has none
    of_asked = S[rows_asked, asked.indices]
    np.exp(S, out=S)
    total = np.maximum(S.sum(axis=1, keepdims=True), np.float32(1e-30))
    weight = np.bincount(rows_asked, asked.data, n).astype(np.float32)
    loss = float(asked.data @ (np.log(total[rows_asked, 0]) - of_asked))
    S *= weight[:, None] / total
    S[rows_asked, asked.indices] -= asked.data
    return loss


@kernel(fastmath=FASTMATH)
def _adam(
    first: int, last: int, x: Any, slope: Any, mean: Any, square: Any, rate: Any, unbiased: Any, shrink: Any
) -> None:
    """x = shrink x - rate m / (sqrt(v) unbiased + 1e-8), with Adam's running means m and v of slopes and squares."""
    b1, b2, one = np.float32(0.9), np.float32(0.999), np.float32(1)
    for i in range(first, last):
        g = slope[i]
        mean[i] = b1 * mean[i] + (one - b1) * g
        square[i] = b2 * square[i] + (one - b2) * g * g
        x[i] = shrink * x[i] - rate * mean[i] / (np.sqrt(square[i]) * unbiased + np.float32(1e-8))
