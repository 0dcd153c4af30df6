"""Known pixels that are hidden, to be filled and compared: what a picture itself tells of the ways to fill it."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

ENOUGH = 400  # values to hide, or more
FEWEST = 50  # hidden values that anything can be told from


class Hidden(NamedTuple):
    """A part of a picture in which known pixels are hidden."""

    values: NDArray[Any]
    lost: NDArray[np.bool_]
    """What is lost or hidden, of shape (n_rows, n_columns, 1 or n_colours)."""
    hidden: NDArray[np.bool_]
    """Of the shape of `values`."""


def hide_some(
    colours: NDArray[Any], lost: NDArray[np.bool_], side: int, rng: np.random.Generator, share: float | None = None
) -> Hidden | None:
    """Hide known pixels of the part, of at most `side` x `side` pixels, of which most is lost; None if too few can be.

    The lost pixels' own pattern, moved, says which are hidden: what holds in a scratch does not of lone pixels. Dense
    patterns are thinned, so that little more is lost than before.

    Parameters
    ----------
    colours : ndarray of shape (n_rows, n_columns, n_colours)
    lost : bool ndarray of shape (n_rows, n_columns, 1 or n_colours)
    side : int
    rng : numpy.random.Generator
    share : float, optional
        Of the known pixels, to be hidden, at most; by default a tenth of the share that is known, or `ENOUGH`.
    """
    box = _most_damaged(np.asarray(lost.any(axis=2)), side)
    values, gone = colours[box], lost[box]
    n_rows, n_columns, _ = gone.shape
    shift = [int(n * rng.uniform(0.25, 0.75)) for n in (n_rows, n_columns)]
    damaged = gone.mean()
    if share is None:
        share = max(0.1 * (1 - damaged), ENOUGH / (gone.size * max(1 - damaged, 1e-9)))
    kept = rng.random((n_rows, n_columns, 1)) < share / max(damaged, 1e-9)
    hidden = np.roll(gone, shift, axis=(0, 1)) & ~gone & kept
    without = gone | hidden
    hidden = np.broadcast_to(hidden, values.shape)
    if hidden.sum() < FEWEST or without.all(axis=(0, 1)).any():
        return None
    return Hidden(values, without, hidden)


def _most_damaged(lost: NDArray[np.bool_], side: int) -> tuple[slice, slice]:
    """The square of `side` pixels, of a grid of them, in which most is lost, and not all."""
    rows, columns = (sorted({*range(0, max(1, n - side + 1), side), max(0, n - side)}) for n in lost.shape)
    boxes = [np.s_[r : r + side, c : c + side] for r in rows for c in columns]
    shares = [lost[box].mean() for box in boxes]
    return boxes[int(np.argmax([share if share < 0.95 else 1 - share for share in shares]))]
