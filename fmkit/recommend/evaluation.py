"""How good a fitted recommender is on interactions that it has not seen: ratings, and lists over all items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tabulate import tabulate

from fmkit.errors import InputError
from fmkit.ranking.judge import METRICS, Judge, parsed
from fmkit.ranking.metrics import RankMetrics
from fmkit.ranking.pairs import Pairs
from fmkit.recommend.beyond_accuracy import list_metrics
from fmkit.recommend.bootstrap import mean_intervals
from fmkit.recommend.held_out import HeldOut
from fmkit.recommend.rating_accuracy import ERRORS, RatingMetrics, rating_metrics
from fmkit.recommend.sampled_lists import BIASED, metrics_of_ranks, sampled_ranks
from fmkit.recommend.vocabulary import Vocabulary
from fmkit.threads import count_threads

USUAL = ("ndcg", "recall", "precision", "map", "mrr", "hit_rate")
USERS_AT_ONCE = 1 << 14  # of a call of `top`: beside it, their training pairs are copied
N_RESAMPLES = 2000


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a recommender reaches on a test part.

    Parameters
    ----------
    feedback : {"explicit", "implicit"}
    users : Vocabulary
        Users of the test.
    per_user : dict of str to ndarray of shape (len(users),), float64
        Metrics of lists; those of `rank_metrics` by their name and cutoff ("sampled_ndcg@10" if only some items were
        ranked), and "novelty", "popularity" and "diversity" (`list_metrics`). NaN for users that are not judged.
    overall : dict of str to float
        "coverage", "gini" and "personalisation", which no list has by itself.
    ratings : RatingMetrics, or None
        None for clicks.
    errors : ndarray of shape (n_rows,), float64, or None
        Predicted less true rating of each row of the test.
    error_users : ndarray of shape (n_rows,), int32, or None
        Codes of `users`.
    intervals : dict of str to tuple of two floats
        By drawing users with replacement.
    confidence : float, or None
        Of the intervals.
    notes : tuple of str
        What is to be known when the numbers are read.
    """

    feedback: str
    users: Vocabulary
    per_user: dict[str, NDArray[np.float64]]
    overall: dict[str, float]
    ratings: RatingMetrics | None
    errors: NDArray[np.float64] | None
    error_users: NDArray[np.int32] | None
    intervals: dict[str, tuple[float, float]]
    confidence: float | None
    notes: tuple[str, ...]

    def mean(self) -> dict[str, float]:
        """All metrics: of ratings over rows, of lists over the users that are judged, and of all lists together."""
        of_ratings = {} if self.ratings is None else self.ratings.values
        means = {
            name: float(np.nanmean(values)) if not np.isnan(values).all() else np.nan
            for name, values in self.per_user.items()
        }
        return {**of_ratings, **means, **self.overall}

    @property
    def rank_metrics(self) -> RankMetrics:
        """Those that `compare_models` takes."""
        return RankMetrics({name: values for name, values in self.per_user.items() if "@" in name})

    def to_table(self) -> pa.Table:
        """Columns metric, value, low and high; the latter two null where a metric has no interval."""
        means = self.mean()
        ends = [self.intervals.get(name, (None, None)) for name in means]
        return pa.table(
            {
                "metric": pa.array(list(means), pa.string()),
                "value": pa.array(list(means.values()), pa.float64()),
                "low": pa.array([low for low, _ in ends], pa.float64()),
                "high": pa.array([high for _, high in ends], pa.float64()),
            }
        )

    def __str__(self) -> str:
        rows = [
            (name, f"{value:.4f}", "{:.4f} to {:.4f}".format(*self.intervals[name]) if name in self.intervals else "")
            for name, value in self.mean().items()
        ]
        head = ("metric", "value", f"{self.confidence:.0%} interval" if self.confidence else "")
        table = tabulate(rows, head, disable_numparse=True, colalign=("left", "right", "left"))
        return "\n".join([table, *self.notes])


def evaluate(
    recommender: Any,
    test: Any,
    *,
    k: int = 10,
    relevant: float | None = None,
    metrics: str | Sequence[str] = USUAL,
    exclude_train: bool = True,
    check_times: bool = False,
    sampled: int | None = None,
    confidence: float | None = 0.95,
    n_jobs: int | None = None,
    random_state: int = 0,
) -> Evaluation:
    """How good a fitted recommender is on interactions that it has not seen.

    Of ratings, the errors and whether intervals hold as much as they say (`rating_metrics`); users and items that are
    unknown to training count, as what is predicted for them is of use too. Of ratings and of clicks, lists: every user
    with a relevant item in the test gets the best of all items without those of training. Nothing is sampled unless
    asked for.

    Parameters
    ----------
    recommender : Recommender
        Fitted.
    test : DataFrame, pyarrow.Table, mapping of columns, path, sequence of paths, or Interactions
        With the names of the columns that the recommender was fitted with.
    k : int, default=10
        Places of a list.
    relevant : float, optional
        The least rating of a test item that should be listed. By default the median of the training ratings: about
        the better half, whatever the scale. Clicks are relevant all.
    metrics : str or sequence of str, default=("ndcg", "recall", "precision", "map", "mrr", "hit_rate")
        Those of `rank_metrics`, at `k` or, as "recall@20", at another cutoff. Errors of ratings, "rmse" and the like,
        are told of ratings anyway: such names alone, or an empty sequence, leave lists out.
    exclude_train : bool, default=True
        Leave a user's items of training out of the list. For clicks that may come again, False; what was clicked in
        training may then be in the test too.
    check_times : bool, default=False
        Refuse a test that begins before training ends.
    sampled : int, optional
        Rank each relevant item among so many drawn ones instead. Such metrics are biased (Krichene and Rendle, KDD
        2020), and every print of the result says so.
    confidence : float, optional, default=0.95
        Of the intervals, by drawing users with replacement; None for no intervals.
    n_jobs : int, optional
        Threads; by default, or -1, every core.
    random_state : int, default=0
        Of intervals and drawn items.

    Returns
    -------
    Evaluation

    Raises
    ------
    ValueError
        If a pair of the test was trained on, nothing can be judged, or an argument is none.

    Examples
    --------
    >>> from fmkit.recommend import BaselineRecommender, Popularity
    >>> from fmkit.recommend.interactions import Interactions
    >>> train = Interactions.of({"user": [1, 1, 2, 2, 3], "item": ["a", "b", "a", "c", "a"]})
    >>> recommender = BaselineRecommender(Popularity()).fit(train)
    >>> result = evaluate(recommender, {"user": [3, 9], "item": ["b", "a"]}, k=2, metrics="mrr", confidence=None)
    >>> result.mean()["mrr@2"]
    1.0
    >>> result.notes[2]  # doctest: +NORMALIZE_WHITESPACE
    '1 of 2 test rows are of a user or an item unknown to training (1 of such users, 0 of such items):
    lists are judged without them'
    """
    if k < 1:
        raise InputError(f"k must be at least 1 place, got {k}")
    if confidence is not None and not 0 < confidence < 1:
        raise InputError(f"confidence must be a share between 0 and 1, or None, got {confidence!r}")
    asked = named_metrics(metrics, k)
    names = [name for name in asked if name not in ERRORS]
    if asked and not names and recommender.feedback_ != "explicit":
        raise InputError(
            f"{asked[0]!r} is of ratings foretold, this recommender makes lists: name one of them, as 'ndcg'"
        )
    held = HeldOut.of(recommender, test, relevant, repeats=not exclude_train, check_times=check_times)
    explicit = recommender.feedback_ == "explicit"
    notes = list(held.notes) if names else list(held.notes[1:])
    if held.n_repeats:
        notes.append(f"{held.n_repeats:,} pairs of the test were trained on, as exclude_train=False allows")

    ratings = errors = None
    if explicit:
        assert held.test.ratings is not None  # as HeldOut has seen to
        predicted, std = _predicted(recommender, held)
        errors = predicted - held.test.ratings
        ratings = rating_metrics(
            held.test.ratings,
            predicted,
            std,
            users=None if confidence is None else held.test.user_codes,
            level=confidence or 0.95,
            n_resamples=N_RESAMPLES,
            random_state=random_state,
        )

    per_user: dict[str, NDArray[np.float64]] = {}
    overall: dict[str, float] = {}
    if not names and not explicit:
        raise InputError("metrics must name at least one, such as 'ndcg', unless there are ratings to judge")
    if names and not len(held.relevant):
        told = "no test row that is relevant is of a user and an item known to training, so that no list can be judged"
        if not explicit:
            raise InputError(f"{told}: are ids written alike in both?")
        notes.append(told)
    elif names and sampled is not None:
        per_user = _sampled(recommender, held, names, exclude_train, sampled, random_state)
        notes.append(BIASED.format(n=sampled))
    elif names:
        per_user, overall = _listed(recommender, held, names, k, exclude_train, count_threads(n_jobs))
    if per_user:
        n_judged = int((np.diff(held.relevant.before) > 0).sum())
        among = f"all {held.relevant.n_items:,} items" if sampled is None else f"{sampled:,} drawn items, one by one"
        notes.insert(0, f"lists are those of the {n_judged:,} users with something relevant, from {among}")

    intervals = {} if ratings is None else dict(ratings.intervals)
    if confidence is not None and per_user:
        told_of = {name: values for name, values in per_user.items() if not np.isnan(values).all()}
        columns = np.stack(list(told_of.values()), axis=1)
        ends = mean_intervals(columns, confidence, N_RESAMPLES, random_state)
        intervals |= {name: (float(low), float(high)) for name, (low, high) in zip(told_of, ends.T, strict=True)}
    return Evaluation(
        recommender.feedback_,
        held.test.users,
        per_user,
        overall,
        ratings,
        errors,
        None if errors is None else held.test.user_codes,
        intervals,
        confidence,
        tuple(notes),
    )


def named_metrics(metrics: str | Sequence[str], k: int) -> list[str]:
    """Metrics as `Evaluation.mean` calls them, those of lists with a cutoff; an InputError if there is none such."""
    names = [metrics] if isinstance(metrics, str) else metrics
    for name in names:
        kind, _, cutoff = name.partition("@")
        if cutoff and kind in ERRORS:
            raise InputError(f"'{kind}' is of ratings, not of the first {cutoff} items: leave '@{cutoff}' out")
    found = [name if "@" in name or name in ERRORS else f"{name}@{k}" for name in names]
    for name in found:
        if name not in ERRORS:
            try:
                parsed(name)
            except ValueError as error:
                raise InputError(f"{error}; of ratings there are {', '.join(ERRORS)}") from None
    return found


def _predicted(recommender: Any, held: HeldOut) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Ratings of the test, and their standard deviations if the recommender tells them."""
    test = held.test
    asked = test.users.decode(test.user_codes), test.items.decode(test.item_codes)
    options = {} if test.context is None else {"context": test.context}
    if recommender.tells_std:
        mean, std = recommender.predict(*asked, return_std=True, **options)
        return np.asarray(mean, np.float64), np.asarray(std, np.float64)
    return np.asarray(recommender.predict(*asked, **options), np.float64), None


def _listed(
    recommender: Any, held: HeldOut, names: list[str], k: int, exclude_train: bool, n_threads: int
) -> tuple[dict[str, NDArray[np.float64]], dict[str, float]]:
    """Metrics of the best of all items, user by user, and of all lists together."""
    judge = Judge(held.relevant, names, "binary", n_threads)
    judged = np.flatnonzero(np.diff(held.relevant.before))
    n_listed = max(judge.deepest, k)
    lists = np.empty((len(judged), n_listed), np.int32)
    for start in range(0, len(judged), USERS_AT_ONCE):
        queries = judged[start : start + USERS_AT_ONCE]
        codes = held.user_of[queries]
        exclude = held.seen.rows(codes) if exclude_train else _nothing(len(codes), held.seen.n_items)
        best, _ = recommender.top(codes, n_listed, exclude=exclude)
        lists[start : start + len(queries)] = best
        judge.measure(queries, np.ascontiguousarray(best[:, : judge.deepest], np.int32))
    per_user = judge.per_query()
    features = recommender.items_.features
    shown = list_metrics(lists[:, :k], held.seen, features=features if features.shape[1] else None)
    for name, values in shown.per_list.items():
        per_user[name] = np.full(len(held.user_of), np.nan)
        per_user[name][judged] = values
    return per_user, shown.overall


def _nothing(n_queries: int, n_items: int) -> Pairs:
    none = np.empty(0, np.float32)
    return Pairs(n_queries, n_items, np.zeros(n_queries + 1, np.int64), np.empty(0, np.int32), none)


def _sampled(
    recommender: Any, held: HeldOut, names: list[str], exclude_train: bool, sampled: int, random_state: int
) -> dict[str, NDArray[np.float64]]:
    """Means over a user's relevant items, each ranked among drawn ones."""
    kinds = [Judge(held.relevant, name, "binary", 1).names[0].split("@") for name in names]  # refuses unknown ones
    assert all(kind in METRICS for kind, _ in kinds)
    relevant, having = held.relevant, held.relevant
    if exclude_train:
        rows = np.where(held.user_of < 0, 0, held.user_of)  # of unknown users nothing is relevant
        having = Pairs.of(relevant.csr + held.seen.rows(rows).csr)
    ranks = sampled_ranks(recommender.scores, held.user_of, relevant, having, sampled, random_state)
    of_pairs = metrics_of_ranks(ranks, [(kind, int(cutoff)) for kind, cutoff in kinds])
    n = np.diff(relevant.before)
    with np.errstate(invalid="ignore"):
        return {
            f"sampled_{name}": np.bincount(relevant.queries, values, len(n)) / n for name, values in of_pairs.items()
        }
