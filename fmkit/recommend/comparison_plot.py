"""The picture of a comparison: a bar a model, its interval, and which of them are baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fmkit.recommend.comparison import ModelComparison

# Of Okabe and Ito, told apart by all; the hatch tells baselines in print as well.
BLUE, ORANGE = "#0072B2", "#E69F00"


def draw_comparison(comparison: ModelComparison, metric: str, ax: Any = None) -> Any:
    """Draw one metric.

    Parameters
    ----------
    comparison : ModelComparison
    metric : str
    ax : matplotlib Axes, optional

    Returns
    -------
    ax : matplotlib Axes
    """
    try:
        from matplotlib import pyplot
    except ImportError:
        raise ImportError("plots need matplotlib: pip install 'fmkit[plots]'") from None
    rows = [
        (name, evaluation.mean()[metric], evaluation.intervals.get(metric))
        for name, evaluation in comparison.evaluations.items()
        if metric in evaluation.mean()
    ]
    if not rows:
        raise ValueError(f"no model has {metric!r}: metrics are {', '.join(_present(comparison))}")
    if ax is None:
        ax = pyplot.subplots(figsize=(7, 0.9 + 0.45 * len(rows)), layout="constrained")[1]
    told = set()
    for place, (name, value, ends) in enumerate(rows):
        baseline = name in comparison.baselines
        label = "baseline" if baseline else "recommender"
        ax.barh(
            place,
            value,
            color=ORANGE if baseline else BLUE,
            hatch="//" if baseline else None,
            edgecolor="white",
            label=None if label in told else label,
        )
        told.add(label)
        reach = value
        if ends is not None:
            ax.errorbar(value, place, xerr=[[value - ends[0]], [ends[1] - value]], color="black", capsize=3, fmt="none")
            reach = max(value, ends[1])
        ax.annotate(f"{value:.3f}", (reach, place), (5, 0), textcoords="offset points", va="center")
    ax.set_yticks(range(len(rows)), [name if len(name) <= 40 else name[:39] + "…" for name, _, _ in rows])
    ax.invert_yaxis()  # the best on top
    ax.margins(x=0.15)
    confidence = next(iter(comparison.evaluations.values())).confidence
    ax.set_xlabel(metric + (f", with {confidence:.0%} intervals over users" if confidence else ""))
    ax.spines[["top", "right"]].set_visible(False)
    if len(told) > 1:
        ax.legend(frameon=False, loc="lower right")
    return ax


def _present(comparison: ModelComparison) -> list[str]:
    return list(dict.fromkeys(name for evaluation in comparison.evaluations.values() for name in evaluation.mean()))
