"""Other ways to fill lost pixels, for the benchmarks of restoration: uint8 pictures, gray or colour, and a mask.

Telea and Navier-Stokes are OpenCV's, biharmonic is scikit-image's, PatchMatch is the exemplar fill of patchmatch.py;
`low_rank` is below: groups of similar patches completed by singular values, as methods of the 2010s do it.
"""

import cv2
import numpy as np
from numba import njit
from patchmatch import patchmatch_fill
from skimage.restoration import inpaint_biharmonic

PATCH, STRIDE, RADIUS, CHUNK = 6, 5, 12, 512  # pixels of low_rank's patches and search; groups at a time


def telea(damaged, lost):
    return cv2.inpaint(damaged, lost.astype(np.uint8), 3, cv2.INPAINT_TELEA)


def navier_stokes(damaged, lost):
    return cv2.inpaint(damaged, lost.astype(np.uint8), 3, cv2.INPAINT_NS)


def biharmonic(damaged, lost):
    filled = inpaint_biharmonic(damaged, lost, channel_axis=-1 if damaged.ndim == 3 else None)
    return np.clip(np.round(filled * 255), 0, 255).astype(np.uint8)


def low_rank(damaged, lost, n_similar=48, n_passes=10, tau_first=24.0, tau_last=3.0, relaxation=1.9):
    """Low-rank completion of groups of similar patches, annealed.

    A group is a matrix of patches x pixels; each pass its singular values s are shrunk to s (1 - K tau^2 / s^2)+, as
    if lost pixels were noisy ones, tau falling geometrically. Overlapping patches are averaged, known pixels put back.
    Lost pixels go `relaxation` of the way, in all passes but the last.
    """
    if damaged.ndim == 3:
        return np.dstack([low_rank(damaged[..., c], lost) for c in range(damaged.shape[2])])
    rng = np.random.default_rng(0)
    margin = PATCH + STRIDE
    x = np.pad(_blurred(damaged, lost), margin, mode="reflect").astype(np.float32)
    unknown = np.pad(lost, margin, mode="reflect")
    trusted = np.where(unknown, np.float32(0.3), np.float32(1))
    within = np.add.outer(np.arange(PATCH) * x.shape[1], np.arange(PATCH)).ravel()
    for t in range(n_passes):
        tau = tau_first * (tau_last / tau_first) ** (t / (n_passes - 1))
        if t % 2 == 0:
            top, left = rng.integers(STRIDE, size=2)
            corners = np.argwhere(_touching(unknown)[top::STRIDE, left::STRIDE]) * STRIDE + (top, left)
            groups = _similar(x, trusted, corners, n_similar)
        total, count = np.zeros(x.size, np.float32), np.zeros(x.size, np.float32)
        for first in range(0, len(groups), CHUNK):
            places = groups[first : first + CHUNK, :, None] + within
            patches = x.ravel()[places]
            mean = patches.mean(axis=1, keepdims=True)
            patches -= mean
            squares, axes = np.linalg.eigh(patches.transpose(0, 2, 1) @ patches)
            kept = np.maximum(1 - n_similar * tau**2 / np.maximum(squares, 1e-6), 0)
            patches = patches @ (axes * kept[:, None, :]) @ axes.transpose(0, 2, 1) + mean
            total += np.bincount(places.ravel(), patches.ravel(), x.size).astype(np.float32)
            count += np.bincount(places.ravel(), minlength=x.size)
        answer = (total / np.maximum(count, 1)).reshape(x.shape)
        step = relaxation if t < n_passes - 1 else 1
        x = np.where(unknown & (count.reshape(x.shape) > 0), x + step * (answer - x), x)
    filled = np.clip(np.round(x[margin:-margin, margin:-margin]), 0, 255).astype(np.uint8)
    return np.where(lost, filled, damaged)


def _blurred(damaged, lost):
    """Lost pixels as means of known ones, by the narrowest of a few Gaussians that sees any."""
    x, missing, known = damaged.astype(np.float32), lost.copy(), (~lost).astype(np.float32)
    sigma = 1.0
    while missing.any():
        weight = cv2.GaussianBlur(known, (0, 0), sigma)
        mean = cv2.GaussianBlur(known * damaged, (0, 0), sigma) / np.maximum(weight, 1e-12)
        seen = missing & (weight > 0.05)
        x[seen] = mean[seen]
        missing &= ~seen
        sigma *= 1.5
    return x


def _touching(unknown):
    """Corners of patches that hold an unknown pixel."""
    reach = cv2.dilate(unknown.astype(np.uint8), np.ones((PATCH, PATCH), np.uint8), anchor=(0, 0))
    return reach[: 1 - PATCH, : 1 - PATCH] > 0


@njit(cache=True, fastmath=True)
def _similar(x, trusted, corners, n_similar):
    """The flat corners of the `n_similar` nearest patches of each; filled pixels count less than known ones."""
    groups = np.empty((len(corners), n_similar), np.int64)
    n_rows, n_columns = x.shape[0] - PATCH + 1, x.shape[1] - PATCH + 1
    for i in range(len(corners)):
        r, c = corners[i]
        top, bottom = max(0, r - RADIUS), min(n_rows, r + RADIUS + 1)
        left, right = max(0, c - RADIUS), min(n_columns, c + RADIUS + 1)
        distances = np.empty((bottom - top, right - left), np.float32)
        for q in range(top, bottom):
            for s in range(left, right):
                d, weight = np.float32(0), np.float32(1e-6)
                for a in range(PATCH):
                    for b in range(PATCH):
                        w = trusted[r + a, c + b] * trusted[q + a, s + b]
                        d += w * (x[r + a, c + b] - x[q + a, s + b]) ** 2
                        weight += w
                distances[q - top, s - left] = d / weight
        order = np.argsort(distances.ravel())[:n_similar]
        for k in range(n_similar):
            groups[i, k] = (top + order[k] // (right - left)) * x.shape[1] + left + order[k] % (right - left)
    return groups


FILLS = {
    "Telea": telea,
    "Navier-Stokes": navier_stokes,
    "biharmonic": biharmonic,
    "PatchMatch": patchmatch_fill,
    "low rank": low_rank,
}


def malvar(mosaic):
    """Malvar, He and Cutler (2004): bilinear, corrected by the Laplacian of the known channel."""
    x = mosaic.astype(np.float32)
    at_cross = [[0, 0, -2, 0, 0], [0, 0, 4, 0, 0], [-2, 4, 8, 4, -2], [0, 0, 4, 0, 0], [0, 0, -2, 0, 0]]
    beside = [[0, 0, 1, 0, 0], [0, -2, 0, -2, 0], [-2, 8, 10, 8, -2], [0, -2, 0, -2, 0], [0, 0, 1, 0, 0]]
    at_corners = [[0, 0, -3, 0, 0], [0, 4, 0, 4, 0], [-3, 0, 12, 0, -3], [0, 4, 0, 4, 0], [0, 0, -3, 0, 0]]
    kernels = np.array([at_cross, beside, np.transpose(beside), at_corners]) / 16
    green, across, down, corners = (cv2.filter2D(x, -1, kernel) for kernel in kernels)
    filled = np.dstack([x, x, x])
    filled[::2, ::2, 1], filled[1::2, 1::2, 1] = green[::2, ::2], green[1::2, 1::2]
    filled[::2, ::2, 2], filled[1::2, 1::2, 0] = corners[::2, ::2], corners[1::2, 1::2]
    filled[::2, 1::2, 0], filled[1::2, ::2, 0] = across[::2, 1::2], down[1::2, ::2]
    filled[1::2, ::2, 2], filled[::2, 1::2, 2] = across[1::2, ::2], down[::2, 1::2]
    return np.clip(np.round(filled), 0, 255).astype(np.uint8)


# Of a mosaic whose first two rows are R G R G ... and G B G B ...
DEMOSAICS = {
    "bilinear": lambda mosaic: cv2.cvtColor(mosaic, cv2.COLOR_BayerRGGB2RGB),
    "VNG": lambda mosaic: cv2.cvtColor(mosaic, cv2.COLOR_BayerRGGB2RGB_VNG),
    "edge-aware": lambda mosaic: cv2.cvtColor(mosaic, cv2.COLOR_BayerRGGB2RGB_EA),
    "Malvar": malvar,
}
