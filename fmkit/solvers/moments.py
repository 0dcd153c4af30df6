"""Mean-field VB of two one-hot fields: every column a Gaussian with a full covariance of its weight and factors.

With zeta = (1, v, w) of the other side's column, all that a column needs of its rows are sums of E zeta zeta' and of y
E zeta: its posterior precision is sum omega E (v, 1)(v, 1)' + Lambda. A column's E zeta zeta' is kept as the packed
rows of its upper triangle, so the sum over a column's ratings is one vector addition a rating. Their first row is E
zeta.
"""

import math
from typing import Any

import numpy as np

from fmkit.kernels import kernel
from fmkit.linalg import FASTMATH, LANES, back_substitute_lanes, cholesky_lanes, invert_lanes, padded
from fmkit.solvers.columns import EXACT, JITTER


@kernel
def packed_size(k: int) -> int:
    """Length of a row of packed moments, padded for vector operations (and so that reading padded(k + 2) is safe)."""
    size: int = max(padded((k + 2) * (k + 3) // 2), padded(k + 2))
    return size


@kernel(fastmath=FASTMATH)
def pack_moments(mean_v: Any, mean_w: Any, cov: Any, k: int, out: Any) -> None:
    """Write E zeta zeta' of a column; of `cov`, of shape (k + 1, k + 1), factors first, the upper triangle is read."""
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
    n, size, front = k + 1, M.shape[1], padded(k + 2)
    A = np.zeros((n, n + 1, LANES), np.float32)
    T, covs = np.zeros((n, n, LANES), np.float32), np.zeros((n, n, LANES), np.float32)
    cov, mean = np.zeros((n, n), np.float32), np.zeros(n, np.float32)
    acc, acc_y = np.zeros(size, np.float32), np.zeros(front, np.float32)
    total, total_y, squares = np.zeros((LANES, size)), np.zeros((LANES, front)), np.zeros(LANES)
    for start in range(first, last, LANES):
        some = min(LANES, last - start)
        for lane in range(some):
            j = start + lane
            square: Any = 0.0
            total[lane] = 0
            total_y[lane] = 0
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
                    square += g * target
                    for i in range(size):
                        acc[i] += weight * M[s, i]
                    for i in range(front):
                        acc_y[i] += g * M[s, i]
                for i in range(size):
                    total[lane, i] += acc[i]
                for i in range(front):
                    total_y[lane, i] += acc_y[i]
            squares[lane] = square
            times, sum_z, sum_y = scale[j % len(scale)], total[lane], total_y[lane]
            m = columns[j] % len(centre)
            at = k + 2
            for i in range(k):
                for l in range(i, k):
                    A[i, l, lane] = times * sum_z[at]
                    at += 1
                A[i, k, lane] = times * sum_z[1 + i]
                A[i, n, lane] = times * (sum_y[1 + i] - sum_z[at]) + precision[i] * centre[m, i]
                A[i, i, lane] = A[i, i, lane] * (1 + JITTER) + precision[i]
                at += 1
            A[k, k, lane] = times * sum_z[0] * (1 + JITTER) + precision[k]
            A[k, n, lane] = times * (sum_y[0] - sum_z[k + 1]) + precision[k] * centre[m, k]
        for lane in range(some, LANES):
            A[:, :, lane] = 0
        cholesky_lanes(A, n)
        invert_lanes(A, n, T, covs)
        back_substitute_lanes(A, n)
        for lane in range(some):
            c, sum_z, sum_y = columns[start + lane], total[lane], total_y[lane]
            determinant: Any = 0.0
            product: Any = 1.0
            for i in range(n):
                mean[i] = A[i, n, lane]
                product *= max(A[i, i, lane], np.float32(1e-30))
                if i % 8 == 7 or i == k:  # a logarithm takes the time of many products, which must not underflow
                    determinant += math.log(product)
                    product = 1.0
                for l in range(i, n):
                    cov[i, l] = covs[i, l, lane]
            loss, slope = squares[lane] - 2 * sum_y[k + 1] + sum_z[(k + 2) * (k + 3) // 2 - 1], sum_y[0] - sum_z[k + 1]
            loss -= 2 * slope * mean[k]
            slope -= sum_z[0] * mean[k]
            loss += sum_z[0] * (mean[k] * mean[k] + cov[k, k])
            at = k + 2
            for i in range(k):
                slope -= sum_z[1 + i] * mean[i]
                loss += 2 * sum_z[1 + i] * (mean[i] * mean[k] + cov[i, k])
                for l in range(i, k):
                    twice = 1 if l == i else 2
                    loss += twice * sum_z[at] * (mean[i] * mean[l] + cov[i, l])
                    at += 1
                loss -= 2 * (sum_y[1 + i] - sum_z[at]) * mean[i]
                at += 1
                V[c, i], var_v[c, i] = mean[i], cov[i, i]
            w[c], var_w[c] = mean[k], cov[k, k]
            pack_moments(mean, mean[k], cov, k, M[c])
            sums[c, 0], sums[c, 1], sums[c, 2], sums[c, 3] = loss, slope, sum_z[0], determinant


@kernel(fastmath=FASTMATH)
def fill_variances(begin: int, end: int, columns: Any, others: Any, M: Any, k: int, out: Any) -> None:
    """Variance of the prediction of the rows begin:end.

    Parameters
    ----------
    columns, others : int32 arrays of shape (n_rows,)
        The row's column of either field.
    M : float32 array of shape (n_features, packed_size(k))
    k : int
    out : float32 array of shape (n_rows,)
        The result.
    """
    for r in range(begin, end):
        a, b = M[columns[r]], M[others[r]]
        mean: Any = 0.0
        square: Any = 0.0
        at = k + 2
        for i in range(k):
            mean += a[1 + i] * b[1 + i]
            square += a[at] * b[at]
            at += 1
            for _ in range(i + 1, k):
                square += 2 * a[at] * b[at]
                at += 1
            square += 2 * (a[at] * b[1 + i] + b[at] * a[1 + i])
            at += 1
        square += a[at] + b[at] + 2 * a[k + 1] * b[k + 1]
        mean += a[k + 1] + b[k + 1]
        out[r] = max(square - mean * mean, 0.0)
