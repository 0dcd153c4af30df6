"""A pool of threads over ranges of rows or columns: the kernels release the GIL, so that threads are enough."""

import itertools
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

WORTH_A_THREAD = 8192  # entries of a matrix; fewer are done before a thread has begun


def count_threads(n_jobs: int | None) -> int:
    """Threads for scikit-learn's `n_jobs`: None and -1 mean every core that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if n_jobs is None:
        return cores
    if n_jobs == 0:
        raise ValueError("n_jobs must be a positive number of threads or -1 for every core, got 0")
    return n_jobs if n_jobs > 0 else max(1, cores + 1 + n_jobs)


def for_each(work: Callable[..., Any], arguments: Iterable[tuple[Any, ...]], n_threads: int) -> list[Any]:
    """`[work(*a) for a in arguments]` on a pool of threads, results in order; a single piece of work needs no pool."""
    pieces = list(arguments)
    if n_threads == 1 or len(pieces) < 2:
        return [work(*piece) for piece in pieces]
    futures = [_pool(n_threads, os.getpid()).submit(work, *piece) for piece in pieces]
    try:
        return [future.result() for future in futures]
    finally:  # on Ctrl-C only the pieces in work are finished
        for future in futures:
            future.cancel()
        wait(futures)


@lru_cache
def _pool(n_threads: int, process: int) -> ThreadPoolExecutor:
    """A pool that lives as long as the process; a fork needs its own, threads do not come along."""
    return ThreadPoolExecutor(n_threads)


def even_cuts(weight_before: NDArray[np.integer[Any]], n_threads: int) -> list[tuple[int, int]]:
    """Cut items into ranges of about equal weight, several a thread, so that no thread waits long for another.

    Parameters
    ----------
    weight_before : ndarray of shape (n_items + 1,)
        Weight of all items before each, ascending from 0; for columns of a sparse matrix, its `indptr`.
    n_threads : int
        Threads that will share the ranges.
    """
    n_items, weight = len(weight_before) - 1, int(weight_before[-1])
    n_ranges = 1 if n_threads == 1 else min(16 * n_threads, weight // WORTH_A_THREAD + 1)
    cuts = np.searchsorted(weight_before, np.linspace(0, weight, n_ranges + 1)[1:-1])
    return [(int(a), int(b)) for a, b in itertools.pairwise(np.unique(np.r_[0, cuts, n_items]))]
