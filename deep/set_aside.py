"""Rows set aside for early stopping: of every class its share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fmkit.errors import InputError

Rows = NDArray[np.int64]


def set_aside(
    chosen: Rows, strata: NDArray[np.generic] | None, share: float, rng: np.random.Generator
) -> tuple[Rows, Rows]:
    """Rows to train on, and rows set aside: a share of every class that has two rows; both sorted.

    Parameters
    ----------
    chosen : ndarray of int64
        All of them.
    strata : ndarray of shape (n_rows,), optional
        Classes of all rows, chosen or not.
    share : float
    rng : Generator
    """
    order = rng.permutation(chosen)
    single = np.zeros(len(order), bool)
    if strata is not None:
        order = order[np.argsort(strata[order], kind="stable")]
        _, of, counts = np.unique(strata[order], return_inverse=True, return_counts=True)
        single = counts[of] == 1
    n_held = max(1, round(share * len(order)))
    held = np.zeros(len(order), bool)
    held[((np.arange(n_held) + 0.5) * len(order) / n_held).astype(int)] = True
    held &= ~single
    if held.all() or not held.any():
        raise InputError("early stopping needs two rows of a class: one to fit, one to set aside")
    return np.sort(order[~held]), np.sort(order[held])
