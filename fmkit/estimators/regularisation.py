"""Paths over regularisations: from the strongest on, each machine the start of the next, judged on rows set aside.

Weaker penalties only let more in: the machine before is a start that few sweeps finish. But dimensions that a strong
penalty has held at zero would stay there, all slopes being zero: a tenth of the noise that factors start from by
themselves is added each time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.utils.validation import validate_data

from fmkit.design import Design
from fmkit.machine import FactorizationMachine
from fmkit.solvers.losses import Loss
from fmkit.solvers.penalties import column_units

if TYPE_CHECKING:
    from fmkit.estimators.common import FMEstimator

Floats = NDArray[np.float32]

# From twice the default of .9, which leaves next to no interactions, to a sixteenth of it, by the square root of 2.
PATH = tuple(float(round(1.8 * 2 ** (-step / 2), 3)) for step in range(11))
FIRST, LATER = 20, 8  # sweeps; as many of shaken ones, half of which are averaged
SHARE, AT_LEAST = 0.05, 1000  # of the rows that are set aside, but a fifth of few rows
PATIENCE = 2  # steps that make it no better, after which a path that is to find one value ends


def walk(
    estimator: FMEstimator,
    values: Sequence[Any],
    design: Design,
    y: Floats,
    weights: Floats | None,
    offset: float,
    bias: float,
    spread: float,
    rng: np.random.Generator,
    loss: Callable[[FactorizationMachine], float],
) -> Iterator[dict[str, Any]]:
    """Fit a machine for each of `values`; yields the rows of `regularisation_path`.

    Parameters
    ----------
    estimator : FMEstimator
    values : sequence of float or array-like
        Of `reg_factors`, the strongest first.
    design, y, weights, offset, bias, spread, rng
        As for `FMEstimator._fit_machine`.
    loss : callable
        Of a machine on other rows, in the user's units.
    """
    scale = 0.1 if estimator.init_scale is None else estimator.init_scale
    noise = np.float32(0.1 * scale * np.sqrt(spread)) / column_units(design, weights)[:, None]
    same = {"warm_start": True, "early_stopping": False, "callbacks": None, "checkpoint": None, "verbose": 0}
    machine: FactorizationMachine | None = None
    for value in values:
        start, n_sweeps = time.perf_counter(), FIRST if machine is None else LATER
        if machine is not None:
            machine = machine.copy()
            machine.factors += noise * rng.standard_normal(machine.factors.shape, dtype=np.float32)
        step = clone(estimator).set_params(reg_factors=value, **same)
        fit = step._fit_machine(design, y, weights, offset, bias, spread, machine, rng, n_sweeps)
        machine = fit.machine
        yield {
            "reg_factors": value,
            "train_loss": fit.record.history[-1]["train_loss"],
            "validation_loss": loss(machine),
            "seconds": time.perf_counter() - start,
            "machine": machine,
        }


def choose(
    estimator: FMEstimator,
    design: Design,
    y: Floats,
    weights: Floats | None,
    offset: float,
    bias: float,
    spread: float,
    rng: np.random.Generator,
) -> float:
    """The `reg_factors` that is best on a few percent of the rows, for a machine fitted to the others.

    Between the steps of the path it is where a parabola through the best and its neighbours, in logarithms, is lowest.
    Parameters are those of `FMEstimator._fit_machine`.
    """
    from fmkit.estimators.common import mean_loss

    n = design.n_rows
    if n < 2:
        raise ValueError("reg_factors='auto' needs at least two rows, one to fit and one to set aside; got 1 sample")
    aside = np.zeros(n, bool)
    aside[rng.permutation(n)[: max(1, round(SHARE * n), min(AT_LEAST, n // 5))]] = True
    of_aside, of_rest = (None, None) if weights is None else (weights[aside], weights[~aside])
    y_aside = y[aside] + np.float32(offset)
    kind = Loss("logistic" if is_classifier(estimator) else "squared")
    loss = mean_loss(design.select(aside), y_aside, of_aside, kind, estimator.n_jobs)
    losses: list[float] = []
    for row in walk(estimator, PATH, design.select(~aside), y[~aside], of_rest, offset, bias, spread, rng, loss):
        losses.append(row["validation_loss"])
        if len(losses) - 1 - int(np.argmin(losses)) >= PATIENCE:
            break
    best = int(np.argmin(losses))
    if not 0 < best < len(losses) - 1:
        return PATH[best]
    before, at, after = losses[best - 1 : best + 2]
    bend = before - 2 * at + after
    lowest = 0.5 * (before - after) / bend if bend > 0 else 0.0  # in steps, between -1/2 and 1/2
    return float(PATH[best] * 2 ** (-lowest / 2))


def regularisation_path(
    estimator: Any,
    X: Any,
    y: ArrayLike,
    reg_factors: Sequence[Any] = PATH,
    validation: float | tuple[Any, ArrayLike] = 0.1,
    sample_weight: ArrayLike | None = None,
) -> list[dict[str, Any]]:
    """Machines for several regularisations, each fitted from the one before, and how good they are on other rows.

    Parameters
    ----------
    estimator : FMRegressor
        With solver="als"; all of its parameters but `reg_factors` and `max_iter` hold, and it is left as it is. The
        first machine gets 20 sweeps, the others 8.
    X : Design, or sparse or dense matrix of shape (n_rows, n_features)
    y : array-like of shape (n_rows,)
    reg_factors : sequence of float, or of array-likes of shape (n_fields,)
        By default eleven, from 1.8 to .056. They are taken in descending order, by their sums.
    validation : float, or tuple (X, y), default=0.1
        Share of the rows that is set aside by `random_state`, or other rows.
    sample_weight : array-like of shape (n_rows,), optional

    Returns
    -------
    list of dict
        `reg_factors`, `train_loss` and `validation_loss` (mean squared errors), `seconds` and `machine`, a
        FactorizationMachine, of every value, the strongest first: rows for a DataFrame.

    Examples
    --------
    >>> from fmkit import FMRegressor, regularisation_path
    >>> from fmkit.datasets import load_movielens_small
    >>> from sklearn.preprocessing import OneHotEncoder
    >>> X, y = load_movielens_small(return_X_y=True)
    >>> path = regularisation_path(FMRegressor(random_state=0), OneHotEncoder().fit_transform(X), y, [1.8, 0.9, 0.45])
    >>> min(path, key=lambda row: row["validation_loss"])["reg_factors"]
    0.9
    """
    from fmkit.estimators.common import FMEstimator, mean_loss

    if not isinstance(estimator, FMEstimator) or not is_regressor(estimator):
        raise TypeError(f"a path takes an FMRegressor, got {type(estimator).__name__}")
    if estimator.solver != "als":
        raise ValueError(f"a path is fitted by solver='als', got solver={estimator.solver!r}")
    if not len(reg_factors):
        raise ValueError("reg_factors must hold at least one value")
    values = sorted(reg_factors, key=lambda value: -float(np.sum(value)))
    model = clone(estimator).set_params(reg_factors=values[0])
    design, targets, weights = model._check_fit(X, y, sample_weight, numeric=True)
    targets, rng = targets.astype(np.float64), model._generator()
    if isinstance(validation, tuple):
        X_aside, y_aside, of_aside = validation[0], np.asarray(validation[1], np.float64), None
        if not isinstance(X_aside, Design):
            X_aside = validate_data(model, X_aside, reset=False, accept_sparse=True, accept_large_sparse=True)
        if y_aside.shape != (X_aside.shape[0],):
            raise ValueError(f"validation must hold a target for each of {X_aside.shape[0]} rows, got {y_aside.shape}")
    elif not 0 < validation < 1:
        raise ValueError(f"validation must be a share between 0 and 1 or a tuple (X, y), got {validation}")
    else:
        aside = np.zeros(design.n_rows, bool)
        aside[rng.permutation(design.n_rows)[: max(1, round(validation * design.n_rows))]] = True
        if aside.all():
            raise ValueError("a path needs at least two rows: one to fit, one to set aside")
        X_aside, y_aside, of_aside = design.select(aside), targets[aside], None if weights is None else weights[aside]
        design, targets, weights = design.select(~aside), targets[~aside], None if weights is None else weights[~aside]
    loss = mean_loss(X_aside, y_aside.astype(np.float32), of_aside, Loss("squared"), model.n_jobs)
    mean, spread = mean_and_spread(targets, weights)
    centred = (targets - mean).astype(np.float32)
    return list(walk(model, values, design, centred, weights, mean, 0.0, spread, rng, loss))


def mean_and_spread(y: NDArray[np.float64], weights: Floats | None) -> tuple[float, float]:
    """Weighted mean and standard deviation of targets; 1 for targets that are all the same."""
    mean = float(np.average(y, weights=weights))
    return mean, float(np.sqrt(np.average((y - mean) ** 2, weights=weights))) or 1.0
