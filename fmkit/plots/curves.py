"""How trainings went, several beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fmkit.errors import InputError
from fmkit.plots.style import COLOURS, MARKERS, axes_of, short, tidied

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UNITS = ("epoch", "sweep", "batch")  # what a row of a history is of
TRAINED, ASIDE = "trained on", "set aside"


def training(fits: Any, *, ax: Axes | None = None) -> Axes:
    """Losses by sweep, epoch or batch: dashed of the rows trained on, solid of those set aside, whose lowest is marked.

    Parameters
    ----------
    fits : fitted estimator, sequence of them, or mapping of name to estimator
        Of fmkit, machines and nets alike, or pipelines that end with one; at most seven. In place of an estimator its
        `history_` may be given. What each loss is, the estimator says: curves of different losses tell nothing of
        each other.
    ax : matplotlib Axes, optional

    Returns
    -------
    ax : matplotlib Axes

    Raises
    ------
    InputError
        If a fit has no history of passes.

    Examples
    --------
    >>> import numpy as np
    >>> from fmkit import FMRegressor, plots
    >>> X, y = np.eye(4)[np.arange(80) % 4], np.arange(80) % 4
    >>> fits = {f"{k} factors": FMRegressor(k, max_iter=5, random_state=0).fit(X, y) for k in (1, 2)}
    >>> ax = plots.training(fits)
    >>> [line.get_label() for line in ax.get_lines()]
    ['1 factors', '2 factors']
    """
    named = _named(fits)
    if len(named) > len(COLOURS):
        raise InputError(f"colours tell {len(COLOURS)} fits apart, these are {len(named)}: draw fewer of them")
    curves = {name: _history(name, fit) for name, fit in named.items()}
    ax = axes_of(ax, 7, 4.3)
    from matplotlib.ticker import MaxNLocator

    both, lowest, highest, unit = False, float("inf"), 0.0, "sweep"
    for (name, history), colour, marker in zip(curves.items(), COLOURS, MARKERS, strict=False):
        unit = next(one for one in UNITS if one in history[0])
        drawn = {key: _points(history, key, unit) for key in ("train_loss", "running_loss", "validation_loss")}
        aside = drawn.pop("validation_loss")
        trained = drawn["train_loss"] if drawn["train_loss"][0] else drawn["running_loss"]
        both = both or bool(aside[0])
        style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 4}
        if trained[0]:
            often = max(1, len(trained[0]) // 8)
            label = None if aside[0] else short(name)
            ax.plot(*trained, "--", label=label, linewidth=1.2, markevery=often, **style)
        if aside[0]:
            ax.plot(*aside, "-", label=short(name), linewidth=2, markevery=max(1, len(aside[0]) // 8), **style)
            best = min(range(len(aside[1])), key=aside[1].__getitem__)
            ax.plot(aside[0][best], aside[1][best], marker=marker, color=colour, markersize=9, markeredgecolor="white")
        values = trained[1] + aside[1]
        lowest, highest = min([lowest, *values]), max([highest, *values])
    if 0 < lowest < highest / 10:  # or the end would lie flat on the axis
        ax.set_yscale("log")
    ax.set(xlabel=unit, ylabel="mean loss", xlim=(0, None))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    _explain(ax, len(curves), both)
    return tidied(ax)


def _explain(ax: Axes, n_fits: int, both: bool) -> None:
    """The legend: fits by colours, and what the kinds of lines are."""
    from matplotlib.lines import Line2D

    handles, labels = ax.get_legend_handles_labels()
    if both:
        if n_fits == 1:
            handles, labels = [], []
        handles += [
            Line2D([], [], color="0.35", linewidth=2),
            Line2D([], [], color="0.35", linestyle="--", linewidth=1.3),
        ]
        labels = [*labels, ASIDE, TRAINED]
    else:
        ax.set_ylabel(f"mean loss of the rows {TRAINED}")
    if n_fits > 1 or both:
        ax.legend(handles, labels, frameon=False)


def _named(fits: Any) -> dict[str, Any]:
    if isinstance(fits, Mapping):
        named = {str(name): fit for name, fit in fits.items()}
    else:
        history = isinstance(fits, list) and bool(fits) and isinstance(fits[0], Mapping)
        several = [fits] if history or hasattr(fits, "fit") else list(fits)
        named = {}
        for fit in several:
            name = type(fit).__name__ if hasattr(fit, "fit") else "fit"
            named[name if name not in named else f"{name} {len(named) + 1}"] = fit
    if not named:
        raise InputError("there is no fit to draw: give a fitted estimator, or several")
    return named


def _history(name: str, fit: Any) -> Sequence[dict[str, Any]]:
    fit = fit[-1] if hasattr(fit, "steps") else fit
    if hasattr(fit, "interactions_"):
        raise InputError(f"{name} keeps no history of its fit: fit an estimator by itself to see its training")
    history = fit if isinstance(fit, list) else getattr(fit, "history_", [])
    if not len(history):
        raise InputError(f"{name} has no history: fit it first")
    if not {"train_loss", "running_loss"} & history[0].keys() or not history[0].keys() & set(UNITS):
        raise InputError(f"{name} has a history of trials, not of passes over the data: it has no training curve")
    return list(history)


def _points(history: Sequence[dict[str, Any]], key: str, unit: str) -> tuple[list[float], list[float]]:
    told = [(float(row[unit]), float(row[key])) for row in history if row.get(key) is not None]
    return [x for x, _ in told], [y for _, y in told]
