"""What lists are like beside being right: coverage, novelty, diversity, popularity bias, personalisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from fmkit.ranking.judge import as_pairs
from fmkit.ranking.metrics import checked_lists

BESIDE = ("novelty", "popularity", "diversity", "coverage", "gini", "personalisation")  # what `list_metrics` tells


@dataclass(frozen=True, eq=False)
class ListMetrics:
    """Metrics of lists, list by list, and of all lists together.

    Parameters
    ----------
    per_list : dict of str to ndarray of shape (n_lists,), float64
        "novelty", "popularity" and, with features, "diversity". NaN for a list without an item, and for the diversity
        of one item. `bootstrap_interval` and `paired_test` take these.
    overall : dict of str to float
        "coverage", "gini" and "personalisation", which no single list has.
    """

    per_list: dict[str, NDArray[np.float64]]
    overall: dict[str, float]

    def mean(self) -> dict[str, float]:
        """All metrics, those of lists as means over the lists that have them; NaN if none has."""
        means = {
            name: float(values[~np.isnan(values)].mean()) if not np.isnan(values).all() else np.nan
            for name, values in self.per_list.items()
        }
        return self.overall | means

    def __str__(self) -> str:
        return "\n".join(f"{name} {value:.4f}" for name, value in self.mean().items())


def list_metrics(lists: ArrayLike, train: Any, *, features: Any = None) -> ListMetrics:
    r"""Coverage, novelty, popularity bias, personalisation and diversity of lists.

    With n_i the number of users that have item i in training, and e_i the number of lists that show it:

    - ``coverage``: share of all items with e_i > 0;
    - ``gini``: of the e_i of all items, 0 if all are shown alike, near 1 if a few are shown to everyone;
    - ``personalisation``: 1 - mean cosine of two lists as sets, \|A and B\| / sqrt(\|A\| \|B\|); 0 if all are the same;
    - ``novelty``: mean of -log2(n_i / n_users) over a list's items, in bits [1]_; an item that nobody has counts as if
      one had it;
    - ``popularity``: mean over a list's items of the share of all items with fewer users, those with as many counting
      half: 0.5 if items are shown whatever their popularity;
    - ``diversity``: 1 - mean cosine of the features of two of a list's items [2]_; an item without features has a
      cosine of 0 to all.

    Parameters
    ----------
    lists : array-like of shape (n_lists, k) of integers
        Item codes, none twice; -1 where there is none.
    train : sparse matrix of shape (n_users, n_items), or Pairs
        Who has what.
    features : array-like or sparse matrix of shape (n_items, n_features), optional
        Factors or attributes of the items. Without them there is no diversity.

    Raises
    ------
    TypeError
        If lists are not integers, or `train` is neither a sparse matrix nor Pairs.
    ValueError
        If shapes do not fit, a code lies outside of the items or stands twice in a list, no list has an item, or
        features are not finite.

    References
    ----------
    .. [1] Zhou et al., "Solving the apparent diversity-accuracy dilemma of recommender systems", PNAS 107(10), 2010.
    .. [2] Ziegler et al., "Improving recommendation lists through topic diversification", WWW 2005.

    Examples
    --------
    >>> from scipy import sparse
    >>> train = sparse.csr_array([[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1], [1, 0, 0, 0]])
    >>> print(list_metrics([[0, 1], [0, 2]], train, features=[[1, 0], [1, 0], [0, 1], [0, 1]]))
    coverage 0.7500
    gini 0.3750
    personalisation 0.5000
    novelty 1.0000
    popularity 0.6250
    diversity 0.5000
    """
    pairs = as_pairs(train, "train")
    n_items = pairs.n_items
    from scipy.stats import rankdata  # half a second to import

    codes = checked_lists(lists, n_items)
    listed = codes >= 0
    sizes = listed.sum(axis=1)
    if not sizes.any():
        raise ValueError("at least one list must have an item")
    before = np.concatenate([[0], np.cumsum(sizes)])
    shown = sparse.csr_array((np.ones(before[-1]), codes[listed], before), shape=(len(codes), n_items))
    exposure = np.bincount(codes[listed], minlength=n_items)
    n_having = np.bincount(pairs.items, minlength=n_items)

    bits = -np.log2(np.maximum(n_having, 1) / max(pairs.n_queries, 1))
    percentile = (rankdata(n_having) - 0.5) / n_items
    with np.errstate(invalid="ignore"):  # 0 / 0 of a list without an item
        per_list = {"novelty": shown @ bits / sizes, "popularity": shown @ percentile / sizes}
    if features is not None:
        per_list["diversity"] = _diversity(shown, features)

    sets = sparse.diags_array(np.maximum(sizes, 1) ** -0.5) @ shown  # rows of length 1
    overall = {
        "coverage": float((exposure > 0).mean()),
        "gini": _gini(exposure),
        "personalisation": float(1 - _mean_cosine(np.square(sets.sum(axis=0)).sum(), (sizes > 0).sum())),
    }
    return ListMetrics(per_list, overall)


def _diversity(shown: sparse.csr_array, features: Any) -> NDArray[np.float64]:
    F = features if sparse.issparse(features) else np.asarray(features, np.float64)
    if F.ndim != 2 or F.shape[0] != shown.shape[1]:
        raise ValueError(f"features must be of shape (n_items, n) with {shown.shape[1]} items, got {F.shape}")
    F = sparse.csr_array(F, dtype=np.float64)
    if not np.isfinite(F.data).all():
        raise ValueError("features must be finite")
    lengths = np.sqrt(np.asarray(F.multiply(F).sum(axis=1)).ravel())
    unit = sparse.diags_array(1 / np.where(lengths > 0, lengths, 1)) @ F
    squared: NDArray[np.float64] = np.asarray((shown @ unit).power(2).sum(axis=1)).ravel()
    own = shown @ (lengths > 0).astype(np.float64)
    diversity: NDArray[np.float64] = 1 - _mean_cosine(squared, shown.sum(axis=1), own)
    return diversity


def _mean_cosine(squared_sum: Any, n: Any, n_units: Any = None) -> Any:
    """Mean inner product of two of n vectors, from the squared length of their sum.

    `n_units` of them, by default all, are of length 1, and the others 0. NaN for fewer than two.
    """
    n_units = n if n_units is None else n_units
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(n > 1, (squared_sum - n_units) / (n * (n - 1)), np.nan)


def _gini(exposure: NDArray[np.int64]) -> float:
    n = len(exposure)
    weights = 2 * np.arange(1, n + 1) - n - 1
    return float(weights @ np.sort(exposure) / (n * exposure.sum()))
