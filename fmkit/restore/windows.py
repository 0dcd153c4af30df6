"""Highest, lowest and mean of the window around each pixel: most of what finding damage costs.

On planes of a megapixel each takes 1 to 3 ms; SciPy's filters, which are not compiled for vector registers and work in
float64, take 8 to 12.
"""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fmkit.kernels import kernel

Plane = NDArray[np.float32]
Any_ = TypeVar("Any_", bound=np.generic)


def highest(plane: NDArray[Any_], size: int) -> NDArray[Any_]:
    """The highest value within a square of an odd `size` around each pixel; outside of the plane there is nothing."""
    return _extreme(plane, size // 2, size // 2, highest=True)


def lowest(plane: NDArray[Any_], size: int) -> NDArray[Any_]:
    """The lowest value within a square of an odd `size` around each pixel."""
    return _extreme(plane, size // 2, size // 2, highest=False)


def highest_of_blocks(plane: NDArray[Any_], size: int) -> NDArray[Any_]:
    """The highest of each block of `size` by `size` pixels; the last ones are cut off by the edge of the plane."""
    return np.ascontiguousarray(_extreme(plane, 0, size - 1, highest=True)[::size, ::size])


def opened(plane: NDArray[Any_], size: int) -> NDArray[Any_]:
    """The plane without what is brighter than its surroundings and holds no square of an odd `size`."""
    return highest(lowest(plane, size), size)


def closed(plane: NDArray[Any_], size: int) -> NDArray[Any_]:
    """The plane without what is darker than its surroundings and holds no square of an odd `size`."""
    return lowest(highest(plane, size), size)


def mean_around(plane: NDArray[Any], size: int) -> Plane:
    """The mean of a square of an odd `size` around each pixel, the plane mirrored at its edges."""
    result = np.empty(plane.shape, np.float32)
    slide_mean(_plain(plane), size // 2, result)
    return result


def _extreme(plane: NDArray[Any_], before: int, after: int, *, highest: bool) -> NDArray[Any_]:
    plain = _plain(plane)
    result = np.empty_like(plain)
    slide_extreme(plain, before, after, highest, result)
    return result.view(plane.dtype)


def _plain(plane: NDArray[Any]) -> NDArray[Any]:
    """Of one layout, and no bool, which would not be vectorized: fewer kernels to compile."""
    return np.ascontiguousarray(plane).view(np.uint8 if plane.dtype == bool else plane.dtype)


@kernel
def slide_extreme(plane, before, after, highest, out):  # type: ignore[no-untyped-def]
    """out[i, j] = the highest or lowest of plane[i - before : i + after + 1, j - before : j + after + 1].

    Along rows the windows double: of the extremes of 2, 4, ... pixels, two that overlap make that of any size. Down the
    columns stand blocks of as many rows as a window has: a window is the end of one block and the start of the next,
    and three comparisons tell its extreme whatever its size (M. van Herk, "A fast algorithm for local minimum and
    maximum filters on rectangular and octagonal kernels", Pattern Recognition Letters 13 (7), 1992).

    Parameters
    ----------
    plane, out : (n_rows, n_columns), C-contiguous, of one type
        `out` is written.
    before, after : int
    highest : bool
    """
    n_rows, n_columns = plane.shape
    size = before + after + 1
    one = np.empty(n_columns + size - 1, plane.dtype)
    two = np.empty_like(one)
    block = np.empty((size, n_columns), plane.dtype)  # its rows; then the extremes of each and all below it
    ends, starts = np.empty_like(block), np.empty((2, n_columns), plane.dtype)
    for i in range(-after - before, n_rows):
        # The row that enters the window of row i; beyond the edge each is like the last one.
        row, at = plane[_within(i + after, n_rows)], i % size
        one[:before] = row[0]
        one[before : before + n_columns] = row
        one[before + n_columns :] = row[n_columns - 1]
        width = 1
        while 2 * width <= size:
            _pick(one[:-width], one[width:], two, highest)
            one, two = two, one
            width *= 2
        new = block[at - 1]  # the last of its block where `at` is 0
        _pick(one, one[size - width :], new, highest)
        if at == 0:
            ends[size - 1] = new
            for t in range(size - 2, -1, -1):
                _pick(block[t], ends[t + 1], ends[t], highest)
            if i >= 0:
                out[i] = ends[0]
        else:
            if at == 1:
                starts[1] = new
            else:
                _pick(starts[1 - at % 2], new, starts[at % 2], highest)
            if i >= 0:
                _pick(ends[at], starts[at % 2], out[i], highest)


@kernel
def _within(i, n):  # type: ignore[no-untyped-def]
    """The index of 0 to n - 1 that is nearest to `i`."""
    return min(max(i, 0), n - 1)


@kernel
def _pick(one, other, out, highest):  # type: ignore[no-untyped-def]
    """out[j] = the higher or the lower of one[j] and other[j], as far as the shortest of the three goes."""
    n = min(len(one), len(other), len(out))
    if highest:
        for j in range(n):
            out[j] = one[j] if one[j] > other[j] else other[j]
    else:
        for j in range(n):
            out[j] = one[j] if one[j] < other[j] else other[j]


@kernel
def slide_mean(plane, reach, out):  # type: ignore[no-untyped-def]
    """out[i, j] = the mean of plane[i - reach : i + reach + 1, j - reach : j + reach + 1], mirrored at the edges.

    Sums run along columns, then rows; in float64, for what leaves a sum must be just what entered it.

    Parameters
    ----------
    plane : (n_rows, n_columns), C-contiguous
    reach : int
    out : float32 (n_rows, n_columns)
    """
    n_rows, n_columns = plane.shape
    down = np.zeros(n_columns)
    step = np.empty(n_columns)
    for i in range(-reach, reach):
        down += plane[_mirrored(i, n_rows)]
    scale = 1.0 / (2 * reach + 1) ** 2
    for i in range(n_rows):
        enters = plane[_mirrored(i + reach, n_rows)]
        for j in range(n_columns):
            down[j] += enters[j]
        total = 0.0
        for j in range(-reach, reach + 1):
            total += down[_mirrored(j, n_columns)]
        for j in range(n_columns):
            if reach <= j < n_columns - reach - 1:
                step[j] = down[j + reach + 1] - down[j - reach]
            else:
                step[j] = down[_mirrored(j + reach + 1, n_columns)] - down[_mirrored(j - reach, n_columns)]
        row = out[i]
        for j in range(n_columns):
            row[j] = total * scale
            total += step[j]
        leaves = plane[_mirrored(i - reach, n_rows)]
        for j in range(n_columns):
            down[j] -= leaves[j]


@kernel
def _mirrored(i, n):  # type: ignore[no-untyped-def]
    """The index within 0 to n - 1 that `i` outside of it is the mirror image of, the edge itself doubled."""
    i %= 2 * n
    return i if i < n else 2 * n - 1 - i


@kernel
def raise_around(level, row, column, value, reach, limit, scale):  # type: ignore[no-untyped-def]
    """Raise `level` to the values around each pixel that has one; where two meet, the higher one counts.

    Parameters
    ----------
    level : float32 (n_rows, n_columns)
        Written.
    row, column : int (n_pixels,)
    value : float32 (n_pixels,)
    reach, limit : int
        What lies within `reach` rows and columns and within the root of `limit` is around a pixel.
    scale : int
        Pixels of `level` a row and a column of those.
    """
    n_rows, n_columns = level.shape[0] // scale, level.shape[1] // scale
    for i in range(len(value)):
        for y in range(max(row[i] - reach, 0), min(row[i] + reach + 1, n_rows)):
            for x in range(max(column[i] - reach, 0), min(column[i] + reach + 1, n_columns)):
                if (y - row[i]) ** 2 + (x - column[i]) ** 2 <= limit:
                    for r in range(y * scale, (y + 1) * scale):
                        for c in range(x * scale, (x + 1) * scale):
                            level[r, c] = max(level[r, c], value[i])
