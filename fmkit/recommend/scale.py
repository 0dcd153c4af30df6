"""What ratings are to a machine: its values themselves, or ordered classes that cutpoints part on its scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from fmkit.estimators import FMClassifier, FMOrdinal
from fmkit.recommend.model import Floats
from fmkit.solvers.ordinal import class_moments


@dataclass(frozen=True, eq=False)
class Scale:
    """How a machine's value and a rating belong together.

    Parameters
    ----------
    lowest, highest : float
        Range of the ratings of the fit.
    classes, cutpoints : ndarrays of shape (n_classes,), (n_classes - 1,), float64
        Of ordered classes; without a value where the machine foretells ratings.
    """

    lowest: float
    highest: float
    classes: NDArray[np.float64]
    cutpoints: NDArray[np.float64]

    @classmethod
    def of(cls, ratings: Floats, model: Any) -> Self:
        """Of a fitted estimator: one of ordered classes has cutpoints, one of two classes one at 0."""
        ends = float(ratings.min()), float(ratings.max())
        if isinstance(model, FMOrdinal):
            return cls(*ends, model.classes_.astype(np.float64), model.cutpoints_)
        if isinstance(model, FMClassifier):
            return cls(*ends, model.classes_.astype(np.float64), np.zeros(1))
        return cls(*ends, np.empty(0), np.empty(0))

    @property
    def ordered(self) -> bool:
        """Whether ratings are classes."""
        return len(self.classes) > 0

    @property
    def most_variance(self) -> float:
        """The largest that a number within the range can have; of few ratings little is known, but that."""
        return np.inf if self.ordered else ((self.highest - self.lowest) / 2) ** 2

    def ratings(self, f: Floats, variance: Floats, noise: Floats) -> tuple[Floats, Floats]:
        """Mean, within the range, and standard deviation of ratings.

        Parameters
        ----------
        f, variance : ndarrays of shape (n,), float32
            The machine's values, and what is not known of them.
        noise : ndarray of shape (n,), float32
            Variance of the noise.
        """
        if not self.ordered:
            most = np.float32(self.most_variance) if self.highest > self.lowest else np.float32(np.inf)
            return np.clip(f, self.lowest, self.highest), np.sqrt(np.minimum(variance + noise, most))
        f, variance, noise = (np.ascontiguousarray(part, np.float32) for part in (f, variance, noise))
        precision = np.asarray(1 / noise, np.float32)
        mean, spread = class_moments(self.cutpoints, self.classes, f, variance, precision)
        return mean, np.sqrt(spread)

    def targets(self, ratings: Floats, f: Floats, noise: Floats) -> Floats:
        """Ratings as values of the machine: of classes the mean of the latent variable, given f and the noise."""
        if not self.ordered:
            return ratings
        cuts = np.concatenate([[-np.inf], self.cutpoints, [np.inf]])
        code = np.abs(ratings[:, None] - self.classes).argmin(axis=1)
        deviation = np.sqrt(noise.astype(np.float64))
        low, high = (cuts[code] - f) / deviation, (cuts[code + 1] - f) / deviation
        chance = ndtr(high) - ndtr(low)
        mean = (np.exp(-(low**2) / 2) - np.exp(-(high**2) / 2)) / np.sqrt(2 * np.pi) / np.maximum(chance, 1e-300)
        inside = np.clip(np.where(chance > 1e-12, mean, 0.0), low, high)  # far off, the nearest end
        return np.asarray(f + deviation * inside, np.float32)
