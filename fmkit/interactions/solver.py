"""Stochastic gradient descent for machines of other interactions, on the objective of `fmkit.solvers.sgd`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fmkit.interactions.field_aware import FieldAwareMachine
from fmkit.interactions.field_weighted import FieldWeightedMachine
from fmkit.interactions.machine import InteractionMachine, Rows
from fmkit.interactions.third_order import ThirdOrderMachine
from fmkit.machine import FactorizationMachine, row_arrays
from fmkit.progress import Progress
from fmkit.solvers.objective import Objective
from fmkit.solvers.penalties import column_shares
from fmkit.solvers.sgd import epochs
from fmkit.solvers.sgd_grid import has_one_of_each, sgd_grid
from fmkit.threads import count_threads

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
    n_threads: int | None,
) -> Iterator[Progress[AnyMachine]]:
    """Epochs over the rows, which are shuffled once; then, each time, runs of them are.

    Where every row has one column of each of two one-hot fields, a field-aware machine is a plain one, and is fitted as
    such by `fmkit.solvers.sgd_grid`.

    Parameters
    ----------
    objective, machine, units, learning_rate, spread, random_state, n_threads
        As of `fmkit.solvers.sgd.sgd`, with AdaGrad sums a factor but on the grid.

    Yields
    ------
    Progress
        One an epoch.
    """
    toward = _other_field(machine, objective)
    if toward is not None:
        how = {"learning_rate": learning_rate, "spread": spread, "random_state": random_state}
        yield from _by_grid(objective, machine, toward, n_threads or count_threads(None), **how)
        return
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

    yield from epochs(order, visit, keep, objective.total_weight, machine, n_threads or 1)


def _other_field(machine: InteractionMachine, objective: Objective) -> NDArray[np.int32] | None:
    """The one field that each column ever meets, where a field-aware machine is a plain one on the grid; else None."""
    design = objective.design
    if not isinstance(machine, FieldAwareMachine) or objective.other is not None or not has_one_of_each(design):
        return None
    labels = [np.unique(machine.fields[field.columns]) for field in design.fields]
    if any(len(of_field) != 1 for of_field in labels) or labels[0] == labels[1]:
        return None
    toward = np.empty(design.n_features, np.int32)
    for field, label in zip(design.fields, labels[::-1], strict=True):
        toward[field.columns] = label
    return toward


def _by_grid(
    objective: Objective, machine: AnyMachine, toward: NDArray[np.int32], n_threads: int, **how: Any
) -> Iterator[Progress[AnyMachine]]:
    """Epochs over the machine's vectors for the other field; those for the own one, which meet nothing, become 0."""
    at = np.arange(len(toward)), toward
    plain = FactorizationMachine(machine.bias, machine.linear.copy(), machine.factors[at])
    machine.factors[:] = 0
    for progress in sgd_grid(objective, plain, n_threads=n_threads, **how):
        machine.bias, machine.linear[:], machine.factors[at] = plain.bias, plain.linear, plain.factors
        yield Progress(progress.sweep, progress.train_loss, progress.seconds, machine)
