"""Several rankings in one: scores in units of their own spread, added up by weights that a validation part chose.

Spreads are over all items of a query. Of a ranking by inner products with p they have a closed form, p' C p with C the
covariance of the items' vectors, so a blend of such rankings is one again, of longer vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

STEP = 4  # weights are tried in quarters: finer ones could not be told apart


def spreads(queries: Vectors, items: Vectors) -> NDArray[np.float32]:
    """Standard deviation over the items of each query's inner products, of shape (n_queries,); never 0."""
    centred = items - items.mean(axis=0, dtype=np.float64)
    covariance = (centred.T @ centred / len(items)).astype(np.float32)
    variance = np.einsum("ij,ij->i", queries @ covariance, queries)
    return np.asarray(np.sqrt(np.maximum(variance, np.float32(1e-20))), np.float32)


def choose_weights(n: int, judge: Callable[[Sequence[float]], float]) -> tuple[tuple[float, ...], float]:
    """The weights, n of them that add up to 1, that a judge finds best, and its word; of equals the first, simplest.

    Parameters
    ----------
    n : int
    judge : callable
        How good the blend of some weights is, more being better.
    """
    combinations = [steps for steps in product(range(STEP + 1), repeat=n) if sum(steps) == STEP]
    combinations.sort(key=lambda steps: (np.count_nonzero(steps), *(-s for s in steps)))
    tried = [(tuple(s / STEP for s in steps), judge([s / STEP for s in steps])) for steps in combinations]
    return max(tried, key=lambda pair: pair[1])
