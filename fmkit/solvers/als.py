"""ALS by fields: for every column one ridge system for its weight and factors, the columns of a field in parallel.

Given all other columns, f(x) is linear in theta = (v_j, w_j) of one column j, with the row vectors z = x_j (q, 1),
q = sum_{i != j} x_i v_i. Columns of a field share no row, so each can be solved exactly while the others of the field
move: a sweep is block coordinate descent on the objective, which never rises. The step is a Newton step from the
present theta, (G + Lambda) d = Z'g - Lambda theta. For the log loss G carries the weights tanh(f/2) / 2f of the
quadratic bound of Jaakkola and Jordan ("Bayesian parameter estimation via variational methods", 2000), which keeps the
descent monotone.
"""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from fmkit.kernels import kernel
from fmkit.linalg import FASTMATH, back_substitute, cholesky, gram, padded
from fmkit.machine import NEGLIGIBLE, FactorizationMachine, sum_factors
from fmkit.progress import Progress
from fmkit.solvers.objective import Objective
from fmkit.solvers.penalties import Penalties
from fmkit.threads import even_cuts, for_each

TILE = 128  # rows of z summed at once: 128 x 80 floats (k = 64) are 40 KB, half of them in a first-level cache
EXACT = 32 * TILE  # rows of a column summed in float32, tile by tile; such sums are added up in float64
JITTER = np.float32(1e-6)  # of the diagonal: a step a little too short, where a system without penalty is singular
NONE = np.empty(0, np.float32)  # in place of values or weights that are all 1


def als(objective: Objective, machine: FactorizationMachine, n_threads: int) -> Iterator[Progress]:
    """Sweep for as long as the caller asks for more.

    Parameters
    ----------
    objective : Objective
    machine : FactorizationMachine
        The start, fitted in place. If its factors are all zero they stay so.
    n_threads : int
        The result is the same, bit for bit, for any number.

    Yields
    ------
    Progress
        One a sweep.
    """
    start = time.perf_counter()
    fields = objective.design.fields
    pair = len(fields) == 2 and all(f.rows is None and f.values is None for f in fields)
    sweeps = (_pair_sweeps if pair else _cached_sweeps)(objective, machine, n_threads)
    for sweep, train_loss in enumerate(sweeps, start=1):
        yield Progress(sweep, train_loss, time.perf_counter() - start, machine)


def _pair_sweeps(objective: Objective, machine: FactorizationMachine, n_threads: int) -> Iterator[float]:
    """Two one-hot fields: q is the other column's vector itself. A row is its codes, target and weight; no cache."""
    fields, penalties, logistic = objective.design.fields, objective.penalties, objective.logistic
    sides = []
    for field, other in zip(fields, fields[::-1], strict=True):
        ptr, order = sort_by_code(field.codes, len(field.columns))
        source = other.columns[other.codes[order]]
        omega = NONE if objective.weights is None else objective.weights[order]
        sides.append((field.columns, ptr, (source, NONE, objective.y[order], omega)))
    del order, source, omega
    sums = np.zeros((machine.n_features, 3))
    while True:
        for columns, ptr, entries in sides:
            _solve_field(columns, ptr, entries, machine, None, penalties, logistic, sums, n_threads)
        loss, gradient, curvature = sums[columns].sum(axis=0)
        if curvature > 0:
            machine.bias += gradient / curvature
            loss -= gradient**2 / curvature / (2 if logistic else 1)
        yield float(loss / objective.total_weight)


def _cached_sweeps(objective: Objective, machine: FactorizationMachine, n_threads: int) -> Iterator[float]:
    """Any fields: Q = X V and the prediction f are kept a row, and follow the change of each column at once."""
    design, y, weights = objective.design, objective.y, objective.weights
    penalties, logistic = objective.penalties, objective.logistic
    sides = []
    for field in design.fields:
        ptr, order = sort_by_code(field.codes, len(field.columns))
        rows = order if field.rows is None else field.rows[order]
        x = NONE if field.values is None else field.values[order]
        omega = NONE if weights is None else weights[rows]
        sides.append((field.columns, ptr, (rows, x, y, omega)))
    f, Q = machine.predict(design, n_threads), sum_factors(design, machine.factors, n_threads)
    sums = np.zeros((machine.n_features, 3))
    while True:
        for columns, ptr, entries in sides:
            _solve_field(columns, ptr, entries, machine, (f, Q), penalties, logistic, sums, n_threads)
        shift = _bias_step(y, f, weights, logistic)
        machine.bias += shift
        f += np.float32(shift)
        loss = np.logaddexp(0, f) - y * f if logistic else (y - f) ** 2
        yield float(np.average(loss, weights=weights))


def fold_in(
    machine: FactorizationMachine,
    penalties: Penalties,
    ptr: NDArray[np.int64],
    source: NDArray[np.int32],
    y: NDArray[np.float32],
    n_threads: int,
) -> None:
    """Solve the first columns of a machine for their rows alone, everything else as it is.

    Parameters
    ----------
    machine : FactorizationMachine
        Its first len(ptr) - 1 columns are overwritten.
    penalties : Penalties
    ptr : ndarray of shape (n_columns + 1,), int64
        Column j's rows are ptr[j]:ptr[j + 1] of the next arrays.
    source : ndarray of shape (n_rows,), int32
        The other column that a row has.
    y : ndarray of shape (n_rows,), float32
        Targets.
    n_threads : int
    """
    columns = np.arange(len(ptr) - 1, dtype=np.int32)
    sums = np.zeros((machine.n_features, 3))
    _solve_field(columns, ptr, (source, NONE, y, NONE), machine, None, penalties, False, sums, n_threads)


def _solve_field(
    columns: NDArray[np.int32],
    ptr: NDArray[np.int64],
    entries: tuple[NDArray[Any], ...],
    machine: FactorizationMachine,
    cache: tuple[NDArray[np.float32], NDArray[np.float32]] | None,
    penalties: Penalties,
    logistic: bool,
    sums: NDArray[np.float64],
    n_threads: int,
) -> None:
    """Run `solve_columns` over a field: entries are its (source, x, y, omega), the cache its (known, Q)."""
    w, V = machine.linear, machine.factors
    known, Q = (w, V) if cache is None else cache
    state = (np.float32(machine.bias), known, Q, w, V, penalties.linear, penalties.factors)
    arguments = (columns, ptr, *entries, *state, logistic, cache is not None, sums)
    for_each(solve_columns, [(*cut, *arguments) for cut in even_cuts(ptr, n_threads)], n_threads)


def _bias_step(
    y: NDArray[np.float32], f: NDArray[np.float32], weights: NDArray[np.float32] | None, logistic: bool
) -> float:
    """The Newton step of the bias at predictions f."""
    if not logistic:
        return float(np.average(y - f, weights=weights))
    p = expit(f)
    curvature = np.where(np.abs(f) < 0.01, 0.25, (p - 0.5) / np.where(f == 0, 1, f))
    return float(np.average(y - p, weights=weights) / np.average(curvature, weights=weights))


@kernel
def sort_by_code(codes: Any, n_levels: int) -> Any:
    """Counting sort: the entries with code j are order[ptr[j]:ptr[j + 1]], in their old order."""
    ptr = np.zeros(n_levels + 1, np.int64)
    for code in codes:
        ptr[code + 1] += 1
    for j in range(n_levels):
        ptr[j + 1] += ptr[j]
    free, order = ptr.copy(), np.empty(len(codes), np.int32)
    for entry in range(len(codes)):
        order[free[codes[entry]]] = entry
        free[codes[entry]] += 1
    return ptr, order


@kernel(fastmath=FASTMATH)
def solve_columns(
    first: int,
    last: int,
    columns: Any,
    ptr: Any,
    source: Any,
    x: Any,
    y: Any,
    omega: Any,
    w0: Any,
    known: Any,
    Q: Any,
    w: Any,
    V: Any,
    penalty_w: Any,
    penalty_v: Any,
    logistic: bool,
    cached: bool,
    sums: Any,
) -> None:
    """One Newton step for each of the columns first:last of a field.

    Parameters
    ----------
    columns : int32 array of shape (n_levels,)
        Index of each of the field's columns into w, V, the penalties and `sums`.
    ptr : int64 array of shape (n_levels + 1,)
        Column j's entries are ptr[j]:ptr[j + 1] of the next arrays.
    source : int32 array of shape (n_entries,)
        cached: the entry's row. Else: the other field's column in that row.
    x : float32 array of shape (n_entries,) or (0,)
        Values of the entries, (0,) if all are 1.
    y : float32 array
        Targets: of the rows if cached, else of the entries.
    omega : float32 array of shape (n_entries,) or (0,)
        Weights of the entries' rows, (0,) if all are 1.
    known, Q : float32 arrays
        cached: predictions (n_rows,) and sums of factors X V (n_rows, k), both kept up to date here. Else: w and V.
    w, V : float32 arrays of shape (n_features,), (n_features, k)
        Overwritten for these columns.
    sums : float64 array of shape (n_features, 3)
        Gets loss, minus slope and curvature, summed over the column's rows. Not cached: after the step, so that the
        caller can take a step of the bias; the log loss then by its quadratic bound.
    """
    k = V.shape[1]
    width = padded(k + 4)
    tile = np.zeros((TILE, width), np.float32)
    S = np.zeros((width, width), np.float32)  # first the sums [Z'Z; 1'Z; t'Z], then the system and its factor
    S64 = np.empty((k + 2, k), np.float64)
    theta, step = np.zeros(k + 1, np.float32), np.zeros(k + 1, np.float32)
    b, slopes = np.zeros(k + 1, np.float32), np.zeros(k + 1, np.float32)
    # Without a prediction at hand, a squared error's step may start from zero, which saves a product a row.
    from_present = logistic or cached
    for j in range(first, last):
        c = columns[j]
        if from_present:
            for i in range(k):
                theta[i] = V[c, i]
            theta[k] = w[c]
        S.fill(0)  # whole: leftovers beyond the system would decay to slow denormal numbers
        loss: Any = 0.0
        slope, curve, corner, corner_b = loss, loss, loss, loss
        for begin in range(ptr[j], ptr[j + 1], TILE):
            n = min(TILE, ptr[j + 1] - begin)
            for r in range(n):
                e = begin + r
                s = source[e]
                value = x[e] if len(x) else np.float32(1)
                weight = omega[e] if len(omega) else np.float32(1)
                if cached:
                    for i in range(k):
                        tile[r, i] = value * (Q[s, i] - value * theta[i])
                    f, target = known[s], y[s]
                else:
                    for i in range(k):
                        tile[r, i] = Q[s, i]
                    f, target = w0 + known[s], y[e]
                    if from_present:
                        f += theta[k]
                        for i in range(k):
                            f += tile[r, i] * theta[i]
                if logistic:
                    p = np.float32(1) / (np.float32(1) + np.exp(-f))
                    g, bound = weight * (target - p), np.float32(0.25)
                    if abs(f) > np.float32(0.01):
                        bound = (p - np.float32(0.5)) / f
                    loss += weight * (np.log1p(np.exp(-abs(f))) + max(f, np.float32(0)) - target * f)
                    weight *= bound
                    root = np.sqrt(weight)
                    for i in range(k):
                        tile[r, i] *= root
                    tile[r, k], tile[r, k + 1] = value * root, g / root
                else:
                    g = weight * (target - f)
                    loss += g * (target - f)
                    root = np.float32(1)
                    if len(omega):
                        root = np.sqrt(weight)
                        for i in range(k):
                            tile[r, i] *= root
                    tile[r, k], tile[r, k + 1] = value * root, root * (target - f)
                slope += g
                curve += weight
                corner += value * value * weight
                corner_b += value * g
            gram(tile, n, k, k + 2, S)
            if (begin - ptr[j]) % EXACT == EXACT - TILE and begin + TILE < ptr[j + 1]:
                carry = begin - ptr[j] >= EXACT
                for i in range(k + 2):
                    for l in range(k):
                        S64[i, l] = S[i, l] + (S64[i, l] if carry else 0)
                S.fill(0)
        if ptr[j + 1] - ptr[j] > EXACT:
            for i in range(k + 2):
                for l in range(k):
                    S[i, l] += S64[i, l]
        for i in range(k):
            b[i], slopes[i] = S[k + 1, i], S[k, i]
            S[i, k], S[i, k + 1] = slopes[i], b[i] - penalty_v[c] * theta[i]
            S[i, i] += penalty_v[c] + JITTER * S[i, i]
        b[k] = corner_b
        S[k, k] = corner * (1 + JITTER) + penalty_w[c]
        S[k, k + 1] = b[k] - penalty_w[c] * theta[k]
        cholesky(S, k + 1)
        back_substitute(S, k + 1, step)

        gain = np.float32(0)
        for i in range(k):
            v = theta[i] + step[i]
            V[c, i] = v if abs(v) > NEGLIGIBLE else np.float32(0)
            gain += step[i] * (b[i] + penalty_v[c] * V[c, i])
            slope -= slopes[i] * step[i]
        w[c] = theta[k] + step[k]
        gain += step[k] * (b[k] + penalty_w[c] * w[c])
        slope -= corner * step[k]
        sums[c, 0] = loss - (np.float32(0.5) * gain if logistic else gain)
        sums[c, 1], sums[c, 2] = slope, curve
        if cached:
            for e in range(ptr[j], ptr[j + 1]):
                s = source[e]
                value = x[e] if len(x) else np.float32(1)
                change = step[k]
                for i in range(k):
                    change += (Q[s, i] - value * theta[i]) * step[i]
                    Q[s, i] += value * step[i]
                known[s] += value * change
