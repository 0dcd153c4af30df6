"""The fit loop: it asks a solver for sweep after sweep, shows them, and decides when it is enough."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import isfinite
from typing import TYPE_CHECKING, Any, Generic

from threadpoolctl import threadpool_limits

from fmkit.bars import tqdm
from fmkit.progress import M, Progress

if TYPE_CHECKING:  # checkpoints load numba, which a net has no need of
    from fmkit.checkpoint import Checkpoint, Resumable, State

WORTHWHILE = 1e-4  # relative gain of the validation loss within `patience` sweeps that keeps a fit going

Callback = Callable[[Progress[Any]], bool | None]


class FitInterrupted(UserWarning):
    """A fit was stopped by Ctrl-C; the best machine so far is kept."""


@dataclass
class FitRecord(Generic[M]):
    """What a fit leaves behind.

    Parameters
    ----------
    machine : FactorizationMachine, RankingMachine or Net
        The best on the part set aside, or the last.
    history : list of dict
        `sweep`, `train_loss`, `validation_loss`, `seconds` of every sweep, and what else the solver tells: rows for a
        DataFrame.
    stopped : bool
        Whether somebody ended it, by a callback or Ctrl-C.
    interrupted : bool
        Whether it was Ctrl-C.
    """

    machine: M
    history: list[dict[str, Any]] = field(default_factory=list)
    stopped: bool = False
    interrupted: bool = False


@dataclass
class Best:
    """The best validation loss so far, and the one from which patience is counted.

    Patience is not renewed by gains that nobody would wait for.
    """

    loss: float = float("inf")
    sweep: int = 0
    goal: float = float("inf")
    goal_sweep: int = 0

    def meet(self, loss: float, sweep: int) -> bool:
        """Take in a sweep's loss; returns whether it is the best."""
        if loss < self.goal:
            self.goal, self.goal_sweep = loss * (1 - WORTHWHILE), sweep
        if loss >= self.loss:
            return False
        self.loss, self.sweep = loss, sweep
        return True


def run_fit(
    sweeps: Iterator[Progress[M]],
    start: M,
    max_iter: int | None,
    *,
    unit: str = "sweep",
    validation_loss: Callable[[M], float] | None = None,
    patience: int = 3,
    burn_in: int = 0,
    kept: Callable[[], str] | None = None,
    loss_unit: float = 1.0,
    callbacks: Sequence[Callback] = (),
    told_as: Callable[[M], M] = lambda machine: machine,
    checkpoint: Checkpoint | None = None,
    solver: Resumable | None = None,
    verbose: bool = False,
) -> FitRecord[M]:
    """Sweep until `max_iter`, early stopping, a callback that returns True, or Ctrl-C.

    Parameters
    ----------
    sweeps : iterator of Progress
        A solver at work on `start`.
    start : FactorizationMachine, RankingMachine or Net
        What the solver changes in place.
    max_iter : int or None
        Sweeps at most; None leaves the end to the solver.
    unit : str
        What a sweep is called.
    validation_loss : callable, optional
        Loss of a machine on the part set aside; if given, the best machine is kept, and the fit ends after `patience`
        sweeps that make it no better, by 0.01 % at least.
    patience : int
    burn_in : int
        Sweeps before the validation loss counts: a chain's single draws cannot be compared with the average after them.
    kept : callable, optional
        Of a solver whose result is not one of its machines, but a posterior of all sweeps done: says what is kept if
        Ctrl-C ends the fit now. No machine is kept for it.
    loss_unit : float
        What a loss of 1 in the solver's units is in the user's, in which losses are told.
    callbacks : sequence of callable
        Each is called with the Progress of every sweep; one that returns True ends the fit.
    told_as : callable, optional
        Turns the solver's machine into the one that callbacks see, in the user's units.
    checkpoint : Checkpoint, optional
        Where the fit goes on from, and what it writes after the callbacks of a sweep; of a FactorizationMachine.
    solver : Resumable
        What is behind `sweeps`, with a checkpoint.
    verbose : bool
        Show a progress bar on stderr, where that is a terminal, or in a notebook.

    Warns
    -----
    FitInterrupted
        On Ctrl-C after at least one sweep; before that the KeyboardInterrupt goes on.
    """
    record, best = FitRecord(start), Best(goal_sweep=burn_in)
    if checkpoint is not None and solver is not None and checkpoint.found is not None:
        with checkpoint.reading():
            best = _resume(record, solver, checkpoint.found)
        checkpoint.found = None
    before = record.history[-1]["seconds"] if record.history else 0.0
    done = len(record.history)
    # The small matrices of a sweep are no work for BLAS's threads, whose waiting takes the time of the solver's own.
    with (
        threadpool_limits(1, "blas"),
        tqdm(total=max_iter, initial=done, desc="fit", unit=unit, disable=None if verbose else True) as bar,
    ):
        try:
            for progress in sweeps:
                if not isfinite(progress.train_loss):
                    raise ValueError("the fit diverged: lower learning_rate (SGD), or bring X and y to about unit size")
                progress.seconds += before
                progress.train_loss *= loss_unit
                counts = validation_loss is not None and progress.sweep > burn_in
                if validation_loss is not None:
                    progress.validation_loss = loss_unit * validation_loss(progress.machine)
                    if counts and best.meet(progress.validation_loss, progress.sweep) and kept is None:
                        record.machine = progress.machine.copy()
                told_always = ("train_loss", "validation_loss", "seconds")
                row = {unit: progress.sweep, **{name: getattr(progress, name) for name in told_always}}
                record.history.append({**row, **progress.facts})
                bar.set_postfix({name: f"{row[name]:.4f}" for name in row if name.endswith("loss") and row[name]})
                bar.update()
                if callbacks:
                    machines = [told_as(machine) for machine in progress.machines]
                    told = replace(progress, machine=told_as(progress.machine), machines=machines)
                    answers = [callback(told) for callback in callbacks]
                    record.stopped = any(answers)
                worse = counts and progress.sweep - best.goal_sweep >= patience
                if (max_iter is not None and progress.sweep >= max_iter) or worse or record.stopped:
                    break
                if checkpoint is not None and solver is not None and checkpoint.due(progress.sweep):
                    checkpoint.write(_state(record, best, solver, record.machine is not start))
        except KeyboardInterrupt:
            if not record.history:
                raise
            record.stopped = record.interrupted = True
            what = f"the machine of {unit} {best.sweep or len(record.history)}" if kept is None else kept()
            of = "" if max_iter is None else f" of {max_iter}"
            warnings.warn(
                f"the fit was interrupted in {unit} {len(record.history) + 1}{of}; {what} is kept",
                FitInterrupted,
                stacklevel=4,
            )
    return record


def _state(record: FitRecord[Any], best: Best, solver: Resumable, has_best: bool) -> State:
    from fmkit.checkpoint import State, pack_machines

    state = solver.state()
    machines = [record.machine] if has_best else []
    facts = {"history": record.history, "best": asdict(best), "solver": state.facts}
    return State(facts, {**state.arrays, **pack_machines(machines, "best")})


def _resume(record: FitRecord[Any], solver: Resumable, state: State) -> Best:
    """Fill record and solver from a state; returns the best so far."""
    from fmkit.checkpoint import State, unpack_machines

    best = Best(**state.facts["best"])
    solver.resume(State(state.facts["solver"], state.arrays))
    record.history += [dict(row) for row in state.facts["history"]]
    if machines := unpack_machines(state.arrays, "best"):
        record.machine = machines[0]
    return best
