"""Mean-field VB of two one-hot fields: every column a Gaussian with a full covariance of its weight and factors.

With zeta = (1, v, w) of the other side's column, all that a column needs of its rows are sums of E zeta zeta' and of
y E zeta: its posterior precision is sum omega E (v, 1)(v, 1)' + Lambda. A column's E zeta zeta' is kept as the packed rows
of its upper triangle, so the sum over a column's ratings is one vector addition a rating. Their first row is E zeta.
"""

import math
from typing import Any

import numpy as np

from fmkit.kernels import kernel
from fmkit.linalg import FASTMATH, back_substitute, cholesky, padded
from fmkit.solvers.columns import EXACT, JITTER


@kernel
def packed_size(k: int) -> int:
    """Length of a row of packed moments, padded for vector operations (and so that reading padded(k + 2) is safe)."""
    return max(padded((k + 2) * (k + 3) // 2), padded(k + 2))


@kernel(fastmath=FASTMATH)
def pack_moments(mean_v: Any, mean_w: Any, cov: Any, k: int, out: Any) -> None:
    """Write E zeta zeta' of a column; `cov` is of shape (k + 1, k + 1), factors first."""
    out[0] = 1
    for i in range(k):
        out[1 + i] = mean_v[i]
    out[k + 1] = mean_w
    at = k + 2
    for i in range(k):
        for l in range(i, k):
            out[at] = mean_v[i] * mean_v[l] + cov[i, l]
            at += 1
        out[at] = mean_v[i] * mean_w + cov[i, k]
        at += 1
    out[at] = mean_w * mean_w + cov[k, k]


@kernel(fastmath=FASTMATH)
def invert_factor(U: Any, n: int, R: Any, cov: Any) -> None:
    """cov = (U' U)^-1 for the upper triangular U[:n, :n]; R is work space of U's shape."""
    for i in range(n - 1, -1, -1):  # R = U^-1, row by row from below: R[i] = (e_i - sum_{l > i} U[i, l] R[l]) / U[i, i]
        for m in range(n):
            R[i, m] = 0
        for l in range(i + 1, n):
            u = U[i, l]
            for m in range(l, n):
                R[i, m] -= u * R[l, m]
        R[i, i] = 1
        d = np.float32(1) / U[i, i] if U[i, i] > 0 else np.float32(0)
        for m in range(i, n):
            R[i, m] *= d
    for i in range(n):
        for l in range(i, n):
            s = np.float32(0)
            for m in range(l, n):
                s += R[i, m] * R[l, m]
            cov[i, l] = s
            cov[l, i] = s


@kernel(fastmath=FASTMATH)
def infer_columns(
    first: int,
    last: int,
    columns: Any,
    ptr: Any,
    source: Any,
    y: Any,
    omega: Any,
    level: Any,
    w0: Any,
    M: Any,
    w: Any,
    V: Any,
    var_w: Any,
    var_v: Any,
    scale: Any,
    precision: Any,
    centre: Any,
    sums: Any,
) -> None:
    """The Gaussian of each of the columns first:last of a field.

    Parameters
    ----------
    columns, ptr, source, y, omega, level, w0, w, V, scale, precision, centre
        As in `fmkit.solvers.columns.solve_columns`, nothing kept a row; w and V are means.
    M : float32 array of shape (n_features, packed_size(k))
        Moments of all columns, overwritten for these.
    var_w, var_v : float32 arrays of shape (n_features,), (n_features, k)
        Get the variances.
    sums : float64 array of shape (n_features, 4)
        Gets the expectations of omega e^2, omega e and omega, without `scale`, summed over the rows, and half the log
        determinant of the covariance.
    """
    k = V.shape[1]
    size, front = M.shape[1], padded(k + 2)
    width = padded(k + 4)
    S, R = np.zeros((width, width), np.float32), np.zeros((width, width), np.float32)
    cov, mean = np.zeros((k + 1, k + 1), np.float32), np.zeros(k + 1, np.float32)
    acc, acc_y = np.zeros(size, np.float32), np.zeros(front, np.float32)
    acc64, acc_y64 = np.zeros(size, np.float64), np.zeros(front, np.float64)
    h = np.zeros(k + 1, np.float64)
    zero: Any = 0.0
    for j in range(first, last):
        c = columns[j]
        squares = zero
        acc64[:] = 0
        acc_y64[:] = 0
        for begin in range(ptr[j], ptr[j + 1], EXACT):
            acc[:] = 0
            acc_y[:] = 0
            for e in range(begin, min(begin + EXACT, ptr[j + 1])):
                s = source[e]
                weight = omega[e] if len(omega) else np.float32(1)
                if len(level):
                    weight *= level[s]
                target = y[e] - w0
                g = weight * target
                squares += g * target
                for i in range(size):
                    acc[i] += weight * M[s, i]
                for i in range(front):
                    acc_y[i] += g * M[s, i]
            for i in range(size):
                acc64[i] += acc[i]
            for i in range(front):
                acc_y64[i] += acc_y[i]
        n = acc64[0]
        times = scale[j % len(scale)]
        S.fill(0)
        at = k + 2
        for i in range(k):
            for l in range(i, k):
                S[i, l] = times * acc64[at]
                at += 1
            h[i] = acc_y64[1 + i] - acc64[at]
            at += 1
            S[i, k] = times * acc64[1 + i]
            S[i, k + 1] = times * h[i] + precision[i] * centre[i]
            S[i, i] += precision[i] + JITTER * S[i, i]
        h[k] = acc_y64[0] - acc64[k + 1]
        S[k, k] = times * n * (1 + JITTER) + precision[k]
        S[k, k + 1] = times * h[k] + precision[k] * centre[k]
        loss = squares - 2 * acc_y64[k + 1] + acc64[at]
        cholesky(S, k + 1)
        back_substitute(S, k + 1, mean)
        invert_factor(S, k + 1, R, cov)
        determinant = zero
        for i in range(k + 1):
            determinant -= math.log(max(S[i, i], np.float32(1e-30)))
        slope = h[k] - n * mean[k]
        at = k + 2
        for i in range(k):
            loss -= 2 * h[i] * mean[i]
            slope -= acc64[1 + i] * mean[i]
            loss += 2 * acc64[1 + i] * (mean[i] * mean[k] + cov[i, k])
            for l in range(i, k):
                twice = 1 if l == i else 2
                loss += twice * acc64[at] * (mean[i] * mean[l] + cov[i, l])
                at += 1
            at += 1
            V[c, i], var_v[c, i] = mean[i], cov[i, i]
        loss += n * (mean[k] * mean[k] + cov[k, k]) - 2 * h[k] * mean[k]
        w[c], var_w[c] = mean[k], cov[k, k]
        pack_moments(mean, mean[k], cov, k, M[c])
        sums[c, 0], sums[c, 1], sums[c, 2], sums[c, 3] = loss, slope, n, determinant
