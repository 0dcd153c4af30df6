"""Lines in a plane of heights: pixels that go on in a direction, joined with the neighbours that go on alike."""

import numpy as np
from numpy.typing import NDArray

from fmkit.kernels import kernel
from fmkit.restore.windows import Plane

_N_ANGLES = 24
_REACH = 12  # pixels to either side: what goes on for 25 pixels is a line
_GOES_ON = 0.75  # of a pixel's own height, on the mean along the line
_TURN = 3  # steps of 7.5 degrees that a line may turn from one pixel to the next
_FAR = 8  # steps at least before a direction is given up; a quarter of all can be missed by a line

Labels = NDArray[np.int32]


def label_lines(height: Plane, stands: NDArray[np.bool_]) -> tuple[Labels, int]:
    """Number the lines among the pixels that stand out, from 1, and tell how many there are.

    Parameters
    ----------
    height : float32 ndarray of shape (n_rows, n_columns)
        By how much each pixel stands out, slightly smoothed.
    stands : bool ndarray of shape (n_rows, n_columns)
    """
    theta = np.arange(_N_ANGLES) * (np.pi / _N_ANGLES)
    far_first = np.arange(_REACH, 0, -1)  # where most directions lead off a line
    steps = np.stack([far_first, -far_first], axis=1).ravel()
    rows = np.rint(np.outer(np.sin(theta), steps)).astype(np.int64)
    columns = np.rint(np.outer(np.cos(theta), steps)).astype(np.int64)
    direction = np.empty(height.shape, np.int8)
    go_on(height, stands, rows, columns, direction)
    return _joined(direction)


def label_connected(inside: NDArray[np.bool_]) -> tuple[Labels, int]:
    """Number what is connected, over corners too, from 1, and tell how many there are."""
    return _joined(inside.view(np.int8) - np.int8(1))


def _joined(direction: NDArray[np.int8]) -> tuple[Labels, int]:
    labels = np.zeros(direction.shape, np.int32)
    n: int = join(direction, labels, np.empty(1 + np.count_nonzero(direction >= 0), np.int32))
    return labels, n


@kernel
def go_on(height, stands, rows, columns, direction):  # type: ignore[no-untyped-def]
    """Write the direction in which each pixel that stands out goes on best, -1 where it is on no line.

    A pixel goes on in a direction if the mean of min(height, its own height) along it reaches `_GOES_ON` of its own.

    Parameters
    ----------
    height : float32 (n_rows, n_columns)
    stands : bool (n_rows, n_columns)
    rows, columns : int64 (_N_ANGLES, 2 * _REACH)
        Steps from a pixel in each direction.
    direction : int8 (n_rows, n_columns)
        Written.
    """
    n_rows, n_columns = height.shape
    n_angles, n_steps = rows.shape
    flat, offsets = height.ravel(), rows * n_columns + columns
    for i in range(n_rows):
        for j in range(n_columns):
            direction[i, j] = -1
            if not stands[i, j]:
                continue
            own, best = height[i, j], np.float32(_GOES_ON)
            inside = _REACH <= i < n_rows - _REACH and _REACH <= j < n_columns - _REACH
            for a in range(n_angles):
                total, n = np.float32(0), 0
                if inside:
                    place, enough = i * n_columns + j, best * own * n_steps
                    for t in range(_FAR):
                        total += min(flat[place + offsets[a, t]], own)
                    n = _FAR
                    # Most directions are given up soon: even full height at all other steps would not do.
                    while n < n_steps and total + (n_steps - n) * own > enough:
                        for t in range(n, n + 4):
                            total += min(flat[place + offsets[a, t]], own)
                        n += 4
                    if n < n_steps:
                        continue
                else:
                    for t in range(n_steps):
                        r, c = i + rows[a, t], j + columns[a, t]
                        if 0 <= r < n_rows and 0 <= c < n_columns:
                            total += min(height[r, c], own)
                            n += 1
                # At the edge of the picture up to half of the steps lead outside.
                if 2 * n >= n_steps and total > best * own * n:
                    best = total / (own * n)
                    direction[i, j] = a


@kernel
def join(direction, labels, stack):  # type: ignore[no-untyped-def]
    """Number the lines from 1, neighbours of about one direction in one; crossing ones stay apart. Returns how many.

    Parameters
    ----------
    direction : int8 (n_rows, n_columns)
    labels : int32 (n_rows, n_columns)
        Zeros; written.
    stack : int32 (as many as there are pixels on lines, at least 1)
        Working memory.
    """
    n_rows, n_columns = direction.shape
    n = 0
    for i in range(n_rows):
        for j in range(n_columns):
            if direction[i, j] < 0 or labels[i, j] > 0:
                continue
            n += 1
            labels[i, j] = n
            stack[0] = i * n_columns + j
            depth = 1
            while depth > 0:
                depth -= 1
                r, c = stack[depth] // n_columns, stack[depth] % n_columns
                for y in range(max(r - 1, 0), min(r + 2, n_rows)):
                    for x in range(max(c - 1, 0), min(c + 2, n_columns)):
                        if direction[y, x] >= 0 and labels[y, x] == 0:
                            turn = abs(direction[y, x] - direction[r, c])
                            if min(turn, _N_ANGLES - turn) <= _TURN:
                                labels[y, x] = n
                                stack[depth] = y * n_columns + x
                                depth += 1
    return n
