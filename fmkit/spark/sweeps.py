"""ALS over blocks of rows that stay where they are: a sweep solves field after field, all blocks of one at once.

A task has all rows of its ids, and is sent the factors of all other fields: it solves the same systems as
`fmkit.solvers.als`, by the same kernel. So the machine is the same, bit for bit, for any number of blocks, and for a
task that is done again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fmkit.checkpoint import State, fill
from fmkit.machine import FactorizationMachine, sum_alone
from fmkit.progress import Progress
from fmkit.solvers.columns import NONE, solve_columns
from fmkit.solvers.penalties import levels as noise_levels
from fmkit.solvers.sides import NO_DRAW
from fmkit.spark.session import in_arrow, threads_of_task, told_plainly
from fmkit.threads import even_cuts, for_each

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Floats = NDArray[np.float32]
SOLVED = "first long, linear binary, factors binary, sums binary"


@dataclass(frozen=True)
class Rest:
    """What a task is sent to solve its ids by.

    Parameters
    ----------
    bias : float
    linear, factors : ndarrays of shape (n,) and (n, k), float32
        Of the columns of all other fields, one field after the other.
    n_others : int
        Fields beside the one that is solved.
    penalty_linear, penalty_factors : float
        Of each column.
    tell_sums : bool
        Whether the sums of the rows of each id are asked for.
    """

    bias: float
    linear: Floats
    factors: Floats
    n_others: int
    penalty_linear: float
    penalty_factors: float
    tell_sums: bool


class ClusterAls:
    """Sweeps of ALS, as `fmkit.solvers.als.Als`.

    Parameters
    ----------
    blocks : sequence of DataFrame
        Of `cut_into_blocks`.
    sizes : sequence of int
        Ids of each field.
    machine : FactorizationMachine
        The start, fitted in place.
    penalties : tuple of two sequences of float
        Of the weights and of the factors of each field's columns.
    weight : float
        Of all rows.
    """

    def __init__(
        self,
        blocks: Sequence[DataFrame],
        sizes: Sequence[int],
        machine: FactorizationMachine,
        penalties: tuple[Sequence[float], Sequence[float]],
        weight: float,
    ) -> None:
        self.blocks, self.machine, self.penalties, self.weight = blocks, machine, penalties, weight
        self.starts = np.cumsum([0, *sizes])
        self.sweep = 0

    def __iter__(self) -> Iterator[Progress[FactorizationMachine]]:
        start = time.perf_counter()
        while True:
            self.sweep += 1
            for field in range(len(self.blocks)):
                sums = self._solve(field)
            # Added up id by id, in their order: the result does not depend on how they are cut into blocks.
            loss, slope, curve = sums.sum(axis=0)
            self.machine.bias += slope / curve
            loss -= slope**2 / curve
            yield Progress(self.sweep, float(loss) / self.weight, time.perf_counter() - start, self.machine)

    def _solve(self, field: int) -> NDArray[np.float64]:
        """Solve a field; returns the sums of its ids' rows, of the last field alone."""
        machine, a, b = self.machine, int(self.starts[field]), int(self.starts[field + 1])
        k, last = machine.n_factors, field == len(self.blocks) - 1
        linear = np.concatenate([machine.linear[:a], machine.linear[b:]])
        factors = np.concatenate([machine.factors[:a], machine.factors[b:]])
        own = float(self.penalties[0][field]), float(self.penalties[1][field])
        rest = Rest(machine.bias, linear, factors, len(self.blocks) - 1, *own, last)
        with told_plainly():
            solved = in_arrow(self.blocks[field], solve_blocks, SOLVED, rest).toArrow()
        sums = np.empty((b - a, 3))
        for i, first in enumerate(solved["first"].to_pylist()):
            w = np.frombuffer(solved["linear"][i].as_buffer(), np.float32)
            machine.linear[a + first : a + first + len(w)] = w
            V = np.frombuffer(solved["factors"][i].as_buffer(), np.float32)
            machine.factors[a + first : a + first + len(w)] = V.reshape(len(w), k)
            if last:
                sums[first : first + len(w)] = np.frombuffer(solved["sums"][i].as_buffer()).reshape(-1, 3)
        return sums

    def state(self) -> State:
        """What the descent goes on from after a sweep."""
        facts = {"bias": float(self.machine.bias), "sweep": self.sweep}
        return State(facts, {"linear": self.machine.linear, "factors": self.machine.factors})

    def resume(self, state: State) -> None:
        """Go on from a state of the same fit."""
        fill({"linear": self.machine.linear, "factors": self.machine.factors}, state.arrays)
        self.machine.bias, self.sweep = float(state.facts["bias"]), int(state.facts["sweep"])


def penalties_of(
    counts: Sequence[NDArray[np.int64]], weight: float, spread: float, reg_linear: float, reg_factors: float
) -> tuple[list[float], list[float]]:
    """Those of `fmkit.solvers.penalties.scaled_penalties` for one-hot fields, from what is counted.

    Parameters
    ----------
    counts : sequence of ndarray
        Rows of each id.
    weight : float
        Of all rows.
    spread : float
        Standard deviation of the targets.
    reg_linear, reg_factors : float
    """
    a_column = np.array([weight / len(of_field) for of_field in counts])
    noise = noise_levels(a_column, np.ones(len(counts)))
    return [reg_linear] * len(counts), [float(reg_factors * level * spread) for level in noise]


def solve_blocks(batches: Iterator[pa.RecordBatch], rest: Rest) -> Iterator[pa.RecordBatch]:
    """Solve the ids of each block, in a task."""
    n_threads = threads_of_task()
    for batch in batches:
        for i in range(len(batch)):
            first = batch.column("first")[i].as_py()
            # Copied: the kernels would be compiled once more for memory that is not aligned or may not be written.
            kinds: dict[str, Any] = {"ptr": np.int64, "others": np.int32, "y": np.float32, "omega": np.float32}
            held = {name: batch.column(name)[i].as_buffer() for name in kinds}
            ptr, others, y, omega = (np.frombuffer(held[name], kind).copy() for name, kind in kinds.items())
            w, V, sums = solve_block(ptr, others, y, omega, rest, n_threads)
            told = {"linear": w, "factors": V, "sums": sums if rest.tell_sums else NONE}
            solved = {name: pa.array([array.tobytes()], pa.binary()) for name, array in told.items()}
            yield pa.RecordBatch.from_pydict({"first": [first], **solved})


def solve_block(
    ptr: NDArray[np.int64], others: NDArray[np.int32], y: Floats, omega: Floats, rest: Rest, n_threads: int
) -> tuple[Floats, Floats, NDArray[np.float64]]:
    """Weights, factors and sums of the rows of a block's ids.

    Parameters
    ----------
    ptr : ndarray of shape (n + 1,)
        Rows of id j are ptr[j]:ptr[j + 1].
    others : ndarray of shape (n_rows * n_others,)
        Columns of the other fields that each row has, as places in `rest`.
    y, omega : ndarrays of shape (n_rows,), float32
        Targets; weights, (0,) if all are 1.
    rest : Rest
    n_threads : int
    """
    n, k = len(ptr) - 1, rest.factors.shape[1]
    w, V, sums = np.zeros(n, np.float32), np.zeros((n, k), np.float32), np.zeros((n, 3))
    source, known, Q = others, rest.linear, rest.factors
    if rest.n_others != 1:  # what a row has beside the id is a sum: one of its own for each
        known, Q = np.empty(len(y), np.float32), np.empty((len(y), k), np.float32)
        indptr, ones = np.arange(0, len(others) + 1, rest.n_others), np.ones(len(others), np.float32)
        sum_alone(indptr, others, ones, rest.linear, rest.factors, Q, known)
        source = np.arange(len(y), dtype=np.int32)
    penalties = np.full(n, rest.penalty_linear, np.float32), np.full(n, rest.penalty_factors, np.float32)
    entries = (np.arange(n, dtype=np.int32), ptr, source, NONE, y, omega, NONE)
    state = (np.float32(rest.bias), known, Q, w, V)
    how: tuple[Any, ...] = (np.ones(1, np.float32), np.zeros(k + 1, np.float32), np.zeros((1, k + 1), np.float32))
    work = (*entries, *state, *how, *penalties, NO_DRAW, False, sums)
    for_each(solve_columns, [(*cut, *work) for cut in even_cuts(ptr, n_threads)], n_threads)
    return w, V, sums
