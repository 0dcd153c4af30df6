"""A group of similar patches as one Gaussian, and each patch's lost pixels given its own known ones.

A group is a factorization machine of patches x positions, y_ij = b_j + <u_i, v_j> + e. With a Gaussian prior on the
patch factors u_i, integrated out, its patches are draws from N(b, S), S = V'V + noise: probabilistic PCA without a
rank to choose. So a patch with known pixels O and lost pixels L has

    x_L = b_L + S_LO (S_OO + eps^2 I)^-1 (y_O - b_O)      or, with Q = (S + eps^2 I)^-1, the same as
    x_L = b_L - Q_LL^-1 Q_LO (y_O - b_O)

The first solves a system of |O| unknowns, the second one of |L|, at the price of one inverse a group.
"""

from typing import Any

import numpy as np

from fmkit.kernels import kernel
from fmkit.linalg import FASTMATH, HEIGHT, LANES, cholesky, gram, padded, rank_update
from fmkit.restore.patches import similar_patches


@kernel(fastmath=FASTMATH)
def group_gaussian(Y: Any, weight: Any, n: int, tau: float, nu: float, prior: Any, tile: Any, b: Any, S: Any) -> None:
    """Weighted mean b and covariance S of the patches Y[:n], shrunk to a stationary prior.

    S = (n C + nu (tr(C) / D + tau^2) prior) / (n + nu) + tau^2 I, with C the patches' weighted covariance.

    Parameters
    ----------
    Y : float32 array of shape (n_similar, D)
    weight : float32 array of shape (n_similar,)
        Weights of the patches; the first n sum to 1.
    tau : float
        Standard deviation that the patches' present values may be wrong by.
    nu : float
        Weight of the prior, in patches.
    prior : float32 array of shape (D, D)
        Correlations of positions in a patch.
    tile : float32 array of shape (n_similar, at least D + LANES)
        Work space, zero beyond column D.
    b, S : float32 arrays of shape (D,) and (D, D)
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
        trace += S[j, j]
    tau2 = np.float32(tau * tau)
    share = np.float32(n / (n + nu))
    level = np.float32(nu / (n + nu)) * (trace / np.float32(D) + tau2)
    for i in range(D):
        for j in range(i, D):
            S[i, j] = share * S[i, j] + level * prior[i, j]
        S[i, i] += tau2
        for j in range(i):
            S[i, j] = S[j, i]


@kernel(fastmath=FASTMATH)
def precision(S: Any, eps: float, work: Any, Q: Any) -> None:
    """Q = (S + eps^2 I)^-1 = W'W with W = U'^-1, S + eps^2 I = U'U: both triangles of Q.

    `work` is a flat float32 array of at least 2 D^2 numbers. W is lower triangular: a block of Q sums only the rows
    from its last columns' first one on.
    """
    D = S.shape[0]
    A = work[: 2 * D * D].reshape((D, 2 * D))
    A[:, :D] = S
    A[:, D:] = 0
    for i in range(D):
        A[i, i] += eps * eps
        A[i, D + i] = 1
    cholesky(A, D)
    Q[:] = 0
    for i in range(0, D, HEIGHT):
        for j in range(i // LANES * LANES, D, LANES):
            rank_update(Q, i, j, A, j, D + i, A, j, D + j, D - j, HEIGHT, 0)
    for i in range(D):
        for j in range(i):
            Q[i, j] = Q[j, i]


@kernel(fastmath=FASTMATH)
def _eliminate(A: Any, n: int, m: int, product: Any, square: Any) -> None:
    """For A = [M | B | z], M of n unknowns and B of m columns: product = B' M^-1 z, square = diag(B' M^-1 B)."""
    cholesky(A, n)
    product[:m] = 0
    square[:m] = 0
    for i in range(n):
        z = A[i, n + m]
        for j in range(m):
            product[j] += A[i, n + j] * z
            square[j] += A[i, n + j] * A[i, n + j]


@kernel(fastmath=FASTMATH)
def fill_by_covariance(
    S: Any, b: Any, eps: float, known: Any, lost: Any, n_lost: int, work: Any, y: Any, variance: Any
) -> None:
    """Overwrite y's lost pixels by their mean given its known ones, a system of |O| unknowns; see `fill_by_precision`.

    Parameters
    ----------
    S, b : float32 arrays of shape (D, D) and (D,)
    eps : float
        Standard deviation of the known pixels' noise.
    known, lost : int64 arrays of shape (D,)
        Positions of the D - n_lost known and the n_lost lost pixels.
    n_lost : int
    work : float32 array
        At least (D + LANES) (2 D + LANES) finite numbers.
    y, variance : float32 arrays of shape (D,)
        The patch; the posterior variance of each lost pixel, in the order of `lost`.
    """
    D = len(b)
    n = D - n_lost
    width = padded(D + 1)
    A = work[: (n + HEIGHT) * width].reshape((n + HEIGHT, width))
    for i in range(n):
        p = known[i]
        for j in range(i, n):
            A[i, j] = S[p, known[j]]
        A[i, i] += eps * eps
        for j in range(n_lost):
            A[i, n + j] = S[p, lost[j]]
        A[i, D] = y[p] - b[p]
        A[i, D + 1 :] = 0
    rest = work[len(work) - D :]
    _eliminate(A, n, n_lost, rest, variance)
    for j in range(n_lost):
        p = lost[j]
        y[p] = b[p] + rest[j]
        variance[j] = S[p, p] - variance[j]


@kernel(fastmath=FASTMATH)
def fill_by_precision(
    Q: Any, b: Any, eps: float, known: Any, lost: Any, n_lost: int, work: Any, y: Any, variance: Any
) -> None:
    """The same answer as `fill_by_covariance` from Q = (S + eps^2 I)^-1, a system of |L| unknowns."""
    D, n = len(b), n_lost
    width = padded(2 * n + 1)
    A = work[: (n + HEIGHT) * width].reshape((n + HEIGHT, width))
    rest = work[len(work) - D :]
    for j in range(D):
        rest[j] = b[j] - y[j]
    for j in range(n):
        rest[lost[j]] = 0
    for i in range(n):
        p = lost[i]
        s = np.float32(0)
        for j in range(D):
            s += Q[p, j] * rest[j]
        for j in range(i, n):
            A[i, j] = Q[p, lost[j]]
        A[i, n:] = 0
        A[i, n + i] = 1
        A[i, 2 * n] = s
    _eliminate(A, n, n, rest, variance)
    for j in range(n):
        p = lost[j]
        y[p] = b[p] + rest[j]
        variance[j] -= eps * eps


@kernel
def _split_positions(lost: Any, row: int, column: int, patch: int, known_at: Any, lost_at: Any) -> int:
    """List the known and the lost positions of a patch; return how many are lost."""
    n_known = n_lost = 0
    for a in range(patch):
        for b in range(patch):
            if lost[row + a, column + b]:
                lost_at[n_lost] = a * patch + b
                n_lost += 1
            else:
                known_at[n_known] = a * patch + b
                n_known += 1
    return n_lost


@kernel(fastmath=FASTMATH)
def fill_stripe(
    planes: Any,
    lost: Any,
    moments: Any,
    patch: int,
    row: int,
    columns: Any,
    radius: int,
    n_similar: int,
    n_answered: int,
    decay: float,
    tau: float,
    nu: float,
    prior: Any,
    eps: float,
    total: Any,
    weight: Any,
) -> None:
    """Fill the groups of one row of reference patches; sum the answers, weighted by their inverse variances.

    Groups are found on the first plane and shared by all planes; each plane has a Gaussian of its own.

    Parameters
    ----------
    planes : float32 array of shape (n_planes, n_rows, n_columns)
        The picture with its present filling.
    lost : bool array of shape (n_rows, n_columns)
    moments : float32 array
        `search_moments` of the first plane.
    patch : int
        Side of a patch, D = patch * patch a multiple of LANES.
    row, columns : int and int64 array
        Corners of the reference patches.
    radius, n_similar : int
        See `similar_patches`.
    n_answered : int
        So many of a group's patches, the nearest ones, are filled: its Gaussian suits them best.
    decay : float
        A patch at distance d weighs exp(-d / decay) in its group.
    tau, nu, prior, eps
        See `group_gaussian` and `fill_by_covariance`.
    total, weight : float32 arrays of shape (n_planes, n_stripe_rows, n_columns)
        Sums of weighted answers and of weights for the rows from max(0, row - radius) on.
    """
    D, n_columns = patch * patch, planes.shape[2]
    top = max(0, row - radius)
    flat_total, flat_weight = total.reshape((len(planes), -1)), weight.reshape((len(planes), -1))
    offset = np.arange(D) // patch * n_columns + np.arange(D) % patch
    stencil = np.empty((1, 3 * D, 2), np.float32)
    sums = np.empty((2, 2 * radius + 1 + LANES), np.float32)
    distance, place = np.empty(n_similar, np.float32), np.empty(n_similar, np.int64)
    share, Y = np.empty(n_similar, np.float32), np.empty((n_similar, D), np.float32)
    tile = np.zeros((n_similar, D + LANES), np.float32)
    known_at, lost_at = np.empty((n_answered, D), np.int64), np.empty((n_answered, D), np.int64)
    n_lost = np.empty(n_answered, np.int64)
    b, S, Q = np.empty(D, np.float32), np.empty((D, D), np.float32), np.empty((D, D), np.float32)
    work, variance = np.zeros((D + LANES) * (2 * D + LANES), np.float32), np.empty(D, np.float32)
    for column in columns:
        found = similar_patches(
            moments, moments, lost.shape, patch, row, column, radius, stencil, sums, distance, place
        )
        answered = min(found, n_answered)
        share[:found] = np.exp(-distance[:found] / np.float32(decay))
        share[:found] /= share[:found].sum()
        for i in range(answered):
            r, c = place[i] // n_columns, place[i] % n_columns
            n_lost[i] = _split_positions(lost, r, c, patch, known_at[i], lost_at[i])
        for plane in range(len(planes)):
            for i in range(found):
                r, c = place[i] // n_columns, place[i] % n_columns
                for a in range(patch):
                    for j in range(patch):
                        Y[i, a * patch + j] = planes[plane, r + a, c + j]
            group_gaussian(Y, share, found, tau, nu, prior, tile, b, S)
            inverted = False
            for i in range(answered):
                if 2 * n_lost[i] > D:
                    fill_by_covariance(S, b, eps, known_at[i], lost_at[i], n_lost[i], work, Y[i], variance)
                elif n_lost[i] > 0:
                    if not inverted:
                        precision(S, eps, work, Q)
                        inverted = True
                    fill_by_precision(Q, b, eps, known_at[i], lost_at[i], n_lost[i], work, Y[i], variance)
                corner = place[i] - top * n_columns
                for j in range(n_lost[i]):
                    p = lost_at[i, j]
                    v = np.float32(1) / max(variance[j], np.float32(1))
                    flat_total[plane, corner + offset[p]] += v * Y[i, p]
                    flat_weight[plane, corner + offset[p]] += v
