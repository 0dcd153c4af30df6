"""A group of similar patches as one Gaussian, and each patch's lost pixels given its own known ones.

A group is a factorization machine of patches x positions, y_ij = b_j + <u_i, v_j> + e. With a Gaussian prior on the
patch factors u_i, integrated out, its patches are draws from N(b, S), S = V'V + noise: probabilistic PCA without a
rank to choose. So a patch with known pixels O and lost pixels L has

    x_L = b_L + S_LO (S_OO + eps^2 I)^-1 (y_O - b_O)      or, with Q = (S + eps^2 I)^-1, the same as
    x_L = b_L - Q_LL^-1 Q_LO (y_O - b_O)

The first solves a system of |O| unknowns, the second one of |L|, at the price of one inverse a group. Patches
of a group that know the same positions share the factorization.
"""

from typing import Any

import numpy as np

from fmkit.kernels import kernel
from fmkit.linalg import FASTMATH, HEIGHT, LANES, cholesky, gram, padded, rank_update


@kernel(fastmath=FASTMATH)
def _shrinkage(C: Any, tile: Any, weight: Any, n: int, target: Any, level: float) -> Any:
    """How much of a covariance of n patches is chance: Ledoit and Wolf's ratio, of which the rest is signal.

    sum_ij Var(C_ij) / sum_ij (C_ij - level target_ij)^2, with Var(C_ij) = sum_k (w_k z_ki z_kj)^2 - C_ij^2 sum_k w_k^2
    for patches z_k of weights w_k, so that sums over i and j are of lengths only.
    """
    D = len(target)
    square, apart, chance, weights = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    for i in range(D):
        for j in range(i, D):
            twice = np.float32(1 if i == j else 2)
            e = C[i, j] - level * target[i, j]
            square += twice * C[i, j] * C[i, j]
            apart += twice * e * e
    for k in range(n):
        length = np.float32(0)
        for j in range(D):
            length += tile[k, j] * tile[k, j]
        chance += length * length
        weights += weight[k] * weight[k]
    return (chance - square * weights) / max(apart, np.float32(1e-9))


@kernel(fastmath=FASTMATH)
def group_gaussian(
    Y: Any,
    weight: Any,
    n: int,
    tau: float,
    nu: float,
    doubt: float,
    prior: Any,
    noise: Any,
    tile: Any,
    b: Any,
    S: Any,
) -> None:
    """Weighted mean b and covariance S of the patches Y[:n], noise taken off, shrunk to a stationary prior.

    S = (1 - s) C + s (tr(C) / D + tau^2) prior + tau^2 I, with C the patches' weighted covariance less the variance
    that is noise, of which each position keeps a tenth at least; s = nu / (n + nu), or `doubt` times `_shrinkage`,
    whichever is more. Source: Ledoit and Wolf, A Well-Conditioned Estimator for Large-Dimensional Covariance Matrices
    (2004).

    Parameters
    ----------
    Y : float32 array of shape (n_similar, D)
    weight : float32 array of shape (n_similar,)
        Weights of the patches; the first n sum to 1.
    tau : float
        Standard deviation that the patches' present values may be wrong by.
    nu : float
        Least weight of the prior, in patches.
    doubt : float
        Of how many such groups' chance the covariance is taken to have; more where patches hold fillings.
    prior : float32 array of shape (D, D)
        Correlations of positions in a patch.
    noise : float32 array of shape (D,)
        Variance of the noise in the patches at each position.
    tile : float32 array of shape (n_similar, at least padded(D) + LANES)
        Work space, zero beyond column D.
    b, S : float32 arrays of shape (D,) and (padded(D), padded(D))
        Get the mean and the covariance.
    """
    D = len(b)
    b[:] = 0
    for i in range(n):
        for j in range(D):
            b[j] += weight[i] * Y[i, j]
    for i in range(n):
        root = np.sqrt(weight[i])
        for j in range(D):
            tile[i, j] = root * (Y[i, j] - b[j])
    S[:] = 0
    gram(tile, n, D, D, S)
    trace = np.float32(0)
    for j in range(D):
        S[j, j] = max(S[j, j] - noise[j], np.float32(0.1) * S[j, j])
        trace += S[j, j]
    tau2, mean_variance = np.float32(tau * tau), trace / np.float32(D)
    s = np.float32(doubt) * _shrinkage(S, tile, weight, n, prior, mean_variance)
    s = min(np.float32(1), max(np.float32(nu / (n + nu)), s))
    level = s * (mean_variance + tau2)
    for i in range(D):
        for j in range(i, D):
            S[i, j] = (np.float32(1) - s) * S[i, j] + level * prior[i, j]
        S[i, i] += tau2
        for j in range(i):
            S[i, j] = S[j, i]


@kernel(fastmath=FASTMATH)
def precision(S: Any, eps: float, D: int, work: Any, Q: Any) -> None:
    """Q = (S + eps^2 I)^-1 = W'W with W = U'^-1, S + eps^2 I = U'U: both triangles of Q[:D, :D].

    `work` is a flat float32 array of at least 2 padded(D)^2 numbers. W is lower triangular: a block of Q sums only the
    rows from its last columns' first one on.
    """
    width = padded(D)
    A = work[: 2 * width * width].reshape((width, 2 * width))
    A[:] = 0
    for i in range(D):
        A[i, :D] = S[i, :D]
        A[i, i] += eps * eps
        A[i, width + i] = 1
    cholesky(A, D)
    Q[:] = 0
    for i in range(0, D, HEIGHT):
        for j in range(i // LANES * LANES, D, LANES):
            rank_update(Q, i, j, A, j, width + i, A, j, width + j, D - j, HEIGHT, 0)
    for i in range(D):
        for j in range(i):
            Q[i, j] = Q[j, i]


@kernel
def work_size(D: int, n_answered: int) -> Any:
    """Floats of work space that `precision` and both ways of filling need."""
    return max((D + LANES) * padded(2 * D + n_answered), 2 * padded(D) ** 2) + n_answered * D


@kernel(fastmath=FASTMATH)
def _eliminate(A: Any, n: int, m: int, r: int, product: Any, square: Any) -> None:
    """For A = [M | B | Z], of n, m and r columns: product = (B' M^-1 Z)', square = diag(B' M^-1 B)."""
    cholesky(A, n)
    product[:] = 0
    square[:m] = 0
    for i in range(n):
        for j in range(m):
            square[j] += A[i, n + j] * A[i, n + j]
        for k in range(r):
            z = A[i, n + m + k]
            for j in range(m):
                product[k, j] += A[i, n + j] * z


@kernel(fastmath=FASTMATH)
def fill_by_covariance(
    S: Any, b: Any, eps: float, known: Any, n_known: int, asked: Any, m: int, work: Any, Y: Any, r: int, variance: Any
) -> None:
    """Overwrite the asked pixels of patches by their mean given the known ones, a system of |O| unknowns.

    Parameters
    ----------
    S, b : float32 arrays of shape (padded(D), padded(D)) and (D,)
    eps : float
        Standard deviation of the known pixels' noise.
    known, asked : int64 arrays of shape (D,)
        The first n_known and m are positions of known pixels and of those asked for, which may be known: they are then
        freed from noise.
    work : float32 array
        At least `work_size` finite numbers.
    Y, variance : float32 arrays of shape (at least r, D) and (D,)
        r patches that know the same positions; the posterior variance of each pixel asked for, in the order of `asked`.
    """
    n = n_known
    width = padded(n + m + r)
    A = work[: (n + HEIGHT) * width].reshape((n + HEIGHT, width))
    for i in range(n):
        p = known[i]
        for j in range(i, n):
            A[i, j] = S[p, known[j]]
        A[i, i] += eps * eps
        for j in range(m):
            A[i, n + j] = S[p, asked[j]]
        for k in range(r):
            A[i, n + m + k] = Y[k, p] - b[p]
        A[i, n + m + r :] = 0
    product = work[len(work) - r * m :].reshape((r, m))
    _eliminate(A, n, m, r, product, variance)
    for j in range(m):
        p = asked[j]
        variance[j] = S[p, p] - variance[j]
        for k in range(r):
            Y[k, p] = b[p] + product[k, j]


@kernel(fastmath=FASTMATH)
def fill_by_precision(
    Q: Any, b: Any, eps: float, lost: Any, n_lost: int, work: Any, Y: Any, r: int, variance: Any
) -> None:
    """What `fill_by_covariance` gives for lost pixels, from Q = (S + eps^2 I)^-1: a system of |L| unknowns."""
    D, n = len(b), n_lost
    width = padded(2 * n + r)
    A = work[: (n + HEIGHT) * width].reshape((n + HEIGHT, width))
    for k in range(r):
        for j in range(n):
            Y[k, lost[j]] = b[lost[j]]
    for i in range(n):
        p = lost[i]
        for j in range(i, n):
            A[i, j] = Q[p, lost[j]]
        A[i, n:] = 0
        A[i, n + i] = 1
        for k in range(r):
            s = np.float32(0)
            for j in range(D):
                s += Q[p, j] * (b[j] - Y[k, j])
            A[i, 2 * n + k] = s
    product = work[len(work) - r * n :].reshape((r, n))
    _eliminate(A, n, n, r, product, variance)
    for j in range(n):
        p = lost[j]
        variance[j] -= eps * eps
        for k in range(r):
            Y[k, p] = b[p] + product[k, j]
