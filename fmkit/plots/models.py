"""Models side by side: a bar a model, its interval, and which of them are baselines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fmkit.errors import InputError
from fmkit.plots.style import COLOURS, axes_of, short, tidied

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fmkit.recommend.comparison import ModelComparison
    from fmkit.recommend.evaluation import Evaluation

LOWER = "lower is better"


def comparison(
    result: ModelComparison | Mapping[str, Evaluation], metric: str | None = None, *, ax: Axes | None = None
) -> Axes:
    """A metric of several models with its bootstrap intervals, best on top, baselines hatched.

    Parameters
    ----------
    result : ModelComparison, or mapping of str to Evaluation
        As `fmkit.recommend.compare` gives it; or evaluations of one test part, by name, of which "EASE" and the like
        are baselines.
    metric : str, optional
        By default the headline; of evaluations, the first that they have.
    ax : matplotlib Axes, optional

    Returns
    -------
    ax : matplotlib Axes

    Raises
    ------
    InputError
        If no model has the metric.

    Examples
    --------
    >>> import numpy as np
    >>> from fmkit import plots
    >>> from fmkit.recommend import compare
    >>> rng = np.random.default_rng(0)
    >>> clicks = {"user": rng.integers(0, 50, 600), "item": (30 * rng.random(600) ** 2).astype(int)}
    >>> ax = plots.comparison(compare({}, clicks, baselines=["Popularity", "EASE"]))
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['Popularity', 'EASE']
    """
    from fmkit.recommend.comparison import LOWER_IS_BETTER
    from fmkit.recommend.rivals import BASELINES

    evaluations = result if isinstance(result, Mapping) else result.evaluations
    baselines = tuple(BASELINES) if isinstance(result, Mapping) else result.baselines
    means = {name: evaluation.mean() for name, evaluation in evaluations.items()}
    if not means:
        raise InputError("there is no model to compare: give an evaluation or more")
    present = list(dict.fromkeys(one for of_model in means.values() for one in of_model))
    if metric is None:
        metric = present[0] if isinstance(result, Mapping) else result.headline
    names = [name for name in means if metric in means[name]]
    if not names:
        raise InputError(f"no model has {metric!r}: metrics are {', '.join(present)}")
    lower = metric in LOWER_IS_BETTER
    if isinstance(result, Mapping) or metric != result.headline:
        names.sort(key=lambda name: means[name][metric] if lower else -means[name][metric])
    ax = axes_of(ax, 7.2, 1.4 + 0.45 * len(names))
    told, far = set(), 0.0
    for place, name in enumerate(names):
        value, ends = means[name][metric], evaluations[name].intervals.get(metric)
        baseline = name in baselines
        label = "baseline" if baseline else "recommender"
        ax.barh(
            place,
            value,
            height=0.7,
            color=COLOURS[1] if baseline else COLOURS[0],
            hatch="//" if baseline else None,
            edgecolor="white",
            label=None if label in told else label,
        )
        told.add(label)
        reach = value
        if ends is not None:
            ax.errorbar(value, place, xerr=[[value - ends[0]], [ends[1] - value]], color="black", capsize=3, fmt="none")
            reach = max(value, ends[1])
        far = max(far, reach)
        ax.annotate(f"{value:.3f}", (reach, place), (5, 0), textcoords="offset points", va="center")
    ax.set_yticks(range(len(names)), [short(name) for name in names])
    ax.tick_params(axis="y", length=0)
    ax.invert_yaxis()  # the best on top
    ax.set_xlim(min(0, *ax.get_xlim()), 1.13 * far or None)
    confidence = next(iter(evaluations.values())).confidence
    with_ends = f", with {confidence:.0%} intervals over users" if confidence else ""
    ax.set_xlabel(metric + with_ends + f"; {LOWER}" * lower)
    if len(told) > 1:
        ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0)
    return tidied(ax)
