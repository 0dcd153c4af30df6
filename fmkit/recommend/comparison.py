"""Recommenders side by side on one split, with the baselines that they should beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.base import clone
from tabulate import tabulate

from fmkit.bars import tqdm
from fmkit.errors import InputError
from fmkit.ranking.metrics import RankMetrics
from fmkit.recommend.entities import Entities
from fmkit.recommend.evaluation import USUAL, Evaluation, evaluate, named_metrics
from fmkit.recommend.interactions import Columns, Interactions
from fmkit.recommend.parts import Parts
from fmkit.recommend.rating_accuracy import ERRORS
from fmkit.recommend.rivals import BASELINES, BaselineRecommender, feasible
from fmkit.recommend.significance import Comparison, PairedTest, compare_models, holm, paired_test
from fmkit.recommend.splits import How, Split

LOWER_IS_BETTER = ("rmse", "mae", "nll")
FROM_LIKES = "a model of ratings foretells stars; what people take up is learned better from likes: feedback='implicit'"
PRINTED = ("rmse", "mae", "coverage")  # beside three metrics of lists: more than fits a line is in `to_table`


@dataclass(frozen=True, eq=False)
class ModelComparison:
    """Models on the same test part.

    Parameters
    ----------
    evaluations : dict of str to Evaluation
        By the model's name, best first by `headline`; models that lack it come last.
    recommenders : dict of str to Recommender
        As fitted to the training part.
    fit_seconds : dict of str to float
    baselines : tuple of str
        Which of the models are baselines.
    headline : str
        The metric that orders them.
    tests : dict of str to Comparison
        Paired tests against the best model, with p-values by Holm over the models: of the headline, and as "rmse" of
        squared errors, whose differences these are.
    split : Split
    notes : tuple of str
    """

    evaluations: dict[str, Evaluation]
    recommenders: dict[str, Any]
    fit_seconds: dict[str, float]
    baselines: tuple[str, ...]
    headline: str
    tests: dict[str, Comparison]
    split: Split
    notes: tuple[str, ...]

    @property
    def best(self) -> str:
        """Name of the first."""
        return next(iter(self.evaluations))

    def to_table(self) -> pa.Table:
        """A row a model, best first: model, baseline, all metrics with low and high ends, p (of the headline, by Holm;
        null for the best), fit_seconds."""
        means = {name: evaluation.mean() for name, evaluation in self.evaluations.items()}
        columns: dict[str, Any] = {
            "model": pa.array(list(means), pa.string()),
            "baseline": pa.array([name in self.baselines for name in means], pa.bool_()),
        }
        for metric in dict.fromkeys(metric for of_model in means.values() for metric in of_model):
            columns[metric] = pa.array([of_model.get(metric) for of_model in means.values()], pa.float64())
            ends = [evaluation.intervals.get(metric, (None, None)) for evaluation in self.evaluations.values()]
            if any(low is not None for low, _ in ends):
                columns[f"{metric}_low"] = pa.array([low for low, _ in ends], pa.float64())
                columns[f"{metric}_high"] = pa.array([high for _, high in ends], pa.float64())
        columns["p"] = pa.array([self._p(name, self.headline) for name in means], pa.float64())
        columns["fit_seconds"] = pa.array([self.fit_seconds[name] for name in means], pa.float64())
        return pa.table(columns)

    def plot(self, ax: Any = None, metric: str | None = None) -> Any:
        """As `fmkit.plots.comparison`: bars of a metric with its intervals, best on top, baselines hatched.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            By default those of a new figure.
        metric : str, optional
            By default the headline.

        Returns
        -------
        ax : matplotlib Axes
        """
        from fmkit.plots.models import comparison

        return comparison(self, metric, ax=ax)

    def _p(self, name: str, metric: str) -> float | None:
        adjusted = self.tests[metric].adjusted if metric in self.tests else {}
        return next((p for (model, _), p in adjusted.items() if model == name), None)

    def __str__(self) -> str:
        means = {name: evaluation.mean() for name, evaluation in self.evaluations.items()}
        present = dict.fromkeys(metric for of_model in means.values() for metric in of_model)
        of_lists = [metric for metric in present if "@" in metric and metric != self.headline]
        others = of_lists[:2] + [metric for metric in PRINTED if metric in present and metric != self.headline]
        rows = []
        for name, evaluation in self.evaluations.items():
            ends, p = evaluation.intervals.get(self.headline), self._p(name, self.headline)
            shown = [means[name].get(metric) for metric in (self.headline, *others)]
            first, *rest = ["" if value is None else f"{value:.4f}" for value in shown]
            of_headline = [first, "{:.4f} to {:.4f}".format(*ends) if ends else "", "" if p is None else f"{p:.2g}"]
            rows.append([name, *of_headline, *rest, f"{self.fit_seconds[name]:.1f}"])
        head = ["model", self.headline, "interval", "p", *others, "fit s"]
        right = ("right",) * (len(others) + 1)
        table = tabulate(rows, head, disable_numparse=True, colalign=("left", "right", "left", "right", *right))
        return "\n".join([table, *self.notes])


def compare(
    recommenders: Any,
    interactions: Any,
    *,
    how: How | None = None,
    test: float = 0.2,
    baselines: bool | Sequence[str] = True,
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
    metrics: str | Sequence[str] = USUAL,
    headline: str | None = None,
    sampled: int | None = None,
    confidence: float | None = 0.95,
    n_jobs: int | None = None,
    random_state: int = 0,
    verbose: int = 0,
) -> ModelComparison:
    """Fit recommenders to one part of the interactions and judge them on the other, beside baselines.

    Parameters
    ----------
    recommenders : mapping of str to Recommender, sequence of Recommender, or Recommender
        Not fitted; clones are, so that these stay as they are. May be empty: baselines alone.
    interactions : DataFrame, pyarrow.Table, mapping of columns, path, sequence of paths, or Interactions
    how : str, optional
        Rule of `split`. By default "time" if all rows have a time, since that is what a model would have met in use,
        and "random" else; the result says which.
    test : float, default=0.2
        Share that is tested.
    baselines : bool or sequence of {"Popularity", "UserItemMeans", "ItemKNN", "EASE"}, default=True
        All that the data have ratings for and are not too large for; the result says which are left out. Of ratings,
        those that make lists learn from the relevant ones, which serves them better than all.
    users, items : table, optional
        What is known of users and items, for the recommenders that use it.
    user, item, rating, weight, time, context
        Names of the columns, as of `Recommender.fit`: times, too, are found by their usual names.
    k, relevant, metrics, sampled, confidence, n_jobs, random_state
        As of `evaluate`; `relevant` is the same for all models. `random_state` draws the split too.
    headline : str, optional
        The metric that orders the models, by default the first of `metrics`; "rmse" and the like where there are
        ratings.
    verbose : int, default=0
        1 shows a bar on stderr.

    Returns
    -------
    ModelComparison

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> clicks = {"user": rng.integers(0, 50, 600), "item": (30 * rng.random(600) ** 2).astype(int)}
    >>> result = compare({}, clicks, baselines=["Popularity", "EASE"])
    >>> result.best
    'Popularity'
    """
    named, by_default, judged = _named(recommenders), relevant is None, named_metrics(metrics, k)
    if not isinstance(interactions, Interactions):
        columns = Columns(user, item, rating, weight, time, tuple(context or ()))
        interactions, _ = Interactions.in_time(interactions, columns)
    parts = Parts.of(interactions, how, test, random_state)
    names, left_out = _asked(baselines, parts.train, of_ratings=set(judged) <= set(ERRORS))
    clash = [name for name in named if name in names]
    if clash:
        raise InputError(f"{clash[0]!r} is the name of a baseline: give the recommender another")
    if not named and not names:
        raise InputError("there is nothing to compare: give recommenders, or baselines=True")

    id_columns = {role: name for role, name in (("user", user), ("item", item)) if name is not None}
    tables = {role: table for role, table in (("users", users), ("items", items)) if table is not None}
    fitted: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    bar = tqdm([*named, *names], desc="fitting", disable=not verbose)
    for name in bar:
        bar.set_postfix_str(name)
        if name in named:
            model = clone(named[name])
            start = perf_counter()
            fitted[name] = model.fit(parts.train, **tables, **id_columns)
        else:
            if len(fitted) == len(named):
                if relevant is None:
                    relevant = _usual_least(fitted, parts.train)
                known: dict[str, Any] = {
                    "users": Entities.of(parts.train.users, users, "user", user),
                    "items": Entities.of(parts.train.items, items, "item", item),
                }
            model = BaselineRecommender(BASELINES[name](), relevant=relevant, n_jobs=n_jobs)
            start = perf_counter()
            fitted[name] = model.fit(parts.train, **known)
        seconds[name] = perf_counter() - start
    if relevant is None:
        relevant = _usual_least(fitted, parts.train)
    options: dict[str, Any] = {
        "k": k,
        "relevant": relevant,
        "metrics": metrics,
        "sampled": sampled,
        "confidence": confidence,
        "n_jobs": n_jobs,
        "random_state": random_state,
    }
    found = {name: evaluate(model, parts.test, **options) for name, model in fitted.items()}
    if headline is None and judged and judged[0] in ERRORS and any(one.ratings for one in found.values()):
        headline = judged[0]
    headline = _headline(headline, found)
    ordered = dict(sorted(found.items(), key=lambda pair: _place(pair[1], headline)))
    tests = _tests(ordered, headline, confidence, random_state)
    notes = [*parts.notes, *ordered[next(iter(ordered))].notes, *left_out]
    if by_default and relevant is not None:
        notes.append(f"{relevant:g} is the median of the training ratings; relevant= chooses another least rating")
    if tests:
        notes.append(f"p: paired tests against the best, {next(iter(ordered))}, over users, by Holm over the models")
    if named:
        of_ratings = any(getattr(fitted[name], "feedback_", None) == "explicit" for name in named)
        notes += beaten_by(found, set(names), of_ratings)
    return ModelComparison(ordered, fitted, seconds, tuple(names), headline, tests, parts.split, tuple(notes))


def _named(recommenders: Any) -> dict[str, Any]:
    """Recommenders by name; those of a list by what they print as."""
    if isinstance(recommenders, Mapping):
        return {str(name): model for name, model in recommenders.items()}
    several = recommenders if isinstance(recommenders, Sequence) else [recommenders]
    named: dict[str, Any] = {}
    for model in several:
        name = " ".join(repr(model).split())
        twin = 2
        while name in named:
            name = f"{' '.join(repr(model).split())} {twin}"
            twin += 1
        named[name] = model
    return named


def _asked(baselines: bool | Sequence[str], train: Interactions, of_ratings: bool) -> tuple[list[str], list[str]]:
    """The baselines to fit, and sentences on those left out; those asked for by name are never left out."""
    if isinstance(baselines, bool):
        names, left_out = feasible(train) if baselines else ([], [])
        if of_ratings:  # the others foretell none
            names = [name for name in names if BaselineRecommender(BASELINES[name]()).feedback == "explicit"]
        return names, left_out
    for name in baselines:
        if name not in BASELINES:
            raise InputError(f"baselines must be among {', '.join(BASELINES)}, got {name!r}")
    return list(dict.fromkeys(baselines)), []


def _usual_least(fitted: Mapping[str, Any], train: Interactions) -> float | None:
    """The median rating, unless all recommenders take ratings for clicks."""
    if train.ratings is None or (all(model.feedback_ == "implicit" for model in fitted.values()) and fitted):
        return None
    return float(np.median(train.ratings))


def _headline(asked: str | None, found: Mapping[str, Evaluation]) -> str:
    present = list(dict.fromkeys(metric for evaluation in found.values() for metric in evaluation.mean()))
    if asked is None:
        return next((metric for metric in present if "@" in metric), present[0])
    matches = [metric for metric in present if metric == asked or metric.startswith(f"{asked}@")]
    if not matches:
        raise InputError(f"headline must be one of {', '.join(present)}, got {asked!r}")
    return matches[0]


def _place(evaluation: Evaluation, metric: str) -> tuple[bool, float]:
    """Where a model stands: the better the smaller; those without the metric last."""
    value = evaluation.mean().get(metric, np.nan)
    if np.isnan(value):
        return True, 0.0
    return False, value if metric in LOWER_IS_BETTER else -value


def _tests(
    ordered: Mapping[str, Evaluation], headline: str, confidence: float | None, random_state: int
) -> dict[str, Comparison]:
    """Paired tests against the best by the headline and by RMSE."""
    tests, level = {}, confidence or 0.95
    lists = {
        name: RankMetrics({headline: evaluation.per_user[headline]})
        for name, evaluation in ordered.items()
        if headline in evaluation.per_user
    }
    if len(lists) > 1:
        tests[headline] = compare_models(lists, next(iter(lists)), level=level, random_state=random_state)
    rated = {name: evaluation for name, evaluation in ordered.items() if evaluation.errors is not None}
    if len(rated) > 1:
        to = min(rated, key=lambda name: _place(rated[name], "rmse"))
        losses = {name: np.square(evaluation.errors) for name, evaluation in rated.items()}  # type: ignore[arg-type]
        found: dict[tuple[str, str], PairedTest] = {
            (name, "squared error"): paired_test(
                loss, losses[to], users=rated[to].error_users, level=level, random_state=random_state
            )
            for name, loss in losses.items()
            if name != to
        }
        adjusted = holm([test.p_value for test in found.values()]).tolist()
        tests["rmse"] = Comparison(to, found, dict(zip(found, adjusted, strict=True)))
    return tests


def beaten_by(found: Mapping[str, Evaluation], baselines: set[str], of_ratings: bool) -> list[str]:
    """A sentence for each baseline that is the best in something, and what would help if it is in lists."""
    won: dict[str, list[str]] = {}
    metrics = dict.fromkeys(metric for evaluation in found.values() for metric in evaluation.mean())
    for metric in metrics:
        if "@" not in metric and metric not in LOWER_IS_BETTER:
            continue  # no aim by itself
        places = {name: _place(evaluation, metric) for name, evaluation in found.items()}
        ours = [place for name, place in places.items() if name not in baselines and not place[0]]
        best = min((name for name in places if name in baselines), key=lambda name: places[name], default=None)
        if best is not None and ours and places[best] < min(ours):
            won.setdefault(best, []).append(f"{metric} ({found[best].mean()[metric]:.4f})")
    told = [f"a baseline wins: {name} beats every recommender in {', '.join(of)}" for name, of in won.items()]
    in_lists = any("@" in metric for of in won.values() for metric in of)
    return [*told, FROM_LIKES] if of_ratings and in_lists else told
