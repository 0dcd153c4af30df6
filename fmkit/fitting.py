"""The fit loop: it asks a solver for sweep after sweep, shows them, and decides when it is enough."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any

from tqdm.auto import tqdm

from fmkit.machine import FactorizationMachine
from fmkit.progress import Progress

WORTHWHILE = 1e-4  # relative gain of the validation loss within `patience` sweeps that keeps a fit going

Callback = Callable[[Progress], bool | None]


class FitInterrupted(UserWarning):
    """A fit was stopped by Ctrl-C; the best machine so far is kept."""


@dataclass
class FitRecord:
    """What a fit leaves behind.

    Parameters
    ----------
    machine : FactorizationMachine
        The best on the part set aside, or the last.
    history : list of dict
        `sweep`, `train_loss`, `validation_loss`, `seconds` of every sweep: rows for a DataFrame.
    stopped : bool
        Whether somebody ended it, by a callback or Ctrl-C.
    """

    machine: FactorizationMachine
    history: list[dict[str, Any]] = field(default_factory=list)
    stopped: bool = False


def run_fit(
    sweeps: Iterator[Progress],
    start: FactorizationMachine,
    max_iter: int,
    *,
    validation_loss: Callable[[FactorizationMachine], float] | None = None,
    patience: int = 3,
    callbacks: Sequence[Callback] = (),
    told_as: Callable[[FactorizationMachine], FactorizationMachine] = lambda machine: machine,
    verbose: bool = False,
) -> FitRecord:
    """Sweep until `max_iter`, early stopping, a callback that returns True, or Ctrl-C.

    Parameters
    ----------
    sweeps : iterator of Progress
        A solver at work on `start`.
    start : FactorizationMachine
        What the solver changes in place.
    max_iter : int
        Sweeps at most.
    validation_loss : callable, optional
        Loss of a machine on the part set aside; if given, the best machine is kept, and the fit ends after `patience`
        sweeps that make it no better, by 0.01 % at least.
    callbacks : sequence of callable
        Each is called with the Progress of every sweep; one that returns True ends the fit.
    told_as : callable, optional
        Turns the solver's machine into the one that callbacks see, in the user's units.
    verbose : bool
        Show a progress bar on stderr, where that is a terminal, or in a notebook.

    Warns
    -----
    FitInterrupted
        On Ctrl-C after at least one sweep; before that the KeyboardInterrupt goes on.
    """
    record = FitRecord(start)
    best, best_sweep = float("inf"), 0
    goal, goal_sweep = float("inf"), 0  # patience is not renewed by gains that nobody would wait for
    with tqdm(total=max_iter, desc="fit", unit="sweep", disable=None if verbose else True) as bar:
        try:
            for progress in sweeps:
                if not isfinite(progress.train_loss):
                    raise ValueError("the fit diverged: lower learning_rate (SGD), or bring X and y to about unit size")
                if validation_loss is not None:
                    progress.validation_loss = validation_loss(progress.machine)
                    if progress.validation_loss < best:
                        best, best_sweep = progress.validation_loss, progress.sweep
                        record.machine = progress.machine.copy()
                    if progress.validation_loss < goal:
                        goal, goal_sweep = progress.validation_loss * (1 - WORTHWHILE), progress.sweep
                row = {name: getattr(progress, name) for name in ("sweep", "train_loss", "validation_loss", "seconds")}
                record.history.append(row)
                bar.set_postfix({name: f"{row[name]:.4f}" for name in row if name.endswith("loss") and row[name]})
                bar.update()
                if callbacks:
                    told = replace(progress, machine=told_as(progress.machine))
                    answers = [callback(told) for callback in callbacks]
                    record.stopped = any(answers)
                worse = validation_loss is not None and progress.sweep - goal_sweep >= patience
                if progress.sweep >= max_iter or worse or record.stopped:
                    break
        except KeyboardInterrupt:
            if not record.history:
                raise
            record.stopped = True
            kept = best_sweep or len(record.history)
            warnings.warn(
                f"the fit was interrupted in sweep {len(record.history) + 1} of {max_iter}; "
                f"the machine of sweep {kept} is kept",
                FitInterrupted,
                stacklevel=4,
            )
    return record
