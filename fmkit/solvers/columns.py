"""The one step of ALS and Gibbs: a column's weight and factors together, solved for or drawn.

Given all other columns, f(x) is linear in theta = (v_j, w_j) of one column j, with the row vectors z = x_j (q, 1),
q = sum_{i != j} x_i v_i. With Gaussian noise of precision omega a row and a Gaussian prior, theta's posterior is
Gaussian: its precision is sum omega z z' + Lambda, its mean solves a ridge system. ALS moves to the mean, Gibbs draws.
"""

from typing import Any

import numpy as np

from fmkit.draws import fill_normals
from fmkit.kernels import kernel
from fmkit.linalg import (
    FASTMATH,
    LANES,
    back_substitute,
    back_substitute_lanes,
    cholesky,
    cholesky_lanes,
    gram,
    padded,
)
from fmkit.machine import NEGLIGIBLE

TILE = 128  # rows of z summed at once: 128 x 80 floats (k = 64) are 40 KB, half of them in a first-level cache
EXACT = 32 * TILE  # rows of a column summed in float32, tile by tile; such sums are added up in float64
MOST_TOGETHER = 128  # factors up to which the systems of 16 columns are solved side by side: 17 MB then
JITTER = np.float32(1e-6)  # of the diagonal: a step a little too short, where a system without penalty is singular
NONE = np.empty(0, np.float32)  # in place of values or weights that are all 1


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
def sum_rows(
    begin: int,
    end: int,
    source: Any,
    x: Any,
    y: Any,
    omega: Any,
    level: Any,
    w0: Any,
    known: Any,
    Q: Any,
    theta: Any,
    cached: bool,
    tile: Any,
    S: Any,
    S64: Any,
) -> Any:
    """Sum up the entries begin:end of one column: with z = x (q, 1) = (x q, x) and residual e,

        S[:k, :k] = sum omega z_v z_v' (from the diagonal to the right), S[k, :k] = sum omega x z_v,
        S[k + 1, :k] = sum omega e z_v.

    Parameters
    ----------
    source, x, y, omega, level, known, Q, cached
        See `solve_columns`.
    theta : float32 array of shape (k + 1,)
        cached: the column's factors and weight, which Q and `known` contain. Else the residual lacks the column.
    tile, S, S64 : float32 arrays (TILE, width), (width, width) and a float64 array (k + 2, k), width = padded(k + 4)
        Work space; S is cleared here.

    Returns
    -------
    tuple of float64
        Sums of omega e^2, omega e, omega, omega x^2 and omega x e.
    """
    k = Q.shape[1]
    S.fill(0)  # whole: leftovers beyond the system would decay to slow denormal numbers
    zero: Any = 0.0
    loss, slope, curve, corner, corner_b = zero, zero, zero, zero, zero
    for start in range(begin, end, TILE):
        n = min(TILE, end - start)
        for r in range(n):
            e = start + r
            s = source[e]
            value = x[e] if len(x) else np.float32(1)
            weight = omega[e] if len(omega) else np.float32(1)
            if len(level):
                weight *= level[s]
            root = np.float32(1)
            if len(omega) or len(level):
                root = np.sqrt(weight)
            if cached:
                scale = root * value
                for i in range(k):
                    tile[r, i] = scale * (Q[s, i] - value * theta[i])
                residual = y[s] - known[s]
            else:
                for i in range(k):
                    tile[r, i] = root * Q[s, i]
                residual = y[e] - w0 - known[s]
            tile[r, k], tile[r, k + 1] = value * root, root * residual
            g = weight * residual
            loss += g * residual
            slope += g
            curve += weight
            corner += value * value * weight
            corner_b += value * g
        gram(tile, n, k, k + 2, S)
        if (start - begin) % EXACT == EXACT - TILE and start + TILE < end:
            carry = start - begin >= EXACT
            for i in range(k + 2):
                for l in range(k):
                    S64[i, l] = S[i, l] + (S64[i, l] if carry else 0)
            S.fill(0)
    if end - begin > EXACT:
        for i in range(k + 2):
            for l in range(k):
                S[i, l] += S64[i, l]
    return loss, slope, curve, corner, corner_b


@kernel(fastmath=FASTMATH)
def solve_system(
    S: Any, k: int, corner: Any, corner_b: Any, scale: Any, precision: Any, pull: Any, noise: Any, step: Any
) -> Any:
    """Solve (scale P + diag(precision)) step = scale h + pull, plus a draw of that system's inverse as covariance.

    Parameters
    ----------
    S, corner, corner_b
        P and h as the sums of `sum_rows`; S is overwritten.
    scale : float32
        Noise precision that all rows have in common.
    precision, pull, noise : float32 arrays of shape (at least k + 1,)
        Prior precisions, what the prior adds to h, and standard normals; zeros for the solution itself. Factors first,
        the weight last.
    step : float32 array of shape (k + 1,)
        The result.

    Returns
    -------
    float64
        step' P step.
    """
    for i in range(k):
        for l in range(i, k):
            S[i, l] *= scale
        right = scale * S[k + 1, i] + pull[i]
        S[i, k], S[i, k + 1] = scale * S[k, i], right
        S[i, i] += precision[i] + JITTER * S[i, i]
    S[k, k] = scale * corner * (1 + JITTER) + precision[k]
    S[k, k + 1] = scale * corner_b + pull[k]
    cholesky(S, k + 1)
    square: Any = 0.0
    for i in range(k + 1):
        S[i, k + 1] += noise[i]
        square += S[i, k + 1] * S[i, k + 1]
    back_substitute(S, k + 1, step)
    for i in range(k + 1):
        square -= precision[i] * step[i] * step[i]
    return max(square, 0.0) / scale


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
    level: Any,
    w0: Any,
    known: Any,
    Q: Any,
    w: Any,
    V: Any,
    scale: Any,
    precision: Any,
    centre: Any,
    penalty_w: Any,
    penalty_v: Any,
    draw: Any,
    cached: bool,
    sums: Any,
) -> None:
    """Solve or draw each of the columns first:last of a field.

    Parameters
    ----------
    columns : int32 array of shape (n_levels,)
        Index of each of the field's columns into w, V, the penalties and `sums`.
    ptr : int64 array of shape (n_levels + 1,)
        Column j's entries are ptr[j]:ptr[j + 1] of the next arrays.
    source : int32 array of shape (n_entries,)
        cached: the entry's row. Else: the place in Q and `known` of all else that the row has.
    x : float32 array of shape (n_entries,) or (0,)
        Values of the entries, (0,) if all are 1.
    y : float32 array
        Targets: of the rows if cached, else of the entries.
    omega : float32 array of shape (n_entries,) or (0,)
        Weights of the entries' rows, (0,) if all are 1.
    level : float32 array or (0,)
        Further weights, by source.
    known, Q : float32 arrays
        cached: predictions (n_rows,) and sums of factors X V (n_rows, k), both kept up to date here. Else: what the
        rest of a row adds to the prediction by itself, less w0, and its sum of factors.
    w, V : float32 arrays of shape (n_features,), (n_features, k)
        Overwritten for these columns.
    scale : float32 array of shape (n_levels,) or (1,)
        Noise precision that a column's rows have in common.
    precision : float32 array of shape (k + 1,)
        Prior precisions of factors and weight.
    centre : float32 array of shape (1, k + 1) or (n_features, k + 1)
        Their prior means, of all columns or by column.
    penalty_w, penalty_v : float32 arrays of shape (n_features,) or (0,)
        Ridge penalties of each column, added to the prior precisions; (0,) for none.
    draw : tuple of (uint64, uint32, uint32)
        Key, stream and sweep of the random numbers; (0, 0, 0) to solve.
    sums : float64 array of shape (n_features, 3)
        Gets omega e^2, omega e and omega, summed over the column's rows, without `scale`. Not cached: after the step.
    """
    k = V.shape[1]
    n, width = k + 1, padded(k + 4)
    together = LANES if k <= MOST_TOGETHER else 1
    tile, S = np.zeros((TILE, width), np.float32), np.zeros((width, width), np.float32)
    S64 = np.empty((k + 2, k), np.float64)
    A = np.zeros((n, n + 1, LANES) if together > 1 else (1, 2, LANES), np.float32)
    theta, steps = np.zeros((LANES, n), np.float32), np.zeros((LANES, n), np.float32)
    h, slopes, prior = (
        np.zeros((LANES, n), np.float32),
        np.zeros((LANES, n), np.float32),
        np.zeros((LANES, n), np.float32),
    )
    pull, noise, told = np.zeros(n, np.float32), np.zeros(padded(n), np.float32), np.zeros((LANES, 3))
    squares = np.zeros(LANES, np.float64)
    for start in range(first, last, together):
        m = min(together, last - start)
        for lane in range(m):
            j = start + lane
            c = columns[j]
            if cached:
                for i in range(k):
                    theta[lane, i] = V[c, i]
                theta[lane, k] = w[c]
            loss, slope, curve, corner, corner_b = sum_rows(
                ptr[j], ptr[j + 1], source, x, y, omega, level, w0, known, Q, theta[lane], cached, tile, S, S64
            )
            told[lane, 0], told[lane, 1], told[lane, 2] = loss, slope, curve
            for i in range(n):
                prior[lane, i] = precision[i]
                if len(penalty_w):
                    prior[lane, i] += penalty_v[c] if i < k else penalty_w[c]
                pull[i] = precision[i] * centre[c % len(centre), i] - prior[lane, i] * theta[lane, i]
                h[lane, i] = S[k + 1, i] if i < k else np.float32(corner_b)
                slopes[lane, i] = S[k, i] if i < k else np.float32(corner)
            times = scale[j % len(scale)]
            if together == 1:
                if draw[0]:
                    fill_normals(draw[0], draw[1], draw[2], np.uint32(c), n, noise)
                squares[0] = solve_system(S, k, corner, corner_b, times, prior[0], pull, noise, steps[0])
                continue
            for i in range(k):
                for l in range(i, k):
                    A[i, l, lane] = times * S[i, l]
                A[i, k, lane], A[i, n, lane] = times * S[k, i], times * S[k + 1, i] + pull[i]
                A[i, i, lane] = A[i, i, lane] * (1 + JITTER) + prior[lane, i]
            A[k, k, lane] = times * corner * (1 + JITTER) + prior[lane, k]
            A[k, n, lane] = times * corner_b + pull[k]
        if together > 1:
            for lane in range(m, LANES):
                A[:, :, lane] = 0  # pivots of zero: no harm, no use
            cholesky_lanes(A, n)
            if draw[0]:
                for lane in range(m):
                    fill_normals(draw[0], draw[1], draw[2], np.uint32(columns[start + lane]), n, noise)
                    for i in range(n):
                        A[i, n, lane] += noise[i]
            squares[:] = 0
            for i in range(n):
                for lane in range(LANES):
                    squares[lane] += A[i, n, lane] * A[i, n, lane]
            back_substitute_lanes(A, n)
            for lane in range(m):
                for i in range(n):
                    d = A[i, n, lane]
                    steps[lane, i] = d
                    squares[lane] -= prior[lane, i] * d * d
                squares[lane] = max(squares[lane], 0.0) / scale[(start + lane) % len(scale)]
        for lane in range(m):
            j = start + lane
            c = columns[j]
            step = steps[lane]
            for i in range(k):
                v = theta[lane, i] + step[i]
                V[c, i] = v if abs(v) > NEGLIGIBLE else np.float32(0)
            w[c] = theta[lane, k] + step[k]
            if cached:
                follow(ptr[j], ptr[j + 1], source, x, theta[lane], step, known, Q)
            else:
                for i in range(n):
                    squares[lane] -= 2 * h[lane, i] * step[i]
                    told[lane, 1] -= slopes[lane, i] * step[i]
                told[lane, 0] += squares[lane]
            sums[c, 0], sums[c, 1], sums[c, 2] = told[lane, 0], told[lane, 1], told[lane, 2]


# Inlined: of a kernel that several others contain, the linker takes one copy, and copies may differ in the last bit.
@kernel(inline="always")
def follow(begin: Any, end: Any, source: Any, x: Any, theta: Any, step: Any, known: Any, Q: Any) -> None:
    """Let the cached predictions and sums of factors of a column's rows follow its step from theta."""
    k = Q.shape[1]
    for e in range(begin, end):
        s = source[e]
        value = x[e] if len(x) else np.float32(1)
        change = step[k]
        for i in range(k):
            change += (Q[s, i] - value * theta[i]) * step[i]
            Q[s, i] += value * step[i]
        known[s] += value * change


@kernel(fastmath=FASTMATH)
def move_columns(first: int, last: int, ptr: Any, source: Any, x: Any, V: Any, dV: Any, known: Any, Q: Any) -> None:
    """Let the cached predictions and sums of factors follow a change dV of the factors V of columns first:last.

    Parameters
    ----------
    ptr, source, x, known, Q
        As in `solve_columns`, cached.
    V, dV : float32 arrays of shape (n_levels, k)
        After the change, and the change.
    """
    k = V.shape[1]
    for j in range(first, last):
        for e in range(ptr[j], ptr[j + 1]):
            s = source[e]
            value = x[e] if len(x) else np.float32(1)
            change = np.float32(0)
            for i in range(k):
                change += (Q[s, i] - value * (V[j, i] - dV[j, i])) * dV[j, i]
                Q[s, i] += value * dV[j, i]
            known[s] += value * change
