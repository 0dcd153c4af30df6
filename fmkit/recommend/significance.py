"""Whether a difference of models is more than chance: paired tests over users, and Holm's correction for several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fmkit.ranking.metrics import RankMetrics
from fmkit.recommend.bootstrap import blocks, percentile_intervals, resampled_means, sums_of_users

ROUNDING = 1e-12  # of the largest statistic possible: flips that come this close to it are as far out


@dataclass(frozen=True)
class PairedTest:
    """A difference of two means over the same users.

    Parameters
    ----------
    difference : float
        Ours less theirs.
    interval : tuple of two floats
        By the paired bootstrap.
    p_value : float
        Two-sided, by sign flips.
    n_users : int
    """

    difference: float
    interval: tuple[float, float]
    p_value: float
    n_users: int

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.difference:+.4f} ({low:+.4f} to {high:+.4f}), p {self.p_value:.2g}, {self.n_users:,} users"


@dataclass(frozen=True)
class Comparison:
    """Models against one of them, metric by metric.

    Parameters
    ----------
    to : str
        The model that the others are compared to.
    tests : dict of (model, metric) to PairedTest
    adjusted : dict of (model, metric) to float
        p-values by Holm's correction over all of these tests.
    """

    to: str
    tests: dict[tuple[str, str], PairedTest]
    adjusted: dict[tuple[str, str], float]

    def __str__(self) -> str:
        lines = [
            f"{metric} of {model}: {test}; by Holm {self.adjusted[model, metric]:.2g}"
            for (model, metric), test in self.tests.items()
        ]
        return "\n".join([f"differences to {self.to}, with their intervals and p-values", *lines])


def paired_test(
    ours: ArrayLike,
    theirs: ArrayLike,
    *,
    users: ArrayLike | None = None,
    level: float = 0.95,
    n_resamples: int = 2000,
    n_flips: int = 9999,
    random_state: int = 0,
) -> PairedTest:
    """The difference of two means over the same rows: its interval, and how likely chance alone would go as far.

    If the models were alike, any user's difference could as well have had the other sign: p is the share of `n_flips`
    random choices of signs, and the choice that was found, whose mean lies as far from 0 or farther.

    Parameters
    ----------
    ours, theirs : array-like of shape (n,)
        A metric or a loss, row by row. Rows that are NaN in both are left out.
    users : array-like of shape (n,), optional
        Codes or ids of the users that the rows belong to; by default each row is one's own.
    level : float, default=0.95
        Of the interval.
    n_resamples : int, default=2000
        Of the bootstrap.
    n_flips : int, default=9999
        p is at least 1 / (n_flips + 1).
    random_state : int, default=0

    Raises
    ------
    ValueError
        If shapes differ, or a row is NaN for one model alone.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> theirs = rng.random(200)
    >>> print(paired_test(theirs + rng.normal(0.03, 0.1, 200), theirs))
    +0.0211 (+0.0071 to +0.0348), p 0.004, 200 users
    """
    difference = _differences(ours, theirs)[..., None]
    return _paired_tests(difference, users, level, n_resamples, n_flips, random_state)[0]


def compare_models(
    models: Mapping[str, RankMetrics],
    to: str,
    *,
    level: float = 0.95,
    n_resamples: int = 2000,
    n_flips: int = 9999,
    random_state: int = 0,
) -> Comparison:
    """Each model's metrics against those of one of them, query by query, with Holm's correction over all tests.

    Parameters
    ----------
    models : mapping of str to RankMetrics
        Of the same queries.
    to : str
        Which of them the others are compared to.
    level, n_resamples, n_flips, random_state
        As in `paired_test`.

    Raises
    ------
    ValueError
        If there is nothing to compare, or metrics or queries differ.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> popular = rng.random(300)
    >>> models = {
    ...     "popularity": RankMetrics({"ndcg@10": popular}),
    ...     "better": RankMetrics({"ndcg@10": popular + rng.normal(0.02, 0.1, 300)}),
    ...     "as good": RankMetrics({"ndcg@10": popular + rng.normal(0, 0.1, 300)}),
    ... }
    >>> print(compare_models(models, "popularity"))
    differences to popularity, with their intervals and p-values
    ndcg@10 of better: +0.0204 (+0.0094 to +0.0318), p 0.0006, 300 users; by Holm 0.0012
    ndcg@10 of as good: -0.0044 (-0.0154 to +0.0064), p 0.42, 300 users; by Holm 0.42
    """
    if to not in models or len(models) < 2:
        raise ValueError(
            f"models must hold {to!r} and at least one to compare to it, got {', '.join(models) or 'none'}"
        )
    theirs = models[to].per_query
    differences: dict[tuple[str, str], NDArray[np.float64]] = {}
    for name, model in models.items():
        if name == to:
            continue
        if model.per_query.keys() != theirs.keys():
            raise ValueError(f"metrics differ: {name} has {', '.join(model.per_query)}, {to} has {', '.join(theirs)}")
        differences |= {(name, metric): _differences(ours, theirs[metric]) for metric, ours in model.per_query.items()}
    columns = np.stack(list(differences.values()), axis=1)
    tests = _paired_tests(columns, None, level, n_resamples, n_flips, random_state)  # the same draws for all
    adjusted = holm([test.p_value for test in tests])
    return Comparison(
        to, dict(zip(differences, tests, strict=True)), dict(zip(differences, adjusted.tolist(), strict=True))
    )


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """p-values adjusted for being several: of those below alpha, any is false with a chance of at most alpha.

    Holm's step-down procedure [1]_.

    Parameters
    ----------
    p_values : array-like of shape (n,)

    Returns
    -------
    adjusted : ndarray of shape (n,), float64
        The i-th smallest times n - i + 1, none less than a smaller one's, none above 1.

    References
    ----------
    .. [1] Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    p = np.asarray(p_values, np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError("p_values must be a list of numbers from 0 to 1")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return adjusted


def _differences(ours: ArrayLike, theirs: ArrayLike) -> NDArray[np.float64]:
    a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"a paired test needs the same rows of both models, got shapes {a.shape} and {b.shape}")
    apart = np.isnan(a) != np.isnan(b)
    if apart.any():
        row = int(np.argmax(apart))
        raise ValueError(f"a paired test needs the same rows of both models, row {row} is NaN in one alone")
    return a - b


def _paired_tests(
    differences: NDArray[np.float64],
    users: ArrayLike | None,
    level: float,
    n_resamples: int,
    n_flips: int,
    random_state: int,
) -> list[PairedTest]:
    """One for each column, of the same resamples and the same flips."""
    sums, sizes = sums_of_users(differences, users)
    ends = percentile_intervals(resampled_means(sums, sizes, n_resamples, random_state), level)
    means, p = sums.sum(axis=0) / sizes.sum(), _sign_flip_p(sums, n_flips, random_state)
    return [
        PairedTest(float(mean), (float(low), float(high)), float(p_value), len(sums))
        for mean, (low, high), p_value in zip(means, ends.T, p, strict=True)
    ]


def _sign_flip_p(sums: NDArray[np.float64], n_flips: int, random_state: int) -> NDArray[np.float64]:
    """Two-sided p of each column."""
    if n_flips < 1:
        raise ValueError(f"n_flips must be at least 1, got {n_flips}")
    rng = np.random.default_rng(random_state)
    reached = np.abs(sums.sum(axis=0)) - ROUNDING * np.abs(sums).sum(axis=0)
    n_beyond = np.zeros(sums.shape[1])
    for rows in blocks(n_flips, len(sums)):
        signs = 2.0 * rng.integers(2, size=(rows.stop - rows.start, len(sums)), dtype=np.int8) - 1
        n_beyond += (np.abs(signs @ sums) >= reached).sum(axis=0)
    return (n_beyond + 1) / (n_flips + 1)
