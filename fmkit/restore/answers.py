"""The groups of one row of reference patches: found, fitted, asked for their lost pixels, and the answers summed."""

from typing import Any

import numpy as np

from fmkit.kernels import kernel
from fmkit.linalg import FASTMATH, LANES, padded
from fmkit.restore.groups import fill_by_covariance, fill_by_precision, group_gaussian, precision, work_size
from fmkit.restore.patches import similar_patches


@kernel
def _split_positions(
    lost: Any, first: int, n_joint: int, row: int, column: int, patch: int, known_at: Any, lost_at: Any
) -> Any:
    """List the known and the lost positions of a patch; return how many are lost, and a number for the pattern."""
    n_known = n_lost = position = 0
    pattern = np.int64(0)
    for plane in range(n_joint):
        mask = lost[min(first + plane, len(lost) - 1)]
        for a in range(patch):
            for b in range(patch):
                if mask[row + a, column + b]:
                    lost_at[n_lost] = position
                    n_lost += 1
                    pattern = pattern * 1000003 + position + 1  # equal for equal patterns; overflow does no harm
                else:
                    known_at[n_known] = position
                    n_known += 1
                position += 1
    return n_lost, pattern


@kernel(fastmath=FASTMATH)
def _gather(planes: Any, first: int, n_joint: int, row: int, column: int, patch: int, y: Any) -> None:
    position = 0
    for plane in range(first, first + n_joint):
        for a in range(patch):
            for b in range(patch):
                y[position] = planes[plane, row + a, column + b]
                position += 1


@kernel(fastmath=FASTMATH)
def fill_stripe(
    planes: Any,
    observed: Any,
    lost: Any,
    moments: Any,
    patch: int,
    n_joint: int,
    row: int,
    columns: Any,
    radius: int,
    n_similar: int,
    n_answered: int,
    decay: float,
    tau: float,
    nu: float,
    doubt: float,
    prior: Any,
    noise: float,
    eps: float,
    denoise: bool,
    sums: Any,
) -> None:
    """Fill the groups of one row of reference patches; sum the answers, weighted by their inverse variances.

    Groups are found once and shared by all planes. A Gaussian is over the patches of one plane or, so that what one
    plane knows tells what another one lost, of all of them together.

    Parameters
    ----------
    planes : float32 array of shape (n_planes, n_rows, n_columns)
        The picture with its present filling, which the Gaussians are fitted to.
    observed : float32 array of the shape of `planes`
        What is known, which they are asked about; mostly `planes` itself.
    lost : bool array of shape (1 or n_planes, n_rows, n_columns)
    moments : float32 array
        `search_moments` of the planes that the groups are found on.
    patch : int
        Side of a patch.
    n_joint : int
        Planes in a Gaussian of D = n_joint * patch * patch positions: 1 or n_planes.
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
    doubt : float
        That of a group whose patches are all known; divided by the share that is.
    noise : float
        Standard deviation of the noise that is taken off the covariance, at the positions that patches know.
    denoise : bool
        Ask for the known pixels as well.
    sums : float32 array of shape (2 or 4, n_planes, n_stripe_rows, n_columns)
        Sums of weights v, of weighted answers v a and, if there is room, of v a^2 and of v times the answers'
        variances, for the rows from max(0, row - radius) on.
    """
    size, n_columns = patch * patch, planes.shape[2]
    D, top = n_joint * size, max(0, row - radius)
    flat = sums.reshape((len(sums), len(planes), -1))
    offset = np.arange(size) // patch * n_columns + np.arange(size) % patch
    stencil = np.empty((len(moments), 3 * size, 2), np.float32)
    scores = np.empty((2, 2 * radius + 1 + LANES), np.float32)
    distance, place = np.empty(n_similar, np.float32), np.empty(n_similar, np.int64)
    share, Y = np.empty(n_similar, np.float32), np.empty((n_similar, D), np.float32)
    tile, batch = np.zeros((n_similar, padded(D) + LANES), np.float32), np.empty((n_answered, D), np.float32)
    known_at, lost_at = np.empty((n_answered, D), np.int64), np.empty((n_answered, D), np.int64)
    n_lost, pattern = np.empty(n_answered, np.int64), np.empty(n_answered, np.int64)
    members, every = np.empty(n_answered, np.int64), np.arange(D)
    b, S = np.empty(D, np.float32), np.empty((padded(D), padded(D)), np.float32)
    Q, variance = np.empty((padded(D), padded(D)), np.float32), np.empty(D, np.float32)
    work, level = np.zeros(work_size(D, n_answered), np.float32), np.zeros(D, np.float32)
    for column in columns:
        found = similar_patches(
            moments, moments, planes.shape[1:], patch, row, column, radius, stencil, scores, distance, place
        )
        answered = min(found, n_answered)
        share[:found] = np.exp(-distance[:found] / np.float32(decay))
        share[:found] /= share[:found].sum()
        for first in range(0, len(planes), n_joint):
            for i in range(found):
                _gather(planes, first, n_joint, place[i] // n_columns, place[i] % n_columns, patch, Y[i])
            if first == 0 or len(lost) > 1:
                for i in range(answered):
                    r, c = place[i] // n_columns, place[i] % n_columns
                    n_lost[i], pattern[i] = _split_positions(lost, first, n_joint, r, c, patch, known_at[i], lost_at[i])
            if noise > 0:
                level[:] = 0
                for i in range(answered):
                    for j in range(D - n_lost[i]):
                        level[known_at[i, j]] += np.float32(noise * noise / answered)
            n_known = 1
            for i in range(answered):
                n_known += D - n_lost[i]
            doubts = doubt * answered * D / n_known
            group_gaussian(Y, share, found, tau, nu, doubts, prior, level, tile, b, S)
            inverted = False
            for i in range(answered):
                n, r = n_lost[i], 0
                if n < 0 or (n == 0 and not denoise):
                    continue
                for k in range(i, answered):
                    if n_lost[k] == n and pattern[k] == pattern[i]:
                        members[r] = k
                        _gather(observed, first, n_joint, place[k] // n_columns, place[k] % n_columns, patch, batch[r])
                        r += 1
                asked, n_asked = lost_at[i], n
                if denoise:
                    asked, n_asked = every, D
                if denoise or 2 * n > D:
                    fill_by_covariance(S, b, eps, known_at[i], D - n, asked, n_asked, work, batch, r, variance)
                else:
                    if not inverted:
                        precision(S, eps, D, work, Q)
                        inverted = True
                    fill_by_precision(Q, b, eps, lost_at[i], n, work, batch, r, variance)
                for k in range(r):
                    corner = place[members[k]] - top * n_columns
                    for j in range(n_asked):
                        p = asked[j]
                        plane, at = first + p // size, corner + offset[p % size]
                        v, answer = np.float32(1) / max(variance[j], np.float32(1)), batch[k, p]
                        flat[0, plane, at] += v
                        flat[1, plane, at] += v * answer
                        if len(flat) > 2:
                            flat[2, plane, at] += v * answer * answer
                            flat[3, plane, at] += v * max(variance[j], np.float32(0))
                    if members[k] > i:
                        n_lost[members[k]] = -1 - n_lost[members[k]]
            for i in range(answered):
                if n_lost[i] < 0:
                    n_lost[i] = -1 - n_lost[i]
