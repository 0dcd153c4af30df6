"""Stochastic gradient descent for machines of other interactions, on the objective of `fmkit.solvers.sgd`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fmkit.interactions.field_aware import FieldAwareMachine
from fmkit.interactions.field_weighted import FieldWeightedMachine
from fmkit.interactions.machine import InteractionMachine, Rows
from fmkit.interactions.third_order import ThirdOrderMachine
from fmkit.machine import row_arrays
from fmkit.progress import Progress
from fmkit.solvers.objective import Objective
from fmkit.solvers.penalties import column_shares
from fmkit.solvers.sgd import epochs

AnyMachine = TypeVar("AnyMachine", bound=InteractionMachine)

MACHINES: dict[str, type[InteractionMachine]] = {
    machine.interaction: machine for machine in (FieldAwareMachine, FieldWeightedMachine, ThirdOrderMachine)
}
RUN = 32  # rows that are visited one after the other: read in turn, 2M rows of two fields take .5 s in place of 1.5


def fit_interactions(
    objective: Objective,
    machine: AnyMachine,
    units: NDArray[np.float32],
    *,
    learning_rate: float,
    spread: float,
    random_state: np.random.Generator,
    n_threads: int,
) -> Iterator[Progress[AnyMachine]]:
    """Epochs over the rows, which are shuffled once; then, each time, runs of them are.

    Parameters
    ----------
    objective, machine, units, learning_rate, spread, random_state, n_threads
        As of `fmkit.solvers.sgd.sgd`, with AdaGrad sums a factor.

    Yields
    ------
    Progress
        One an epoch.
    """
    n_rows = objective.design.n_rows
    shuffled = random_state.permutation(n_rows)
    indptr, columns, values = row_arrays(objective.design.to_csr()[shuffled])
    omega = np.empty(0, np.float32) if objective.weights is None else objective.weights[shuffled]
    share_w, share_v = column_shares(objective.penalties, objective.design, objective.weights)
    visit, keep = machine.visits(
        Rows(
            indptr,
            columns,
            np.empty(0, np.float32) if (values == 1).all() else values,
            objective.y[shuffled],
            omega,
            share_w,
            share_v,
            np.reciprocal(units),
            learning_rate,
            spread,
            objective.loss.code,
        )
    )
    every = np.arange(-(-n_rows // RUN) * RUN, dtype=np.int32).reshape(-1, RUN)

    def order() -> NDArray[np.int32]:
        rows = random_state.permutation(every).ravel()
        return rows[rows < n_rows]

    yield from epochs(order, visit, keep, objective.total_weight, machine, n_threads)
