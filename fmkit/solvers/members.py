"""Columns of a relation block, solved or drawn from sums a block row: the ratings are read once a sweep and side.

A block's row u adds q_u = sum_j x_uj v_j and c_u = sum_j x_uj w_j + (pairs inside the row) to each of its ratings. With
z = (q, 1) of the rest of a rating and e its residual, all that the block's columns need is P_u = sum omega z z' and
h_u = sum omega z e over the ratings of u. Column j meets u with the row vectors x_uj L z, where L adds a = q_u - x_uj v_j
to the factors of z: precision x^2 L P_u L', linear term x L h_u. A change of j moves q_u and c_u, and h_u by P_u times
that. So a sweep costs by the block's entries, not by the ratings that share them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.design import Design
from fmkit.draws import fill_normals
from fmkit.kernels import kernel
from fmkit.linalg import FASTMATH, padded
from fmkit.machine import NEGLIGIBLE
from fmkit.solvers.columns import EXACT, NONE, TILE, solve_system, sort_by_code, sum_rows

WORTH_CUTTING = 1 << 15  # entries of a field that are shared out to threads; fewer are done in the time of a dispatch


@dataclass(frozen=True)
class Members:
    """The columns of a block's table, one after the other in the order in which they are solved.

    Parameters
    ----------
    columns : ndarray of shape (n_columns,), int32
        The design's columns.
    ptr : ndarray of shape (n_columns + 1,), int64
        The entries of column j are ptr[j]:ptr[j + 1] of the next arrays.
    holders : ndarray of shape (n_entries,), int32
        Block row of each entry.
    x : ndarray of shape (n_entries,) or (0,), float32
        Values, (0,) if all are 1.
    runs : tuple of (int, int, int, bool)
        First and last column, group, and whether the columns share no row, so that threads may share them.
    """

    columns: NDArray[np.int32]
    ptr: NDArray[np.int64]
    holders: NDArray[np.int32]
    x: NDArray[np.float32]
    runs: tuple[tuple[int, int, int, bool], ...]

    @classmethod
    def of_table(cls, table: Design, columns: NDArray[np.int32], groups: NDArray[np.int32]) -> "Members":
        """From a block's table, the design's columns of its columns, and the design's groups by column."""
        parts, sizes, holders, values, runs = [], [0], [], [], []
        has_values = any(field.values is not None for field in table.fields)
        for field in table.fields:
            if not len(field.columns):
                continue
            ptr, order = sort_by_code(field.codes, len(field.columns))
            first = sum(len(p) for p in parts)
            parts.append(columns[field.columns])
            sizes += (sizes[-1] + ptr[1:]).tolist()
            holders.append(order if field.rows is None else field.rows[order])
            if has_values:
                values.append(np.ones(len(order), np.float32) if field.values is None else field.values[order])
            run = (first, first + len(field.columns), int(groups[parts[-1][0]]), len(order) >= WORTH_CUTTING)
            if runs and not run[3] and not runs[-1][3] and runs[-1][2] == run[2]:
                run = (runs.pop()[0], *run[1:])
            runs.append(run)
        nothing = np.empty(0, np.int32)
        return cls(
            np.concatenate([nothing, *parts]),
            np.array(sizes, np.int64),
            np.concatenate([nothing, *holders]),
            np.concatenate(values) if has_values else NONE,
            tuple(runs),
        )


@kernel(fastmath=FASTMATH)
def sum_block_rows(
    first: int,
    last: int,
    ptr: Any,
    source: Any,
    y: Any,
    omega: Any,
    level: Any,
    w0: Any,
    known: Any,
    Q: Any,
    q: Any,
    c: Any,
    scale: Any,
    cached: bool,
    P: Any,
    h: Any,
    counts: Any,
    sums: Any,
) -> None:
    """P_u, h_u and the sum of the weights of the block rows first:last, times `scale`.

    Parameters
    ----------
    ptr, source, y, omega, level, w0, known, Q, scale, cached
        As in `fmkit.solvers.columns.solve_columns`, block rows in place of columns.
    q, c : float32 arrays of shape (n_block_rows, k), (n_block_rows,)
        What the block rows add as they are.
    P : float32 array of shape (n_block_rows, k + 1, max(padded(k), 1))
        Gets sum omega q q', all of it, and in the last row sum omega q.
    h : float32 array of shape (n_block_rows, max(padded(k), 1) + 1)
        Gets sum omega (q, 1) e, the 1 in the last place.
    counts : float32 array of shape (n_block_rows,)
        Gets sum omega.
    sums : float64 array of shape (n_block_rows, 3)
        Gets sums of omega e^2, omega e and omega, without `scale`.
    """
    k = Q.shape[1]
    width = padded(k + 4)
    tile, S = np.zeros((TILE, width), np.float32), np.zeros((width, width), np.float32)
    S64 = np.empty((k + 2, k), np.float64)
    theta = np.zeros(k + 1, np.float32)
    end = h.shape[1] - 1
    for u in range(first, last):
        if cached:
            for i in range(k):
                theta[i] = q[u, i]
        loss, slope, curve, corner, corner_b = sum_rows(
            ptr[u], ptr[u + 1], source, NONE, y, omega, level, w0, known, Q, theta, cached, tile, S, S64
        )
        times = scale[u % len(scale)]
        for i in range(k):
            P[u, i, i] = times * S[i, i]
            for l in range(i + 1, k):
                P[u, i, l] = times * S[i, l]
                P[u, l, i] = times * S[i, l]
            P[u, k, i] = times * S[k, i]
        counts[u] = times * np.float32(curve)
        if not cached:  # the residuals so far lack the block row's own part
            moved: Any = 0.0
            right = np.float32(corner_b) - np.float32(curve) * c[u]
            for i in range(k):
                s = S[k + 1, i] - S[k, i] * c[u]
                for l in range(k):
                    s -= (S[i, l] if i <= l else S[l, i]) * q[u, l]
                h[u, i] = times * s
                moved += q[u, i] * (S[k + 1, i] + s)
                right -= S[k, i] * q[u, i]
            h[u, end] = times * right
            moved += c[u] * (corner_b + right)
            loss, slope = loss - moved, right
        else:
            for i in range(k):
                h[u, i] = times * S[k + 1, i]
            h[u, end] = times * np.float32(corner_b)
        sums[u, 0], sums[u, 1], sums[u, 2] = loss, slope, curve


@kernel(fastmath=FASTMATH)
def solve_members(
    first: int,
    last: int,
    columns: Any,
    ptr: Any,
    holders: Any,
    x: Any,
    q: Any,
    c: Any,
    P: Any,
    h: Any,
    counts: Any,
    w: Any,
    V: Any,
    precision: Any,
    centre: Any,
    penalty_w: Any,
    penalty_v: Any,
    draw: Any,
) -> None:
    """Solve or draw each of the columns first:last of `Members`, one after the other.

    Parameters
    ----------
    columns, ptr, holders, x
        Of `Members`.
    q, c : float32 arrays of shape (n_block_rows, k), (n_block_rows,)
        What the block rows add, kept up to date.
    P, h, counts
        The sums of `sum_block_rows`; h is kept up to date.
    w, V, precision, centre, penalty_w, penalty_v, draw
        As in `fmkit.solvers.columns.solve_columns`.
    """
    k = V.shape[1]
    width, lanes = padded(k + 4), padded(k)
    end = h.shape[1] - 1
    S, S64 = np.zeros((width, width), np.float32), np.zeros((k + 2, lanes), np.float64)
    a, row = np.zeros(max(lanes, 1), np.float32), np.zeros(max(lanes, 1), np.float32)
    theta, step = np.zeros(k + 1, np.float32), np.zeros(k + 1, np.float32)
    prior, pull, noise = np.zeros(k + 1, np.float32), np.zeros(k + 1, np.float32), np.zeros(padded(k + 1), np.float32)
    zero = np.float32(0)
    for j in range(first, last):
        col = columns[j]
        for i in range(k):
            theta[i] = V[col, i]
        theta[k] = w[col]
        S.fill(0)
        corner, corner_b = zero, zero
        for e in range(ptr[j], ptr[j + 1]):
            u = holders[e]
            value = x[e] if len(x) else np.float32(1)
            square, n, right = value * value, counts[u], h[u, end]
            for i in range(k):
                a[i] = q[u, i] - value * theta[i]
            for l in range(lanes):
                row[l] = P[u, k, l] + n * a[l]
                S[k, l] += square * row[l]
                S[k + 1, l] += value * (h[u, l] + right * a[l])
            for i in range(k):
                p_i, a_i = P[u, k, i], a[i]
                for l in range(lanes):
                    S[i, l] += square * (P[u, i, l] + a_i * row[l] + p_i * a[l])
            corner += square * n
            corner_b += value * right
            if (e - ptr[j]) % EXACT == EXACT - 1:
                for i in range(k + 2):
                    for l in range(lanes):
                        S64[i, l] += S[i, l]
                        S[i, l] = 0
        if ptr[j + 1] - ptr[j] >= EXACT:
            for i in range(k + 2):
                for l in range(lanes):
                    S[i, l] += S64[i, l]
                    S64[i, l] = 0
        for i in range(k + 1):
            prior[i] = precision[i]
            if len(penalty_w):
                prior[i] += penalty_v[col] if i < k else penalty_w[col]
            pull[i] = precision[i] * centre[i] - prior[i] * theta[i]
        if draw[0]:
            fill_normals(draw[0], draw[1], draw[2], np.uint32(col), k + 1, noise)
        solve_system(S, k, corner, corner_b, np.float32(1), prior, pull, noise, step)
        for i in range(k):
            v = theta[i] + step[i]
            V[col, i] = v if abs(v) > NEGLIGIBLE else zero
        w[col] = theta[k] + step[k]
        for e in range(ptr[j], ptr[j + 1]):
            u = holders[e]
            value = x[e] if len(x) else np.float32(1)
            change = step[k]
            for i in range(k):
                change += step[i] * (q[u, i] - value * theta[i])
            change *= value
            s = h[u, end] - counts[u] * change
            for l in range(lanes):
                row[l] = h[u, l] - P[u, k, l] * change
            for i in range(k):
                d = value * step[i]
                q[u, i] += d
                s -= P[u, k, i] * d
                for l in range(lanes):
                    row[l] -= P[u, i, l] * d
            for l in range(lanes):
                h[u, l] = row[l]
            c[u] += change
            h[u, end] = s


@kernel(fastmath=FASTMATH)
def move_rows(first: int, last: int, codes: Any, q: Any, dq: Any, dc: Any, known: Any, Q: Any) -> None:
    """Let the cached predictions and sums of factors of rows first:last follow a change (dq, dc) of their block rows.

    Parameters
    ----------
    codes : int32 array of shape (n_rows,)
        Block row of each row.
    q, dq, dc : float32 arrays of shape (n_block_rows, k), (n_block_rows, k), (n_block_rows,)
        What block rows add after the change, and the change.
    known, Q : float32 arrays of shape (n_rows,), (n_rows, k)
        Kept up to date.
    """
    k = Q.shape[1]
    for r in range(first, last):
        u = codes[r]
        change = dc[u]
        for i in range(k):
            change += dq[u, i] * (Q[r, i] - (q[u, i] - dq[u, i]))
            Q[r, i] += dq[u, i]
        known[r] += change
