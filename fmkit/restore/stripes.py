"""Overlapping answers of many patches summed in a fixed order: the same bits with any number of threads."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.threads import for_each

Part = tuple[int, NDArray[np.float32]]


def sum_stripes(
    answers: Callable[..., Part],
    stripes: Sequence[tuple[Any, ...]],
    shape: tuple[int, ...],
    n_threads: int,
    progress: Callable[[int, NDArray[np.float32]], object] | None = None,
) -> NDArray[np.float32]:
    """Sums over all stripes of patches.

    Parameters
    ----------
    answers : callable
        Called with each of `stripes` as arguments; returns the first row that its patches touch, and its share of the
        sums, of shape (n_sums, n_planes, rows touched, n_columns), in a buffer of its own.
    stripes : sequence of tuple
    shape : (n_sums, n_planes, n_rows, n_columns)
    n_threads : int
    progress : callable of (stripes done, sums so far), optional
    """
    sums = np.zeros(shape, np.float32)
    # By batches, since the buffers of all stripes together would outgrow the picture five times.
    batch = 8 * n_threads
    for i in range(0, len(stripes), batch):
        for top, part in for_each(answers, stripes[i : i + batch], n_threads):
            sums[:, :, top : top + part.shape[2]] += part
        if progress is not None:
            progress(min(i + batch, len(stripes)), sums)
    return sums


def any_in_patch(pixels: NDArray[np.bool_], patch: int) -> NDArray[np.bool_]:
    """Whether the patch that begins at a pixel holds a True one; shape (n_rows - patch + 1, n_columns - patch + 1)."""
    windows = np.lib.stride_tricks.sliding_window_view
    return np.asarray(windows(windows(pixels, patch, axis=0).any(-1), patch, axis=1).any(-1))
