"""Targets as a loss wants them: what is taken off them, where the bias starts, and the unit of a machine's values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.solvers.losses import Loss

QUARTILES = 1.349  # of a normal distribution, in standard deviations from one to the other


@dataclass(frozen=True)
class Targets:
    """What a fit of one machine is to know of its targets.

    Parameters
    ----------
    y : ndarray of shape (n_rows,), float32
        Without `offset`.
    offset, bias : float
        What the result is to have added, and where its bias starts beside that.
    spread : float
        Standard deviation that the values of a machine may have: of targets, of log odds, of logarithms of means.
    loss : Loss
    """

    y: NDArray[np.float32]
    offset: float
    bias: float
    spread: float
    loss: Loss


def for_loss(name: str, huber_width: float, y: NDArray[np.float64], weights: NDArray[np.float32] | None) -> Targets:
    """Targets of a regression.

    Targets are centred in float64, so that float32 sums see only what varies. The spread of robust losses is told by
    the quartiles, which outliers do not move: that of the targets themselves would grow with the outliers, and the
    width with it.
    """
    mean = float(np.average(y, weights=weights))
    if name == "poisson":
        if (y < 0).any():
            raise ValueError(f"loss='poisson' is for counts, targets that are not negative: y holds {y.min():g}")
        mean = max(mean, 1e-9)
        variance = float(np.average((y - mean) ** 2, weights=weights))
        spread = float(np.sqrt(np.log1p(variance / mean**2))) or 1.0  # of logarithms, if they were normal
        return Targets(y.astype(np.float32), 0.0, float(np.log(mean)), spread, Loss(name))
    if name == "squared":
        spread = float(np.sqrt(np.average((y - mean) ** 2, weights=weights))) or 1.0
        return Targets((y - mean).astype(np.float32), mean, 0.0, spread, Loss(name))
    low, middle, high = quantiles(y, weights, [0.25, 0.5, 0.75])
    apart = np.sqrt(np.pi / 2) * np.average(np.abs(y - middle), weights=weights)  # where most targets are the same
    spread = float((high - low) / QUARTILES or apart) or 1.0
    width = huber_width * spread if name == "huber" else 0.0
    return Targets((y - middle).astype(np.float32), middle, 0.0, spread, Loss(name, width))


def quantiles(y: NDArray[np.float64], weights: Any, shares: list[float]) -> list[float]:
    """The least targets that at least such a share of the rows' weight does not exceed.

    Examples
    --------
    >>> import numpy as np
    >>> quantiles(np.array([3.0, 1.0, 2.0]), [1, 1, 6], [0.5, 0.9])
    [2.0, 3.0]
    """
    order = np.argsort(y)
    below = np.cumsum(np.ones(len(y)) if weights is None else np.asarray(weights, np.float64)[order])
    at = np.searchsorted(below, np.asarray(shares) * below[-1])
    return [float(y[order[min(a, len(y) - 1)]]) for a in at]
