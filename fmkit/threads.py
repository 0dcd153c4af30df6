"""A pool of threads over ranges of rows or columns: the kernels release the GIL, so that threads are enough."""

import itertools
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray


def count_threads(n_jobs: int | None) -> int:
    """Threads for scikit-learn's `n_jobs`: None and -1 mean every core that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if n_jobs is None:
        return cores
    if n_jobs == 0:
        raise ValueError("n_jobs must be a positive number of threads or -1 for every core, got 0")
    return n_jobs if n_jobs > 0 else max(1, cores + 1 + n_jobs)


def for_each(work: Callable[..., Any], arguments: Iterable[tuple[Any, ...]], n_threads: int) -> list[Any]:
    """`[work(*a) for a in arguments]` on a pool of threads, results in order; one thread needs no pool."""
    if n_threads == 1:
        return [work(*a) for a in arguments]
    pool = ThreadPoolExecutor(n_threads)
    try:
        return list(pool.map(lambda a: work(*a), arguments))
    finally:
        pool.shutdown(cancel_futures=True)  # on Ctrl-C only the pieces in work are finished


def even_cuts(weight_before: NDArray[np.integer[Any]], n_threads: int) -> list[tuple[int, int]]:
    """Cut items into ranges of about equal weight, several a thread, so that no thread waits long for another.

    Parameters
    ----------
    weight_before : ndarray of shape (n_items + 1,)
        Weight of all items before each, ascending from 0; for columns of a sparse matrix, its `indptr`.
    n_threads : int
        Threads that will share the ranges.
    """
    n_items = len(weight_before) - 1
    goals = np.linspace(0, weight_before[-1], 1 if n_threads == 1 else 16 * n_threads + 1)[1:-1]
    cuts = np.unique(np.r_[0, np.searchsorted(weight_before, goals), n_items])
    return [(int(a), int(b)) for a, b in itertools.pairwise(cuts)]
