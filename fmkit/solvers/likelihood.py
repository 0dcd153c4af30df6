"""Likelihoods other than the Gaussian, made Gaussian once a sweep by latent variables a row.

Given the predictions f, a likelihood draws its latent variables and hands back working targets and weights: given
these the rows are Gaussian, and the solvers go on as ever. Without a draw it takes the latent variables' expectations,
the maximiser of a lower bound: EM for ALS, the update of variational Bayes where f has a variance.

| likelihood | latent variables | from |
| --- | --- | --- |
| probit | y* ~ N(f, 1 / tau), on the label's side of 0 | Albert and Chib, JASA 1993 |
| ordered probit | y* ~ N(f, 1 / tau), between the class's cutpoints | Albert and Chib; cutpoints: Cowles 1996 |
| logistic | omega ~ PG(1, f) | Polson, Scott and Windle, JASA 2013 |
| a class of a softmax | omega ~ PG(1, f - C), C the log-sum-exp of the others | Holmes and Held 2006 |
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fmkit.solvers.columns import NONE
from fmkit.threads import for_each

Floats = NDArray[np.float32]
Draw = tuple[np.uint64, int, np.random.Generator]
"""Key, sweep, and a generator in the state that belongs to the sweep."""

STREAM, STREAMS = 1 << 16, 8  # first stream of random numbers, behind those of noise levels, and how many one has
ROWS = 1 << 14  # rows of a piece of work: fixed, so that sums are the same for any number of threads


class Likelihood(Protocol):
    """What solvers ask of a likelihood.

    Attributes
    ----------
    has_noise : bool
        Whether rows may differ in their noise precision tau.
    tells_noise : bool
        Whether they do so unless somebody says no.
    total : float
        Sum of the sample weights.
    log_gaps : ndarray of shape (n,), float64
        All that a sweep leaves behind: logarithms of the gaps between cutpoints, (0,) without any.
    start_bias : float
        Prediction for all rows from which a fit starts: that of the classes' shares.
    """

    has_noise: bool
    tells_noise: bool
    total: float
    start_bias: float
    log_gaps: NDArray[np.float64]

    @property
    def cutpoints(self) -> NDArray[np.float64]:
        """Cutpoints between the classes (n_classes - 1,), float64."""
        ...

    def augment(
        self, f: Floats, tau: Floats = NONE, draw: Draw | None = None, variance: Floats = NONE
    ) -> tuple[Floats, Floats]:
        """Working targets and weights at given predictions.

        Parameters
        ----------
        f : ndarray of shape (n_rows,), float32
            Predictions, or their expectations.
        tau : ndarray of shape (n_rows,) or (0,), float32
            Further noise precision of each row; (0,) if all are 1.
        draw : tuple of (uint64, int, Generator), optional
            Key and sweep of the rows' draws, and what draws the rest; by default none: expectations.
        variance : ndarray of shape (n_rows,) or (0,), float32
            Variances of f where it is uncertain, which matters to expectations alone.

        Returns
        -------
        tuple of two ndarrays of shape (n_rows,), float32
            Not to be written to.
        """
        ...

    def log_likelihood(self, f: Floats, tau: Floats = NONE, variance: Floats = NONE) -> float:
        """The rows' log likelihood at f; with variances, the bound of its expectation that `augment` maximises."""
        ...

    def log_prior(self) -> float:
        """Log density of the cutpoints' prior, up to a constant."""
        ...


def by_rows(work: Callable[..., Any], n_rows: int, n_threads: int, *arguments: Any) -> list[Any]:
    """Results of a row kernel, `work(begin, end, *arguments)`, for pieces of the rows."""
    pieces = [(a, min(a + ROWS, n_rows), *arguments) for a in range(0, n_rows, ROWS)]
    return for_each(work, pieces, n_threads)


def key_of(draw: Draw | None, stream: np.uint32) -> tuple[bool, np.uint64, np.uint32, np.uint32]:
    """Whether row kernels draw, and the key, stream and sweep."""
    if draw is None:
        return False, np.uint64(0), stream, np.uint32(0)
    return True, np.uint64(draw[0]), stream, np.uint32(draw[1])


def checked_codes(codes: ArrayLike, n_classes: int, message: str) -> NDArray[np.int32]:
    """Classes as int32, or a ValueError that begins with the message and names the first row that has none."""
    given = np.asarray(codes)
    if given.dtype.kind not in "biuf":
        raise ValueError(f"{message}, got {given.flat[0]} in row 0")
    wrong = ~((given >= 0) & (given < n_classes))
    whole = np.where(wrong, 0, given).astype(np.int32)
    wrong |= whole != given
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(f"{message}, got {given[row]} in row {row}")
    return whole


def checked_weights(weights: Floats | None, n_rows: int) -> Floats:
    """Sample weights as float32, (0,) for none."""
    if weights is None:
        return NONE
    given = np.ascontiguousarray(weights, np.float32)
    if given.shape != (n_rows,):
        raise ValueError(f"sample weights must be one a row, {n_rows} of them, got an array of shape {given.shape}")
    wrong = ~((given >= 0) & np.isfinite(given))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(f"sample weights must be at least 0 and finite, got {given[row]} in row {row}")
    return given
