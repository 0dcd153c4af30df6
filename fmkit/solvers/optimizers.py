"""Other steps than AdaGrad's for a plain machine: SGD with decay, Adam, and FTRL-proximal with exact zeros.

Rows are visited as `fmkit.solvers.sgd` visits them, and the objective is the same; but the ridge penalty is no part of
the slopes of SGD and FTRL: theirs are proximal steps, which no penalty is too large for. FTRL takes lasso penalties,
too, on each weight, l |w_j|, and on the length of each column's vector of factors, l |v_j|, so that whole rows become
zero.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.kernels import kernel
from fmkit.lanes import table
from fmkit.linalg import FASTMATH
from fmkit.machine import NEGLIGIBLE, FactorizationMachine, row_arrays
from fmkit.progress import Progress
from fmkit.solvers.losses import loss_and_slope
from fmkit.solvers.objective import Objective
from fmkit.solvers.penalties import column_shares
from fmkit.solvers.sgd import epochs, row_value

OPTIMIZERS = ("adagrad", "sgd", "ftrl", "adam")
DECAY = 0.75  # of SGD and Adam: epoch e has the rate times e**-DECAY
FIRST, SECOND = np.float32(0.9), np.float32(0.999)  # Adam's: what is kept of means of slopes, and of their squares
TINY = np.float32(1e-35)

Ints = NDArray[np.int32]


def descend_by(
    optimizer: str,
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

    Parameters
    ----------
    optimizer : {"sgd", "ftrl", "adam"}
    objective, machine, units, spread, random_state
        As of `fmkit.solvers.sgd.sgd`; the penalties may have lasso parts for "ftrl".
    learning_rate : float
        "ftrl": as AdaGrad's. "adam": length of each step in the first epoch. "sgd": the share of a row's error that a
        column of unit entries takes away by its weight in the first epoch.
    n_threads : int, optional
        As of `fmkit.solvers.sgd.sgd` off the grid.

    Yields
    ------
    Progress
        One an epoch.
    """
    design, weights, k = objective.design, objective.weights, machine.n_factors
    indptr, columns, values = row_arrays(design)
    if all(field.values is None for field in design.fields):
        values = np.empty(0, np.float32)
    omega = np.empty(0, np.float32) if weights is None else weights
    rows = (indptr, columns, values, objective.y, omega)
    share_w, share_v = column_shares(objective.penalties, design, weights)
    lengths = np.array([spread, np.sqrt(spread)])
    # Slopes of weights have the size of `steepness` times the spread, those of factors times its root, too.
    mean_weight = objective.total_weight / max(design.n_rows, 1)
    steepness = objective.loss.curvature(spread, float(np.mean(objective.y))) * mean_weight
    slopes = steepness * np.array([spread, spread**1.5])
    bias, now = np.array([machine.bias, 0, 0, 1, 1], np.float32), np.empty(2, np.float32)
    pace = np.reciprocal(units)
    P = table(machine.n_features, {"sgd": k + 1, "adam": 3 * k + 5, "ftrl": 2 * k + 5}[optimizer])
    P[:, :k], P[:, k] = machine.factors, machine.linear
    visit: Callable[..., Any]
    state: tuple[Any, ...]
    if optimizer == "sgd":
        base, decay = learning_rate * lengths / slopes, DECAY
        visit, state = visit_plain, (bias, P, k, share_w, share_v, np.square(pace), now)
    elif optimizer == "adam":
        base, decay = learning_rate * lengths, DECAY
        P[:, 3 * k + 3 :] = 1
        visit, state = visit_adam, (bias, P, k, share_w, share_v, pace, now)
    else:
        base, decay = learning_rate * lengths, 0.0
        lasso = column_shares(objective.penalties.lasso(), design, weights)
        start = np.square(units) / np.float32(learning_rate)
        P[:, k + 4 : 2 * k + 4] = -machine.factors * (start * np.float32(slopes[1] / lengths[1]))[:, None]
        P[:, 2 * k + 4] = -machine.linear * (start * np.float32(slopes[0] / lengths[0]))
        visit, state = visit_ftrl, (bias, P, k, share_w, share_v, *lasso, pace, now, slopes.astype(np.float32))
    code = objective.loss.code
    epoch = 0

    def order() -> Ints:
        nonlocal epoch
        epoch += 1
        now[:] = base * float(epoch) ** -decay
        return random_state.permutation(design.n_rows).astype(np.int32)

    def keep() -> None:
        machine.factors[:], machine.linear[:], machine.bias = P[:, :k], P[:, k], float(bias[0])

    def visited(part: Ints) -> float:
        return float(visit(part, *rows, *state, *code))

    yield from epochs(order, visited, keep, objective.total_weight, machine, n_threads or 1)


@kernel(fastmath=FASTMATH)
def visit_plain(
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
    kind: int,
    delta: Any,
) -> float:
    """A step along the slope of each of the rows in `order`, then one to the penalty's proximal point.

    Parameters
    ----------
    order, indptr, columns, values, y, omega, share_w, share_v, rates
        As of `fmkit.solvers.sgd.visit_rows`; `rates` are per slope here.
    bias : float32 array of shape (at least 1,)
    P : float32 array of shape (n_features, at least k + 1)
        A column's k factors and its weight.
    pace : float32 array of shape (n_features,)
        Factor of the learning rates of each column.
    kind, delta
        Of the loss, as of `fmkit.solvers.losses.loss_and_slope`.
    """
    q, one = np.empty(k, np.float32), np.float32(1)
    total = 0.0
    for r in order:
        f = row_value(r, indptr, columns, values, bias, P, k, q)
        weight = omega[r] if len(omega) else one
        loss, slope = loss_and_slope(f, y[r], kind, delta)
        total += weight * loss
        slope *= weight
        bias[0] -= rates[0] * slope
        for e in range(indptr[r], indptr[r + 1]):
            j = columns[e]
            x = values[e] if len(values) else one
            along, rate = slope * x, pace[j] * rates[1]
            shrink = one / (one + rate * weight * share_v[j])
            for i in range(k):
                v = shrink * (P[j, i] - rate * along * (q[i] - x * P[j, i]))
                P[j, i] = v if abs(v) > NEGLIGIBLE else np.float32(0)
            rate = pace[j] * rates[0]
            P[j, k] = (P[j, k] - rate * along) / (one + rate * weight * share_w[j])
    return total


@kernel(fastmath=FASTMATH)
def visit_adam(
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
    kind: int,
    delta: Any,
) -> float:
    """A step of Adam (Kingma, Ba, ICLR 2015) for each of the rows in `order`, of the columns that it has.

    A column's means are those of its own visits, and so is the correction of their start from zero.

    Parameters
    ----------
    order, indptr, columns, values, y, omega, share_w, share_v, pace, rates
        As of `fmkit.solvers.sgd.visit_rows`.
    bias : float32 array of shape (5,)
        The bias, the means of its slopes and of their squares, and what these still have of their start.
    P : float32 array of shape (n_features, at least 3 k + 5)
        A column's k factors and its weight, as many means of slopes, and of their squares, and what both still have of
        their start.
    kind, delta
        Of the loss, as of `fmkit.solvers.losses.loss_and_slope`.
    """
    q, one, m, s = np.empty(k, np.float32), np.float32(1), k + 1, 2 * k + 2
    more, more_square = one - FIRST, one - SECOND
    total = 0.0
    for r in order:
        f = row_value(r, indptr, columns, values, bias, P, k, q)
        weight = omega[r] if len(omega) else one
        loss, slope = loss_and_slope(f, y[r], kind, delta)
        total += weight * loss
        slope *= weight
        bias[1], bias[2] = FIRST * bias[1] + more * slope, SECOND * bias[2] + more_square * slope * slope
        bias[3], bias[4] = FIRST * bias[3], SECOND * bias[4]
        bias[0] -= rates[0] * bias[1] / (one - bias[3]) / np.sqrt(bias[2] / (one - bias[4]) + TINY)
        for e in range(indptr[r], indptr[r + 1]):
            j = columns[e]
            x = values[e] if len(values) else one
            P[j, s + m], P[j, s + m + 1] = FIRST * P[j, s + m], SECOND * P[j, s + m + 1]
            along, decay = slope * x, weight * share_v[j]
            # Of both corrections: rate m / (1 - a) / sqrt(s / (1 - b)).
            rate = pace[j] * np.sqrt(one - P[j, s + m + 1]) / (one - P[j, s + m])
            for i in range(k):
                d = along * (q[i] - x * P[j, i]) + decay * P[j, i]
                P[j, m + i] = FIRST * P[j, m + i] + more * d
                P[j, s + i] = SECOND * P[j, s + i] + more_square * d * d
                v = P[j, i] - rates[1] * rate * P[j, m + i] / np.sqrt(P[j, s + i] + TINY)
                P[j, i] = v if abs(v) > NEGLIGIBLE else np.float32(0)
            d = along + weight * share_w[j] * P[j, k]
            P[j, m + k] = FIRST * P[j, m + k] + more * d
            P[j, s + k] = SECOND * P[j, s + k] + more_square * d * d
            P[j, k] -= rates[0] * rate * P[j, m + k] / np.sqrt(P[j, s + k] + TINY)
    return total


@kernel(fastmath=FASTMATH)
def visit_ftrl(
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
    lasso_w: Any,
    lasso_v: Any,
    pace: Any,
    rates: Any,
    slopes: Any,
    kind: int,
    delta: Any,
) -> float:
    """Follow the proximally regularised leader (McMahan et al., KDD 2013), for each of the rows in `order`.

    A number is where the sum of its slopes so far, of proximal terms about all places it had, and of the penalties of
    all visits so far is lowest: with z the slopes less the terms' pull, n the squared slopes, c the weight of visits,

        w = -z max(0, 1 - c l / |z|) / ((b + sqrt(n)) / rate + c penalty).

    So penalties grow with the slopes, and the limit is the optimum of the objective, of any number of epochs. A
    column's vector of factors is one such number, with the mean of its squared slopes: it is zero as a whole, or not
    at all.

    Parameters
    ----------
    order, indptr, columns, values, y, omega, share_w, share_v, pace, rates
        As of `fmkit.solvers.sgd.visit_rows`.
    bias : float32 array of shape (at least 2,)
        The bias and its sum of squared slopes: without penalties, this is AdaGrad.
    P : float32 array of shape (n_features, at least 2 k + 5)
        A column's k factors and its weight, sums of squared slopes of factors and weight, and the weight of its visits;
        then z of factors and weight.
    lasso_w, lasso_v : float32 arrays of shape (n_features,)
        Lasso penalty of a column that a visit of unit weight carries.
    slopes : float32 array of shape (2,)
        b for weights and factors of columns in their units: the usual size of a slope.
    kind, delta
        Of the loss, as of `fmkit.solvers.losses.loss_and_slope`.
    """
    q, g, one, z = np.empty(k, np.float32), np.empty(k, np.float32), np.float32(1), k + 4
    total = 0.0
    for r in order:
        f = row_value(r, indptr, columns, values, bias, P, k, q)
        weight = omega[r] if len(omega) else one
        loss, slope = loss_and_slope(f, y[r], kind, delta)
        total += weight * loss
        slope *= weight
        bias[1] += slope * slope
        bias[0] -= rates[0] * slope / np.sqrt(bias[1] + TINY)
        for e in range(indptr[r], indptr[r + 1]):
            j = columns[e]
            x = values[e] if len(values) else one
            along = slope * x
            P[j, k + 3] += weight
            visits = P[j, k + 3]
            square = np.float32(0)
            for i in range(k):
                g[i] = along * (q[i] - x * P[j, i])
                square += g[i] * g[i]
            before = np.sqrt(P[j, k + 1])
            P[j, k + 1] += square / np.float32(max(k, 1))
            root, rate = np.sqrt(P[j, k + 1]), pace[j] * rates[1]
            pull, length = (root - before) / rate, np.float32(0)
            for i in range(k):
                P[j, z + i] += g[i] - pull * P[j, i]
                length += P[j, z + i] * P[j, z + i]
            length = np.sqrt(length)
            left = max(length - visits * lasso_v[j], np.float32(0)) / (length + TINY)
            left /= (slopes[1] / pace[j] + root) / rate + visits * share_v[j]
            for i in range(k):
                v = -left * P[j, z + i]
                P[j, i] = v if abs(v) > NEGLIGIBLE else np.float32(0)
            before = np.sqrt(P[j, k + 2])
            P[j, k + 2] += along * along
            root, rate = np.sqrt(P[j, k + 2]), pace[j] * rates[0]
            P[j, z + k] += along - (root - before) / rate * P[j, k]
            length = abs(P[j, z + k])
            left = max(length - visits * lasso_w[j], np.float32(0)) / (length + TINY)
            P[j, k] = -left * P[j, z + k] / ((slopes[0] / pace[j] + root) / rate + visits * share_w[j])
    return total
