"""The learning rate of SGD: found by trials before a fit, and lowered once where a fit diverges."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import inf, isfinite
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from fmkit.progress import Progress

USUAL = 0.1
STEP, STEPS = 2.0, 10  # the rates that are tried are USUAL times powers of STEP, up to STEPS of them away
TELLING = 1e-3  # share of the loss that a rate has to gain to be preferred to one nearer to the usual
RISE = 100.0  # times the lowest loss so far, at first the usual one, above which a fit has diverged
LOWER = 0.1


def choose_rate(loss_with: Callable[[float], float]) -> float:
    """Go down from the usual rate while that makes a trial's loss lower; if it never does, up.

    Losses rise to both sides of the best rate, so that few trials tell it from all others.

    Parameters
    ----------
    loss_with : callable
        The loss of a trial with a rate, not finite if it diverged.

    Examples
    --------
    >>> choose_rate(lambda rate: abs(rate - 0.4))
    0.4
    >>> choose_rate(lambda rate: rate if rate < 0.01 else float("nan")) < 0.01
    True
    """
    best, lowest = USUAL, _finite(loss_with(USUAL))
    for factor in (1 / STEP, STEP):
        for _ in range(STEPS):
            loss = _finite(loss_with(best * factor))
            if not (loss < (1 - TELLING) * lowest or lowest == inf):
                break
            best, lowest = best * factor, loss
        if best != USUAL:
            break
    return best


def descend_safely(
    begin: Callable[[float], Iterator[Progress[Any]]], machine: Any, rate: float, usual_loss: float
) -> Iterator[Progress[Any]]:
    """Epochs; if one diverges, they go on from the machine before it with a tenth of the rate, once.

    Parameters
    ----------
    begin : callable
        Begins to fit the machine with a rate.
    machine : FactorizationMachine or InteractionMachine
        Fitted in place.
    rate : float
    usual_loss : float
        About that of a machine that says the same of every row.

    Yields
    ------
    Progress
        One an epoch; one that diverged is not told.

    Warns
    -----
    ConvergenceWarning
        Where the rate is lowered.
    """
    lowest, kept, epochs = usual_loss, machine.copy(), begin(rate)
    lowered, done, seconds_before = False, 0, 0.0
    while True:
        progress = next(epochs)
        if progress.train_loss <= RISE * lowest and isfinite(machine.bias):
            lowest = min(lowest, max(progress.train_loss, lowest / RISE))
            done += 1
            _hold(kept, machine)
            yield replace(progress, sweep=done, seconds=seconds_before + progress.seconds)
        elif not lowered:
            lowered, seconds_before = True, seconds_before + progress.seconds
            warnings.warn(
                f"the fit diverged in epoch {done + 1} with learning_rate={rate:g}: it goes on with {LOWER * rate:g}, "
                "from the machine before that epoch",
                ConvergenceWarning,
                stacklevel=5,
            )
            _hold(machine, kept)
            epochs = begin(LOWER * rate)
        else:
            raise ValueError(
                f"the fit diverged with learning_rate={rate:g}, and with {LOWER * rate:g}, too: lower learning_rate, "
                "leave it 'auto', or bring X and y to about unit size"
            )


def _finite(loss: float) -> float:
    return loss if isfinite(loss) else inf


def _hold(machine: Any, other: Any) -> None:
    """Have the machine hold what the other does, in its own arrays."""
    machine.bias = other.bias
    for name, value in vars(other).items():
        if name != "bias":
            getattr(machine, name)[:] = value
