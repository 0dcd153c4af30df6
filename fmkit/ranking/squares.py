"""The one step of "implicit": the vectors of a side's rows, squared loss over all pairs, in time of the seen ones.

With the other side's vectors z_i fixed, a vector t that rows r share adds to the loss over seen and unseen pairs

    sum_{seen (r, i)} c_ri (1 - <b_r + t, z_i>)^2 + alpha sum_r sum_i <b_r + t, z_i>^2 + lambda |t - m|^2

with b_r what else the row has. The second sum is (b_r + t)' G (b_r + t) with one Gram matrix G = sum_i z_i z_i' for all
rows (Hu, Koren, Volinsky, Collaborative Filtering for Implicit Feedback Datasets, 2008), so that only seen pairs are
visited.

A vector of n pairs, fewer than factors, needs no system of k unknowns: with D = (times alpha G + lambda I)^-1 and Z_n
the vectors of its items, t = D (pull + Z_n' s), where (C^-1 + Z_n D Z_n') s = target - Z_n D pull has n unknowns. In
the basis of G's eigenvectors D is diagonal for all vectors at once, whatever their lambda.
"""

from typing import Any

import numpy as np

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
from fmkit.solvers.columns import MOST_TOGETHER, TILE

TINY = np.float32(1e-30)


@kernel(fastmath=FASTMATH)
def _sum_pairs(begin: int, end: int, items: Any, rows: Any, weights: Any, Z: Any, base: Any, tile: Any, S: Any) -> None:
    """S[:k, :k] = sum c z z' from the diagonal to the right, S[k, :k] = sum c (1 - <b, z>) z."""
    k = Z.shape[1]
    S.fill(0)
    for start in range(begin, end, TILE):
        n = min(TILE, end - start)
        for p in range(n):
            i = items[start + p]
            root = np.sqrt(weights[start + p]) if len(weights) else np.float32(1)
            target = np.float32(1)
            if len(base):
                r = rows[start + p]
                for f in range(k):
                    target -= base[r, f] * Z[i, f]
            for f in range(k):
                tile[p, f] = root * Z[i, f]
            tile[p, k] = root * target
        gram(tile, n, k, k + 1, S)


@kernel(fastmath=FASTMATH)
def solve_rows(
    first: int,
    last: int,
    which: Any,
    before: Any,
    items: Any,
    rows: Any,
    weights: Any,
    Z: Any,
    base: Any,
    unseen: Any,
    times: Any,
    penalty: Any,
    pull: Any,
    T: Any,
) -> None:
    """Solve for vectors T[e]: (sum c z z' + times unseen + penalty I) t = sum c (1 - <b, z>) z + pull.

    Parameters
    ----------
    which : int array of shape (n_chosen,)
        The e of `first:last`.
    before : int64 array of shape (n + 1,)
        The seen pairs of vector e are before[e]:before[e + 1] of the next arrays.
    items : int32 array of shape (n_pairs,)
        Rows of Z.
    rows : int32 array of shape (n_pairs,) or (0,)
        Rows of `base`.
    weights : float32 array of shape (n_pairs,) or (0,)
        c; (0,) if all are 1.
    Z : float32 array of shape (n_others, k)
    base : float32 array of shape (n_rows, k) or (0, k)
        What rows have beside t; (0, k) for nothing.
    unseen : float32 array of shape (k, k)
        alpha G.
    times : float32 array of shape (n,)
        How many rows share each vector.
    penalty : float32 array of shape (n,)
    pull : float32 array of shape (n, k) or (0, k)
        lambda m - alpha G sum_r b_r; (0, k) for zeros.
    T : float32 array of shape (n, k)
        Gets the solutions.
    """
    k = Z.shape[1]
    width = padded(k + 3)
    together = LANES if k <= MOST_TOGETHER else 1
    tile, S = np.zeros((TILE, width), np.float32), np.zeros((padded(k + 2), width), np.float32)
    A = np.zeros((k, k + 1, LANES) if together > 1 else (1, 2, LANES), np.float32)
    solution = np.empty(k, np.float32)
    for start in range(first, last, together):
        m = min(together, last - start)
        for lane in range(m):
            e = which[start + lane]
            _sum_pairs(before[e], before[e + 1], items, rows, weights, Z, base, tile, S)
            for f in range(k):
                right = S[k, f]
                if len(pull):
                    right += pull[e, f]
                if together > 1:
                    for g in range(f, k):
                        A[f, g, lane] = S[f, g] + times[e] * unseen[f, g]
                    A[f, f, lane] += penalty[e]
                    A[f, k, lane] = right
                else:
                    for g in range(f, k):
                        S[f, g] += times[e] * unseen[f, g]
                    S[f, f] += penalty[e]
                    S[f, k] = right
            if together == 1:
                S[k] = 0
                cholesky(S, k)
                back_substitute(S, k, solution)
                T[e] = solution
        if together > 1:
            for lane in range(m, LANES):
                A[:, :, lane] = 0  # pivots of zero: no harm, no use
            cholesky_lanes(A, k)
            back_substitute_lanes(A, k)
            for lane in range(m):
                for f in range(k):
                    T[which[start + lane], f] = A[f, k, lane]


@kernel(fastmath=FASTMATH)
def solve_short_rows(
    first: int,
    last: int,
    which: Any,
    before: Any,
    items: Any,
    rows: Any,
    weights: Any,
    Z: Any,
    base: Any,
    rotated: Any,
    values: Any,
    times: Any,
    penalty: Any,
    pull: Any,
    T: Any,
) -> None:
    """As `solve_rows` for vectors of few pairs, by as many unknowns, in the basis of eigenvectors of `unseen`.

    Parameters
    ----------
    which, before, items, rows, weights, Z, base, times, penalty
        As in `solve_rows`.
    rotated : float32 array of shape (n_others, k)
        Z in the basis of the eigenvectors.
    values : float32 array of shape (k,)
        The eigenvalues.
    pull : float32 array of shape (n_chosen, k) or (0, k)
        Of these vectors, in that basis.
    T : float32 array of shape (n_chosen, k)
        Gets the solutions of first:last, in that basis.
    """
    k = Z.shape[1]
    most = 0
    for c in range(first, last):
        most = max(most, before[which[c] + 1] - before[which[c]])
    width = padded(most + 3)
    tile, S = np.zeros((k, width), np.float32), np.zeros((padded(most + 2), width), np.float32)
    root, s = np.empty(k, np.float32), np.zeros(most + 1, np.float32)
    for c in range(first, last):
        e = which[c]
        begin, n = before[e], before[e + 1] - before[e]
        for f in range(k):
            root[f] = np.sqrt(np.float32(1) / (times[e] * values[f] + penalty[e]))
            for p in range(n):
                tile[f, p] = root[f] * rotated[items[begin + p], f]
            tile[f, n] = root[f] * pull[c, f] if len(pull) else np.float32(0)
            tile[f, n + 1] = 0
        S.fill(0)
        gram(tile, k, n, n + 1, S)
        for p in range(n):
            target = np.float32(1)
            if len(base):
                for f in range(k):
                    target -= base[rows[begin + p], f] * Z[items[begin + p], f]
            S[p, p] += np.float32(1) / max(weights[begin + p], TINY) if len(weights) else np.float32(1)
            S[p, n] = target - S[n, p]
        S[n] = 0
        cholesky(S, n)
        back_substitute(S, n, s)
        for f in range(k):
            moved = tile[f, n]
            for p in range(n):
                moved += tile[f, p] * s[p]
            T[c, f] = root[f] * moved


@kernel(fastmath=FASTMATH)
def sum_seen(
    first: int, last: int, before: Any, items: Any, weights: Any, Z: Any, P: Any, target: float, out: Any
) -> None:
    """out_r = sum_i c_ri (<p_r, z_i> - target) z_i for the rows first:last.

    Parameters
    ----------
    before, items, weights, Z
        See `solve_rows`.
    P, out : float32 arrays of shape (n_rows, k)
    target : float32
        1: half the slope of the seen pairs' loss. 0: its curvature times p.
    """
    k = Z.shape[1]
    for r in range(first, last):
        for f in range(k):
            out[r, f] = 0
        for p in range(before[r], before[r + 1]):
            i = items[p]
            score = -target
            for f in range(k):
                score += P[r, f] * Z[i, f]
            if len(weights):
                score *= weights[p]
            for f in range(k):
                out[r, f] += score * Z[i, f]


@kernel(fastmath=FASTMATH)
def move_rows(first: int, last: int, codes: Any, T: Any, sign: float, P: Any) -> None:
    """P_r += sign T_e for the rows first:last and their entities e = codes[r], or r if `codes` is of shape (0,)."""
    for r in range(first, last):
        e = codes[r] if len(codes) else r
        for f in range(P.shape[1]):
            P[r, f] += sign * T[e, f]


@kernel(fastmath=FASTMATH)
def seen_loss(first: int, last: int, before: Any, items: Any, weights: Any, Z: Any, P: Any) -> Any:
    """sum_{seen} c (1 - <p, z>)^2 of the rows first:last."""
    k = Z.shape[1]
    total: Any = 0.0
    for r in range(first, last):
        for p in range(before[r], before[r + 1]):
            i = items[p]
            error = np.float32(1)
            for f in range(k):
                error -= P[r, f] * Z[i, f]
            square = error * error
            if len(weights):
                square *= weights[p]
            total += square
    return total
