"""Figures of nets: how a training went, what is confused with what, which units are saturated, what contrasts show.

All return a matplotlib Figure; none opens a window.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import confusion_matrix

from fmkit.errors import InputError
from fmkit.plots.style import COLOURS, SEQUENTIAL, figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .contrasts import Contrasts


def plot_history(model: Any) -> Figure:
    """Losses of the rows trained on and set aside, and the learning rate, by epoch.

    Parameters
    ----------
    model : fitted estimator of fmkit.deep
    """
    history = _history(model)
    made = figure(6.4, 4)
    ax = made.subplots()
    epochs = [row["epoch"] for row in history]
    for name, label in (("train_loss", "trained on"), ("validation_loss", "set aside")):
        values: list[Any] = [row.get(name) for row in history]
        if all(value is not None for value in values):
            ax.plot(epochs, values, label=label, color=COLOURS[name == "validation_loss"])
    if all(row["train_loss"] > 0 for row in history):
        ax.set_yscale("log")
    ax.set(xlabel="epoch", ylabel="mean loss")
    rates: list[Any] = [row.get("learning_rate") for row in history]
    if all(rate is not None for rate in rates):
        right = ax.twinx()
        right.plot(epochs, rates, color="0.6", linestyle=":", label="learning rate")
        right.set(ylabel="learning rate (dotted)", ylim=(0, None))
        right.spines["top"].set_visible(False)
    ax.legend(frameon=False)
    ax.spines["top"].set_visible(False)
    return made


def plot_confusion(y: ArrayLike, predicted: ArrayLike) -> Figure:
    """How often each class was taken for each: shares of the rows of a class, counts written in.

    Parameters
    ----------
    y, predicted : array-like of shape (n_rows,)
        Labels, and those that a classifier gave.
    """
    labels = np.unique(np.concatenate([np.asarray(y), np.asarray(predicted)]))
    counts = confusion_matrix(y, predicted, labels=labels)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(3.0, 0.5 * len(labels) + 1.5)
    made = figure(side, side)
    ax = made.subplots()
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = "white" if shares[row, column] > 0.5 else "black"
        ax.text(column, row, f"{counts[row, column]}", ha="center", va="center", color=colour)
    names = [str(label) for label in labels]
    ax.set_xticks(range(len(labels)), names, rotation=45 if max(map(len, names)) > 3 else 0)
    ax.set_yticks(range(len(labels)), names)
    ax.set(xlabel="predicted", ylabel="true")
    return made


def plot_saturation(model: Any) -> Figure:
    """Share of units whose activation is flat, |f'| < 0.05, by layer and epoch.

    Parameters
    ----------
    model : fitted estimator of fmkit.deep, with tell_saturation=True
    """
    history = _history(model)
    if "saturation" not in history[0]:
        raise InputError("the fit did not tell saturation: fit with tell_saturation=True")
    layers = list(history[0]["saturation"])
    shares = np.array([[row["saturation"][layer] for row in history] for layer in layers])
    made = figure(6.4, 1.2 + 0.4 * len(layers))
    ax = made.subplots()
    image = ax.imshow(shares, aspect="auto", cmap=SEQUENTIAL, vmin=0, vmax=1, extent=(0.5, len(history) + 0.5, 0, 1))
    ax.set_yticks((np.arange(len(layers))[::-1] + 0.5) / len(layers), [f"layer {n}" for n in range(1, len(layers) + 1)])
    ax.set(xlabel="epoch")
    made.colorbar(image, ax=ax, label="share of units that are saturated")
    return made


def plot_gates(model: Any, sequence: Any, labels: Sequence[str] | None = None, layer: int = 0) -> Figure:
    """What the gates of a recurrent net let through, a step at a time: a row a unit, and above them the units' mean.

    Parameters
    ----------
    model : fitted RNNClassifier or RNNRegressor, with gates
    sequence : one sequence, as of `fit`
    labels : sequence of str, optional
        Of the steps, such as words.
    layer : int, default=0
        Of the forward direction.
    """
    traces = {name: values for name, values in model.gates([sequence])[0].items() if name not in ("state", "cell")}
    n_steps = next(iter(traces.values())).shape[2]
    if not n_steps:
        raise InputError("the sequence has no step whose gates could be shown")
    if labels is not None and len(labels) != n_steps:
        raise InputError(f"labels must be one a step: {len(labels)} for {n_steps} steps")
    made = figure(max(5.0, min(14.0, 0.35 * n_steps)), 2.6 * len(traces))
    axes = made.subplots(2 * len(traces), 1, sharex=True, height_ratios=[1, 2.6] * len(traces))
    for number, (name, values) in enumerate(traces.items()):
        mean, units = axes[2 * number], axes[2 * number + 1]
        of_layer = values[layer, 0]  # steps x units
        mean.plot(range(n_steps), of_layer.mean(axis=1), color=COLOURS[number])
        mean.set(ylabel="mean", ylim=(0, 1), title=f"{name} gate")
        mean.spines[["top", "right"]].set_visible(False)
        order = np.argsort(of_layer.mean(axis=0), kind="stable")
        image = units.imshow(of_layer[:, order].T, aspect="auto", cmap=SEQUENTIAL, vmin=0, vmax=1)
        units.set(ylabel="units")
    if labels is not None:
        axes[-1].set_xticks(range(n_steps), labels, rotation=60, ha="right")
    else:
        axes[-1].set_xlabel("step")
    made.colorbar(image, ax=list(axes), label="share that is let through")
    return made


def plot_contrasts(result: Contrasts) -> Figure:
    """Accuracy of trained and of tested rows by net, and tested accuracy and saturation by epoch of the two poles.

    Parameters
    ----------
    result : Contrasts
    """
    rows = result.table()
    made = figure(12, 1.6 + 0.36 * len(rows))
    parts: Any = made.subfigures(1, 2, width_ratios=(1.35, 1))
    left, right = parts
    ax = left.subplots()
    for place, row in enumerate(rows):
        ax.plot([row["test"], row["train"]], [place, place], color="0.75", zorder=1)
        of_seeds = [run["test"] for run in result.of(row["net"])]
        ax.scatter(of_seeds, [place] * len(of_seeds), s=8, color=COLOURS[0], alpha=0.5)
    places = range(len(rows))
    ax.scatter([row["test"] for row in rows], places, color=COLOURS[0], label="tested (dots: seeds)", zorder=2)
    ax.scatter(
        [row["train"] for row in rows], places, facecolors="white", edgecolors=COLOURS[1], label="trained on", zorder=2
    )
    ax.set_yticks(places, [row["net"] for row in rows])
    ax.invert_yaxis()
    ax.set(xlabel="accuracy")
    ax.grid(axis="x", color="0.92")
    left.legend(frameon=False, loc="outside upper right", ncols=2)
    upper, lower = right.subplots(2, 1, sharex=True)
    for number, net in enumerate(result.nets):
        pole = net in ("modern", "traditional")
        style: dict[str, Any] = {"color": COLOURS[net.startswith("traditional")], "linewidth": 2 if pole else 0.8}
        label = net if pole else None
        for axis, curve in ((upper, _mean_curve(result.of(net), _tested)), (lower, _mean_curve(result.of(net), _most))):
            axis.plot(range(1, len(curve) + 1), curve, label=label, alpha=1 if pole else 0.4, zorder=-number, **style)
    upper.set(ylabel="accuracy, tested", ylim=(0, 1))
    lower.set(ylabel="most saturated layer", ylim=(0, 1), xlabel="epoch (thin: one ingredient changed)")
    upper.legend(frameon=False, loc="lower right")
    for axis in (ax, upper, lower):
        axis.spines[["top", "right"]].set_visible(False)
    return made


def _tested(row: dict[str, Any]) -> float:
    return float(row["test"])


def _most(row: dict[str, Any]) -> float:
    return float(max(row["saturation"].values(), default=0.0))


def _mean_curve(runs: Sequence[dict[str, Any]], value: Any) -> NDArray[np.float64]:
    """Of the runs that came to their end, by epoch."""
    curves = [[value(row) for row in run["history"]] for run in runs if run["history"]]
    return np.mean(curves, axis=0) if curves else np.empty(0)


def _history(model: Any) -> list[dict[str, Any]]:
    history: list[dict[str, Any]] = getattr(model, "history_", [])
    if not history:
        raise InputError(f"{type(model).__name__} has no history: fit it first")
    return history
