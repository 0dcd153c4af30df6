"""The classical exemplar fill, as a rival: Wexler, Shechtman and Irani (2007) on PatchMatch (Barnes et al. 2009).

Coarse to fine; on each level a few rounds of nearest patches, found by propagation in scan order and random search over
the whole picture, and votes weighted by exp(-d / 2 sigma^2) and by 1.3^-depth.
"""

import cv2
import numpy as np
from numba import njit
from scipy.ndimage import distance_transform_edt

PATCH = 7


@njit(cache=True)
def _difference(x, r, c, q, s, bound):
    d = 0.0
    for a in range(PATCH):
        for b in range(PATCH):
            for e in range(x.shape[2]):
                d += (x[r + a, c + b, e] - x[q + a, s + b, e]) ** 2
        if d > bound:
            break
    return d


@njit(cache=True)
def _search(x, known, corners, field, found, seed, rounds):
    """Nearest known patch of each patch at `corners`; `known` are the corners of patches without a lost pixel."""
    np.random.seed(seed)
    sources = np.argwhere(known)
    n_rows, n_columns = known.shape
    for r, c in corners:
        if field[r, c, 0] < 0:
            field[r, c] = sources[np.random.randint(len(sources))]
        found[r, c] = _difference(x, r, c, field[r, c, 0], field[r, c, 1], np.inf)
    for t in range(rounds):
        step = 1 if t % 2 == 0 else -1
        for i in range(len(corners)):
            r, c = corners[i if step == 1 else len(corners) - 1 - i]
            for down, right in ((step, 0), (0, step)):
                nr, nc = r - down, c - right
                if 0 <= nr < n_rows and 0 <= nc < n_columns and field[nr, nc, 0] >= 0:
                    q, s = field[nr, nc, 0] + down, field[nr, nc, 1] + right
                    if 0 <= q < n_rows and 0 <= s < n_columns and known[q, s]:
                        d = _difference(x, r, c, q, s, found[r, c])
                        if d < found[r, c]:
                            found[r, c], field[r, c, 0], field[r, c, 1] = d, q, s
            window = max(n_rows, n_columns)
            while window >= 1:
                q = min(max(field[r, c, 0] + np.random.randint(-window, window + 1), 0), n_rows - 1)
                s = min(max(field[r, c, 1] + np.random.randint(-window, window + 1), 0), n_columns - 1)
                if known[q, s]:
                    d = _difference(x, r, c, q, s, found[r, c])
                    if d < found[r, c]:
                        found[r, c], field[r, c, 0], field[r, c, 1] = d, q, s
                window //= 2


@njit(cache=True)
def _vote(x, at, field, found, depth):
    answer = np.empty((len(at), x.shape[2]))
    n_rows, n_columns = found.shape
    distances, weights, values = np.empty(PATCH**2), np.empty(PATCH**2), np.empty((PATCH**2, x.shape[2]))
    for i in range(len(at)):
        r, c = at[i]
        n = 0
        for a in range(max(0, r - PATCH + 1), min(n_rows - 1, r) + 1):
            for b in range(max(0, c - PATCH + 1), min(n_columns - 1, c) + 1):
                distances[n] = found[a, b]
                weights[n] = 1.3 ** -depth[a + PATCH // 2, b + PATCH // 2]
                values[n] = x[field[a, b, 0] + r - a, field[a, b, 1] + c - b]
                n += 1
        spread = max(np.percentile(distances[:n], 75), 1e-3)
        weights[:n] *= np.exp(-(distances[:n] - distances[:n].min()) / (2 * spread))
        weights[:n] /= weights[:n].sum()
        for e in range(x.shape[2]):
            answer[i, e] = (weights[:n] * values[:n, e]).sum()
    return answer


def _touching(lost):
    return (
        cv2.erode((~lost).astype(np.uint8), np.ones((PATCH, PATCH)), anchor=(0, 0), borderValue=1)[
            : lost.shape[0] - PATCH + 1, : lost.shape[1] - PATCH + 1
        ]
        == 0
    )


def _fill(x, lost, rng):
    """Fill x of shape (rows, columns, channels); return it and the field of nearest patches."""
    depth = distance_transform_edt(lost)
    touching = _touching(lost)
    field = np.full((*touching.shape, 2), -1)
    shape = (lost.shape[1] // 2, lost.shape[0] // 2)
    weight = cv2.resize((~lost).astype(float), shape, interpolation=cv2.INTER_AREA)
    if depth.max() > PATCH // 2 and min(shape) > 2 * PATCH and not _touching(weight < 0.5).all():
        small = _resized(np.where(lost[..., None], 0, x), shape, cv2.INTER_AREA) / np.maximum(weight, 1e-6)[..., None]
        coarse, coarse_field = _fill(small, weight < 0.5, rng)
        x = np.where(lost[..., None], _resized(coarse, lost.shape[::-1], cv2.INTER_LINEAR), x)
        r, c = np.indices(touching.shape)
        half = np.minimum(r // 2, coarse_field.shape[0] - 1), np.minimum(c // 2, coarse_field.shape[1] - 1)
        up = 2 * coarse_field[half] + np.stack([r % 2, c % 2], -1)
        fits = (coarse_field[half][..., 0] >= 0) & (up[..., 0] < touching.shape[0]) & (up[..., 1] < touching.shape[1])
        fits &= ~touching[np.where(fits, up[..., 0], 0), np.where(fits, up[..., 1], 0)] & touching
        field[fits] = up[fits]
    else:
        start = np.squeeze(np.clip(x, 0, 255).astype(np.uint8))
        x = cv2.inpaint(start, lost.astype(np.uint8), 3, cv2.INPAINT_TELEA).reshape(x.shape) * 1.0
    x, found = x.copy(), np.zeros(touching.shape)
    corners, at = np.argwhere(touching), np.argwhere(lost)
    for _ in range(10):
        _search(x, ~touching, corners, field, found, int(rng.integers(1 << 31)), 4)
        x[lost] = _vote(x, at, field, found, depth)
    return x, field


def _resized(x, shape, interpolation):
    return np.atleast_3d(cv2.resize(x, shape, interpolation=interpolation))


def patchmatch_fill(damaged, lost, seed=0):
    """Fill the lost pixels of a uint8 picture, gray or colour."""
    x = np.where(lost[..., None], 0, np.atleast_3d(damaged)).astype(float)
    x = np.clip(np.round(_fill(x, lost, np.random.default_rng(seed))[0]), 0, 255).astype(np.uint8)
    return x.reshape(damaged.shape)
