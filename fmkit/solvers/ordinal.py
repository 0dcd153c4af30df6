"""The ordered probit: cutpoints that are drawn along (Cowles 1996), and the probit of two classes."""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from fmkit.solvers.columns import NONE
from fmkit.solvers.likelihood import STREAM, Draw, by_rows, checked_codes, checked_weights, key_of
from fmkit.solvers.probit_rows import (
    fill_class_moments,
    fill_latent_variances,
    fill_latents,
    fill_probabilities,
    sum_classes,
)

Floats = NDArray[np.float32]

SPREAD = 2.0  # prior of the log-gaps between cutpoints: normal about log(4 / classes), with this standard deviation
LOG_GAP = 25.0  # and within +- this, where no gap is lost to rounding
BLOCK_ROWS = 10.0  # a block of cutpoints has two classes of so many rows, or more classes of more rows


class Ordinal:
    """Classes in an order: an ordered probit, P(y <= k) = Phi((c_k - f) sqrt(tau)).

    The cutpoints are drawn given f with the latent variables integrated out: given those a cutpoint could only move
    between the two nearest, and with many rows it would hardly move at all (Cowles, "Accelerating Monte Carlo Markov
    chain convergence for cumulative-link generalized linear models", Statistics and Computing 6, 1996). They are
    parametrised by the logarithms of the gaps between them. One is fixed at 0, that which parts the rows most evenly:
    the machine's bias moves them all. The proposal is a multivariate t about the mode that Newton steps from the
    present value lead to, the reverse one is found in the same way from the proposal, and Metropolis and Hastings
    accept: near the mode with many rows both take one step, and a sweep two passes over the rows. Classes of few rows
    have log-gaps that are far from normal: they are drawn in blocks of fewer gaps, a pass a block. Without a draw, one
    step towards the mode.

    Parameters
    ----------
    codes : array-like of shape (n_rows,)
        Classes, 0 to n_classes - 1; some may have no rows.
    n_classes : int
    weights : ndarray of shape (n_rows,), float32, optional
        A sample weight raises a row's likelihood to its power. Draws of the latent variables then have the mean and the
        variance of an average of w of them, not its exact distribution.
    n_threads : int

    Attributes
    ----------
    log_gaps : ndarray of shape (n_classes - 2,), float64
        The state: of the distances between neighbouring cutpoints. From the normal quantiles of the classes' shares.
    start_bias : float
        Prediction for all rows that goes with these shares.
    accepted, proposed : int
        Draws of the cutpoints.
    """

    has_noise = True

    def __init__(self, codes: ArrayLike, n_classes: int, weights: Floats | None = None, n_threads: int = 1) -> None:
        if n_classes < 2:
            raise ValueError(f"an ordinal target needs at least 2 classes, got {n_classes}")
        message = f"classes must be whole numbers from 0 to {n_classes - 1}"
        self.codes = checked_codes(codes, n_classes, message)
        self.weights, self.n_threads = checked_weights(weights, len(self.codes)), n_threads
        self._ones = self.weights if len(self.weights) else np.ones(len(self.codes), np.float32)
        self._stream = np.uint32(STREAM)
        # A label of two classes says little about its noise: levels for users change neither AUC (.8041 without, .8040
        # with) nor log loss (.5359, .5358) on five validation parts of MovieLens latest-small, 4 stars or more.
        self.tells_noise = n_classes > 2
        self.total = float(self._ones.sum(dtype=np.float64))
        counts = np.bincount(self.codes, self._ones, n_classes) + 0.5
        cuts = ndtri(np.cumsum(counts)[:-1] / counts.sum())
        self._fixed = int(np.argmin(np.abs(cuts)))
        self.start_bias = -float(cuts[self._fixed])
        self.log_gaps: NDArray[np.float64] = np.clip(np.log(np.diff(cuts)), 1 - LOG_GAP, LOG_GAP - 1)
        self._centre = math.log(4 / n_classes)
        self._blocks = _blocks(counts[1:-1])
        self.accepted = self.proposed = 0

    @property
    def cutpoints(self) -> NDArray[np.float64]:
        """Cutpoints (n_classes - 1,), float64, ascending, one of them 0."""
        return self._cuts(self.log_gaps)[1:-1]

    def augment(
        self, f: Floats, tau: Floats = NONE, draw: Draw | None = None, variance: Floats = NONE
    ) -> tuple[Floats, Floats]:
        """As `Likelihood.augment`, after a move of the cutpoints: (latent variables, sample weights).

        The rows' noise precision given the targets is tau times the weights.
        """
        if len(self.log_gaps):
            if draw is None:
                self._ascend(f, tau)
            else:
                self._draw_cutpoints(f, tau, draw[2])
        target = np.empty(len(self.codes), np.float32)
        rows = (self.codes, self._cuts(self.log_gaps), f, tau, self.weights)
        by_rows(fill_latents, len(f), self.n_threads, *rows, *key_of(draw, self._stream), target)
        return target, self._ones

    def latent_variance(self, f: Floats, tau: Floats = NONE) -> Floats:
        """Variances (n_rows,) of the latent variables about the expectations that `augment` without a draw gives."""
        out = np.empty(len(self.codes), np.float32)
        rows = (self.codes, self._cuts(self.log_gaps), f, tau, out)
        by_rows(fill_latent_variances, len(f), self.n_threads, *rows)
        return out

    def log_likelihood(self, f: Floats, tau: Floats = NONE, variance: Floats = NONE) -> float:
        """As `Likelihood.log_likelihood`: sum w (log P(y) - tau variance / 2)."""
        return float(self._sums(self.log_gaps, f, tau, variance)[:, 0].sum())

    def log_prior(self) -> float:
        """Log density of the log-gaps' prior, up to a constant: what a bound has beside the rows' part."""
        return -0.5 * float(np.square((self.log_gaps - self._centre) / SPREAD).sum())

    def probabilities(self, f: Floats, variance: Floats = NONE, tau: Floats = NONE) -> Floats:
        """`class_probabilities` at the present cutpoints."""
        return class_probabilities(self.cutpoints, f, variance, tau, self.n_threads)

    def moments(self, f: Floats, variance: Floats, values: ArrayLike, tau: Floats = NONE) -> tuple[Floats, Floats]:
        """`class_moments` at the present cutpoints."""
        return class_moments(self.cutpoints, values, f, variance, tau, self.n_threads)

    def _cuts(self, log_gaps: NDArray[np.float64]) -> NDArray[np.float64]:
        gaps, fixed = np.exp(log_gaps), self._fixed
        below, above = -np.cumsum(gaps[:fixed][::-1])[::-1], np.cumsum(gaps[fixed:])
        return np.concatenate([[-np.inf], below, [0.0], above, [np.inf]])

    def _sums(
        self, log_gaps: NDArray[np.float64], f: Floats, tau: Floats, variance: Floats = NONE
    ) -> NDArray[np.float64]:
        rows = (self.codes, self._cuts(log_gaps), f, tau, self.weights, variance)
        parts = by_rows(sum_classes, len(f), self.n_threads, *rows)
        return np.sum(parts, axis=0) if parts else np.zeros((len(self.log_gaps) + 2, 6))

    def _expand(self, log_gaps: NDArray[np.float64], f: Floats, tau: Floats) -> "_Expansion":
        sums = self._sums(log_gaps, f, tau)
        gaps, j, i = np.exp(log_gaps), np.arange(len(log_gaps)), np.arange(len(log_gaps) + 1)[:, None]
        J = gaps * np.where(j >= self._fixed, (i > j).astype(float), -(i <= j).astype(float))
        by_cut = J.T @ (sums[:-1, 2] - sums[1:, 1])
        between = sums[1:-1, 5]
        H = np.diag(sums[:-1, 4] + sums[1:, 3]) - np.diag(between, 1) - np.diag(between, -1)
        precision = J.T @ H @ J + np.diag(np.maximum(-by_cut, 0) + SPREAD**-2)
        z = (log_gaps - self._centre) / SPREAD
        return _Expansion(log_gaps, float(sums[:, 0].sum() - 0.5 * z @ z), by_cut - z / SPREAD, precision)

    def _uphill(self, now: "_Expansion", block: slice, f: Floats, tau: Floats) -> "_Expansion":
        """Where a block's Newton step leads, halved until the log posterior rises; `now` where rounding forbids it."""
        step = np.zeros(len(now.at))
        step[block] = now.step(block)[0]
        for _ in range(20):
            if np.abs(now.at + step).max() < LOG_GAP:
                then = self._expand(now.at + step, f, tau)
                if then.value > now.value:
                    return then
            step /= 2
        return now

    def _ascend(self, f: Floats, tau: Floats) -> None:
        everything = slice(0, len(self.log_gaps))
        now = self._expand(self.log_gaps, f, tau)
        if now.step(everything)[1] > 1e-9:
            self.log_gaps = self._uphill(now, everything, f, tau).at

    def _proposal(self, now: "_Expansion", block: slice, f: Floats, tau: Floats) -> tuple[Any, Any]:
        """Centre, and lower factor of the precision, of the proposal for a block that Newton steps from `now` find."""
        d = block.stop - block.start
        # Where draws lie, one step. More of them, with few rows, would tie the spread of the proposal to that of the
        # mode, and a skew posterior has a far wider side: of 5 rows in 3 classes 6 % of the proposals in place of 48 %.
        near = d + 4 * math.sqrt(2 * d) + 4
        for _ in range(30):
            if now.step(block)[1] <= near:
                break
            before, now = now, self._uphill(now, block, f, tau)
            if now is before:
                break
        return now.at[block] + now.step(block)[0], np.linalg.cholesky(now.precision[block, block])

    def _draw_cutpoints(self, f: Floats, tau: Floats, rng: np.random.Generator) -> None:
        now = self._expand(self.log_gaps, f, tau)
        for block in self._blocks:
            d = block.stop - block.start
            freedom = 8 + d  # tails that reach any start, at an acceptance near that of the normal in any dimension
            z, chi_square, u = rng.standard_normal(d), rng.chisquare(freedom), rng.random()
            self.proposed += 1
            forth = self._proposal(now, block, f, tau)
            new = now.at.copy()
            new[block] = forth[0] + np.linalg.solve(forth[1].T, z) * math.sqrt(freedom / chi_square)
            if not np.abs(new).max() < LOG_GAP:
                continue
            then = self._expand(new, f, tau)
            back = self._proposal(then, block, f, tau)
            ratio = _log_t(now.at[block], *back, freedom) - _log_t(new[block], *forth, freedom)
            if math.log(u) < then.value - now.value + ratio:
                now = then
                self.accepted += 1
        self.log_gaps = now.at


@dataclass
class _Expansion:
    """The log posterior of the log-gaps about a point.

    Parameters
    ----------
    at, slope : ndarray of shape (d,), float64
    value : float
    precision : ndarray of shape (d, d), float64
        Minus the second derivative without what could make it indefinite, which at the mode is nearly nothing: always
        positive definite, so that every step goes uphill.
    """

    at: NDArray[np.float64]
    value: float
    slope: NDArray[np.float64]
    precision: NDArray[np.float64]

    def step(self, block: slice) -> tuple[NDArray[np.floating[Any]], float]:
        """The Newton step of a block, no gap more than e^2 times as wide or narrow, and its squared length."""
        step: NDArray[np.floating[Any]] = np.linalg.solve(self.precision[block, block], self.slope[block])
        square = float(self.slope[block] @ step)
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), 2.0))
        return step, square


class Probit(Ordinal):
    """Labels of a probit model: P(y = 1) = Phi(f sqrt(tau)), an `Ordinal` of two classes with its cutpoint at 0.

    Parameters
    ----------
    labels : array-like of shape (n_rows,)
        0 or 1.
    weights : ndarray of shape (n_rows,), float32, optional
        See `Ordinal`.
    n_threads : int
    """

    def __init__(self, labels: ArrayLike, weights: Floats | None = None, n_threads: int = 1) -> None:
        super().__init__(checked_codes(labels, 2, "labels must be 0 or 1"), 2, weights, n_threads)


def class_probabilities(
    cutpoints: NDArray[np.float64], f: Floats, variance: Floats = NONE, tau: Floats = NONE, n_threads: int = 1
) -> Floats:
    """Probabilities of ordered classes.

    Parameters
    ----------
    cutpoints : ndarray of shape (n_classes - 1,), float64
    f : ndarray of shape (n_rows,), float32
    variance, tau : ndarray of shape (n_rows,) or (0,), float32
        Variance of f, and noise precision of the rows; (0,) for 0, and for 1.
    n_threads : int

    Returns
    -------
    ndarray of shape (n_rows, n_classes), float32
    """
    out = np.empty((len(f), len(cutpoints) + 1), np.float32)
    cuts = np.concatenate([[-np.inf], cutpoints, [np.inf]])
    by_rows(fill_probabilities, len(f), n_threads, cuts, f, variance, tau, out)
    return out


def class_moments(
    cutpoints: NDArray[np.float64],
    values: ArrayLike,
    f: Floats,
    variance: Floats = NONE,
    tau: Floats = NONE,
    n_threads: int = 1,
) -> tuple[Floats, Floats]:
    """Mean and variance (n_rows,), float32, of what ordered classes stand for: `values`, one a class.

    The other parameters are those of `class_probabilities`.
    """
    worth = np.ascontiguousarray(values, np.float64)
    if worth.shape != (len(cutpoints) + 1,):
        raise ValueError(f"values must be {len(cutpoints) + 1}, one a class, got an array of shape {worth.shape}")
    mean, spread = np.empty(len(f), np.float32), np.empty(len(f), np.float32)
    cuts = np.concatenate([[-np.inf], cutpoints, [np.inf]])
    by_rows(fill_class_moments, len(f), n_threads, cuts, worth, f, variance, tau, mean, spread)
    return mean, spread


def _blocks(counts: NDArray[np.floating[Any]]) -> list[slice]:
    """Cut the gaps of the inner classes into blocks whose posteriors are about as close to normal as one another."""
    cost = BLOCK_ROWS / (BLOCK_ROWS + counts)
    starts = np.flatnonzero(np.diff(np.floor(np.cumsum(cost) - 1e-9))) + 1  # where they cost 1 more together
    return [slice(int(a), int(b)) for a, b in itertools.pairwise([0, *starts, len(cost)]) if b > a]


def _log_t(x: NDArray[np.float64], centre: NDArray[np.float64], factor: NDArray[np.float64], freedom: float) -> float:
    """Log density, up to a constant, of a multivariate t with a precision of lower factor `factor`."""
    distance = float(np.square(factor.T @ (x - centre)).sum())
    return float(np.log(np.diag(factor)).sum()) - 0.5 * (freedom + len(x)) * math.log1p(distance / freedom)
