"""Kernels of a stream's learner: values, counts, first factors, and the step of a row of two ids."""

from __future__ import annotations

from typing import Any

import numpy as np

from fmkit.draws import GROUP, fill_normals
from fmkit.kernels import kernel
from fmkit.lanes import prefetch, row_products
from fmkit.solvers.pair_step import SHARE_V, SHARE_W, STEP_MATH, WEIGHT, step_pair

# The factor of a column's learning rates, 0 of one that was never met, stands behind what `step_pair` asks for.
PACE, BEHIND = SHARE_V + 1, SHARE_V + 2

AHEAD = 12  # entries whose columns are asked for before they are met: they stand anywhere in memory


@kernel(fastmath={"contract", "reassoc", "nsz"})
def value_rows(indptr: Any, columns: Any, values: Any, bias: Any, P: Any, lanes: int, out: Any) -> None:
    """out_r = bias + sum_j x_j w_j + sum_{i<j} x_i x_j <v_i, v_j>, one entry after the other."""
    width, n_entries = P.shape[1], len(columns)
    q = np.empty(lanes, np.float32)
    for r in range(len(out)):
        first, last = indptr[r], indptr[r + 1]
        for e in range(first + AHEAD, min(last + AHEAD, n_entries)):
            prefetch(P, np.int64(columns[e]) * width)
        f = bias
        if last == first + 2 and not len(values) and columns[first] != columns[first + 1]:
            i, j = columns[first], columns[first + 1]
            out[r] = f + (P[i, lanes + WEIGHT] + P[j, lanes + WEIGHT]) + row_products(P, i, j, lanes)[1]
            continue
        q[:] = 0
        for e in range(first, last):
            j = columns[e]
            x = values[e] if len(values) else np.float32(1)
            pair = np.float32(0)
            for i in range(lanes):
                v = x * P[j, i]
                pair += v * q[i]
                q[i] += v
            f += x * P[j, lanes + WEIGHT] + pair
        out[r] = f


@kernel
def count(indptr: Any, columns: Any, fields: Any, values: Any, omega: Any, sums: Any, used: Any, coverage: Any) -> None:
    """Add rows to sums[j], a column's weights and weighted squares, and to the columns and weights of fields."""
    n_entries = len(columns)
    for r in range(len(indptr) - 1):
        weight = np.float64(omega[r]) if len(omega) else 1.0
        for e in range(indptr[r], indptr[r + 1]):
            prefetch(sums, 2 * np.int64(columns[min(e + AHEAD, n_entries - 1)]))
            j, of = columns[e], fields[e]
            if sums[j, 0] == 0:
                used[of] += 1
            sums[j, 0] += weight
            coverage[of] += weight
            sums[j, 1] += weight * np.float64(values[e]) ** 2 if len(values) else weight


@kernel
def begin(
    columns: Any, fields: Any, sums: Any, linear: Any, factors: Any, seed: int, k: int, scale: Any, P: Any, lanes: int
) -> None:
    """Set what the visits of these columns carry, and the first factors of those that are met for the first time."""
    normals = np.empty(lanes + GROUP, np.float32)
    n_entries, width = len(columns), P.shape[1]
    for e in range(n_entries):
        later = np.int64(columns[min(e + AHEAD, n_entries - 1)])
        prefetch(P, later * width)
        prefetch(sums, 2 * later)
        j, of = columns[e], fields[e]
        total, squares = sums[j]
        square = squares / total if total != squares and total > 0 and squares > 0 else 1.0
        pace = np.float32(1 / np.sqrt(square)) if square != 1 else np.float32(1)
        if P[j, lanes + PACE] == 0:
            fill_normals(seed, 0, 0, j, k, normals)
            for i in range(k):
                P[j, i] = scale * pace * normals[i]
        P[j, lanes + PACE] = pace
        share = np.float32(square / max(total, 1e-30))
        P[j, lanes + SHARE_W], P[j, lanes + SHARE_V] = linear[of] * share, factors[of] * share


@kernel(fastmath=STEP_MATH)
def visit_pairs(
    order: Any, columns: Any, y: Any, omega: Any, bias: Any, P: Any, lanes: int, rates: Any, logistic: bool
) -> Any:
    """A step for each of the rows in `order`; returns the sums of their losses and slopes, as they were met.

    The step of `fmkit.solvers.sgd_grid.visit_cells`, but that columns may stand anywhere, and are asked for in time.

    Parameters
    ----------
    order : int32 array
    columns : int32 array of shape (2 n_rows,)
        Two a row, not the same.
    y, omega : float32 arrays
        `omega` of shape (0,) means that all are 1.
    bias : float32 array of shape (2,)
        The bias, which stays, and the sum of its squared slopes.
    P : float32 array of shape (n_columns, at least lanes + BEHIND)
    lanes : int
        Factors, a multiple of `HALF`.
    rates : float32 array of shape (2,)
        Learning rates of weights and of factors.
    """
    one, width = np.float32(1), P.shape[1]
    mean = one / np.float32(max(lanes, 1))
    total, slopes, sum_of_squares = 0.0, 0.0, 0.0
    for at in range(len(order)):
        if at + AHEAD < len(order):
            later = 2 * np.int64(order[at + AHEAD])
            prefetch(P, np.int64(columns[later]) * width)
            prefetch(P, np.int64(columns[later + 1]) * width)
        r = np.int64(order[at])
        i, j = columns[2 * r], columns[2 * r + 1]
        products = row_products(P, i, j, lanes)
        f = bias[0] + (P[i, lanes + WEIGHT] + P[j, lanes + WEIGHT]) + products[1]
        weight = omega[r] if len(omega) else one
        if logistic:
            s = weight * (one / (one + np.exp(-f)) - y[r])
            total += weight * (np.log1p(np.exp(-abs(f))) + max(f, np.float32(0)) - y[r] * f)
        else:
            s = weight * (f - y[r])
            total += s * (f - y[r])
        slopes += s
        sum_of_squares += s * s
        step_pair(P, i, j, lanes, products, s, weight, rates, mean)
    bias[1] += np.float32(sum_of_squares)
    return total, slopes
