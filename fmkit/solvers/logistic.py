"""The logistic likelihood by Polya-Gamma variables (Polson, Scott and Windle, JASA 2013), and its quadratic bound."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fmkit.draws import draw_gamma, draw_polya_gamma
from fmkit.kernels import kernel
from fmkit.solvers.columns import NONE
from fmkit.solvers.likelihood import STREAM, STREAMS, Draw, by_rows, checked_codes, checked_weights, key_of

Floats = NDArray[np.float32]

TERMS = 4  # of the Polya-Gamma series that are drawn one by one, for a weight other than 1
LEAST = 1e-12  # least omega a unit of weight: keeps the target finite, and its pull the same


@kernel(error_model="numpy")
def polya_gamma_mean(z: float) -> float:
    """Mean tanh(z / 2) / 2z of PG(1, z), which is also the curvature of Jaakkola and Jordan's bound."""
    z = abs(z)
    return math.tanh(0.5 * z) / (2.0 * z) if z > 1e-4 else 0.25 - z * z / 48.0


@kernel(error_model="numpy")
def draw_polya_gamma_of(weight: float, key: Any, stream: Any, sweep: Any, index: Any, z: float) -> float:
    """One draw of PG(weight, z), weight > 0, from a series of gamma variables (Polson, Scott and Windle, section 2.2).

    sum g_k lambda_k with g_k ~ Gamma(weight) and 1 / lambda_k = 2 pi^2 ((k - 1/2)^2 + (z / 2 pi)^2). The first few
    terms are drawn, and one gamma variable with the mean and the variance of all the others: E exp(-t omega) is within
    .001 of the truth for weights from .5, or |z| up to 2, and within .02 for a weight of .1, at t up to 10 / E omega.
    Takes the streams from `stream` to `stream` + `TERMS`.
    """
    z = abs(z)
    mean: float = polya_gamma_mean(z)
    variance: float = 1.0 / 24.0 - z * z / 120.0
    if z > 0.01:
        hyperbolic = math.tanh(0.5 * z)
        variance = (2.0 * hyperbolic - z * (1.0 - hyperbolic * hyperbolic)) / (4.0 * z * z * z)
    omega: float = 0.0
    for k in range(TERMS):
        term = 1.0 / (2.0 * math.pi**2 * (k + 0.5) ** 2 + 0.5 * z * z)
        mean -= term
        variance -= term * term
        omega += term * draw_gamma(key, np.uint32(stream + k), sweep, index, weight)
    rest: float = draw_gamma(key, np.uint32(stream + TERMS), sweep, index, weight * mean * mean / variance)
    return omega + rest * variance / mean


@kernel(error_model="numpy")
def fill_polya_gamma(
    begin: int,
    end: int,
    labels: Any,
    f: Any,
    offset: Any,
    weights: Any,
    variance: Any,
    drawn: bool,
    key: Any,
    stream: Any,
    sweep: Any,
    target: Any,
    omega: Any,
) -> None:
    """Latent variables omega ~ PG(w, f - C) of the rows begin:end, and their targets w (y - 1/2) / omega + C.

    Parameters
    ----------
    labels : int32 array of shape (n_rows,)
        y, 0 or 1.
    f : float32 array of shape (n_rows,)
    offset, weights, variance : float32 arrays of shape (n_rows,) or (0,)
        C, w, and the variance of f.
    drawn : bool
        Draws, or expectations.
    key, stream, sweep : uint64, uint32, uint32
    target, omega : float32 arrays of shape (n_rows,)
        The result.
    """
    for r in range(begin, end):
        shift: float = offset[r] if len(offset) else 0.0
        weight: float = weights[r] if len(weights) else 1.0
        z: float = f[r] - shift
        if not weight > 0.0:
            target[r], omega[r] = shift, 0
            continue
        if not drawn:
            if len(variance):
                z = math.sqrt(z * z + variance[r])
            drawing: float = weight * polya_gamma_mean(z)
        elif weight == 1.0:
            drawing = draw_polya_gamma(key, stream, sweep, np.uint32(r), z)
        else:
            drawing = draw_polya_gamma_of(weight, key, np.uint32(stream + 1), sweep, np.uint32(r), z)
        drawing = max(drawing, weight * LEAST)
        omega[r] = drawing
        target[r] = weight * (labels[r] - 0.5) / drawing + shift


@kernel(error_model="numpy")
def sum_logistic(begin: int, end: int, labels: Any, f: Any, offset: Any, weights: Any, variance: Any) -> float:
    """sum w (log sigmoid(xi) + (y - 1/2) (f - C) - xi / 2), xi^2 = E (f - C)^2: without variances, of log sigmoid."""
    total: float = 0.0
    for r in range(begin, end):
        z: float = f[r] - (offset[r] if len(offset) else np.float32(0))
        xi = math.sqrt(z * z + variance[r]) if len(variance) else abs(z)
        value = (labels[r] - 0.5) * z - 0.5 * xi - math.log1p(math.exp(-xi))
        total += value * (weights[r] if len(weights) else 1.0)
    return total


@kernel(error_model="numpy")
def fill_curvature(begin: int, end: int, f: Any, out: Any) -> None:
    """`polya_gamma_mean` of the rows begin:end."""
    for r in range(begin, end):
        out[r] = polya_gamma_mean(f[r])


def bound_curvature(f: Floats, n_threads: int = 1) -> Floats:
    """Curvature tanh(f / 2) / 2f of the quadratic bound of the log loss that touches it at f (n_rows,), float32."""
    out = np.empty_like(f)
    by_rows(fill_curvature, len(f), n_threads, f, out)
    return out


class Logistic:
    """Labels of a logistic model: P(y = 1) = 1 / (1 + exp(C - f)).

    A sample weight w raises a row's likelihood to its power, whose latent variable is PG(w, f - C).

    Parameters
    ----------
    labels : array-like of shape (n_rows,)
        0 or 1.
    weights : ndarray of shape (n_rows,), float32, optional
    n_threads : int
    number : int
        Tells likelihoods of one sweep apart, the classes of a softmax for one: each has random numbers of its own.

    Attributes
    ----------
    offset : ndarray of shape (n_rows,) or (0,), float32
        C, (0,) for 0; to be set each sweep. With C the log-sum-exp of the other classes' f and labels that say whether
        a row is of the class, it is the class's likelihood in a softmax, given the others.
    start_bias : float
        Log odds of the labels' shares.
    """

    has_noise = tells_noise = False

    def __init__(self, labels: ArrayLike, weights: Floats | None = None, n_threads: int = 1, number: int = 0) -> None:
        self.labels = checked_codes(labels, 2, "labels must be 0 or 1")
        self.weights, self.n_threads = checked_weights(weights, len(self.labels)), n_threads
        self.offset: Floats = NONE
        self.log_gaps: NDArray[np.float64] = np.zeros(0)
        self.total = float(self.weights.sum(dtype=np.float64)) if len(self.weights) else float(len(self.labels))
        counts = np.bincount(self.labels, self.weights if len(self.weights) else None, 2) + 0.5
        self.start_bias = float(np.log(counts[1] / counts[0]))
        self._stream = np.uint32(STREAM + STREAMS * number)

    def augment(
        self, f: Floats, tau: Floats = NONE, draw: Draw | None = None, variance: Floats = NONE
    ) -> tuple[Floats, Floats]:
        """As `Likelihood.augment`: (targets w (y - 1/2) / omega + C, weights omega), the sample weight within omega."""
        self._refuse(tau)
        target, omega = np.empty(len(self.labels), np.float32), np.empty(len(self.labels), np.float32)
        rows = (self.labels, f, self.offset, self.weights, variance)
        by_rows(fill_polya_gamma, len(f), self.n_threads, *rows, *key_of(draw, self._stream), target, omega)
        return target, omega

    def log_likelihood(self, f: Floats, tau: Floats = NONE, variance: Floats = NONE) -> float:
        """As `Likelihood.log_likelihood`."""
        self._refuse(tau)
        rows = (self.labels, f, self.offset, self.weights, variance)
        return float(sum(by_rows(sum_logistic, len(f), self.n_threads, *rows)))

    @property
    def cutpoints(self) -> NDArray[np.float64]:
        """The one between the two classes, 0."""
        return np.zeros(1)

    def log_prior(self) -> float:
        """As `Likelihood.log_prior`: 0."""
        return 0.0

    def _refuse(self, tau: Floats) -> None:
        if len(tau):
            raise ValueError("the logistic likelihood has no noise whose level could differ: take the probit one")
