"""A picture as one stationary Gaussian field: whether it looks like one, and its covariance by maximum likelihood.

Photographs and most textures are none. The covariance of two pixels that are h = (rows, columns) apart is Matern's,
with its axes free:

    v 2^(1 - nu) / Gamma(nu) u^nu K_nu(u),  u = sqrt(2 nu) |h A|,  A lower triangular

so that five numbers and the variance v are all there is to estimate: far less chance than in a group's covariance.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import gamma, kv

LAGS = ((0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0))
NORMAL = 3.7  # kurtosis up to which pixels' differences may be normal; photographs, paintings, textures have 4.7 to 90
FEWEST = 200  # differences that a kurtosis is told by
NOISE = 0.7  # share of the differences' variance that may be noise: that is normal over any picture
WINDOW = 60  # known pixels in a window of the likelihood, about
MOST_KNOWN = 2000  # known pixels in all its windows
START = (-2.0, 0.0, -2.0, -0.2, -7.0)  # log A_11, A_21, log A_22, log nu, log of the noise's variance / v
BOUNDS = ((-5, 1), (-1, 1), (-5, 1), (-1.6, 1.4), (-12, 0))


@dataclass(frozen=True)
class Field:
    """The covariance of a stationary Gaussian field: numbers of Matern's as above."""

    axes: tuple[float, float, float]
    """A_11, A_21 and A_22, in 1 / pixels."""
    nu: float
    noise: float
    """Variance of a white noise in the pixels, in units of `variance`."""
    variance: float

    def correlation(self, side: int) -> NDArray[np.float64]:
        """Of all pixels of a square window, without noise; shape (side * side, side * side)."""
        lag = np.stack(np.meshgrid(*[np.arange(1.0 - side, side)] * 2, indexing="ij"), -1)
        u = np.linalg.norm(lag @ [[self.axes[0], 0], [self.axes[1], self.axes[2]]], axis=2)
        u = np.maximum(np.sqrt(2 * self.nu) * u, 1e-6)
        by_lag = np.minimum(1, 2 ** (1 - self.nu) / gamma(self.nu) * u**self.nu * kv(self.nu, u))
        by_lag[side - 1, side - 1] = 1
        at = np.stack(np.divmod(np.arange(side * side), side), -1)
        apart = at[:, None] - at[None] + side - 1
        return np.asarray(by_lag[apart[..., 0], apart[..., 1]])


def looks_gaussian(parts: Iterable[tuple[NDArray[np.float32], NDArray[np.bool_]]], noise: float) -> bool:
    """Whether the differences of known neighbours are normal, and not for noise alone, in each (plane, lost)."""
    for plane, lost in parts:
        n_rows, n_columns = plane.shape
        n, fourth = 0, 0.0
        for r, c in LAGS:
            here = np.s_[r:, max(c, 0) : n_columns + min(c, 0)]
            there = np.s_[: n_rows - r, max(-c, 0) : n_columns - max(c, 0)]
            squares = np.square(plane[here] - plane[there])[~(lost[here] | lost[there])].astype(np.float64)
            if len(squares):
                variance = squares.mean()
                if variance <= 2 * noise**2 / NOISE:
                    return False
                fourth += np.square(squares).sum() / variance**2
                n += len(squares)
        if n < FEWEST or fourth > NORMAL * n:
            return False
    return True


def fit_field(plane: NDArray[np.float32], lost: NDArray[np.bool_]) -> Field:
    """The field that makes the known pixels of a plane likeliest, in windows taken for independent.

    Source: Lindsay, Composite Likelihood Methods (1988). The mean of a window is estimated with it: its prior is as
    wide as the field.

    Parameters
    ----------
    plane : float32 ndarray of shape (n_rows, n_columns)
    lost : bool ndarray of shape (n_rows, n_columns)
    """
    share = max(float((~lost).mean()), 1e-3)
    side = min(window_side(share, WINDOW), *plane.shape)
    n = max(1, min(int(np.sqrt(MOST_KNOWN / share) / side), min(plane.shape) // side))
    corners = [np.linspace(0, last - side, n).astype(int) for last in plane.shape]
    windows = []
    for r in corners[0]:
        for c in corners[1]:
            at = np.flatnonzero(~lost[r : r + side, c : c + side])
            if len(at) > 1:
                y = plane[r : r + side, c : c + side].ravel()[at].astype(np.float64)
                windows.append((np.ix_(at, at), y - y.mean()))
    total = max(1, sum(len(y) for _, y in windows))

    def field(x: NDArray[np.float64], variance: float = 1.0) -> Field:
        axes = (float(np.exp(x[0])), float(x[1]), float(np.exp(x[2])))
        return Field(axes, float(np.exp(x[3])), float(np.exp(x[4])), variance)

    def likelihood(x: NDArray[np.float64]) -> tuple[float, float]:
        """Minus the logarithm, a pixel, for the likeliest variance; and that variance."""
        f = field(x)
        S = f.correlation(side) + 1
        S[np.diag_indices_from(S)] += f.noise + 1e-6
        log_det = squares = 0.0
        for pairs, y in windows:
            U = np.linalg.cholesky(S[pairs])
            log_det += np.log(np.diag(U)).sum()
            squares += np.square(np.linalg.solve(U, y)).sum()
        variance = squares / total
        return log_det / total + 0.5 * np.log(max(variance, 1e-12)), variance

    options = {"maxiter": 20, "ftol": 1e-4}
    x = minimize(lambda x: likelihood(x)[0], START, method="L-BFGS-B", bounds=BOUNDS, options=options).x
    return field(x, float(likelihood(x)[1]))


def window_side(share_known: float, n_known: int) -> int:
    """Of a window that knows about so many pixels, from 8 to 24."""
    return int(np.clip(round(np.sqrt(n_known / share_known)), 8, 24))
