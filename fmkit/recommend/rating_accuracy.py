"""How good predicted ratings are, and their standard deviations if there are any."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from fmkit.recommend.bootstrap import percentile_intervals, resampled_means, sums_of_users

LEVELS = (50, 80, 90, 95)
ERRORS = ("rmse", "mae", "bias", *(f"inside_{level}" for level in LEVELS), "nll")  # what `rating_metrics` tells


@dataclass(frozen=True, eq=False)
class RatingMetrics:
    """Means over held-out ratings, and what is true where what is predicted.

    Parameters
    ----------
    values : dict of str to float
        "rmse", "mae", "bias"; with standard deviations "inside_50", "inside_80", "inside_90", "inside_95" and "nll".
    intervals : dict of str to tuple of two floats
        Of the same, by drawing users; empty if users are not known.
    reliability : dict of str to ndarray of shape (n_bins,)
        By tenths of the prediction, of which those with equal predictions are one: "n", "predicted", "observed" (means)
        and "rmse"; with standard deviations "std" (root mean square) and "inside_90".
    level : float, default=0.95
        Of the intervals.
    """

    values: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    reliability: dict[str, NDArray[np.float64]]
    level: float = 0.95

    def __str__(self) -> str:
        lines = [
            f"{name} {value:.4f}"
            + ("" if name not in self.intervals else " ({:.4f} to {:.4f})".format(*self.intervals[name]))
            for name, value in self.values.items()
        ]
        n = int(self.reliability["n"].sum())
        return "\n".join(
            [*lines, f"of {n:,} ratings" + (f", {self.level:.0%} intervals over users" if self.intervals else "")]
        )


def rating_metrics(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    std: ArrayLike | None = None,
    *,
    users: ArrayLike | None = None,
    level: float = 0.95,
    n_resamples: int = 2000,
    random_state: int = 0,
) -> RatingMetrics:
    r"""Errors of predicted ratings, and whether their standard deviations are honest.

    With the error e = predicted - true of a rating and the standard deviation s of its prediction:

    - ``rmse``: root of the mean of e²; ``mae``: mean of \|e\|; ``bias``: mean of e, above 0 if predicted is too much;
    - ``inside_90`` and the like: share of ratings with \|e\| at most 1.645 s, the central 90% of a Gaussian;
    - ``nll``: mean of log(2 pi s²) / 2 + e² / (2 s²), the negative log likelihood of the Gaussian.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
    std : array-like of shape (n,), optional
        Of a new rating, noise included; above 0.
    users : array-like of shape (n,), optional
        Codes or ids. Intervals are made by drawing users with replacement, all their ratings with them.
    level : float, default=0.95
        Of the intervals.
    n_resamples : int, default=2000
    random_state : int, default=0

    Raises
    ------
    ValueError
        If shapes differ, nothing is given, or numbers are not finite.

    Examples
    --------
    >>> result = rating_metrics([4, 3, 5, 2], [4.5, 3, 4, 2.5], std=[0.5, 0.5, 0.5, 0.5])
    >>> print(result)
    rmse 0.6124
    mae 0.5000
    bias 0.0000
    inside_50 0.2500
    inside_80 0.7500
    inside_90 0.7500
    inside_95 0.7500
    nll 0.9758
    of 4 ratings
    """
    truth, predicted = _checked(y_true, "y_true"), _checked(y_pred, "y_pred")
    if not len(truth):
        raise ValueError("at least one rating is needed, got none")
    error = predicted - _same_length(truth, "y_true", predicted)
    rows = {"rmse": error**2, "mae": np.abs(error), "bias": error}
    if std is not None:
        s = _same_length(_checked(std, "std"), "std", predicted)
        if s.min() <= 0:
            raise ValueError(f"std must be above 0, row {int(np.argmin(s))} has {s.min():g}")
        z = np.abs(error) / s
        rows |= {f"inside_{level}": (z <= ndtri(0.5 + level / 200)).astype(np.float64) for level in LEVELS}
        rows["nll"] = np.log(2 * np.pi * s**2) / 2 + z**2 / 2

    sums, sizes = sums_of_users(np.stack(list(rows.values()), axis=1), users)
    values = dict(zip(rows, (sums.sum(axis=0) / sizes.sum()).tolist(), strict=True))
    values["rmse"] **= 0.5
    intervals = {}
    if users is not None:
        ends = percentile_intervals(resampled_means(sums, sizes, n_resamples, random_state), level)
        intervals = {name: (float(low), float(high)) for name, (low, high) in zip(rows, ends.T, strict=True)}
        low, high = intervals["rmse"]
        intervals["rmse"] = low**0.5, high**0.5

    of_bins = {"predicted": predicted, "observed": truth, "rmse": rows["rmse"]}
    if std is not None:
        of_bins |= {"std": s**2, "inside_90": rows["inside_90"]}
    reliability = _by_tenths(predicted, of_bins)
    for name in {"rmse", "std"} & reliability.keys():
        reliability[name] **= 0.5
    return RatingMetrics(values, intervals, reliability, level)


def _by_tenths(
    predicted: NDArray[np.float64], columns: dict[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.float64]]:
    """Number and means by tenths of the prediction; equal predictions are in one bin, and bins without any left out."""
    edges = np.quantile(predicted, np.arange(1, 10) / 10)
    _, codes = np.unique(np.searchsorted(edges, predicted), return_inverse=True)
    n = np.bincount(codes).astype(np.float64)
    return {"n": n} | {name: np.bincount(codes, values) / n for name, values in columns.items()}


def _checked(given: ArrayLike, name: str) -> NDArray[np.float64]:
    values = np.asarray(given, np.float64)
    if values.ndim != 1:
        raise ValueError(f"{name} must be of shape (n,), got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite, row {int(np.argmin(np.isfinite(values)))} is not")
    return values


def _same_length(values: NDArray[np.float64], name: str, predicted: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(values) != len(predicted):
        raise ValueError(f"{name} must be as long as y_pred, got {len(values):,} and {len(predicted):,}")
    return values
