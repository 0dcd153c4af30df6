"""Squared loss over all pairs of queries and items, seen and unseen, by block ALS in time of the seen ones.

The objective, with scores s = <p_q, z_i> of vectors p_q = V'x_q and z_i = Z'y_i:

    sum_{seen} c_qi (1 - s_qi)^2 + alpha sum_{all} s_qi^2 + reg sum_j n_j |v_j|^2 over the columns j of both sides.

With ids alone it is weighted matrix factorisation (Hu, Koren, Volinsky 2008); with n_j, the weight of all terms that a
column has a part in, its penalty is the frequency-scaled one that makes it as good as newer machines (Rendle,
Krichene, Zhang, Koren, Revisiting the Performance of iALS, 2021). With columns beside the ids it is that of Bayer, He,
Kanagal, Rendle, A Generic Coordinate Descent Framework (2017), minimised by other steps:

- The vectors of entities (ids together with their attributes) are solved for exactly, one small system each, about
  what the attributes tell of them: p_e = u_e + W'a_e, so u_e's penalty pulls p_e to W'a_e.
- Given these, W is a ridge regression of vectors on attributes, which no pair takes part in.
- Columns that belong to no entity (a context, a history without an id) are solved for together by conjugate gradients.

None of them raises the objective.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fmkit.progress import Progress
from fmkit.ranking.machine import RankingMachine
from fmkit.ranking.side import CODES, Entities, Side
from fmkit.ranking.squares import move_rows, seen_loss, solve_rows, solve_short_rows, sum_seen
from fmkit.threads import even_cuts, for_each

if TYPE_CHECKING:
    import torch

    from fmkit.tensors.ranking import TensorPairs

Vectors = NDArray[np.float32]

STEPS = 2  # of conjugate gradients a sweep: the next sweep goes on


@dataclass(frozen=True)
class Objective:
    """What is minimised, but for the data.

    Parameters
    ----------
    unseen : float
        alpha, the weight of every pair.
    reg : float
        Penalty of a column's squared length for each unit of weight that it has a part in.
    power : float
        Of that weight: 1 as above, 0 for the same penalty whatever the frequency.
    reg_attributes : float
        Penalty of an attribute, in that of so many entities of average weight.
    """

    unseen: float = 0.1
    reg: float = 0.01
    power: float = 1.0
    reg_attributes: float = 1.0

    def penalty(self, weight: Any) -> NDArray[np.float32]:
        """Of columns that have a part in terms of so much weight in all."""
        return np.asarray(self.reg * np.maximum(weight, 1) ** self.power, np.float32)


class Implicit:
    """The solver: `for progress in Implicit(...)`, sweep after sweep for as long as the caller asks.

    Rows without a pair are left out of the sums over unseen pairs: nobody was offered what nobody has. Their vectors
    are what their attributes tell.

    Parameters
    ----------
    queries, items : Side
        Of n_queries x n_items pairs, and of these transposed.
    machine : RankingMachine
        The start, fitted in place. Weights of items stay as they are and take no part.
    objective : Objective
    n_threads : int
        The result is the same, bit for bit, for any number.
    device : torch.device, optional
        Where the vectors of entities are solved for, if not by the package's kernels.
    """

    def __init__(
        self,
        queries: Side,
        items: Side,
        machine: RankingMachine,
        objective: Objective,
        n_threads: int,
        device: torch.device | None = None,
    ) -> None:
        self.objective, self.machine, self.n_threads = objective, machine, n_threads
        self.queries = _Half(queries, items, machine.query_factors, objective, n_threads, device)
        self.items = _Half(items, queries, machine.item_factors, objective, n_threads, device)
        self._pairs: TensorPairs | None = None  # those of whole rows, not of entities
        if device is not None:
            from fmkit.tensors.ranking import TensorPairs  # loads torch

            alone = [e.on_device for e in self.queries.entities if e.entities.pairs is queries.pairs]
            self._pairs = alone[0] if alone else TensorPairs(queries.pairs, CODES, machine.n_factors, device)

    def __iter__(self) -> Iterator[Progress[RankingMachine]]:
        start, sweep = time.perf_counter(), 0
        weight = self.queries.side.row_weights.sum()
        while True:
            self.queries.solve(self.items)
            self.items.solve(self.queries)
            sweep += 1
            yield Progress(sweep, self.loss() / max(weight, 1e-30), time.perf_counter() - start, self.machine)

    def loss(self) -> float:
        """The objective."""
        P, Z, pairs = self.queries.vectors, self.items.vectors, self.queries.side.pairs
        if self._pairs is not None:
            seen = self._pairs.seen_loss(Z, P)
        else:
            arrays = pairs.before, pairs.items, pairs.weights, Z, P
            ranges = even_cuts(pairs.before, self.n_threads)
            seen = sum(for_each(seen_loss, [(a, b, *arrays) for a, b in ranges], self.n_threads))
        both = self.queries.gram.astype(np.float64) * self.items.gram
        return float(seen + self.objective.unseen * both.sum() + self.queries.penalty() + self.items.penalty())


class _Half:
    """A side at work: the vectors of its columns and rows, and one step for each kind of column."""

    def __init__(
        self,
        side: Side,
        other: Side,
        factors: Vectors,
        objective: Objective,
        n_threads: int,
        device: torch.device | None,
    ) -> None:
        self.side, self.factors, self.unseen, self.n_threads = side, factors, objective.unseen, n_threads
        weights = side.row_weights + objective.unseen * np.count_nonzero(other.row_weights) * side.present
        self.entities = [
            _EntityVectors(entities, factors, weights, side.present, objective, device) for entities in side.entities
        ]
        self.transposed, square = sparse.csr_array(side.others.T), side.others.power(2)
        self.of_present = self.transposed * side.present[None, :]
        self.counts = np.asarray(square.T @ side.present, np.float32)
        self.penalties = objective.penalty(square.T @ weights)
        self.others = factors[side.columns]
        self.vectors = self.of_others()
        for entities in self.entities:
            entities.move(self.vectors, 1, n_threads)
        self.gram = self._gram()

    def of_others(self) -> Vectors:
        """What the columns that belong to no entity give each row."""
        return np.asarray(self.side.others @ self.others, np.float32)

    def _gram(self) -> Vectors:
        """Of the rows that have pairs."""
        P = self.vectors if self.side.present.all() else self.vectors[self.side.present > 0]
        return P.T @ P

    def penalty(self) -> float:
        """This side's part of the objective."""
        of_others = float(self.penalties @ np.square(self.others).sum(axis=1, dtype=np.float64))
        return sum(entities.penalty() for entities in self.entities) + of_others

    def solve(self, other: _Half) -> None:
        """One step for each kind of column, the other side's vectors fixed."""
        Z, unseen = other.vectors, np.float32(self.unseen) * other.gram
        alone = len(self.entities) == 1 and not len(self.others)
        for entities in self.entities:
            entities.move(self.vectors, -1, self.n_threads)
            entities.solve(Z, unseen, Z[:0] if alone else self.vectors, self.n_threads)
            if alone:  # nothing is left over: not even what rounding leaves
                self.vectors[:] = 0
            entities.move(self.vectors, 1, self.n_threads)
            entities.write(self.factors)
        if len(self.others):
            step = self._step_of_others(Z, unseen, other)
            self.others = self.others + step
            self.vectors += np.asarray(self.side.others @ step, np.float32)
            self.factors[self.side.columns] = self.others
        self.gram = self._gram()

    def _step_of_others(self, Z: Vectors, unseen: Vectors, other: _Half) -> Vectors:
        """Conjugate gradients on sum_j (curvature of the rows with j) v_j, preconditioned by its mean over all rows."""
        X, penalties, n_present = self.side.others, self.penalties[:, None], max(self.side.present.sum(), 1)

        def slopes(P: Vectors, target: float) -> Vectors:
            of_unseen = (self.of_present @ P) @ unseen
            return np.asarray(self.transposed @ self._seen(P, Z, target) + of_unseen, np.float32)

        mean = unseen + (Z.T * other.side.row_weights.astype(np.float32)) @ Z / np.float32(n_present)
        values, axes = np.linalg.eigh(mean)
        scale = 1 / (penalties + self.counts[:, None] * np.maximum(values, 0))

        return conjugate_gradients(
            lambda D: slopes(np.asarray(X @ D, np.float32), 0.0) + penalties * D,
            -slopes(self.vectors, 1.0) - penalties * self.others,
            lambda R: ((R @ axes) * scale) @ axes.T,
            STEPS,
        )

    def _seen(self, P: Vectors, Z: Vectors, target: float) -> Vectors:
        pairs, out = self.side.pairs, np.empty_like(P)
        arrays = pairs.before, pairs.items, pairs.weights, Z, P, np.float32(target), out
        for_each(sum_seen, [(a, b, *arrays) for a, b in even_cuts(pairs.before, self.n_threads)], self.n_threads)
        return out


class _EntityVectors:
    """Entities at work: their vectors p = u + W'a, of which the machine holds u and W."""

    def __init__(
        self,
        entities: Entities,
        factors: Vectors,
        weights: NDArray[np.float64],
        present: NDArray[np.float32],
        objective: Objective,
        device: torch.device | None,
    ) -> None:
        self.entities, n = entities, len(entities.own)
        codes = entities.codes if len(entities.codes) else np.arange(n)
        before = np.arange(len(codes) + 1)
        self.sums = sparse.csr_array(sparse.csr_array((present, codes, before), shape=(len(codes), n)).T)
        self.times = np.bincount(codes, present, n).astype(np.float32)
        self.penalties = objective.penalty(np.bincount(codes, weights, n))
        self.transposed = sparse.csr_array(entities.attributes.T)
        self.counted = np.where(self.times > 0, self.penalties, 0)[:, None]  # the others are where attributes say
        average = self.counted.sum() / max(np.count_nonzero(self.times), 1)
        self.attribute_penalty = np.float32(max(objective.reg_attributes * average, 1e-6))
        self.diagonal = self.transposed.power(2) @ self.counted + self.attribute_penalty
        self.W, self.vectors = factors[entities.columns], np.empty((0, 0), np.float32)
        self.vectors = factors[entities.own] + self.expected()
        self.on_device: TensorPairs | None = None
        if device is not None:
            from fmkit.tensors.ranking import TensorPairs  # loads torch

            self.on_device = TensorPairs(entities.pairs, entities.rows, factors.shape[1], device)

    def expected(self) -> Vectors:
        """What attributes tell of each entity's vector."""
        return np.asarray(self.entities.attributes @ self.W, np.float32)

    def move(self, vectors: Vectors, sign: float, n_threads: int) -> None:
        """Add to the rows' vectors those of their entities, or take them off."""
        cuts = np.linspace(0, len(vectors), n_threads + 1, dtype=np.int64)
        arrays = self.entities.codes, self.vectors, np.float32(sign), vectors
        for_each(move_rows, [(a, b, *arrays) for a, b in pairwise(cuts)], n_threads)

    def penalty(self) -> float:
        """Of their columns, as part of the objective."""
        own = np.square(self.vectors - self.expected()).sum(axis=1, dtype=np.float64)
        return float(self.penalties @ own + self.attribute_penalty * np.square(self.W).sum(dtype=np.float64))

    def write(self, factors: Vectors) -> None:
        """Put the columns' vectors where the machine has them."""
        factors[self.entities.columns] = self.W
        factors[self.entities.own] = self.vectors - self.expected()

    def solve(self, Z: Vectors, unseen: Vectors, base: Vectors, n_threads: int) -> None:
        """The entities' vectors exactly, then the attributes' given these."""
        k = Z.shape[1]
        pull = np.empty((0, k), np.float32)
        if len(self.W):
            pull = self.penalties[:, None] * self.expected()
        if len(base):
            drag = np.asarray((self.sums @ base) @ unseen, np.float32)
            pull = pull - drag if len(pull) else -drag
        if self.on_device is not None:
            self.vectors[:] = self.on_device.solve(Z, base, unseen, self.times, self.penalties, pull)
        else:
            self._solve_by_kernels(Z, unseen, base, pull, n_threads)
        if len(self.W):
            A = self.entities.attributes
            misfit = self.counted * (self.vectors - self.expected())
            self.W = self.W + conjugate_gradients(
                lambda D: self.transposed @ (self.counted * (A @ D)) + self.attribute_penalty * D,
                self.transposed @ misfit - self.attribute_penalty * self.W,
                lambda R: R / self.diagonal,
                STEPS,
            )

    def _solve_by_kernels(self, Z: Vectors, unseen: Vectors, base: Vectors, pull: Vectors, n_threads: int) -> None:
        """Vectors of many pairs by systems of as many unknowns as factors, those of few by as many as pairs."""
        pairs, k = self.entities.pairs, Z.shape[1]
        rows = self.entities.rows if len(self.entities.rows) else pairs.queries if len(base) else CODES
        seen = pairs.before, pairs.items, rows, pairs.weights, Z, base
        n_pairs = np.diff(pairs.before)
        long, short = np.flatnonzero(n_pairs >= k), np.flatnonzero(n_pairs < k)
        ranges = even_cuts(np.append(0, np.cumsum(n_pairs[long])), n_threads)
        arrays = long, *seen, unseen, self.times, self.penalties, pull, self.vectors
        for_each(solve_rows, [(*cut, *arrays) for cut in ranges], n_threads)
        if len(short):
            values, axes = (a.astype(np.float32) for a in np.linalg.eigh(unseen.astype(np.float64)))
            rotated = Z @ axes, np.maximum(values, 0)
            made = np.empty((len(short), k), np.float32)
            of_short = (
                short,
                *seen,
                *rotated,
                self.times,
                self.penalties,
                pull[short] @ axes if len(pull) else pull,
                made,
            )
            ranges = even_cuts(np.append(0, np.cumsum(n_pairs[short] + 1)), n_threads)
            for_each(solve_short_rows, [(*cut, *of_short) for cut in ranges], n_threads)
            self.vectors[short] = made @ axes.T


def conjugate_gradients(
    apply: Callable[[Vectors], Vectors], right: Vectors, precondition: Callable[[Vectors], Vectors], steps: int
) -> Vectors:
    """Some steps from 0 to the x of apply(x) = right for a positive definite `apply`; the quadratic falls with each."""
    x, r = np.zeros_like(right), right
    d = z = precondition(r)
    square = np.vdot(r, z)
    for left in range(steps, 0, -1):
        if not square > 0:
            break
        Ad = apply(d)
        step = square / np.vdot(d, Ad)
        x += step * d
        if left > 1:
            r = r - step * Ad
            z = precondition(r)
            square, last = np.vdot(r, z), square
            d = z + square / last * d
    return x
