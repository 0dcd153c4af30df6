"""Settings of a recommender chosen by a part of the interactions that is set aside, within a budget of time."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.base import clone
from tabulate import tabulate

from fmkit.bars import tqdm
from fmkit.errors import InputError
from fmkit.fitting import FitInterrupted
from fmkit.ranking.judge import METRICS
from fmkit.recommend.beyond_accuracy import BESIDE
from fmkit.recommend.comparison import LOWER_IS_BETTER
from fmkit.recommend.evaluation import evaluate, named_metrics
from fmkit.recommend.halving import EFFORTS, best_first, drawn, halve
from fmkit.recommend.interactions import Columns, Interactions
from fmkit.recommend.parts import Parts, compacted
from fmkit.recommend.rating_accuracy import ERRORS
from fmkit.recommend.splits import How
from fmkit.recommend.trail import Settings, Trail, Trial, fingerprint
from fmkit.tables.frames import as_arrow

SPACES: dict[str, dict[str, list[Any]]] = {
    "explicit": {"n_factors": [4, 8, 16, 32], "max_iter": [100, 200, 500]},
    "implicit": {"n_factors": [64, 96, 128, 192, 256], "max_iter": [16, 30, 60]},
}
"""What is searched if nothing else is asked for, of the parameters that the recommender has."""

FEWEST_USERS = 50  # set aside, by which a trial with a share of the users is judged


@dataclass(frozen=True, eq=False)
class Tuned:
    """The best settings found, and how.

    Parameters
    ----------
    recommender_ : Recommender
        With these settings, fitted to all interactions.
    best : dict
        Settings by parameter; empty if those that were given are the best.
    metric : str
    value : float
        Of the best settings, on the part set aside.
    trail : pyarrow.Table
        A row a trial, in the order they were made: the parameters (null: as given), effort, the metric, seconds.
    notes : tuple of str
    """

    recommender_: Any
    best: Settings
    metric: str
    value: float
    trail: pa.Table
    notes: tuple[str, ...]

    def __str__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in self.best.items()) or "the settings as given"
        sign = 1 if self.metric in LOWER_IS_BETTER else -1
        rows = sorted(
            self.trail.to_pylist(), key=lambda row: (-row["effort"], sign * (row[self.metric] or sign * np.inf))
        )
        shown = [
            [
                "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
                for value in row.values()
            ]
            for row in rows[:5]
        ]
        table = tabulate(shown, self.trail.column_names, disable_numparse=True)
        return "\n".join([f"best: {told}, {self.metric} {self.value:.4f}", table, *self.notes])


def tune(
    recommender: Any,
    interactions: Any,
    *,
    minutes: float | None = 10,
    space: Mapping[str, Sequence[Any]] | None = None,
    trials: int | None = None,
    metric: str | None = None,
    effort: str | None = None,
    how: How | None = None,
    validation: float = 0.2,
    state: str | Path | None = None,
    users: Any = None,
    items: Any = None,
    user: str | None = None,
    item: str | None = None,
    rating: str | None = None,
    weight: str | None = None,
    time: str | None = None,
    context: Sequence[str] | None = None,
    k: int = 10,
    relevant: float | None = None,
    n_jobs: int | None = None,
    random_state: int = 0,
    verbose: int = 0,
) -> Tuned:
    """Search for better settings on a part set aside, then fit the best to all interactions.

    The settings as they are come first; then others are drawn at random, many tried with a ninth of the effort, the
    best third of these with a third, and of these the best with all of it (`fmkit.recommend.halving`). Ctrl-C ends the
    search, and the best so far is still fitted.

    Parameters
    ----------
    recommender : Recommender
        Not fitted; it stays as it is.
    interactions : DataFrame, pyarrow.Table, mapping of columns, path, sequence of paths, or Interactions
        Without the part that the result is to be judged by: the best of many is too good on the part that chose it.
    minutes : float, optional, default=10
        No trial begins that would, as earlier ones foretell, leave no time for itself and the last fit. What has begun
        is finished, and one trial is always made. None for no limit, with `trials`.
    space : mapping of str to sequence, optional
        Values by parameter, "model__alpha" those of nested estimators as in scikit-learn. By default what
        `fmkit.recommend.tuning.SPACES` has for ratings or for clicks.
    trials : int, optional
        Settings to try, those as given counted; by default as many as time allows.
    metric : str, optional
        Any of `Evaluation.mean`; by default "rmse" for ratings and "ndcg" at `k` for clicks.
    effort : str, optional
        An integer parameter that less effort means less of, such as "max_iter". By default less effort means fewer
        users, which works for any model.
    how : str, optional
        As of `compare`: the part is set aside by the rule that the test is.
    validation : float, default=0.2
        Share set aside.
    state : path, optional
        A file of finished trials: a search that was cut off goes on by the same call, and repeats none. Without it
        nothing is written.
    users, items, user, item, rating, weight, time, context, k, relevant, n_jobs
        As of `compare`.
    random_state : int, default=0
        Of the split and the settings drawn.
    verbose : int, default=0
        1 shows a bar on stderr.

    Returns
    -------
    Tuned

    Raises
    ------
    ValueError
        If a parameter or the metric is unknown, or `state` is of another search.

    Examples
    --------
    >>> import numpy as np
    >>> from fmkit.recommend import BaselineRecommender, ItemKNN
    >>> rng = np.random.default_rng(0)
    >>> clicks = {"user": rng.integers(0, 50, 900), "item": (30 * rng.random(900) ** 2).astype(int)}
    >>> result = tune(BaselineRecommender(ItemKNN()), clicks, space={"baseline__n_neighbours": [2, 5, 20]}, trials=4)
    >>> result.trail.num_rows, result.recommender_.interactions_.users.ids.to_numpy().size
    (4, 50)
    """
    if not isinstance(interactions, Interactions):
        columns = Columns(user, item, rating, weight, time, tuple(context or ()))
        interactions, _ = Interactions.in_time(interactions, columns)
    explicit = interactions.ratings is not None and getattr(recommender, "feedback", "auto") != "implicit"
    space = _checked_space(space, recommender, "explicit" if explicit else "implicit", effort)
    if minutes is None and trials is None:
        trials = 1 + int(np.prod([len(values) for values in space.values()]))
    if trials is not None and trials < 1:
        raise InputError(f"trials must be at least 1, got {trials}")
    if minutes is not None and not minutes > 0:
        raise InputError(f"minutes must be above 0, or None, got {minutes!r}")
    metric = _checked_metric(metric or ("rmse" if explicit else "ndcg"), explicit, k)
    parts = Parts.of(interactions, how, validation, random_state)
    if relevant is None and explicit and parts.train.ratings is not None:
        relevant = float(np.median(parts.train.ratings))  # the same for trials with fewer users
    tables = {name: table for name, table in (("users", users), ("items", items)) if table is not None}
    options = {**tables, **{name: told for name, told in (("user", user), ("item", item)) if told is not None}}
    about = {
        "search": "fmkit.recommend.tune",
        "data": fingerprint(interactions, tables),
        "recommender": {
            name: " ".join(repr(value).split())
            for name, value in recommender.get_params().items()
            if name.split("__")[-1] not in ("n_jobs", "verbose")
        },
        "space": space,
        "metric": metric,
        "split": [parts.split.how, validation],
        "effort": effort,
        "lists": [k, relevant],
        "random_state": random_state,
    }
    search = _Search(
        recommender,
        parts,
        options,
        metric,
        effort,
        {"k": k, "relevant": relevant, "n_jobs": n_jobs, "confidence": None, "random_state": random_state},
        Trail(about, None if state is None else Path(state)),
        None if minutes is None else monotonic() + 60 * minutes,
        1 / (1 - validation),
        tqdm(desc="trials", disable=not verbose),
    )
    as_they_are = recommender.get_params()
    others: Iterator[Settings] = (
        settings
        for settings in drawn(space, random_state)
        if any(repr(as_they_are[name]) != repr(value) for name, value in settings.items())
    )
    if trials is not None:
        others = itertools.islice(others, trials - 1)
    ended = "all settings asked for were tried"
    try:
        halve({}, others, search.efforts(), search.run, search.sign)
    except (KeyboardInterrupt, FitInterrupted):
        if not search.made:
            raise
        ended = "the search was interrupted"
    finally:
        search.bar.close()
    if search.late:
        ended = f"the search ended for lack of time ({minutes:g} minutes)"
    best = best_first(search.made, search.sign)[0]
    start = monotonic()
    model = clone(recommender).set_params(**best.settings).fit(interactions, **options)
    seconds = monotonic() - start
    n_settings = len({repr(trial.settings) for trial in search.made})
    notes = [
        *parts.notes,
        f"{ended}: {len(search.made)} fits of {n_settings} settings; the last fit, to all interactions, took "
        f"{seconds:.1f} s",
        f"{metric} {best.value:.4f} is that of the best of several on the part that chose it, too good: "
        "judge by interactions that were not searched with",
    ]
    if best.effort < 1:
        notes.insert(-1, f"no trial was made with all of the effort: the best had {best.effort:.2f} of it")
    as_given = search.trail.find({}, best.effort)
    if as_given is not None and best.settings:
        notes.insert(-1, f"the settings as given had {as_given.value:.4f}")
    return Tuned(model, best.settings, metric, best.value, _table(search.made, space, metric), tuple(notes))


@dataclass
class _Search:
    """Makes trials, as long as there is time."""

    recommender: Any
    parts: Parts
    options: dict[str, Any]
    metric: str
    effort: str | None
    judging: dict[str, Any]
    trail: Trail
    deadline: float | None
    last_fit: float
    bar: Any
    made: list[Trial] = field(default_factory=list)
    late: bool = False
    pieces: dict[float, tuple[Interactions, Interactions]] = field(default_factory=dict)

    @property
    def sign(self) -> int:
        return -1 if self.metric in LOWER_IS_BETTER else 1

    def efforts(self) -> list[float]:
        """Those that leave something to judge by."""
        if self.effort is not None:
            full = self.recommender.get_params().get(self.effort)
            if not isinstance(full, int) or isinstance(full, bool):
                raise InputError(
                    f"effort must name a parameter that is an integer, {self.effort!r} is {full!r}: set it, or leave "
                    "effort out to try settings with fewer users"
                )
            return list(EFFORTS)
        n_users = len(self.parts.test.users)
        return [share for share in EFFORTS if share == 1 or share * n_users >= FEWEST_USERS]

    def run(self, settings: Settings, effort: float) -> Trial | None:
        """A trial, made or found in the trail; None if there is no time for it."""
        trial = self.trail.find(settings, effort)
        if trial is None:
            if not self._has_time(settings, effort):
                self.late = True
                return None
            trial = self._make(settings, effort)
            self.trail.add(trial)
        self.made.append(trial)
        self.bar.update()
        self.bar.set_postfix_str(f"{self.metric} {best_first(self.made, self.sign)[0].value:.4f}")
        return trial

    def _make(self, settings: Settings, effort: float) -> Trial:
        train, aside = self.parts.train, self.parts.test
        model = clone(self.recommender).set_params(**settings)
        if self.effort is not None:
            full = int(self.recommender.get_params()[self.effort])
            model.set_params(**{self.effort: max(round(effort * full), 1)})
        elif effort < 1:
            if effort not in self.pieces:
                self.pieces[effort] = some_users(train, aside, effort, self.judging["random_state"])
            train, aside = self.pieces[effort]
        listed = self.metric.split("@")[0] not in (*LOWER_IS_BETTER, "bias")
        metrics = ((self.metric,) if "@" in self.metric else ("ndcg",)) if listed else ()
        start = monotonic()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", FitInterrupted)  # a fit cut short by Ctrl-C is no trial
                model.fit(train, **self.options)
            means = evaluate(model, aside, metrics=metrics, **self.judging).mean()
        except (ValueError, ArithmeticError, MemoryError) as error:
            if not settings:
                raise
            warnings.warn(f"a trial with {settings} failed and counts as the worst: {error}", stacklevel=2)
            return Trial(settings, effort, float("nan"), monotonic() - start)
        if self.metric not in means:
            raise InputError(f"metric must be one of {', '.join(means)}, got {self.metric!r}")
        return Trial(settings, effort, means[self.metric], monotonic() - start)

    def _has_time(self, settings: Settings, effort: float) -> bool:
        """Whether a trial and the last fit would end before the deadline, as trials so far foretell."""
        if self.deadline is None or not self.made:
            return True
        warm = self.made[1:] or self.made  # the first compiles
        own = [trial.seconds / trial.effort for trial in self.made if trial.settings == settings][-1:]
        alike = [trial.seconds / trial.effort for trial in warm if trial.effort == effort]
        needed = effort * max(own or alike or [trial.seconds / trial.effort for trial in warm])
        best = best_first(self.made, self.sign)[0]
        return monotonic() + needed + best.seconds / best.effort * self.last_fit <= self.deadline


def some_users(
    train: Interactions, aside: Interactions, share: float, random_state: int
) -> tuple[Interactions, Interactions]:
    """A share of the users, of those who have rows in both parts and of the others alike; less is a part of more."""
    rng = np.random.default_rng(random_state)
    code: NDArray[np.int32] = train.users.encode(aside.users.ids)
    in_both = np.zeros(len(train.users), bool)
    in_both[code[code >= 0]] = True
    kept = np.zeros(len(train.users), bool)
    for group in (np.flatnonzero(in_both), np.flatnonzero(~in_both)):
        kept[rng.permutation(group)[: int(np.ceil(share * len(group)))]] = True
    tested = (code >= 0) & kept[code] if in_both.any() else np.ones(len(code), bool)
    return compacted(train.select(kept[train.user_codes])), compacted(aside.select(tested[aside.user_codes]))


def _checked_space(
    space: Mapping[str, Sequence[Any]] | None, recommender: Any, feedback: str, effort: str | None
) -> dict[str, Sequence[Any]]:
    present = recommender.get_params(deep=True)
    if space is None:
        usual: dict[str, Sequence[Any]] = {
            name: values for name, values in SPACES[feedback].items() if name in present and name != effort
        }
        if not usual:
            raise InputError(
                f"{type(recommender).__name__} has none of {', '.join(SPACES[feedback])}: give space={{...}}"
            )
        return usual
    if effort in space:
        raise InputError(f"effort={effort!r} is what trials have less of: leave it out of space")
    for name, values in space.items():
        if name not in present:
            raise InputError(f"space has {name!r}, which is no parameter: there are {', '.join(sorted(present))}")
        if isinstance(values, str) or not isinstance(values, Sequence) or not len(values):
            raise InputError(f"space[{name!r}] must be a list of at least one value, got {values!r}")
    return dict(space)


def _checked_metric(metric: str, explicit: bool, k: int) -> str:
    """As `Evaluation.mean` calls it; refused before anything is fitted."""
    of_ratings = ERRORS if explicit else ()
    if metric in (*of_ratings, *BESIDE):
        return metric
    if metric in ERRORS or metric.partition("@")[0] not in (*ERRORS, *METRICS):
        usual = ", ".join([*of_ratings, *(f"{name}@{k}" for name in METRICS), *BESIDE])
        raise InputError(f"metric must be one of {usual}, got {metric!r}")
    return named_metrics(metric, k)[0]


def _table(trials: Sequence[Trial], space: Mapping[str, Any], metric: str) -> pa.Table:
    columns: dict[str, Any] = {name: [trial.settings.get(name) for trial in trials] for name in space}
    numbers = {
        "effort": [trial.effort for trial in trials],
        metric: [None if np.isnan(trial.value) else trial.value for trial in trials],
        "seconds": [trial.seconds for trial in trials],
    }
    return as_arrow({**columns, **{name: pa.array(values, pa.float64()) for name, values in numbers.items()}})
