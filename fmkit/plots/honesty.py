"""Whether predictions mean what they say: values and probabilities, and how sure they claim to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from fmkit.errors import InputError
from fmkit.plots.style import COLOURS, QUIET, axes_of, tidied

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Z = 1.96  # standard errors of a 95% interval
TOLD = (50, 80, 90, 95)


def calibration(y_true: ArrayLike, y_pred: ArrayLike, *, bins: int = 10, ax: Axes | None = None) -> Axes:
    """What was observed where what was predicted: of ratings, numbers, or probabilities of a class.

    Rows are put into bins of about as many rows, by the prediction; a dot is a bin, its line the 95% interval of the
    mean observed, rows taken for independent. Dots on the diagonal: predictions are right on average, whatever they
    are. The grey hills tell how many rows have which prediction.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Numbers; of a class, whether a row is of it, as `labels == "yes"`.
    y_pred : array-like of shape (n_rows,)
        As `predict` gives them, or `predict_proba(X)[:, 1]`.
    bins : int, default=10
    ax : matplotlib Axes, optional

    Returns
    -------
    ax : matplotlib Axes

    Examples
    --------
    >>> import numpy as np
    >>> from fmkit import plots
    >>> p = np.random.default_rng(0).random(1000)
    >>> happened = np.random.default_rng(1).random(1000) < p
    >>> ax = plots.calibration(happened, p)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('predicted probability', 'share that happened')
    """
    truth, predicted = _checked(y_true, "y_true"), _checked(y_pred, "y_pred", len(np.atleast_1d(y_true)))
    if bins < 1:
        raise InputError(f"bins must be at least 1, got {bins}")
    chances = bool(np.isin(truth, (0, 1)).all() and predicted.min() >= 0 and predicted.max() <= 1)
    ax = axes_of(ax, 5.4, 5.2)
    edges = np.quantile(predicted, np.arange(1, bins) / bins)
    _, codes = np.unique(np.searchsorted(edges, predicted), return_inverse=True)
    n = np.bincount(codes)
    x, y = (np.bincount(codes, values) / n for values in (predicted, truth))
    low, high = _share_ends(y, n) if chances else _mean_ends(truth, codes, y, n)

    first, last = (0.0, 1.0) if chances else _range(x, low, high)
    ax.plot([first, last], [first, last], color=QUIET, linestyle=":", zorder=1)
    ax.errorbar(x, y, yerr=[y - low, high - y], fmt="o", color=COLOURS[0], capsize=3, zorder=3)
    heights, edges = np.histogram(predicted, 40, (first, last))
    hills = heights / max(heights.max(), 1) * 0.12 * (last - first)
    ax.stairs(first + hills, edges, baseline=first, fill=True, color="0.85", zorder=0)
    names = ("predicted probability", "share that happened") if chances else ("predicted", "observed, on average")
    ax.set(xlim=(first, last), ylim=(first, last), xlabel=names[0], ylabel=names[1], aspect="equal")
    off = float(np.average(np.abs(y - x), weights=n))
    title = f"{len(truth):,} rows: {off:.2g} off the diagonal on average"
    ax.set_title(title, loc="left", fontsize="medium")
    return tidied(ax)


def intervals(y_true: ArrayLike, y_pred: ArrayLike, std: ArrayLike, *, ax: Axes | None = None) -> Axes:
    """How many truths lie in the intervals around predictions, for all sizes of intervals.

    The interval of 90% is the prediction and 1.645 standard deviations to either side, and should hold 90% of the
    truths. Above the diagonal intervals are wider than need be, below it they promise too much.

    Parameters
    ----------
    y_true, y_pred, std : array-like of shape (n_rows,)
        The latter two as `predict(X, return_std=True)` gives them.
    ax : matplotlib Axes, optional

    Returns
    -------
    ax : matplotlib Axes

    Examples
    --------
    >>> import numpy as np
    >>> from fmkit import plots
    >>> y = np.random.default_rng(0).normal(3, 1, 2000)
    >>> ax = plots.intervals(y, np.full(2000, 3.0), np.ones(2000))
    >>> ax.get_title(loc="left")
    'intervals of 90% hold 90.4% of 2,000 truths'
    """
    truth = _checked(y_true, "y_true")
    predicted, deviation = (_checked(a, name, len(truth)) for a, name in ((y_pred, "y_pred"), (std, "std")))
    if deviation.min() <= 0:
        raise InputError(f"std must be above 0, row {int(np.argmin(deviation))} has {deviation.min():g}")
    ax = axes_of(ax, 5.4, 5.2)
    distance = np.sort(np.abs(predicted - truth) / deviation)
    levels = np.arange(1, 100)
    held = 100 * np.searchsorted(distance, ndtri(0.5 + levels / 200), side="right") / len(truth)
    ax.plot([0, 100], [0, 100], color=QUIET, linestyle=":", zorder=1)
    ax.fill_between(levels, levels, held, color=COLOURS[5], alpha=0.35, linewidth=0)
    ax.plot(levels, held, color=COLOURS[0], linewidth=2)
    marked = held[np.array(TOLD) - 1]
    ax.plot(TOLD, marked, "o", color=COLOURS[0])
    for level, share in zip(TOLD, marked, strict=True):
        above = share >= level
        offset, across = ((-8, 4), "right") if above else ((8, -12), "left")
        ax.annotate(f"{share:.1f}%", (level, share), offset, textcoords="offset points", ha=across, fontsize="small")
    for place, text, across in (((0.04, 0.96), "wider than need be", "left"), ((0.96, 0.04), "too narrow", "right")):
        up = "top" if across == "left" else "bottom"
        ax.text(*place, text, transform=ax.transAxes, ha=across, va=up, color=QUIET, style="italic")
    ax.xaxis.set_major_formatter("{x:.0f}%")
    ax.yaxis.set_major_formatter("{x:.0f}%")
    ax.set(xlim=(0, 100), ylim=(0, 100), aspect="equal", xlabel="promised by the interval", ylabel="truths inside")
    title = f"intervals of 90% hold {held[89]:.1f}% of {len(truth):,} truths"
    ax.set_title(title, loc="left", fontsize="medium")
    return tidied(ax)


def _checked(given: ArrayLike, name: str, n: int | None = None) -> NDArray[np.float64]:
    array: NDArray[Any] = np.asarray(given)
    if array.ndim != 1 or not len(array):
        raise InputError(f"{name} must be of shape (n_rows,) with a row or more, got {array.shape}")
    try:
        values = array.astype(np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} must be numbers: of labels, whether each is of one class, as y == 'yes'") from None
    if not np.isfinite(values).all():
        raise InputError(f"{name} must be finite, row {int(np.argmin(np.isfinite(values)))} is not")
    if n is not None and len(values) != n:
        raise InputError(f"{name} must be as long as y_true, got {len(values):,} and {n:,}")
    return values


def _share_ends(share: NDArray[np.float64], n: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson's interval, which does not leave 0 to 1."""
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    reach = Z * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    return np.minimum(middle - reach, share), np.maximum(middle + reach, share)


def _mean_ends(
    truth: NDArray[np.float64], codes: NDArray[Any], means: NDArray[np.float64], n: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    variance = np.bincount(codes, np.square(truth - means[codes])) / np.maximum(n - 1, 1)
    reach = Z * np.sqrt(variance / n)
    return means - reach, means + reach


def _range(*arrays: NDArray[np.float64]) -> tuple[float, float]:
    low, high = min(float(a.min()) for a in arrays), max(float(a.max()) for a in arrays)
    margin = 0.08 * (high - low) or 0.5
    return low - margin, high + margin
