"""Bootstrap over users: rows of one user hang together, and a hundred ratings of one reader are no hundred readers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

NUMBERS_AT_ONCE = 1 << 22  # of a block of resamples; 32 MB in float64


def bootstrap_interval(
    values: ArrayLike,
    *,
    users: ArrayLike | None = None,
    level: float = 0.95,
    n_resamples: int = 2000,
    random_state: int = 0,
) -> tuple[float, float]:
    """Percentile interval of a mean, by drawing users with replacement.

    Parameters
    ----------
    values : array-like of shape (n,)
        NaN is left out.
    users : array-like of shape (n,), optional
        Codes or ids of the users that the rows belong to; by default each row is one's own.
    level : float, default=0.95
    n_resamples : int, default=2000
    random_state : int, default=0

    Examples
    --------
    >>> import numpy as np
    >>> low, high = bootstrap_interval(np.arange(100.0))
    >>> print(f"{low:.1f} to {high:.1f}")
    43.9 to 55.1
    """
    given = np.asarray(values, np.float64)
    sums, sizes = sums_of_users(given[..., None], users)
    low, high = percentile_intervals(resampled_means(sums, sizes, n_resamples, random_state), level)[:, 0]
    return float(low), float(high)


def mean_intervals(
    columns: NDArray[np.float64], level: float = 0.95, n_resamples: int = 2000, random_state: int = 0
) -> NDArray[np.float64]:
    """Percentile intervals of the means of several columns, by the same draws of users for all.

    Parameters
    ----------
    columns : ndarray of shape (n_users, n_columns)
        NaN is left out of a column's means; a user whose row is all NaN is never drawn.
    level, n_resamples, random_state
        As of `bootstrap_interval`, which is the same of a single column.

    Returns
    -------
    ends : ndarray of shape (2, n_columns), float64
    """
    there = ~np.isnan(columns)
    drawn = there.any(axis=1)
    values, counted = np.where(there, columns, 0.0)[drawn], there[drawn].astype(np.float64)
    means = resampled_means(np.column_stack([values, counted]), np.ones(len(values)), n_resamples, random_state)
    n = columns.shape[1]
    with np.errstate(invalid="ignore"):  # a resample in which nobody has a column's value
        return np.asarray(
            np.nanquantile(means[:, :n] / means[:, n:], [(1 - level) / 2, (1 + level) / 2], axis=0), np.float64
        )


def sums_of_users(
    columns: NDArray[np.float64], users: ArrayLike | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums of each user's rows, of shape (n_users, n_columns), and their number, of shape (n_users,).

    Rows with NaN are left out.
    """
    if columns.ndim != 2:
        raise ValueError(f"values must be of shape (n,), got {columns.shape[:-1]}")
    kept = np.asarray(~np.isnan(columns).any(axis=1))
    if not kept.any():
        raise ValueError("at least one value that is a number is needed, got none")
    if users is None:
        return columns[kept], np.ones(int(kept.sum()))
    ids = np.asarray(users)
    if ids.shape != kept.shape:
        raise ValueError(f"users must hold one for each of {len(kept):,} rows, got shape {ids.shape}")
    _, codes = np.unique(ids[kept], return_inverse=True)
    sums: NDArray[np.float64] = np.stack([np.bincount(codes, column) for column in columns[kept].T], axis=1)
    return sums, np.bincount(codes).astype(np.float64)


def resampled_means(
    sums: NDArray[np.float64], sizes: NDArray[np.float64], n_resamples: int, random_state: int
) -> NDArray[np.float64]:
    """Means over all rows of users drawn with replacement, of shape (n_resamples, n_columns)."""
    if n_resamples < 1:
        raise ValueError(f"n_resamples must be at least 1, got {n_resamples}")
    rng = np.random.default_rng(random_state)
    n, table = len(sums), np.column_stack([sums, sizes])
    means = np.empty((n_resamples, sums.shape[1]))
    for rows in blocks(n_resamples, n):
        height = rows.stop - rows.start
        drawn = rng.integers(n, size=(height, n)) + n * np.arange(height)[:, None]
        totals = np.bincount(drawn.ravel(), minlength=height * n).reshape(height, n).astype(np.float64) @ table
        means[rows] = totals[:, :-1] / totals[:, -1:]
    return means


def percentile_intervals(means: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """Low and high ends of the central `level` of each column, of shape (2, n_columns)."""
    if not 0 < level < 1:
        raise ValueError(f"level must be a share between 0 and 1, got {level!r}")
    ends: NDArray[np.float64] = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return ends


def blocks(n_rows: int, width: int) -> Iterator[slice]:
    """Rows 0..n_rows in parts of about `NUMBERS_AT_ONCE` numbers."""
    height = max(NUMBERS_AT_ONCE // max(width, 1), 1)
    return (slice(start, min(start + height, n_rows)) for start in range(0, n_rows, height))
