"""Mean-field VB with independent dimensions: ALS's systems, and what the variances of all else add to them.

The rest of a row is z = (q, 1) and c, both uncertain: sum omega E z z' has sum omega var q on its diagonal, beside the
means' own products, and sum omega E z e lacks sum omega cov(q, rest). The means then solve the system of ALS, a
dimension's variance is one over its diagonal element. Of a table of block rows var q, cov(q, c) and var c are kept;
where predictions are kept a row, so are VQ = sum_s var q_s and G = sum_s (cov(q_s, c_s) - var q_s q_s) over its sides
s, from which follows cov(q, rest) = (G - G_own) + (VQ - VQ_own) (Q - q_own).
"""

import math
from typing import Any

import numpy as np

from fmkit.kernels import kernel
from fmkit.linalg import FASTMATH, padded
from fmkit.solvers.columns import EXACT, TILE, follow, solve_system, sum_rows


@kernel(fastmath=FASTMATH)
def sum_spreads(
    begin: int,
    end: int,
    source: Any,
    x: Any,
    omega: Any,
    level: Any,
    Q: Any,
    VQ: Any,
    G: Any,
    var_c: Any,
    v: Any,
    own_var: Any,
    own_g: Any,
    cached: bool,
    D: Any,
    C: Any,
) -> Any:
    """D = sum omega x^2 var q and C = sum omega x cov(q, rest) over the entries begin:end of a column or block row.

    Parameters
    ----------
    source, x, omega, level, Q, cached
        As in `fmkit.solvers.columns.sum_rows`.
    VQ, G, var_c : float32 arrays
        cached: of the rows, shapes (n_rows, k), (n_rows, k), (0,). Else, by source: var q, cov(q, c) of shape
        (n_source, k) or (0, k) where there is none, and var c of shape (n_source,).
    v, own_var, own_g : float32 arrays of shape (at least k,)
        cached: the column's (block row's) mean, variance and G for x = 1, which the rows contain.
    D, C : float32 arrays of shape (k,)
        Results.

    Returns
    -------
    float64
        sum omega var c; 0 if cached.
    """
    k = Q.shape[1]
    total: Any = 0.0
    D[:] = 0
    C[:] = 0
    for e in range(begin, end):
        s = source[e]
        value = x[e] if len(x) else np.float32(1)
        weight = omega[e] if len(omega) else np.float32(1)
        if len(level):
            weight *= level[s]
        square = value * value
        if cached:
            once, twice = weight * value, weight * square
            for i in range(k):
                rest = max(VQ[s, i] - square * own_var[i], np.float32(0))  # of what is followed, rounding may remain
                D[i] += twice * rest
                C[i] += once * (G[s, i] - square * value * own_g[i] + rest * (Q[s, i] - value * v[i]))
        else:
            total += weight * var_c[s]
            for i in range(k):
                D[i] += weight * VQ[s, i]
            if len(G):
                for i in range(k):
                    C[i] += weight * G[s, i]
    return total


@kernel(fastmath=FASTMATH)
def infer_independent(
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
    VQ: Any,
    G: Any,
    var_c: Any,
    w: Any,
    V: Any,
    var_w: Any,
    var_v: Any,
    scale: Any,
    precision: Any,
    centre: Any,
    cached: bool,
    sums: Any,
) -> None:
    """The Gaussian of each of the columns first:last of a field, its dimensions independent.

    Parameters
    ----------
    columns, ptr, source, x, y, omega, level, w0, known, Q, w, V, scale, precision, centre, cached
        As in `fmkit.solvers.columns.solve_columns`; w and V are means.
    VQ, G, var_c
        As in `sum_spreads`; the rows' are kept up to date.
    var_w, var_v : float32 arrays of shape (n_features,), (n_features, k)
        Variances, overwritten for these columns.
    sums : float64 array of shape (n_features, 4)
        Gets expectations of omega e^2, omega e and omega, without `scale`, and half the log determinant of the
        covariance. The first two are of use only where nothing is kept a row.
    """
    k = V.shape[1]
    width = padded(k + 4)
    tile, S = np.zeros((TILE, width), np.float32), np.zeros((width, width), np.float32)
    S64 = np.empty((k + 2, k), np.float64)
    theta, step, own_g = np.zeros(k + 1, np.float32), np.zeros(k + 1, np.float32), np.zeros(k + 1, np.float32)
    diagonal, pull, none = np.zeros(k + 1, np.float32), np.zeros(k + 1, np.float32), np.zeros(padded(k + 1), np.float32)
    h, slopes, old = np.zeros(k + 1, np.float32), np.zeros(k + 1, np.float32), np.zeros(k + 1, np.float32)
    D, C = np.zeros(k, np.float32), np.zeros(k, np.float32)
    for j in range(first, last):
        c = columns[j]
        times = scale[j % len(scale)]
        for i in range(k):
            old[i] = var_v[c, i]
        if cached:
            for i in range(k):
                theta[i] = V[c, i]
                own_g[i] = -old[i] * theta[i]
            theta[k] = w[c]
        loss, slope, curve, corner, corner_b = sum_rows(
            ptr[j], ptr[j + 1], source, x, y, omega, level, w0, known, Q, theta, cached, tile, S, S64
        )
        loss += sum_spreads(
            ptr[j], ptr[j + 1], source, x, omega, level, Q, VQ, G, var_c, theta, old, own_g, cached, D, C
        )
        for i in range(k):
            S[i, i] += D[i]
            S[k + 1, i] -= C[i] + D[i] * theta[i]
            diagonal[i] = S[i, i]
        diagonal[k] = corner
        for i in range(k + 1):
            pull[i] = precision[i] * (centre[c % len(centre), i] - theta[i])
            h[i], slopes[i] = (S[k + 1, i], S[k, i]) if i < k else (np.float32(corner_b), np.float32(corner))
        square = solve_system(S, k, corner, corner_b, times, precision, pull, none, step)
        determinant: Any = 0.0
        for i in range(k + 1):
            variance = np.float32(1) / (times * diagonal[i] + precision[i])
            determinant += math.log(variance) / 2
            if not cached:
                square += diagonal[i] * variance - 2 * h[i] * step[i]
                slope -= slopes[i] * step[i]
            if i < k:
                V[c, i] = theta[i] + step[i]
                var_v[c, i] = variance
            else:
                w[c] = theta[k] + step[k]
                var_w[c] = variance
        sums[c, 0], sums[c, 1], sums[c, 2], sums[c, 3] = loss + square, slope, curve, determinant
        if cached:
            follow(ptr[j], ptr[j + 1], source, x, theta, step, known, Q)
            follow_spreads(ptr[j], ptr[j + 1], source, x, theta, V[c], old, var_v[c], VQ, G)


@kernel(inline="always")
def follow_spreads(
    begin: int, end: int, source: Any, x: Any, old_v: Any, v: Any, old_var: Any, var: Any, VQ: Any, G: Any
) -> None:
    """Let VQ and G of a column's rows follow its means and variances, from the old ones to the new."""
    for e in range(begin, end):
        s = source[e]
        value = x[e] if len(x) else np.float32(1)
        for i in range(VQ.shape[1]):
            VQ[s, i] += value * value * (var[i] - old_var[i])
            G[s, i] -= value * value * value * (var[i] * v[i] - old_var[i] * old_v[i])


@kernel(fastmath=FASTMATH)
def spread_block_rows(
    first: int,
    last: int,
    ptr: Any,
    source: Any,
    x: Any,
    omega: Any,
    level: Any,
    Q: Any,
    VQ: Any,
    G: Any,
    var_c: Any,
    q: Any,
    var_q: Any,
    own_g: Any,
    scale: Any,
    cached: bool,
    P: Any,
    h: Any,
    sums: Any,
) -> None:
    """Add to the sums of `fmkit.solvers.members.sum_block_rows` what the variances of the rest of the rows come to.

    Parameters
    ----------
    ptr, source, x, omega, level, Q, VQ, G, var_c, cached
        As in `sum_spreads`.
    q, var_q, own_g : float32 arrays of shape (n_block_rows, k)
        Means, variances and G of the block rows.
    scale, P, h, sums
        As in `fmkit.solvers.members.sum_block_rows`.
    """
    k = Q.shape[1]
    D, C = np.zeros(k, np.float32), np.zeros(k, np.float32)
    for u in range(first, last):
        loss = sum_spreads(
            ptr[u], ptr[u + 1], source, x, omega, level, Q, VQ, G, var_c, q[u], var_q[u], own_g[u], cached, D, C
        )
        times = scale[u % len(scale)]
        for i in range(k):
            P[u, i, i] += times * D[i]
            h[u, i] -= times * (C[i] + D[i] * q[u, i])
            loss += 2 * C[i] * q[u, i] + D[i] * q[u, i] * q[u, i]
        sums[u, 0] += loss


@kernel(fastmath=FASTMATH)
def infer_members(
    first: int,
    last: int,
    columns: Any,
    ptr: Any,
    holders: Any,
    x: Any,
    q: Any,
    c: Any,
    var_q: Any,
    cov: Any,
    P: Any,
    h: Any,
    counts: Any,
    w: Any,
    V: Any,
    var_w: Any,
    var_v: Any,
    precision: Any,
    centre: Any,
    determinants: Any,
) -> None:
    """The Gaussian of each of the columns first:last of `Members`, one after the other, its dimensions independent.

    As `fmkit.solvers.members.solve_members`. In block row u the others' sum a is uncertain, too: with s = var v_j, var
    a = var q - x^2 s adds n var a to the precision and takes n (cov(q, c) - x^2 s a) + var a p off the linear term.

    Parameters
    ----------
    var_q, cov : float32 arrays of shape (n_block_rows, k)
        Variances of the block rows' factors and their covariances with c, kept up to date.
    var_w, var_v : float32 arrays of shape (n_features,), (n_features, k)
        Overwritten for these columns.
    determinants : float64 array of shape (n_features,)
        Gets half the log determinant of the covariances.
    """
    k = V.shape[1]
    width, lanes = padded(k + 4), padded(k)
    end = h.shape[1] - 1
    S, S64 = np.zeros((width, width), np.float32), np.zeros((k + 2, lanes), np.float64)
    a, row = np.zeros(max(lanes, 1), np.float32), np.zeros(max(lanes, 1), np.float32)
    theta, step, old = np.zeros(k + 1, np.float32), np.zeros(k + 1, np.float32), np.zeros(k + 1, np.float32)
    diagonal, pull, none = np.zeros(k + 1, np.float32), np.zeros(k + 1, np.float32), np.zeros(padded(k + 1), np.float32)
    zero = np.float32(0)
    for j in range(first, last):
        col = columns[j]
        for i in range(k):
            theta[i], old[i] = V[col, i], var_v[col, i]
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
            for i in range(k):
                s = square * old[i]
                rest = max(var_q[u, i] - s, np.float32(0))
                S[i, i] += square * n * rest
                S[k + 1, i] -= value * (n * (cov[u, i] - s * a[i]) + rest * P[u, k, i])
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
            diagonal[i] = S[i, i] if i < k else corner
            pull[i] = precision[i] * (centre[i] - theta[i])
        solve_system(S, k, corner, corner_b, np.float32(1), precision, pull, none, step)
        determinant: Any = 0.0
        for i in range(k + 1):
            variance = np.float32(1) / (diagonal[i] + precision[i])
            determinant += math.log(variance) / 2
            if i < k:
                V[col, i], var_v[col, i] = theta[i] + step[i], variance
            else:
                w[col], var_w[col] = theta[k] + step[k], variance
        determinants[col] = determinant
        for e in range(ptr[j], ptr[j + 1]):
            u = holders[e]
            value = x[e] if len(x) else np.float32(1)
            square = value * value
            change = step[k]
            for i in range(k):
                a[i] = q[u, i] - value * theta[i]
                change += step[i] * a[i]
                d, more = value * step[i], square * (var_v[col, i] - old[i])
                cov[u, i] += more * a[i] + (var_q[u, i] - square * old[i]) * d
                var_q[u, i] += more
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
def sum_row_spreads(indptr: Any, columns: Any, values: Any, V: Any, var_v: Any, cov: Any, VQ: Any, G: Any) -> None:
    """VQ and G of rows; `cov` as in `fmkit.posterior.spread_rows`."""
    k = V.shape[1]
    for r in range(len(VQ)):
        for f in range(k):
            VQ[r, f] = 0
            G[r, f] = 0
        for i in range(indptr[r], indptr[r + 1]):
            j, x = columns[i], values[i]
            square = x * x
            for f in range(k):
                VQ[r, f] += square * var_v[j, f]
                G[r, f] -= square * x * var_v[j, f] * V[j, f]
                if len(cov):
                    G[r, f] += square * cov[j, f]
