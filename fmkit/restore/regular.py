"""Holes in a regular texture: bricks, weave, waves. The rows and columns around foretell what is lost exactly.

A window of a regular texture is a matrix of low rank, [[A, B], [C, D]] with the hole in D. If the rank of A is that of
all of it, D = C A^+ B: each lost row is that mix of known rows which it is beside the hole. The pseudoinverse is of A
cut to few singular values. How many, and whether the texture is regular at all, is told by the rim: known pixels all
around the hole are foretold in the same way, and only a hole whose rim comes out right is filled so.

Source: Nystroem's method, as in Goreinov, Tyrtyshnikov and Zamarashkin, A Theory of Pseudoskeleton Approximations
(1997); regular textures as matrices of low rank: Liang, Ren, Zhang and Ma, Repairing Sparse Low-Rank Texture (2012).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, find_objects, label

from fmkit.restore.looks import Look

RIM = 6  # pixels around the hole that are foretold to see whether it works
MARGIN = 48  # least rows and columns on each side of a hole's window; twice the hole's side if that is more
MOST_MARGIN = 128
LEAST_LINES = 12  # rows and columns without a lost pixel to tell from
RANKS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48)
# A hole is filled if the mean squared error of its rim is at most
ERROR = 2.0  # squared, in units of 1/255 of the range,
NOISIER = 1.5  # or so many times the noise's variance;
UNEXPLAINED = 0.005  # and of the rim's own variance,
MOST_CHANCE = 0.05  # to which noise may add so much: flat ground is left to the votes, which know its grain


class Foretold(NamedTuple):
    """A window of the picture."""

    planes: NDArray[np.float32]
    """With its hole filled."""
    error: NDArray[np.float32]
    """Mean squared error of the hole's rim, by plane."""


class Regular(NamedTuple):
    """What was filled."""

    planes: NDArray[np.float32]
    lost: NDArray[np.bool_]
    """What is lost still."""
    variance: NDArray[np.float32]
    """Of the shape of `planes`: the mean squared error of a hole's rim in pixels that were filled; else 0."""


def fill_regular(
    planes: NDArray[np.float32],
    lost: NDArray[np.bool_],
    wide: NDArray[np.bool_],
    noise: float,
    look: Look | None = None,
) -> Regular:
    """Fill the wide holes that lie in a regular texture.

    Parameters
    ----------
    planes : float32 ndarray of shape (n_planes, n_rows, n_columns)
    lost : bool ndarray of shape (n_rows, n_columns)
    wide : bool ndarray of shape (n_rows, n_columns)
        The part of `lost` that is wide holes.
    noise : float
        Standard deviation of the known pixels' noise.
    look : Look, optional
        Shown what became of the planes, now and then.
    """
    x, left, variance = planes.copy(), lost.copy(), np.zeros_like(planes)
    labels, _ = label(wide, np.ones((3, 3)))
    windows = {number: _window(box) for number, box in enumerate(find_objects(labels), 1)}
    found: dict[int, Foretold] = {}

    def fill(number: int) -> None:
        window = windows.pop(number)
        hole = labels[window] == number
        x[:, *window][:, hole] = found[number].planes[:, hole]
        variance[:, *window][:, hole] = found[number].error[:, None]
        left[window] &= ~hole

    n_before = len(windows) + 1
    while 0 < len(windows) < n_before:  # a filled hole is no longer in the way of its neighbours
        n_before = len(windows)
        for number, window in list(windows.items()):
            answer = _foretold(x[:, *window], left[window], labels[window] == number, noise)
            if answer is not None:
                found[number] = answer
                if answer.error.sum() <= ERROR**2:
                    fill(number)
            if look is not None and look.due:
                look(x)
    for number in sorted(windows.keys() & found.keys()):  # as noise allows, after those that are sure
        fill(number)
    return Regular(x, left, variance)


def _window(box: tuple[slice, ...]) -> tuple[slice, slice]:
    margin = min(max(MARGIN, *(2 * (side.stop - side.start) for side in box)), MOST_MARGIN)
    rows, columns = (slice(max(0, side.start - margin), side.stop + margin) for side in box)
    return rows, columns


def _foretold(
    planes: NDArray[np.float32], lost: NDArray[np.bool_], hole: NDArray[np.bool_], noise: float
) -> Foretold | None:
    """A window with its hole filled by the rank that its rim comes out best with; None if it does not come out well."""
    rim = binary_dilation(hole, np.ones((3, 3)), RIM) & ~lost
    if not rim.any():
        return None
    truth, error, rank = planes[:, rim], None, 0
    for k, tried in _by_rank(planes, lost, hole | rim, RANKS):
        e = np.square(tried[:, rim] - truth).mean(axis=1)
        if error is None or e.sum() < error.sum():
            error, rank = e, k
    variance, chance = truth.var(axis=1).sum(), noise**2 * len(planes)
    bearable = min(max(ERROR**2, NOISIER * chance), UNEXPLAINED * variance + min(chance, MOST_CHANCE * variance))
    if error is None or error.sum() > bearable:
        return None
    for _, x in _by_rank(planes, lost, hole, (rank,)):
        return Foretold(x, error)
    return None


def _by_rank(
    planes: NDArray[np.float32], lost: NDArray[np.bool_], asked: NDArray[np.bool_], ranks: Sequence[int]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Each rank and the planes with C A^+ B in the rows and columns of the pixels asked for."""
    rows, columns = np.asarray(asked.any(axis=1)), np.asarray(asked.any(axis=0))
    other_rows, other_columns = _wholly_known(lost, rows, columns)
    if min(other_rows.sum(), other_columns.sum()) < LEAST_LINES:
        return
    # Planes side by side: all are the same mix of rows.
    a, b, c = (
        np.concatenate([plane[np.ix_(r, q)] for plane in planes], axis=1).astype(np.float64)
        for r, q in ((other_rows, other_columns), (other_rows, columns), (rows, other_columns))
    )
    u, s, v = np.linalg.svd(a, full_matrices=False)
    left, right = c @ v.T / np.maximum(s, 1e-9), u.T @ b
    whole = int((s > 1e-6 * s[0]).sum())
    for k in sorted({min(k, whole) for k in ranks}):
        d = left[:, :k] @ right[:k]
        x = planes.copy()
        x[:, np.outer(rows, columns)] = np.moveaxis(d.reshape(len(d), len(planes), -1), 1, 0).reshape(len(planes), -1)
        yield k, x


def _wholly_known(
    lost: NDArray[np.bool_], rows: NDArray[np.bool_], columns: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Other rows and other columns that have no lost pixel in common, nor the rows with `columns` or the reverse."""
    other_rows = ~rows & ~lost[:, columns].any(axis=1)
    other_columns = ~columns & ~lost[rows].any(axis=0)
    holes, _ = label(lost & np.outer(other_rows, other_columns))
    for row_range, column_range in find_objects(holes):  # each costs rows or columns, whichever are fewer
        if row_range.stop - row_range.start < column_range.stop - column_range.start:
            other_rows[row_range] = False
        else:
            other_columns[column_range] = False
    return other_rows, other_columns
