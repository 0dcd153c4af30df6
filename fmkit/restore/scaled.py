"""A picture of any type, looked at through windows of float32 of a range of 1, in its own size or in smaller copies."""

import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from fmkit.restore.arrays import checked_picture, colours_of

_STRIP = 1 << 19  # values that are brought to float32 at a time: 2 MB

Window = tuple[slice, slice]


class Scaled:
    """A picture without its alpha channel, of which windows are taken: a copy as floats would be four times as large.

    Parameters
    ----------
    picture : array-like of shape (n_rows, n_columns) or (n_rows, n_columns, n_channels)
    looked : callable of (cost), optional
        Told, by one thread at a time, what the windows cost that were looked into.

    Raises
    ------
    InputError
        If the array is no picture.
    """

    def __init__(self, picture: ArrayLike, looked: Callable[[float], object] | None = None) -> None:
        self._looked, self._lock = looked, threading.Lock()
        self._values = colours_of(checked_picture(picture))
        self.shape = (self._values.shape[0], self._values.shape[1])
        self.n_channels: int = self._values.shape[2]
        self._low, self._span = self._range()

    def _range(self) -> tuple[float, float]:
        """What becomes 0, and how far above it is what becomes 1."""
        if self._values.dtype in (np.uint8, np.uint16):
            return 0.0, float(np.iinfo(self._values.dtype).max)
        lows, highs = [], []
        for rows in self._strips(0, *self.shape):
            strip = self._values[rows]
            known = strip if strip.dtype.kind != "f" else strip[np.isfinite(strip).all(axis=2)]
            if known.size:
                lows.append(float(known.min()))
                highs.append(float(known.max()))
        low, high = min(lows, default=0.0), max(highs, default=1.0)
        return low, (high - low) or 1.0

    def _strips(self, first: int, last: int, values_a_row: int) -> Iterator[slice]:
        step = max(1, _STRIP // (values_a_row * self.n_channels))
        for start in range(first, last, step):
            yield slice(start, min(start + step, last))

    def shape_at(self, scale: int) -> tuple[int, int]:
        """Rows and columns of the copy that is smaller by `scale`."""
        return self.shape[0] // scale, self.shape[1] // scale

    def done_with(self, window: Window, cost: float) -> None:
        """Tell that a window was looked into, which costs so much a pixel; whoever is told may end the work."""
        if self._looked is not None:
            with self._lock:
                self._looked(cost * (window[0].stop - window[0].start) * (window[1].stop - window[1].start))

    def window(self, window: Window, scale: int = 1) -> NDArray[np.float32]:
        """A window of the picture or of a smaller copy; not a number is replaced by the nearest that is one.

        Parameters
        ----------
        window : pair of slices
            Rows and columns of the smaller copy.
        scale : {1, 2, 4}, default 1
            Each pixel is the mean of a square of this side.

        Returns
        -------
        float32 ndarray of shape (n_channels, n_rows, n_columns)
        """
        rows, columns = window
        result = np.empty((self.n_channels, rows.stop - rows.start, columns.stop - columns.start), np.float32)
        for strip in self._strips(rows.start, rows.stop, result.shape[2] * scale**2):
            part = self._values[strip.start * scale : strip.stop * scale, columns.start * scale : columns.stop * scale]
            part = self._floats(part)
            for _ in range(scale.bit_length() - 1):
                part = _halved(part)
            result[:, strip.start - rows.start : strip.stop - rows.start] = part
        if self._values.dtype.kind == "f":
            _fill(result)
        return result

    def _floats(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Channels first, of a range of 1; all channels not a number where one of them is not finite."""
        channels = np.moveaxis(values, 2, 0)
        if values.dtype in (np.uint8, np.uint16):
            return np.asarray(np.divide(channels, np.float32(self._span), order="C"), np.float32)
        floats = np.ascontiguousarray(((channels - np.float64(self._low)) / self._span).astype(np.float32))
        if values.dtype.kind == "f":
            floats[:, ~np.isfinite(floats).all(axis=0)] = np.nan
        return floats

    def unknown(self) -> Iterator[tuple[slice, NDArray[np.bool_]]]:
        """Strips of rows that hold what is not a number or infinite, and where."""
        if self._values.dtype.kind != "f":
            return
        for rows in self._strips(0, *self.shape):
            unknown = ~np.isfinite(self._values[rows]).all(axis=2)
            if unknown.any():
                yield rows, unknown


def _halved(channels: NDArray[np.float32]) -> NDArray[np.float32]:
    """The means of squares of two by two, of what is a number there."""
    fours = [channels[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
    total = fours[0] + fours[1] + fours[2] + fours[3]
    if not np.isnan(total).any():
        return np.asarray(total * np.float32(0.25))
    n = sum(np.isfinite(four).astype(np.float32) for four in fours)
    with np.errstate(invalid="ignore"):
        return np.asarray(sum(np.nan_to_num(four) for four in fours) / n, np.float32)


def _fill(channels: NDArray[np.float32]) -> None:
    """Put the nearest known value where none is known, so that a hole makes no edge of its own."""
    unknown = np.isnan(channels[0])
    if unknown.all():
        channels[:] = 0
    elif unknown.any():
        nearest = ndimage.distance_transform_edt(unknown, return_distances=False, return_indices=True)
        channels[:] = channels[:, nearest[0], nearest[1]]


def tiles(shape: tuple[int, int], side: int) -> Iterator[Window]:
    """A grid of about equal tiles, of at most `side` pixels a side."""
    cuts = [np.linspace(0, n, 1 + -(-n // side)).round().astype(int).tolist() for n in shape]
    for top, bottom in pairwise(cuts[0]):
        for left, right in pairwise(cuts[1]):
            yield slice(top, bottom), slice(left, right)


def widened(window: Window, before: int, after: int, shape: tuple[int, int]) -> Window:
    """The window with pixels before and after it in both directions, as far as the picture goes."""
    return (
        slice(max(window[0].start - before, 0), min(window[0].stop + after, shape[0])),
        slice(max(window[1].start - before, 0), min(window[1].stop + after, shape[1])),
    )
