"""ALS with factors that are not negative: a column's step is a non-negative least-squares problem, solved to its end.

Factors that cannot cancel each other are read as parts: a user has so much of each taste, an item serves so much of
each. Weights and the bias stay free: they are levels, not parts, and a sum of non-negative products about a free level
can still be below average.

A column's problem has k + 1 unknowns. The weight is free and eliminated; the rest is

    min_{v >= 0} 1/2 v'Av - b'v,

which cyclic coordinate steps v_i <- max(0, v_i - (Av - b)_i / A_ii) lower to its only minimum (Franc, Hlavac, Navara,
"Sequential coordinate-wise algorithm for the non-negative least squares problem", 2005). No step raises the objective,
so it may be left at any time; from the column's last factors a few passes do. The gradient Av - b is kept: a step costs
k.
"""

from typing import Any

import numpy as np

from fmkit.kernels import kernel
from fmkit.linalg import FASTMATH, padded
from fmkit.machine import NEGLIGIBLE
from fmkit.solvers.columns import JITTER, TILE, follow, sum_rows

PASSES = 200  # at most; a sweep of ratings with 16 factors takes 5 to 15 a column
TOLERANCE = np.float32(1e-5)  # of the steps of a pass, relative to the longest coordinate, where the passes end


@kernel(fastmath=FASTMATH)
def lower_nonnegative(A: Any, k: int, v: Any, gradient: Any) -> Any:
    """Lower 1/2 v'Av - b'v over v >= 0 by coordinates, in place; returns the passes.

    Parameters
    ----------
    A : float32 array of shape (at least k, at least k)
        Symmetric and positive semidefinite, all of it; a coordinate with A_ii = 0 stays.
    k : int
        Unknowns.
    v, gradient : float32 arrays of shape (at least k,)
        A start that is not negative, and A v - b there; both kept up to date.
    """
    for passes in range(PASSES):
        moved, largest = np.float32(0), np.float32(0)
        for i in range(k):
            if A[i, i] > 0:
                new = max(v[i] - gradient[i] / A[i, i], np.float32(0))
                step = new - v[i]
                if step != 0:
                    v[i] = new
                    for l in range(k):
                        gradient[l] += step * A[i, l]
                moved, largest = max(moved, abs(step)), max(largest, new)
        if moved <= TOLERANCE * largest:
            return passes + 1
    return PASSES


@kernel(fastmath=FASTMATH)
def solve_nonnegative(
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
    """`fmkit.solvers.columns.solve_columns` with v_j >= 0, for a start that is so; its parameters.

    Solutions only, without priors: `draw`, `scale`, `precision` and `centre` are not read.
    """
    k = V.shape[1]
    width = padded(k + 4)
    tile, S = np.zeros((TILE, width), np.float32), np.zeros((width, width), np.float32)
    S64 = np.empty((k + 2, k), np.float64)
    theta, step = np.zeros(k + 1, np.float32), np.zeros(k + 1, np.float32)
    A, h = np.zeros((k, k), np.float32), np.zeros(k + 1, np.float32)
    v, gradient = np.zeros(k, np.float32), np.zeros(k, np.float32)
    for j in range(first, last):
        c = columns[j]
        if cached:
            for i in range(k):
                theta[i] = V[c, i]
            theta[k] = w[c]
        loss, slope, curve, corner, corner_b = sum_rows(
            ptr[j], ptr[j + 1], source, x, y, omega, level, w0, known, Q, theta, cached, tile, S, S64
        )
        corner, corner_b = np.float32(corner), np.float32(corner_b)
        for i in range(k):
            h[i], v[i] = S[k + 1, i], V[c, i]
        h[k] = corner_b
        # With the weight at its best for each v: pivot = P_ww + penalty, A = P_vv - p p' / pivot + penalty.
        pivot = corner * (1 + JITTER) + penalty_w[c]
        right = (corner_b - penalty_w[c] * theta[k]) / pivot if pivot > 0 else np.float32(0)
        for i in range(k):
            share = S[k, i] / pivot if pivot > 0 else np.float32(0)
            for l in range(i, k):
                A[i, l] = S[i, l] - share * S[k, l]
                A[l, i] = A[i, l]
            A[i, i] += penalty_v[c] + JITTER * S[i, i]
            gradient[i] = S[k, i] * right + penalty_v[c] * theta[i] - h[i]
        for i in range(k):
            for l in range(k):
                gradient[i] += A[i, l] * (v[l] - theta[l])
        lower_nonnegative(A, k, v, gradient)
        shift = right
        for i in range(k):
            value = v[i] if v[i] > NEGLIGIBLE else np.float32(0)
            step[i] = value - theta[i]
            V[c, i] = value
            if pivot > 0:
                shift -= S[k, i] / pivot * step[i]
        step[k] = shift
        w[c] = theta[k] + shift
        if not cached:
            for i in range(k):
                product = S[i, i] * step[i] / 2 + S[k, i] * step[k]
                for l in range(i + 1, k):
                    product += S[i, l] * step[l]
                loss += 2 * (product - h[i]) * step[i]
                slope -= S[k, i] * step[i]
            loss += (corner * step[k] - 2 * h[k]) * step[k]
            slope -= corner * step[k]
        sums[c, 0], sums[c, 1], sums[c, 2] = loss, slope, curve
        if cached:
            follow(ptr[j], ptr[j + 1], source, x, theta, step, known, Q)
