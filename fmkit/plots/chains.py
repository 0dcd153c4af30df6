"""Traces of chains, with what tells whether they were long enough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fmkit.errors import InputError
from fmkit.plots.style import COLOURS, axes_of, panels, tidied

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 6  # quantities by default


def traces(models: Any, *, names: Sequence[str] | None = None, ax: Axes | None = None) -> Axes:
    """What a chain is watched by, sweep by sweep, with R-hat and the effective sample size of each.

    A panel a quantity; the burn-in, which counts for nothing, is grey. A settled chain is a level band without a
    trend, and R-hat is about 1. Of a variational fit the bound is shown, which should have come to rest.

    Parameters
    ----------
    models : fitted FMRegressor, FMClassifier or FMOrdinal by "mcmc" or "vb", or sequence of such
        Several are chains of one posterior, fits to the same rows with other random states: R-hat is then of all.
    names : sequence of str, optional
        Of the quantities, as in `trace_`; by default the six with the largest R-hat.
    ax : matplotlib Axes, optional

    Returns
    -------
    ax : matplotlib Axes
        Its `child_axes` are the panels, from top to bottom.

    Examples
    --------
    >>> import numpy as np
    >>> from fmkit import FMRegressor, plots
    >>> X, y = np.eye(4)[np.arange(80) % 4], np.random.default_rng(0).standard_normal(80)
    >>> model = FMRegressor(0, solver="mcmc", max_iter=50, random_state=0).fit(X, y)
    >>> [panel.get_title(loc="left").partition(":")[0] for panel in plots.traces(model, names=["noise"]).child_axes]
    ['noise']
    """
    from fmkit.solvers.diagnostics import R_HAT, bulk_size, split_r_hat

    several = list(models) if isinstance(models, list | tuple) else [models]
    several = [model[-1] if hasattr(model, "steps") else model for model in several]
    if not several:
        raise InputError("there is no chain to draw: give a fitted model, or several")
    if len(several) > len(COLOURS):
        raise InputError(f"colours tell {len(COLOURS)} chains apart, these are {len(several)}: draw fewer of them")
    kept = [_trace(model) for model in several]
    n = min(map(len, kept))
    chain = several[0].solver == "mcmc" if hasattr(several[0], "solver") else True
    burn_in = max(model._burn_in(len(trace)) for model, trace in zip(several, kept, strict=True)) if chain else 0
    found = {}
    for name in kept[0][-1] if names is None else names:
        if any(name not in trace[-1] for trace in kept):
            raise InputError(f"there is no trace of {name!r}: there are {', '.join(map(repr, kept[0][-1]))}")
        values = [np.array([row[name] for row in trace]) for trace in kept]
        draws = np.stack([one[burn_in:n] for one in values])
        found[name] = values, split_r_hat(draws), bulk_size(draws)
    if names is None:
        order = sorted(found, key=lambda name: -found[name][1] if np.isfinite(found[name][1]) else 0.0)
        shown = order[:MOST]
        found = {name: found[name] for name in found if name in shown}
    ax = axes_of(ax, 8.5, 0.6 + 1.45 * len(found))
    drawn = panels(ax, len(found), 1, (0.42, 0))
    for panel, (name, (values, r_hat, size)) in zip(drawn, found.items(), strict=True):
        for number, one in enumerate(values):
            panel.plot(range(1, len(one) + 1), one, color=COLOURS[number], linewidth=0.9)
        if burn_in:
            panel.axvspan(0.5, burn_in + 0.5, color="0.9", zorder=0, linewidth=0)
        rest = np.concatenate([one[burn_in:] for one in values])
        if chain and len(rest):  # the first sweeps come from far away, and would flatten all others
            low, high = rest.min(), rest.max()
            margin = 0.35 * (high - low) or 0.5
            panel.set_ylim(low - margin, high + margin)
        told = f"R-hat {r_hat:.2f}{' (above 1.05: too short)' * (r_hat > R_HAT)}, worth {size:.0f} independent draws"
        panel.set_title(f"{name}: {told}" if chain and np.isfinite(r_hat) else name, loc="left", fontsize="medium")
        panel.set_xlim(0.5, max(len(one) for one in values) + 0.5)
        panel.locator_params(axis="y", nbins=4)
        panel.yaxis.set_major_formatter("{x:,.4g}")
        panel.tick_params(labelbottom=panel is drawn[-1])
        tidied(panel)
    drawn[-1].set_xlabel("sweep" + "; the burn-in is grey" * bool(burn_in) + "; a colour a chain" * (len(several) > 1))
    return ax


def _trace(model: Any) -> list[dict[str, float]]:
    trace: list[dict[str, float]] = getattr(model, "trace_", [])
    if not trace:
        raise InputError(
            f"this {type(model).__name__} keeps no trace: fit FMRegressor, FMClassifier or FMOrdinal with "
            "solver='mcmc' or solver='vb'"
        )
    return trace
