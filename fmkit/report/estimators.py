"""The parts of a report on an estimator: a machine, a net, a ranker, a restorer, or a pipeline that ends with one."""

from __future__ import annotations

from typing import Any

import numpy as np

from fmkit import plots
from fmkit.errors import InputError
from fmkit.report.figures import drawn, whole
from fmkit.report.page import Html, Section, bullets, paragraph, table

STRONGEST = 20  # columns that are told
KINDS = {
    "FMRegressor": "foretells a number for each row, by a factorization machine",
    "FMClassifier": "tells the class of each row, by a factorization machine",
    "FMOrdinal": "tells which of several ordered classes a row is of, by a factorization machine",
    "FMRanker": "ranks items for each query, by factorization",
    "MLPRegressor": "foretells numbers for each row, by a net",
    "MLPClassifier": "tells the class of each row, by a net",
    "CNNClassifier": "tells the class of a picture, by a convolutional net",
    "RNNClassifier": "tells the class of a sequence, by a recurrent net",
    "RNNRegressor": "foretells numbers for a sequence, by a recurrent net",
    "ImageRestorer": "fills the lost pixels of pictures of one kind",
    "TableEncoder": "makes numbers of the columns of tables, for another model",
}


def last_of(model: Any) -> Any:
    """Of a pipeline, what makes the predictions."""
    return model[-1] if hasattr(model, "steps") else model


def about(model: Any) -> str:
    """In two sentences."""
    last = last_of(model)
    words = [f"This model, {type(last).__name__}, {KINDS.get(type(last).__name__, 'was fitted by fmkit')}."]
    n = getattr(last, "n_features_in_", None)
    if n is not None and not hasattr(last, "n_channels_"):
        words.append(f"It was fitted to rows of {n:,} {'columns' if n != 1 else 'column'}.")
    what = "pictures" if hasattr(last, "n_channels_") else "rows"
    words.append(f"The file does not hold the {what} that it was fitted to, nor the day of the fit.")
    return " ".join(words)


def columns(model: Any) -> Section | None:
    """How the columns of a table were read."""
    features = getattr(model[0] if hasattr(model, "steps") else model, "features_", None)
    if features is None:
        return None
    rows = [[one.column, one.kind, one.n_columns, one.why] for one in features]
    lead = "The columns of the table that the model takes, what they were taken for, and why."
    return Section("The data", lead, (table(["column", "kind", "numbers", "why"], rows),))


def fit(model: Any) -> Section | None:
    """The training, as far as it was kept."""
    last = last_of(model)
    if not hasattr(last, "history_"):
        return None
    body: list[Html] = []
    lead = "How the fit went, pass by pass over the data."
    try:
        body.append(
            drawn(
                lambda ax: plots.training(last, ax=ax),
                "Mean loss by pass or batch",
                6.6,
                3.8,
                "The loss should fall and then lie flat. Where rows were set aside, their loss is what counts.",
            )
        )
    except InputError:  # a ranker keeps trials, a merged machine nothing
        trials = last.history_
        if trials:
            lead = "What was tried, and what came of it on a part set aside."
            keys = list(dict.fromkeys(key for row in trials for key in row))
            body.append(table(keys, (["" if row.get(key) is None else row[key] for key in keys] for row in trials)))
    if getattr(last, "trace_", None):
        if hasattr(last, "diagnostics"):
            body.append(paragraph(f"Was it long enough? By its own reckoning {last.diagnostics()}."))
        body.append(
            whole(
                lambda: plots.traces(last),
                "What the fit is watched by, sweep by sweep",
                "Each panel should be a level band without a trend; the grey part counts for nothing.",
            )
        )
    return Section("The fit", lead, tuple(body)) if body else None


def inside(model: Any) -> Section | None:
    """What the model is made of: the strongest columns of a machine, the layers of a net."""
    last = last_of(model)
    if hasattr(last, "net_"):
        return _net(last)
    machines = getattr(last, "machines_", None) or [getattr(last, "machine_", None)]
    machine = machines[0]
    if len(machines) > 1 or not hasattr(machine, "linear"):  # of several classes, one each
        return None
    names = _names(model, len(machine.linear))
    strength = np.sqrt(np.square(machine.factors.astype(np.float64)).sum(axis=tuple(range(1, machine.factors.ndim))))
    order = np.argsort(-np.abs(machine.linear), kind="stable")[:STRONGEST]
    rows = [[names[j], float(machine.linear[j]), float(strength[j])] for j in order]
    lead = (
        "What columns add by themselves, the largest first, and how much each has to do with others. "
        "Of a column of zeros and ones, the weight is what its one adds to the answer."
    )
    return Section("What counts", lead, (table(["column", "weight", "length of its factors"], rows),))


def _net(net: Any) -> Section:
    from fmkit.deep.network_plots import plot_network

    figure = whole(lambda: plot_network(net), "The layers of the net")
    lead = "The net from what comes in at the left to the answer at the right; the larger a block, the more it holds."
    return Section("What is inside", lead, (figure,))


def _names(model: Any, n: int) -> list[str]:
    last = last_of(model)
    if hasattr(model, "steps") and len(model.steps) > 1:
        found = [str(name) for name in model[:-1].get_feature_names_out()]
    else:
        found = [str(name) for name in getattr(last, "feature_names_in_", [])]
    return found if len(found) == n else [f"column {j}" for j in range(n)]


def pictures(model: Any) -> Section:
    """What a restorer learned of its pictures."""
    learned = model.model_
    told = [
        f"{model.n_channels_} colour channel{'s' * (model.n_channels_ != 1)}, the first of the pictures "
        f"{model.n_features_in_:,} pixels wide",
        f"noise of {learned.noise:.2g} in units of 1/255 of the range",
    ]
    body = [bullets(told)]
    if learned.correlation is not None:
        body.append(
            drawn(
                lambda ax: _draw_correlation(ax, np.asarray(learned.correlation)),
                "How alike pixels are by their distance",
                5.2,
                4.2,
                "The farther out the bright part reaches, the better holes can be filled.",
            )
        )
    lead = "What the pictures of the fit have in common, and by which others of their kind are restored."
    return Section("What it learned", lead, tuple(body))


def _draw_correlation(ax: Any, correlation: Any) -> None:
    from fmkit.plots.style import SEQUENTIAL

    height, width = correlation.shape
    reach = (-width / 2, width / 2, height / 2, -height / 2)
    image = ax.imshow(correlation, cmap=SEQUENTIAL, extent=reach, vmax=1, aspect="auto")
    ax.set(xlabel="columns apart", ylabel="rows apart")
    ax.figure.colorbar(image, ax=ax, label="correlation")
