"""What a solver tells after each pass over the data."""

from dataclasses import dataclass, field

from fmkit.machine import FactorizationMachine


@dataclass
class Progress:
    """One sweep of ALS or one epoch of SGD, done.

    Parameters
    ----------
    sweep : int
        Passes done, from 1.
    train_loss : float
        Mean training loss: squared error, or log loss. SGD tells it as it was met on the way, before each step, and
        ALS on two one-hot fields tells an upper bound of the log loss, so that it costs no pass of its own.
    seconds : float
        Since the solver started.
    machine : FactorizationMachine
        The machine so far; the solver goes on changing it.
    validation_loss : float or None
        The same loss on the part set aside, filled in by the fit loop.
    machines : list of FactorizationMachine
        Where several classes are fitted at once, one a class, the first of them being `machine`; else empty.
    """

    sweep: int
    train_loss: float
    seconds: float
    machine: FactorizationMachine
    validation_loss: float | None = None
    machines: list[FactorizationMachine] = field(default_factory=list)
