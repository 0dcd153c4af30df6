"""Stochastic gradient descent with AdaGrad steps, on the same objective as ALS.

A visit of row r moves the columns j of its entries along the gradient of

    omega_r (loss(y_r, f(x_r)) + 1/2 sum_j (penalty_w_j w_j^2 + penalty_v_j |v_j|^2) / n_j),

n_j being the column's sum of weights, so that an epoch adds up to the objective. Steps are those of AdaGrad
(Duchi, Hazan, Singer, JMLR 2011), with one sum of squares for a column's weight and one for the mean over its factors
(as LIBMF has it): a square root a column instead of one a factor, and the sums stand beside what they scale.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.kernels import kernel
from fmkit.lanes import table
from fmkit.linalg import FASTMATH
from fmkit.machine import NEGLIGIBLE, FactorizationMachine, row_arrays
from fmkit.progress import M, Progress
from fmkit.solvers.losses import loss_and_slope
from fmkit.solvers.objective import Objective
from fmkit.solvers.penalties import column_shares
from fmkit.solvers.sgd_grid import has_one_of_each, sgd_grid
from fmkit.threads import count_threads, for_each

NO_WIDTH = np.float32(0)


def sgd(
    objective: Objective,
    machine: FactorizationMachine,
    units: NDArray[np.float32],
    *,
    learning_rate: float,
    spread: float,
    random_state: np.random.Generator,
    n_threads: int | None,
) -> Iterator[Progress[FactorizationMachine]]:
    """Epochs over the rows, each in an order of its own, for as long as the caller asks for more.

    Two one-hot fields without gaps and values go by `fmkit.solvers.sgd_grid`, many times as fast, if the loss is the
    squared error or the log loss.

    Parameters
    ----------
    objective : Objective
    machine : FactorizationMachine
        The start, fitted in place. If its factors are all zero they stay so.
    units : ndarray of shape (n_features,), float32
        `column_units` of the design: a column of large values takes small steps.
    learning_rate : float
        Length of a column's first step, for targets of unit standard deviation.
    spread : float
        Standard deviation of the targets (1 for the log loss): weights step in its unit, factors in its square root.
    random_state : Generator
        Draws the orders.
    n_threads : int, optional
        None for as many as leave the result what it is: on the grid all, for there it is the same for any number, one
        elsewhere. Off the grid it is deterministic with one thread; more share
        the machine without locks (Hogwild; Niu, Recht, Re, Wright 2011): a few updates get lost, and no two fits are
        alike. Without the grid, two threads ended on MovieLens latest-small at a test RMSE of .859 as one did (mean of
        3 seeds, which differ by .001).

    Yields
    ------
    Progress
        One an epoch.
    """
    if objective.other is None and has_one_of_each(objective.design):
        how: Any = {"learning_rate": learning_rate, "spread": spread, "random_state": random_state}
        yield from sgd_grid(objective, machine, n_threads=n_threads or count_threads(None), **how)
    design, weights, k = objective.design, objective.weights, machine.n_factors
    indptr, columns, values = row_arrays(design)
    if all(field.values is None for field in design.fields):
        values = np.empty(0, np.float32)
    omega = np.empty(0, np.float32) if weights is None else weights
    P = table(machine.n_features, k + 3)
    P[:, :k], P[:, k] = machine.factors, machine.linear
    bias = np.array([machine.bias, 0], np.float32)
    share_w, share_v = column_shares(objective.penalties, design, weights)
    rates = np.array([learning_rate * spread, learning_rate * np.sqrt(spread)], np.float32)
    rows = (indptr, columns, values, objective.y, omega)
    state = (bias, P, k, share_w, share_v, 1 / units, rates, *objective.loss.code)

    def keep() -> None:
        machine.factors[:], machine.linear[:], machine.bias = P[:, :k], P[:, k], float(bias[0])

    def order() -> NDArray[np.int32]:
        return random_state.permutation(design.n_rows).astype(np.int32)

    def visit(part: NDArray[np.int32]) -> float:
        return float(visit_rows(part, *rows, *state))

    yield from epochs(order, visit, keep, objective.total_weight, machine, n_threads or 1)


def epochs(
    order: Callable[[], NDArray[np.int32]],
    visit: Callable[[NDArray[np.int32]], float],
    keep: Callable[[], None],
    total_weight: float,
    machine: M,
    n_threads: int,
) -> Iterator[Progress[M]]:
    """Visit all rows again and again, for as long as the caller asks for more.

    Parameters
    ----------
    order : callable
        Draws the order of an epoch.
    visit : callable
        Visits the rows of a part of it, and sums up their losses.
    keep : callable
        Has the machine hold what was learned.
    total_weight : float
        Of all rows.
    machine : FactorizationMachine or InteractionMachine
    n_threads : int
        Parts of an order that are visited at once.
    """
    start, epoch = time.perf_counter(), 0
    while True:
        parts = np.array_split(order(), n_threads)
        loss = sum(for_each(visit, [(part,) for part in parts], n_threads))
        keep()
        epoch += 1
        yield Progress(epoch, loss / total_weight, time.perf_counter() - start, machine)


@kernel(fastmath=FASTMATH)
def row_value(r: int, indptr: Any, columns: Any, values: Any, bias: Any, P: Any, k: int, q: Any) -> Any:
    """The machine's value of row r; q becomes the sum of its columns' factors."""
    q[:] = 0
    f = bias[0]
    for e in range(indptr[r], indptr[r + 1]):
        j = columns[e]
        x = values[e] if len(values) else np.float32(1)
        pair = np.float32(0)
        for i in range(k):
            v = x * P[j, i]
            pair += v * q[i]
            q[i] += v
        f += x * P[j, k] + pair
    return f


@kernel(fastmath=FASTMATH)
def visit_rows(
    order: Any,
    indptr: Any,
    columns: Any,
    values: Any,
    y: Any,
    omega: Any,
    bias: Any,
    P: Any,
    k: int,
    share_w: Any,
    share_v: Any,
    pace: Any,
    rates: Any,
    loss: int,
    delta: Any = NO_WIDTH,
) -> float:
    """A step for each of the rows in `order`; returns the sum of their losses as they were met.

    Parameters
    ----------
    order : int32 array
        Rows to visit.
    indptr, columns, values : int64, int32, float32 arrays
        The design by rows; `values` of shape (0,) means that all are 1.
    y, omega : float32 arrays of shape (n_rows,)
        Targets and weights; `omega` of shape (0,) means that all are 1.
    bias : float32 array of shape (2,)
        The bias and its sum of squared slopes.
    P : float32 array of shape (n_features, at least k + 3)
        A column's k factors, its weight, and AdaGrad's sums of squared slopes of factors (their mean) and weight.
    share_w, share_v : float32 arrays of shape (n_features,)
        Penalty of a column that a visit of unit weight carries.
    pace : float32 array of shape (n_features,)
        Factor of the learning rates of each column.
    rates : float32 array of shape (2,)
        Learning rates of weights (and the bias) and of factors.
    loss : int
        Position in `fmkit.solvers.losses.LOSSES`.
    delta : float32
        The width of Huber's loss.
    """
    q = np.empty(k, np.float32)
    tiny = np.float32(1e-35)
    total = 0.0
    for r in order:
        f = row_value(r, indptr, columns, values, bias, P, k, q)
        weight = omega[r] if len(omega) else np.float32(1)
        met, slope = loss_and_slope(f, y[r], loss, delta)
        total += weight * met
        slope *= weight
        bias[1] += slope * slope
        bias[0] -= rates[0] * slope / np.sqrt(bias[1] + tiny)
        for e in range(indptr[r], indptr[r + 1]):
            j = columns[e]
            x = values[e] if len(values) else np.float32(1)
            along, decay = slope * x, weight * share_v[j]
            square = np.float32(0)
            for i in range(k):
                d = along * (q[i] - x * P[j, i]) + decay * P[j, i]
                square += d * d
            P[j, k + 1] += square / np.float32(max(k, 1))
            rate = pace[j] * rates[1] / np.sqrt(P[j, k + 1] + tiny)
            for i in range(k):
                v = P[j, i] - rate * (along * (q[i] - x * P[j, i]) + decay * P[j, i])
                P[j, i] = v if abs(v) > NEGLIGIBLE else np.float32(0)
            d = along + weight * share_w[j] * P[j, k]
            P[j, k + 2] += d * d
            P[j, k] -= pace[j] * rates[0] * d / np.sqrt(P[j, k + 2] + tiny)
    return total
