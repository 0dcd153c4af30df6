"""What a solver tells after each pass over the data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar


class Machine(Protocol):
    """What a solver fits in place: a FactorizationMachine of targets, a RankingMachine of pairs, a net."""

    def copy(self: M) -> M:
        """One that shares no memory with this."""
        ...


M = TypeVar("M", bound=Machine)


@dataclass
class Progress(Generic[M]):
    """One sweep of ALS or one epoch of SGD, or of a net, done.

    Parameters
    ----------
    sweep : int
        Passes done, from 1.
    train_loss : float
        Mean training loss: squared error, log loss, or what else SGD lowers. SGD tells it as it was met on the way,
        before each step, and ALS on two one-hot fields tells an upper bound of the log loss, so that it costs no pass
        of its own.
    seconds : float
        Since the solver started.
    machine : FactorizationMachine, RankingMachine or fmkit.deep.training.Net
        The machine so far; the solver goes on changing it.
    validation_loss : float or None
        The same loss on the part set aside, filled in by the fit loop.
    machines : list of machines
        Where several classes are fitted at once, one a class, the first of them being `machine`; else empty.
    facts : dict
        What else the solver has to tell of this pass, such as a learning rate; columns of the history.
    """

    sweep: int
    train_loss: float
    seconds: float
    machine: M
    validation_loss: float | None = None
    machines: list[M] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
