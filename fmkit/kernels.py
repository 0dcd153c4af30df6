"""How kernels are compiled: free of the GIL, and once for all processes wherever the result can be kept."""

from functools import partial

from numba import njit


def _probe() -> None: ...


def _can_cache() -> bool:
    """Whether numba may write beside the package or in the user's cache.

    A container that runs a read-only install as a user without a home has neither, and numba would refuse to define a
    cached kernel at all: there, every process compiles its own.
    """
    try:
        njit(cache=True)(_probe)
    except RuntimeError:
        return False
    return True


kernel = partial(njit, nogil=True, cache=_can_cache())
"""Decorator: `@kernel`, or `@kernel(fastmath=FASTMATH)`."""
