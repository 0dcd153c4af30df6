"""What each ingredient of deep learning changes: a net with it, beside the same net with its traditional counterpart.

Nets of a few layers are fitted that differ in one ingredient, from a modern one and from a traditional one, with the
same rows, the same passes over them, and stochastic or batch gradient descent without any refinement.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.model_selection import train_test_split
from sklearn.utils import _safe_indexing
from tabulate import tabulate

from fmkit.errors import InputError
from fmkit.progress import Progress

from .mlp import MLPClassifier

CONTRASTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "activation": ({"activation": "tanh"}, {"activation": "relu"}),
    "first weights": ({"init": "constant-variance", "init_std": 0.5}, {"init": "he"}),
    "regularisation": (
        {"l1": 1e-4, "l2": 0.01, "dropout": 0.0, "batch_norm": False},
        {"l1": 0.0, "l2": 0.0, "dropout": 0.2, "batch_norm": True},
    ),
    "descent": ({"batch_size": "full"}, {"batch_size": 32}),
}
"""By ingredient, what stands for it in the traditional net, and in the modern one.

A standard deviation of 0.5 is what tanh is saturated by: of 64 inputs of variance 1, a unit gets a sum of variance 16.
"""
NAMES = {
    "activation": ("tanh", "ReLU"),
    "first weights": ("constant variance", "normalised variance"),
    "regularisation": ("L1 and L2", "dropout and batch normalisation"),
    "descent": ("batch gradient descent", "stochastic gradient descent"),
}
USUAL = {"optimizer": "sgd", "momentum": 0.0, "nesterov": False, "schedule": "constant", "learning_rate": 0.05}
WATCHED = 1000  # training rows at most whose accuracy is watched after every epoch
LEARNED = 0.1  # of the errors of guessing, under which a net has learned its rows


@dataclass(frozen=True)
class Contrasts:
    """Fits of nets that differ in their ingredients.

    Parameters
    ----------
    runs : list of dict
        A row a net and seed: `net`, `seed`, `train` and `test` accuracy, `underfit` (1 - train), `overfit` (train -
        test), `epochs` until training rows had a tenth of the errors of guessing (None if they never had), `seconds`,
        `saturation` of the most saturated layer at the end, `diverged`, and the `history` of the fit: its own, and
        `train` and `test` accuracy after every epoch.
    notes : tuple of str
    """

    runs: list[dict[str, Any]]
    notes: tuple[str, ...] = ()

    @property
    def nets(self) -> list[str]:
        """Their names, in the order that they were fitted in."""
        return list(dict.fromkeys(run["net"] for run in self.runs))

    def of(self, net: str) -> list[dict[str, Any]]:
        """The runs of a net."""
        return [run for run in self.runs if run["net"] == net]

    def table(self) -> list[dict[str, Any]]:
        """Means over the seeds, a row a net; `epochs` is the median, None if most fits did not come so far."""
        rows = []
        for net in self.nets:
            runs = self.of(net)
            row: dict[str, Any] = {"net": net}
            for name in ("test", "train", "underfit", "overfit"):
                row[name] = float(np.mean([run[name] for run in runs]))
            epochs = float(np.median([np.inf if run["epochs"] is None else run["epochs"] for run in runs]))
            row["epochs"] = None if np.isinf(epochs) else epochs
            row["seconds"] = float(np.mean([run["seconds"] for run in runs]))
            row["saturation"] = float(np.mean([run["saturation"] for run in runs]))
            row["diverged"] = sum(run["diverged"] for run in runs)
            rows.append(row)
        return rows

    def __str__(self) -> str:
        shown = [
            [row["net"], *(f"{row[name]:.3f}" for name in ("test", "train", "overfit")),
             "never" if row["epochs"] is None else f"{row['epochs']:g}", f"{row['seconds']:.1f}",
             f"{row['saturation']:.2f}", row["diverged"] or ""]
            for row in self.table()
        ]  # fmt: skip
        headers = ["net", "test", "train", "overfit", "epochs", "s", "saturated", "diverged"]
        align = ["left", *["right"] * 7]
        table = tabulate(shown, headers, disable_numparse=True, colalign=align)
        return "\n".join([table, *self.notes])

    def plot(self) -> Any:
        """Accuracies, training losses and saturation by epoch, as a matplotlib Figure."""
        from .plots import plot_contrasts

        return plot_contrasts(self)


def contrast(
    X: Any = None,
    y: ArrayLike | None = None,
    *,
    hidden_layer_sizes: Sequence[int] = (64, 64, 64, 64),
    max_epochs: int = 25,
    seeds: int = 3,
    test: float = 0.3,
    random_state: int = 0,
    progress: Callable[[str], None] | None = None,
    **parameters: Any,
) -> Contrasts:
    """Fit a modern net, a traditional one, and each with one ingredient of the other.

    Parameters
    ----------
    X, y : as of `MLPClassifier.fit`, optional
        By default the 1,797 digits of 8 x 8 pixels that come with scikit-learn.
    hidden_layer_sizes : sequence of int, default=(64, 64, 64, 64)
        Deep enough for first weights to matter.
    max_epochs : int, default=25
        Passes over the rows, the same for all nets.
    seeds : int, default=3
        Fits of each net; each has a split, first weights and orders of its own, the same for all nets.
    test : float, default=0.3
        Share of the rows that is tested, of every class alike.
    random_state : int, default=0
        Of the first seed.
    progress : callable, optional
        Is told the name of each net before its fits.
    **parameters
        Of every `MLPClassifier`, in place of its own and of `USUAL`.

    Returns
    -------
    Contrasts

    Examples
    --------
    >>> from fmkit.deep.contrasts import contrast
    >>> result = contrast(hidden_layer_sizes=(16, 16), max_epochs=2, seeds=1)
    >>> len(result.table()), result.nets[0]
    (10, 'modern')
    """
    if seeds < 1:
        raise InputError(f"seeds must be at least 1, got {seeds}")
    if X is None:
        X, y = _digits()
    runs: list[dict[str, Any]] = []
    with_gpu = torch.cuda.is_available()
    nets = {name: {**ingredients, "device": "cpu"} for name, ingredients in _nets().items()}
    if with_gpu:
        nets["modern, on a GPU"] = {**nets["modern"], "device": "cuda"}
    for name, ingredients in nets.items():
        if progress is not None:
            progress(name)
        for seed in range(random_state, random_state + seeds):
            run = fit_net(
                {**ingredients, **parameters},
                X,
                y,
                hidden_layer_sizes=hidden_layer_sizes,
                max_epochs=max_epochs,
                seed=seed,
                test=test,
            )
            runs.append({"net": name, "seed": seed, **run})
    told = () if with_gpu else ("no GPU is here: the contrast of processor and GPU is left out",)
    return Contrasts(runs, told)


def fit_net(
    parameters: dict[str, Any],
    X: Any = None,
    y: ArrayLike | None = None,
    *,
    hidden_layer_sizes: Sequence[int] = (64, 64, 64, 64),
    max_epochs: int = 25,
    seed: int = 0,
    test: float = 0.3,
    told: Callable[[dict[str, Any]], object] | None = None,
) -> dict[str, Any]:
    """Fit one of the nets that are contrasted, and watch it.

    Parameters
    ----------
    parameters : dict
        Of `MLPClassifier`, its ingredients, in place of its own and of `USUAL`.
    X, y, hidden_layer_sizes, max_epochs, test
        As of `contrast`.
    seed : int, default=0
        Of the split, first weights and orders.
    told : callable, optional
        Is told the row of the history of every epoch, as soon as it is over.

    Returns
    -------
    dict
        As a row of `Contrasts.runs`, without `net` and `seed`.

    Examples
    --------
    >>> from fmkit.deep.contrasts import fit_net
    >>> run = fit_net({"activation": "tanh"}, hidden_layer_sizes=(16,), max_epochs=3)
    >>> [row["epoch"] for row in run["history"]], bool(run["test"] > 0.5)
    ([1, 2, 3], True)
    """
    if X is None:
        X, y = _digits()
    y = np.asarray(y)
    codes = np.unique(y, return_inverse=True)[1]
    train, tested = train_test_split(np.arange(len(codes)), test_size=test, random_state=seed, stratify=codes)
    model = MLPClassifier(
        hidden_layer_sizes,
        max_epochs=max_epochs,
        tell_saturation=True,
        random_state=seed,
        **{**USUAL, **parameters},
    )
    return _run(model, X, y, train, tested, told)


def _digits() -> tuple[Any, Any]:
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X, y


def _nets() -> dict[str, dict[str, Any]]:
    """Parameters by name: all modern, each with one traditional ingredient, and the other way about."""
    poles: list[dict[str, Any]] = [{}, {}]
    for sides in CONTRASTS.values():
        for pole, side in zip(poles, sides, strict=True):
            pole.update(side)
    traditional, modern = poles
    nets = {"modern": modern}
    for name, (old, _) in CONTRASTS.items():
        nets[f"modern, but {NAMES[name][0]}"] = {**modern, **old}
    nets["traditional"] = traditional
    for name, (_, new) in CONTRASTS.items():
        nets[f"traditional, but {NAMES[name][1]}"] = {**traditional, **new}
    return nets


def _run(
    model: MLPClassifier, X: Any, y: Any, train: Any, tested: Any, told: Callable[[dict[str, Any]], object] | None
) -> dict[str, Any]:
    guess = float(np.unique(y[train], return_counts=True)[1].max() / len(train))
    X_train, X_test = (_safe_indexing(X, some) for some in (train, tested))
    watched, history = train[:WATCHED], []  # in random order

    def watch(progress: Progress[Any]) -> None:
        rows = {"train": (_safe_indexing(X, watched), y[watched]), "test": (X_test, y[tested])}
        history.append({name: model.score(*some) for name, some in rows.items()})
        if told is not None:
            own = {"epoch": progress.sweep, "train_loss": progress.train_loss, "seconds": progress.seconds}
            told({**own, **progress.facts, **history[-1]})

    model.set_params(callbacks=[watch])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that it begins again at half the rate
            model.fit(X_train, y[train])
    except InputError as error:
        if "not finite" not in str(error):
            raise
        return {
            "train": guess, "test": guess, "underfit": 1 - guess, "overfit": 0.0, "epochs": None, "seconds": np.nan,
            "saturation": np.nan, "diverged": True, "history": [],
        }  # fmt: skip
    accuracy = {"train": model.score(X_train, y[train]), "test": model.score(X_test, y[tested])}
    learned = [epoch for epoch, row in enumerate(history, 1) if 1 - row["train"] < LEARNED * (1 - guess)]
    saturated = model.history_[-1]["saturation"]
    return {
        **accuracy,
        "underfit": 1 - accuracy["train"],
        "overfit": accuracy["train"] - accuracy["test"],
        "epochs": learned[0] if learned else None,
        "seconds": model.history_[-1]["seconds"],
        "saturation": max(saturated.values(), default=0.0),
        "diverged": False,
        "history": [{**own, **accuracies} for own, accuracies in zip(model.history_, history, strict=True)],
    }
